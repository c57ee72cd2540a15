"""Why a request was not answered, as the inference protocol's clients learn it."""

import grpc


class RequestFailed(Exception):
    """A request that ends with a gRPC status other than OK."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def invalid(text: str) -> RequestFailed:
    """The caller's fault: the request does not fit the protocol or the model."""
    return RequestFailed(grpc.StatusCode.INVALID_ARGUMENT, text)


def not_found(text: str) -> RequestFailed:
    """The mesh serves nothing under this name or version."""
    return RequestFailed(grpc.StatusCode.NOT_FOUND, text)


def unavailable(text: str) -> RequestFailed:
    """Nobody can answer now; later somebody may."""
    return RequestFailed(grpc.StatusCode.UNAVAILABLE, text)


def exhausted(text: str) -> RequestFailed:
    """Too many requests at once, here and at the neighbours."""
    return RequestFailed(grpc.StatusCode.RESOURCE_EXHAUSTED, text)


def late(text: str) -> RequestFailed:
    """The caller's deadline passed before an answer."""
    return RequestFailed(grpc.StatusCode.DEADLINE_EXCEEDED, text)
