"""What `meshctl` proves itself with: the operator's folder, made by `meshctl init`."""

from dataclasses import dataclass
from pathlib import Path

from mesh.signed import Signer
from node.admin.failures import bad_input


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM for TLS, and the key that signs releases."""

    tls_key: bytes
    certificate: bytes
    authorities: bytes
    release: Signer | None


def load(folder: Path) -> Credentials:
    """The credentials in the operator's folder. Raises Failure if they are not there or damaged."""
    raise bad_input(f"no operator's keys in {folder}")
