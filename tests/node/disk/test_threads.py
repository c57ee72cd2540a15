"""The stores are called from several threads at once, on a real disk."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.blobs.manifest import FileHasher, open_manifest, seal
from mesh.journals import BatchWriter, LogKey, make_entry
from mesh.signed import Signer
from node.disk.blobs import BlobStore
from node.disk.documents import DocumentStore
from node.disk.journals import JournalStore
from protos.documents_pb2 import Manifest

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"t" * 32))
THREADS = 4


def test_chunks_are_written_and_read_at_once(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    hasher = FileHasher("data", 64 * 1024)
    hasher.feed(content)
    manifest = Manifest(
        name="faces", version="1", kind="data", chunk_bytes=64 * 1024, files=[hasher.file()]
    )
    artifact = open_manifest(seal(manifest, SIGNER), [SIGNER.public_key])
    store = BlobStore(tmp_path)
    store.begin(artifact)

    def write(index: int) -> bytes | None:
        chunk = artifact.chunks[index % len(artifact.chunks)]
        data = content[chunk.offset : chunk.offset + chunk.length]
        store.write_chunk(artifact.digest, chunk.index, data)
        store.flush(artifact.digest)
        return store.read_chunk(artifact.digest, chunk.index)

    with ThreadPoolExecutor(THREADS) as pool:
        read = list(pool.map(write, range(2 * len(artifact.chunks))))
    assert b"".join(data or b"" for data in read) == content * 2
    assert store.finish(artifact.digest)[0].read_bytes() == content


def test_each_thread_appends_to_its_log(tmp_path: Path) -> None:
    store = JournalStore(tmp_path, 1 << 20)
    entry = make_entry("event", "", "", {}, unix_ms=0, monotonic_ms=0)

    def append(number: int) -> LogKey:
        kind = ("record", "data")[number % 2]
        writer = BatchWriter(LogKey(f"north-{number}", 1, b"8 bytes!", kind), SIGNER)
        for _ in range(10):
            store.append([writer.batch([entry])])
            store.flush()
        return writer.key

    with ThreadPoolExecutor(THREADS) as pool:
        keys = list(pool.map(append, range(THREADS)))
    again = JournalStore(tmp_path, 1 << 20)
    assert all(len(again.read(key, 0, 1 << 20)) == 10 for key in keys)
    assert again.reports() == []


def test_documents_are_put_at_once(tmp_path: Path) -> None:
    store = DocumentStore(tmp_path)

    def put(number: int) -> None:
        for count in range(5):
            store.put(f"own-{number}", b"%d" % count)
            store.put("common", b"%d" % number)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, range(THREADS)))
    assert [store.get(f"own-{number}") for number in range(THREADS)] == [b"4"] * THREADS
    assert store.get("common") is not None
