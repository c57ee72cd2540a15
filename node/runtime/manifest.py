"""The one thing that the runtime itself must know of a manifest: how long loading may take.

The signature was checked by the agent, the bytes are checked by the worker. Whatever cannot be
read here counts as "not stated": the worker will say what is wrong with it.
"""

from google.protobuf.message import DecodeError

from protos.documents_pb2 import Manifest
from protos.signed_pb2 import Envelope

MANIFEST_BYTES_MAX = 256 << 10
"""256 KiB: a manifest travels in one control frame of that size."""


def load_limit_ms(path: str) -> int:
    """Milliseconds from start to serving that the manifest at `path` states; 0: none."""
    try:
        with open(path, "rb") as file:
            data = file.read(MANIFEST_BYTES_MAX)
        return Manifest.FromString(Envelope.FromString(data).payload).limits.load_ms
    except (OSError, DecodeError):
        return 0
