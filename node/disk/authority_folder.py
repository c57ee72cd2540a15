"""A new mesh: its keys, made once, each in the folder of the role that holds it.

    root/      the trust root's private key. Taken offline; needed to change who is trusted
    master/    becomes the master's data folder: it issues certificates and signs the state
    operator/  who administers: an identity for TLS, and the keys that sign and release

The rules: no key lies in two folders, so that no folder alone can both say what is good and who
runs it; a private key is readable by its owner only; a mesh is made whole (in a folder beside,
renamed when everything is on disk) or not at all; nothing that exists is overwritten.
"""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import randbits

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.heads.certificates import issue, make_authority, pem
from mesh.heads.identity import Identity, IdentityRefused, check_name
from mesh.heads.outcome import READER_VERSION
from mesh.heads.trust import open_trust
from mesh.signed import Signer
from node.disk.key_files import private_pem, sync_folder, write_folder
from protos.documents_pb2 import TrustBody, TrustedKey

SERIAL_BITS = 127
"""Of a certificate's random serial number: unique without a counter, and within RFC 5280's 20
bytes."""
KEYS = "keys"
"""The folder of the keys within the master's and the operator's folder."""

ROOT_NOTE = """This folder holds the private key of the mesh's trust root.

Whoever has it decides whom every node of the mesh trusts. The mesh does not need it while it runs.
Move this folder to a medium that is kept offline (two copies, in two places), and delete it here.
You need it again to add or replace a master, a release key or an operator, or to rebuild a lost
master. Without it, a mesh whose master's keys were stolen or lost must be made anew.
"""


class FolderRefused(ValueError):
    """A folder is not what it should be. Nothing was changed. The text says what to do."""


@dataclass(frozen=True, slots=True)
class MeshPaths:
    """Where `initialise` put what each role needs."""

    root: Path
    master: Path
    operator: Path


@dataclass(frozen=True, slots=True)
class _Made:
    """A key pair for TLS and its certificate, and a key for signing."""

    files: Mapping[str, bytes]
    signer: Signer


def initialise(folder: Path, mesh: str, master: str, operator: str) -> MeshPaths:
    """Makes a mesh named `mesh` with one master and one operator in `folder`, new or empty.

    Raises FolderRefused if there is something in it, or a name is no DNS label.
    """
    for kind, name in (("mesh", mesh), ("master", master), ("operator", operator)):
        _check_name(kind, name)
    folder = folder.absolute()
    _check_free(folder)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        _make_mesh(partial, mesh, master, operator)
        os.rename(partial, folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        text = f"{folder}: the mesh could not be written ({error.strerror}); nothing was made"
        raise FolderRefused(text) from None
    sync_folder(folder.parent)
    return MeshPaths(folder / "root", folder / "master", folder / "operator")


def _make_mesh(folder: Path, mesh: str, master: str, operator: str) -> None:
    folder.mkdir(mode=0o700)
    root_key, release_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    state_key, acknowledge_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = make_authority(authority_key, mesh, randbits(SERIAL_BITS) | 1)
    masters_own = _make_identity(authority_key, authority, Identity(mesh, "master", master))
    operators_own = _make_identity(authority_key, authority, Identity(mesh, "operator", operator))
    keys = [
        TrustedKey(public_key=_public(state_key), role="state", name=master),
        TrustedKey(public_key=_public(acknowledge_key), role="acknowledge", name=master),
        TrustedKey(public_key=_public(release_key), role="release", name=operator),
        TrustedKey(public_key=operators_own.signer.public_key, role="operator", name=operator),
    ]
    trust = _sign_trust(root_key, mesh, authority, master, keys)
    common = {"root.public": _public(root_key), "trust": trust, "authorities.pem": pem(authority)}
    masters_keys = {
        "authority-key.pem": private_pem(authority_key),
        "authority.der": authority,
        "state-key.pem": private_pem(state_key),
        "acknowledge-key.pem": private_pem(acknowledge_key),
    }
    roots = {"root-key.pem": private_pem(root_key), "TAKE-THIS-OFFLINE.txt": ROOT_NOTE.encode()}
    write_folder(folder / "root", roots)
    _write_keys(folder / "master", {**common, **masters_own.files, **masters_keys})
    release = {"release-key.pem": private_pem(release_key)}
    _write_keys(folder / "operator", {**common, **operators_own.files, **release})
    sync_folder(folder)


def _sign_trust(
    root_key: Ed25519PrivateKey,
    mesh: str,
    authority: bytes,
    master: str,
    keys: Sequence[TrustedKey],
) -> bytes:
    body = TrustBody(
        mesh=mesh,
        generation=1,
        authorities=[authority],
        masters=[master],
        keys=keys,
        signed_unix_ms=time.time_ns() // 1_000_000,
        min_reader=READER_VERSION,
    )
    trust = Signer(root_key).sign("trust", body.SerializeToString(deterministic=True))
    open_trust(_public(root_key), trust)
    return trust


def _make_identity(
    authority_key: ec.EllipticCurvePrivateKey, authority: bytes, identity: Identity
) -> _Made:
    tls_key = ec.generate_private_key(ec.SECP256R1())
    signing_key = Ed25519PrivateKey.generate()
    serial = randbits(SERIAL_BITS) | 1
    certificate = issue(
        authority_key, authority, identity, tls_key.public_key(), _public(signing_key), serial
    )
    files = {
        "tls-key.pem": private_pem(tls_key),
        "tls.pem": pem(certificate),
        "signing-key.pem": private_pem(signing_key),
    }
    return _Made(files, Signer(signing_key))


def _check_name(kind: str, name: str) -> None:
    try:
        check_name(kind, name)
    except IdentityRefused as refused:
        raise FolderRefused(str(refused)) from None


def _check_free(folder: Path) -> None:
    try:
        present = sorted(entry.name for entry in folder.iterdir())
        parent_missing = False
    except FileNotFoundError:
        present, parent_missing = [], not folder.parent.is_dir()
    except OSError as error:
        raise FolderRefused(f"{folder}: {error.strerror}; name another folder") from None
    if parent_missing:
        raise FolderRefused(f"{folder.parent} does not exist; make it, or name another folder")
    if {"root", "master", "operator"} & set(present):
        advice = "name another folder to make another mesh"
        raise FolderRefused(f"{folder} already holds a mesh; {advice}")
    if present:
        raise FolderRefused(f"{folder} is not empty; name a new or an empty folder")


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def _write_keys(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(mode=0o700)
    write_folder(folder / KEYS, files)
    sync_folder(folder)
