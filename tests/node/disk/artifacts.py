"""Two artifacts that share a file, and a store to fetch them into."""

import random
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.blobs.manifest import Artifact, FileHasher, open_manifest, seal
from mesh.hashing import sha256
from mesh.signed import Signer
from node.disk.blobs import BlobStore
from protos.documents_pb2 import Manifest

FOLDER = Path("/blobs")
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"r" * 32))
CHUNK = 64 * 1024
RESERVE = 1000

LARGE = random.Random(1).randbytes(2 * CHUNK + 100)
SMALL = random.Random(2).randbytes(500)
OTHER = random.Random(3).randbytes(CHUNK + 1)


def artifact(*contents: bytes, name: str = "faces", contradict: bool = False) -> Artifact:
    files = []
    for content in contents:
        hasher = FileHasher("data", CHUNK)
        hasher.feed(content)
        files.append(hasher.file())
    if contradict:
        files[0].digest = sha256(b"something else")
    manifest = Manifest(name=name, version="1", kind="data", chunk_bytes=CHUNK, files=files)
    return open_manifest(seal(manifest, SIGNER), [SIGNER.public_key])


MODEL = artifact(LARGE, SMALL)
CHUNKS = [LARGE[:CHUNK], LARGE[CHUNK : 2 * CHUNK], LARGE[2 * CHUNK :], SMALL]
SHARING = artifact(LARGE, OTHER, name="sharing")


def opened(disk) -> BlobStore:
    return BlobStore(FOLDER, reserve_bytes=RESERVE, disk=disk)


def fetch(store: BlobStore, what: Artifact = MODEL, contents=(LARGE, SMALL)) -> list[Path]:
    for index in sorted(set(range(len(what.chunks))) - store.begin(what)):
        chunk = what.chunks[index]
        data = contents[chunk.file][chunk.offset : chunk.offset + chunk.length]
        store.write_chunk(what.digest, index, data)
    return store.finish(what.digest)


def part(number: int, what: Artifact = MODEL) -> Path:
    return FOLDER / "artifacts" / what.digest.hex() / f"part.{number}"


def whole(content: bytes) -> Path:
    return FOLDER / "files" / sha256(content).hex()


def good(store: BlobStore, disk, what: Artifact = MODEL, contents=(LARGE, SMALL)) -> bool:
    """Whether the artifact is whole, and its files are what was released."""
    if what.digest not in store.held():
        return False
    return [bytes(disk.data(path)) for path in store.files(what.digest)] == list(contents)
