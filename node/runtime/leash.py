"""Run as a script, by path, before a child's program: puts the child on its leash, then becomes it.

    python -I -S leash.py PARENT_PID DATA_BYTES MODULE [ARGUMENT...]

The child dies with the runtime (SIGKILL from the kernel, however the runtime ended), cannot take
more than DATA_BYTES of data segment, is the first to die when memory runs out, and leaves no core
dump. This is done between fork and exec of the child's own program, since the runtime must not run
Python code in a forked process while gRPC's threads live.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
OOM_SCORE_ADJ = b"500"


def main() -> None:
    parent, data_bytes, module = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The runtime died before the leash was on.
        sys.exit(1)
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open("/proc/self/oom_score_adj", "wb") as score:
        score.write(OOM_SCORE_ADJ)
    os.execv(sys.executable, [sys.executable, "-m", module, *sys.argv[4:]])


if __name__ == "__main__":
    main()
