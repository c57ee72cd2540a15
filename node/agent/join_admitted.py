"""`meshd node request` and `meshd node join --admission`: a box that an operator at its site
admits, with no master and, if need be, with no network.

The keys are made here and never leave, as in any join. What the operator brings back is checked
from its root key on: the certificate is for these keys, by a delegation that the state of the site
knows. Whose root key it is, the box cannot know; who carries the file does, and sees its pin.
"""

import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from mesh.addresses import AddressRefused, split_address
from mesh.heads.admission_request import make_request
from mesh.heads.certificates import Certified, pem, read_certificate, tls_key_digest
from mesh.heads.delegations import check_counts, shown, usable
from mesh.heads.identity import Identity
from mesh.heads.snapshot import Foundation, open_snapshot
from mesh.heads.trust import pin
from mesh.signed import Signer
from node.agent.config import ConfigError, split_peer
from node.agent.join import PENDING, JoinRefused, Keys, check_free, pending_keys
from node.disk.authority_keys import DELEGATED
from node.disk.blobs import BlobStore
from node.disk.folder import DataFolder
from node.disk.key_files import write_folder_whole
from protos.documents_pb2 import AdmissionBundle, SiteSnapshot
from protos.peer_pb2 import Documents

BUNDLE_BYTES_MAX = 4 * 1024 * 1024
"""Of an admission: as of a site's snapshot, and a certificate."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Who this box is now, and the pin of the trust root that it goes by."""

    identity: Identity
    pin: str


def ask(site: str, data: Path, node: str = "") -> str:
    """The request of this box, the same each time. Raises JoinRefused, IdentityRefused, OSError."""
    check_free(data)
    name = node or socket.gethostname().split(".")[0].lower()
    keys, _ = pending_keys(data)
    return make_request(site, name, keys.tls, Signer(keys.signing))


def join_admitted(file: Path, data: Path) -> Joined:
    """Makes this box a node by what the operator brought. Raises JoinRefused, IdentityRefused,
    SnapshotRefused, DiskError, OSError."""
    check_free(data)
    bundle = _read(file)
    keys, fresh = pending_keys(data)
    if fresh is not None:
        shutil.rmtree(fresh)
        raise JoinRefused(
            f"{data} holds no keys for which this was asked: name the folder in which `meshd node "
            "request` made them"
        )
    certified = _of_these_keys(bundle, keys)
    known = open_snapshot(bundle.snapshot, certified.identity.site)
    delegated = _delegated(certified, known)
    _begin(data, bundle.snapshot, known, certified.identity)
    write_folder_whole(data / "keys", _files(keys, bundle, known, delegated))
    shutil.rmtree(data / PENDING)
    return Joined(certified.identity, pin(bundle.snapshot.root_key))


def _read(file: Path) -> AdmissionBundle:
    name = "name the file that `meshctl admit` wrote"
    try:
        with file.open("rb") as stream:
            data = stream.read(BUNDLE_BYTES_MAX + 1)
    except OSError as error:
        raise JoinRefused(f"{file}: {error.strerror}; {name}") from None
    try:
        if len(data) <= BUNDLE_BYTES_MAX:
            return AdmissionBundle.FromString(data)
    except DecodeError:
        pass  # told below, as what is too large
    raise JoinRefused(f"{file} is no admission: {name}")


def _of_these_keys(bundle: AdmissionBundle, keys: Keys) -> Certified:
    certified = read_certificate(bundle.certificate)
    tls_key = tls_key_digest(keys.tls.public_key())
    if (certified.tls_key, certified.signing_key) == (tls_key, Signer(keys.signing).public_key):
        return certified
    raise JoinRefused(
        f"the admission of {certified.identity.uri} is for the keys of another box: take the "
        "request of this one to the operator (meshd node request)"
    )


def _delegated(certified: Certified, known: Foundation) -> bytes:
    """The authority (DER) that admitted this box. Raises IdentityRefused if none could."""
    mesh, site = known.trust.mesh, certified.identity.site
    one = shown(certified.der, usable(known.branch.delegations, mesh), mesh, site)
    check_counts(one, certified.tls_key, known.head.signed_unix_ms)
    return one.delegation.authority


def _begin(data: Path, snapshot: SiteSnapshot, known: Foundation, own: Identity) -> None:
    """Puts what is in force at the site into the data folder: the box can begin before it has heard
    of anybody."""
    with DataFolder(data) as folder:
        folder.claim(known.trust.mesh, own.name)
        blobs = BlobStore(folder.folder("blobs"))
        for blob in snapshot.blobs:
            blobs.put(blob)
        branches = Documents(branches=snapshot.branches).SerializeToString()
        for name, document in (
            ("trust", snapshot.trust),
            ("state-seen", snapshot.state),
            ("branches", branches),
            ("state-applied", snapshot.state),
        ):
            folder.documents.put(name, document)


def _addresses(said: Iterable[str]) -> bytes:
    """Those of them that are ID@HOST:PORT: a node wrote them, and whoever is there has to show a
    certificate."""
    good = []
    for text in said:
        try:
            split_address(split_peer(text)[1])
        except (ConfigError, AddressRefused):
            continue
        good.append(text)
    return "\n".join(text for text in good if text.split() == [text]).encode()


def _files(
    keys: Keys, bundle: AdmissionBundle, known: Foundation, delegated: bytes
) -> dict[str, bytes]:
    snapshot = bundle.snapshot
    return {
        **keys.files(),
        "tls.pem": pem(bundle.certificate),
        "authorities.pem": b"".join(pem(der) for der in known.trust.authorities),
        DELEGATED: delegated,
        "root.public": snapshot.root_key,
        "trust": snapshot.trust,
        "masters": _addresses(snapshot.masters),
        "neighbours": _addresses(snapshot.neighbours),
    }
