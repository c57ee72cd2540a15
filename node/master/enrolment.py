"""The enrolment service: how a machine becomes a node, over gRPC.

It is the only port that answers strangers. The guard before it (node/net/guard.py) gives each
source a budget; here every field has a size. Whatever is wrong with a token has the one status
PERMISSION_DENIED and a text that tells what.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

import grpc

from node.master.authority import Authority
from node.master.errors import Busy, EnrolRefused
from node.master.requests import EnrolmentRequest
from node.master.store import StoreRefused
from protos.enrolment_pb2 import EnrolReply, EnrolRequest, GetTrustReply, GetTrustRequest
from protos.enrolment_pb2_grpc import EnrolmentServicer as Servicer

REQUEST_BYTES_MAX = 16 * 1024
"""Of a request: the largest good one has 3 KiB."""

Context = grpc.aio.ServicerContext[Any, Any]


class EnrolmentServicer(Servicer):
    """Serves one authority. `masters` as ID@host:port; `changed` is called when the roster is
    another."""

    def __init__(
        self,
        authority: Authority,
        masters: Sequence[str] = (),
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._authority = authority
        self._changed = changed
        self._masters = list(masters)

    async def GetTrust(  # noqa: N802 -- named by the contract
        self, request: GetTrustRequest, context: Context
    ) -> GetTrustReply:
        """The trust root and what it signed."""
        await self._admit(context, request.ByteSize())
        trust = self._authority.trust
        return GetTrustReply(root_key=trust.root_key, trust=trust.envelope)

    async def Enrol(  # noqa: N802 -- named by the contract
        self, request: EnrolRequest, context: Context
    ) -> EnrolReply:
        """Makes a node of a machine that has a token."""
        await self._admit(context, request.ByteSize())
        asked = EnrolmentRequest(
            token_id=request.token_id,
            secret=request.secret,
            node=request.node,
            tls_request=request.tls_request,
            signing_key=request.signing_key,
            signing_proof=request.signing_proof,
        )
        try:
            made = await asyncio.to_thread(self._authority.redeem, asked)
        except EnrolRefused as refused:
            await _abort(context, grpc.StatusCode.PERMISSION_DENIED, str(refused))
        except (Busy, StoreRefused) as refused:
            await _abort(context, grpc.StatusCode.UNAVAILABLE, str(refused))
        if self._changed is not None:
            await self._changed()
        return EnrolReply(
            certificate=made.certificate,
            mesh=made.mesh,
            site=made.site,
            node=made.node,
            masters=self._masters,
        )

    async def _admit(self, context: Context, size: int) -> None:
        if size > REQUEST_BYTES_MAX:
            text = f"a request has at most {REQUEST_BYTES_MAX} bytes"
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, text)


async def _abort(context: Context, code: grpc.StatusCode, text: str) -> NoReturn:
    await context.abort(code, text)
    raise AssertionError("abort raises")
