"""Whether the runtime is alive: it sends a beat where it has nothing else to say.

A frozen process keeps its socket open, so only silence tells. Silence is counted in looks, not in
seconds: an agent that was itself frozen looks once when it wakes, and then reads what has come.
"""

import os
import signal
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

_CREDENTIALS = struct.Struct("iII")  # struct ucred: process, user, group
CONNECT_S = 1.0
"""For a connection on this machine to its own Unix socket."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long silence is borne. A beat is asked for every two looks."""

    look_s: float = 0.5
    frozen_looks: int = 5
    """After 2.5 to 3 s its replicas do not count as serving: others take over."""
    kill_looks: int = 20
    """After 10 s it is killed, and started anew."""

    @property
    def beat_ms(self) -> int:
        """Between two beats of a runtime that has nothing else to say."""
        return int(2000 * self.look_s)


PATIENCE = Patience()


class Pulse:
    """Counts the silence of one watch. A runtime of an older release answers at once and sends no
    beats: its silence after that says nothing."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._answered = False
        self._beats = False
        self._silent_looks = 0

    def heard(self, *, beat: bool) -> None:
        """Something was heard."""
        self._answered = True
        self._beats = self._beats or beat
        self._silent_looks = -1  # the look that follows sees no silence

    def look(self) -> None:
        """To be called every `look_s`."""
        if self._beats or not self._answered:
            self._silent_looks += 1

    @property
    def is_frozen(self) -> bool:
        """Whether it is to be taken for dead."""
        return self._silent_looks >= self._patience.frozen_looks

    @property
    def is_lost(self) -> bool:
        """Whether it is to be killed."""
        return self._silent_looks >= self._patience.kill_looks


def kill_listener(path: Path) -> int:
    """Kills the process that listens on a Unix socket, as the kernel names it; its ID.

    A frozen process is reached too, because the kernel takes the connection. Raises OSError.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT_S)
        probe.connect(str(path))
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid: int = _CREDENTIALS.unpack(credentials)[0]
        process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
    finally:
        os.close(process)
    return pid
