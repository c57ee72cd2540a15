"""Why a command of `meshctl` did not do what was asked, and the exit code that says so.

Exit codes: 0 done, 2 bad input, 3 unreachable, 4 refused, 1 anything else. Each text ends with
what to do next, where there is anything to do.
"""

import grpc

DONE, OTHER, BAD_INPUT, UNREACHABLE, REFUSED = 0, 1, 2, 3, 4


class Failure(Exception):
    """The command failed; the text is for the user, `exit_code` for scripts."""

    def __init__(self, text: str, exit_code: int = OTHER) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class NotThere(Failure):
    """What was named is not there: nothing was done."""


def bad_input(text: str) -> Failure:
    return Failure(text, BAD_INPUT)


def unreachable(text: str) -> Failure:
    return Failure(text, UNREACHABLE)


def refused(text: str) -> Failure:
    return Failure(text, REFUSED)


EXIT_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: BAD_INPUT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: REFUSED,
    grpc.StatusCode.UNAVAILABLE: UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: UNREACHABLE,
}
"""Every other status means that something else went wrong."""

NEXT = {
    grpc.StatusCode.UNAVAILABLE: "is the daemon there running, and the network up?",
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        "it did not answer in time; what was asked may have been done: look, then try again"
    ),
    grpc.StatusCode.UNIMPLEMENTED: "the daemon there is older than this meshctl",
}


def from_rpc(error: grpc.RpcError, who: str) -> Failure:
    """The failure that a call to `who` (an identity and address) ended with."""
    code: grpc.StatusCode = error.code()
    text = (error.details() or "").strip() or code.name
    if code is grpc.StatusCode.NOT_FOUND:
        return NotThere(text)
    if code not in NEXT:
        return Failure(text, EXIT_CODES.get(code, OTHER))
    return Failure(f"{who}: {text}\n{NEXT[code]}", EXIT_CODES.get(code, OTHER))
