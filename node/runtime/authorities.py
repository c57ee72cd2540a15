"""Whose certificates are trusted between nodes: as the mesh's trust head says, when it changes too.

The agent tells the runtime. What it told is kept, so that a runtime that starts without its agent
does not fall back to the authorities of the day on which the node was enrolled.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mesh.heads.certificates import pem
from node.disk.errors import DiskError
from node.disk.files import Disk, replace_file

log = logging.getLogger(__name__)


class Authorities:
    """The certificates of the authorities. `enrolled` and `kept` are PEM files."""

    def __init__(self, enrolled: Path, kept: Path) -> None:
        """Raises OSError or ValueError if neither file can be read."""
        self._kept = kept
        try:
            self._set(_read(kept))
        except (OSError, ValueError) as error:
            if not isinstance(error, FileNotFoundError):
                log.error("the authorities kept in %s cannot be read: %s", kept, error)
            self._set(_read(enrolled))

    @property
    def ders(self) -> Sequence[bytes]:
        """Each as DER."""
        return self._ders

    @property
    def pem(self) -> bytes:
        """All of them as PEM."""
        return self._pem

    def replace(self, ders: Sequence[bytes]) -> bool:
        """Trusts these from now on, and after a restart; whether that is news. None at all says
        that nothing is known, and changes nothing."""
        if not ders or tuple(ders) == self._ders:
            return False
        self._set(tuple(ders))
        try:
            replace_file(Disk(), self._kept, self._pem)
        except (DiskError, OSError) as error:
            log.error("the authorities are not kept over a restart: %s", error)
        return True

    def _set(self, ders: tuple[bytes, ...]) -> None:
        self._ders = ders
        self._pem = b"".join(pem(der) for der in ders)


def _read(path: Path) -> tuple[bytes, ...]:
    found = x509.load_pem_x509_certificates(path.read_bytes())
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in found)
