"""How a machine becomes a node: it fetches the trust root, and only once pinned, sends its secret.

1. `fetch_trust` trusts whoever answers, and tells it nothing. What it brings is worth nothing until
   the caller has compared the root key with the token's pin, and opened the trust head with it.
2. `enrol` trusts only a certificate that an authority of that trust head issued, with a master's
   name in it; only that one is sent the secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from mesh.addresses import target
from mesh.heads.certificates import pem, read_certificate
from mesh.heads.identity import Identity, IdentityRefused
from node.net.failures import DialFailed, unreachable
from node.net.look import look
from node.net.settings import CALL_TIMEOUT_S, DIAL_TIMEOUT_S, control_options
from protos.enrolment_pb2 import EnrolReply, EnrolRequest, GetTrustRequest
from protos.enrolment_pb2_grpc import EnrolmentStub

SAYS_NO = frozenset(
    {
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)
"""A master's own no, given before anything was written there. Whatever else ends a call may have
come after the machine was admitted."""


@dataclass(frozen=True, slots=True)
class FetchedTrust:
    """What an enrolment port says of itself. Nothing in it is verified.

    `root_key` is a raw Ed25519 key; compare its pin. `envelope` is the trust head; open it with the
    root key. `master` is who answered claims to be; look for it among the trust head's masters.
    """

    root_key: bytes
    envelope: bytes
    master: Identity


async def fetch_trust(address: str, timeout_s: float = CALL_TIMEOUT_S) -> FetchedTrust:
    """Asks the enrolment port at HOST:PORT for the trust root. Raises DialFailed."""
    der = await look(address, min(timeout_s, DIAL_TIMEOUT_S))
    try:
        master = read_certificate(der).identity
    except IdentityRefused as refused:
        raise DialFailed("other_mesh", f"{address}: {refused}") from None
    if master.role != "master":
        raise DialFailed(
            "wrong_identity",
            f"{address}: {master.uri} is there, and only masters enrol; give the address of a "
            "master's enrolment port (7401)",
        )
    async with _channel(address, master, pem(der)) as channel:
        try:
            reply = await EnrolmentStub(channel).GetTrust(GetTrustRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _failed(address, error) from None
    return FetchedTrust(reply.root_key, reply.trust, master)


async def enrol(
    address: str,
    master: Identity,
    authorities: Sequence[bytes],
    request: EnrolRequest,
    timeout_s: float = CALL_TIMEOUT_S,
) -> EnrolReply:
    """Sends the secret to `master`, if it shows a certificate that `authorities` (DER) issued.

    Raises DialFailed: `refused` with the master's own words if it does not enrol this machine.
    """
    roots = b"".join(pem(der) for der in authorities)
    async with _channel(address, master, roots) as channel:
        try:
            reply: EnrolReply = await EnrolmentStub(channel).Enrol(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _failed(address, error) from None
    return reply


def _channel(address: str, master: Identity, roots_pem: bytes) -> grpc.aio.Channel:
    options = control_options(master.dns_name, wan=True, timeout_s=DIAL_TIMEOUT_S)
    credentials = grpc.ssl_channel_credentials(root_certificates=roots_pem)
    return grpc.aio.secure_channel(target(address), credentials, options=options)


def _failed(address: str, error: grpc.aio.AioRpcError) -> DialFailed:
    detail = error.details() or error.code().name
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        if "CERTIFICATE_VERIFY_FAILED" in detail or "Hostname Verification" in detail:
            return DialFailed(
                "other_mesh",
                f"{address}: the certificate there is not the master's that the trust root names; "
                "the secret was not sent. Is it the right address?",
            )
        return unreachable(address, detail)
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return unreachable(address, "no answer in time")
    if error.code() not in SAYS_NO:
        return unreachable(address, detail)
    return DialFailed("refused", f"{address}: {detail}")
