"""Writing keys: private ones for their owner only, a folder of them whole or not at all."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def private_pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as PKCS #8 PEM, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes a new folder of files that only their owner can read, durably. Raises OSError."""
    folder.mkdir(mode=0o700)
    for name, data in sorted(files.items()):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(folder)


def write_folder_whole(folder: Path, files: Mapping[str, bytes]) -> None:
    """Like `write_folder`, and whenever it is interrupted, there is no folder of that name."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    shutil.rmtree(partial, ignore_errors=True)
    write_folder(partial, files)
    os.rename(partial, folder)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Makes the folder's entries durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
