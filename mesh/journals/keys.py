"""The name of a log: (node, boot, kind). A node starts two logs at each boot."""

import re
from typing import NamedTuple

from mesh.journals.limits import NONCE_BYTES, NUMBER_MAX
from protos.documents_pb2 import Boot, LogName

RECORD = "record"
"""What was decided and why, alarms, lifecycle: never dropped."""

DATA = "data"
"""Detections, readings: under a quota, drops counted."""

KINDS = (RECORD, DATA)

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class LogNameRefused(ValueError):
    """A log's name from outside is not one. Nothing was changed."""


class LogKey(NamedTuple):
    """One log. Keys sort by node, then boot. A tuple, because each is looked up again and again."""

    node: str
    counter: int
    nonce: bytes
    kind: str

    @classmethod
    def from_name(cls, name: LogName) -> "LogKey":
        """The key of a message's name. Raises LogNameRefused if it is out of bounds."""
        if _LABEL.fullmatch(name.node) is None:
            raise LogNameRefused(f"{name.node[:80]!r} is no node's ID")
        if name.kind not in KINDS:
            raise LogNameRefused(f"{name.kind[:80]!r} is no kind of log: {', '.join(KINDS)}")
        if len(name.boot.nonce) != NONCE_BYTES:
            raise LogNameRefused(f"a boot's nonce of {len(name.boot.nonce)} bytes, not 8")
        if not 1 <= name.boot.counter <= NUMBER_MAX:
            raise LogNameRefused(f"{name.boot.counter} is no boot's counter")
        return cls(name.node, name.boot.counter, name.boot.nonce, name.kind)

    def name(self) -> LogName:
        """The key as a message."""
        boot = Boot(counter=self.counter, nonce=self.nonce)
        return LogName(node=self.node, boot=boot, kind=self.kind)

    def __str__(self) -> str:
        return f"{self.node}/{self.counter}-{self.nonce.hex()}/{self.kind}"
