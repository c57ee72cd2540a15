"""Who may call the inference port between nodes: nodes of this site, and the mesh's operators.

The certificate says who, the state says whether: authority, mesh, role, site and revocation are
checked on each call, since a TLS session outlives the news, and streams that are open when trust
or revocations change end.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import grpc
import grpc.aio

from mesh.heads.certificates import Certified, der_from_pem
from mesh.heads.identity import IdentityRefused
from node.net.identity import PeerCheck, leaf_pem
from node.net.open_calls import NotWelcome, OpenCall, OpenCalls, generates, open_for_writing

Handler = Any
"""A grpc.RpcMethodHandler: its stubs are those of the synchronous server."""

Context = Any
"""A grpc.aio.ServicerContext of whichever messages."""

CERTIFICATES_REMEMBERED = 256
"""Certificates whose PEM was read: 50 nodes and some operators."""

ROLES = frozenset({"node", "operator"})


class PeerGuard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic at run time
    """Lets in, call by call, whoever is a node of the site or an operator of this mesh, and not
    revoked. `authorities` gives the DER certificates that are trusted now; `box` says whose a
    certificate (DER) of none of them is, if it was admitted at the site."""

    def __init__(
        self,
        mesh: str,
        site: str,
        authorities: Callable[[], Sequence[bytes]],
        box: Callable[[bytes], Certified],
    ) -> None:
        self._site = site
        self._revoked: frozenset[bytes] = frozenset()
        self._check = PeerCheck(mesh, authorities, self._reason, box)
        self._open = OpenCalls()

    def revoke(self, tls_keys: Iterable[bytes]) -> None:
        """Replaces the digests of keys that are refused, and ends the streams of whoever is not
        welcome now. To be called when other authorities are trusted, too."""
        self._revoked = frozenset(tls_keys)
        self._open.recheck()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Puts the check before the method's own handler."""
        handler = await continuation(handler_call_details)
        return self._guarded(handler) if handler is not None else handler

    def _guarded(self, handler: Handler) -> Handler:
        async def unary(request: object, context: Context) -> object:
            await self._admit(context)
            return await handler.unary_unary(request, context)

        async def yields(requests: object, context: Context) -> object:
            async with self._admitted(context) as call:
                async for answer in call.each(behaviour(requests, context)):
                    yield answer

        async def writes(requests: object, context: Context) -> None:
            async with self._admitted(context) as call:
                await open_for_writing(context)
                await call.run(behaviour(requests, context))

        coders = (handler.request_deserializer, handler.response_serializer)
        behaviour = handler.stream_stream or handler.unary_stream
        stream = yields if generates(behaviour) else writes
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(stream, *coders)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, *coders)
        return grpc.unary_unary_rpc_method_handler(unary, *coders)

    @asynccontextmanager
    async def _admitted(self, context: Context) -> AsyncIterator[OpenCall]:
        await self._admit(context)
        with self._open.opened(lambda: self.refusal(context.auth_context())) as call:
            try:
                yield call
            except NotWelcome as why:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(why))

    async def _admit(self, context: Context) -> None:
        refusal = self.refusal(context.auth_context())
        if refusal:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, refusal)

    def refusal(self, auth_context: Mapping[str, Iterable[bytes]]) -> str:
        """Why the caller is refused; "" if it is not."""
        try:
            identity = self._check.check(_der(leaf_pem(auth_context))).identity
        except IdentityRefused as refused:
            return str(refused)
        if identity.role not in ROLES:
            return f"{identity.uri} is no node or operator"
        if identity.role == "node" and identity.site != self._site:
            return f"{identity.uri} is a node of another site than {self._site!r}"
        return ""

    def _reason(self, tls_key: bytes) -> str | None:
        return "ask the mesh's operator why" if tls_key in self._revoked else None


@lru_cache(maxsize=CERTIFICATES_REMEMBERED)
def _der(pem: bytes) -> bytes:
    return der_from_pem(pem)
