"""An operator's folder of one delegation: the key that admits boxes, made here, and what was done
with it.

    authority-key.pem, authority.der   the delegated authority; the key never leaves this folder
    site                               the name of the site that it is for
    snapshot                           what was known of the site last: enough to admit by, alone
    admitted/N.der                     the certificate of box N

Whoever has the folder can admit boxes of its site, as many and as long as the state says.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from secrets import randbits

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.protobuf.message import DecodeError

from mesh.heads.certificates import Certified, check_authority, make_authority, read_certificate
from mesh.heads.delegations import delegation_id
from mesh.heads.identity import IdentityRefused, check_name
from mesh.heads.limits import CERTIFICATE_MAX_BYTES
from node.disk.authority_folder import SERIAL_BITS, FolderRefused
from node.disk.files import Disk, make_durable_folder, replace_file
from node.disk.key_files import private_pem, write_folder_whole
from protos.documents_pb2 import SiteSnapshot

SNAPSHOT_BYTES_MAX = 4 * 1024 * 1024
"""Of a snapshot: three branches of at most 192 KiB, a trust head, and some addresses."""


@dataclass(frozen=True, slots=True)
class DelegationFolder:
    """A delegated authority with its private key, and the boxes that it admitted."""

    path: Path
    site: str
    key: ec.EllipticCurvePrivateKey
    authority: bytes

    @property
    def id(self) -> str:
        """The delegation's name."""
        return delegation_id(self.authority)

    @classmethod
    def make(cls, path: Path, mesh: str, site: str) -> "DelegationFolder":
        """A new folder with a key of its own. Raises FolderRefused if there is something."""
        check_name("site", site)
        if path.exists():
            raise FolderRefused(f"{path} exists: name another folder with --out")
        if not path.absolute().parent.is_dir():
            raise FolderRefused(f"{path.absolute().parent} does not exist: make it")
        key = ec.generate_private_key(ec.SECP256R1())
        authority = make_authority(key, mesh, randbits(SERIAL_BITS) | 1)
        files = {
            "authority-key.pem": private_pem(key),
            "authority.der": authority,
            "site": site.encode(),
        }
        try:
            write_folder_whole(path.absolute(), files)
        except OSError as error:
            raise FolderRefused(f"{path} cannot be written: {error.strerror}") from None
        return cls(path, site, key, authority)

    @classmethod
    def load(cls, path: Path) -> "DelegationFolder":
        """Reads a folder. Raises FolderRefused, which names the file."""
        authority = _read(path, "authority.der", CERTIFICATE_MAX_BYTES)
        site = _read(path, "site", CERTIFICATE_MAX_BYTES).decode(errors="replace").strip()
        try:
            key = load_pem_private_key(_read(path, "authority-key.pem", 64 * 1024), password=None)
            certificate = check_authority(authority, _mesh_of(authority))
            check_name("site", site)
        except (IdentityRefused, ValueError, TypeError) as error:
            raise _refused(path, f"its key or certificate cannot be read ({error})") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or (
            key.public_key() != certificate.public_key()
        ):
            raise _refused(path, "authority-key.pem is not the key of authority.der")
        return cls(path, site, key, authority)

    def snapshot(self) -> SiteSnapshot:
        """What was known of the site last; empty where nothing is kept. Raises FolderRefused."""
        if not (self.path / "snapshot").exists():
            return SiteSnapshot()
        try:
            return SiteSnapshot.FromString(_read(self.path, "snapshot", SNAPSHOT_BYTES_MAX))
        except DecodeError:
            raise _refused(self.path, "its snapshot is damaged: ask a node of the site") from None

    def keep_snapshot(self, snapshot: SiteSnapshot) -> None:
        """Keeps what is known of the site now. Raises OSError."""
        replace_file(Disk(), self.path / "snapshot", snapshot.SerializeToString())

    def admitted(self) -> dict[int, Certified]:
        """The boxes that were admitted with this folder, by number. Raises FolderRefused, which
        names the file."""
        folder = self.path / "admitted"
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        numbers = [int(name.removesuffix(".der")) for name in names if _is_number(name)]
        return {number: _certified(folder, f"{number}.der") for number in sorted(numbers)}

    def keep_admitted(self, number: int, certificate: bytes) -> None:
        """Keeps a box's certificate, before anybody gets it. Raises OSError."""
        folder = self.path / "admitted"
        make_durable_folder(Disk(), folder)
        replace_file(Disk(), folder / f"{number}.der", certificate)


def _mesh_of(authority: bytes) -> str:
    names = x509.load_der_x509_certificate(authority).subject
    found = names.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else ""


def _is_number(name: str) -> bool:
    number = name.removesuffix(".der")
    return name.endswith(".der") and number.isascii() and number.isdigit()


def _certified(folder: Path, name: str) -> Certified:
    der = _read(folder, name, CERTIFICATE_MAX_BYTES)
    try:
        return read_certificate(der)
    except IdentityRefused:
        # Not passed over: its number would be given away a second time.
        raise FolderRefused(
            f"{folder / name} cannot be read: take it from a copy of the folder, or remove it once "
            "the site has seen that box, and ask a node of the site: --address"
        ) from None


def _read(folder: Path, name: str, most: int) -> bytes:
    try:
        with (folder / name).open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise _refused(folder, f"{name}: {error.strerror}") from None
    if len(data) > most:
        raise _refused(folder, f"{name} is larger than {most} bytes")
    return data


def _refused(folder: Path, what: str) -> FolderRefused:
    return FolderRefused(f"{folder}: {what}; name the folder that `meshctl delegate` made: --with")
