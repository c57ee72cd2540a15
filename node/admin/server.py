"""The Admin service over a Backend: bounds what comes in and goes out, and names refusals.

Who may call what is decided before, by the server's interceptor. Order here: sizes, then the
backend. A refusal becomes a status code with the refusal's own text; an unforeseen error becomes
INTERNAL, is logged with its traceback, and tells the caller no more than its type.
"""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import structlog

from mesh.heads.limits import CERTIFICATE_MAX_BYTES
from mesh.site.changes import CHANGE_BYTES_MAX
from node.admin.backend import (
    ROLLOUT_ACTIONS,
    Applied,
    Backend,
    BadInput,
    DelegationMade,
    Exhausted,
    NotFound,
    NotHere,
    Refusal,
    Refused,
    Steered,
)
from node.admin.documents import KINDS, Document
from node.admin.limits import (
    CHUNK_BYTES_MAX,
    DETAIL_BYTES_MAX,
    DIGEST_BYTES,
    DOCUMENTS_DEFAULT,
    DOCUMENTS_MAX,
    MANIFEST_BYTES_MAX,
    NAME_CHARACTERS_MAX,
    PART_BYTES_MAX,
    REASON_CHARACTERS_MAX,
    REPLY_BYTES_MAX,
    TOKEN_VALID_S_MAX,
    WARNING_CHARACTERS_MAX,
    WARNINGS_MAX,
    YAML_BYTES_MAX,
)
from protos import admin_pb2 as pb
from protos.admin_pb2_grpc import AdminServicer as Generated

CODES: dict[type[Refusal], grpc.StatusCode] = {
    BadInput: grpc.StatusCode.INVALID_ARGUMENT,
    NotHere: grpc.StatusCode.FAILED_PRECONDITION,
    NotFound: grpc.StatusCode.NOT_FOUND,
    Refused: grpc.StatusCode.PERMISSION_DENIED,
    Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
}

Context = grpc.aio.ServicerContext[Any, Any]
log = structlog.get_logger(__name__)


class AdminServicer(Generated):
    """Give it a Backend and add it to the peer server with `add_AdminServicer_to_server`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetReply:  # noqa: N802
        async with Refusals(context):
            kind, limit = _checked_query(request)
            found = await self._backend.get(kind, request.name, request.site, limit)
            return _reply(found)

    async def Watch(  # noqa: N802
        self, request: pb.GetRequest, context: Context
    ) -> AsyncIterator[pb.GetReply]:
        async with Refusals(context):
            kind, limit = _checked_query(request)
            async for found in self._backend.watch(kind, request.name, request.site, limit):
                yield _reply(found)

    async def Apply(self, request: pb.ApplyRequest, context: Context) -> pb.ApplyReply:  # noqa: N802
        async with Refusals(context):
            _at_most(len(request.yaml), YAML_BYTES_MAX, "the input", "apply it in several files")
            _check_name("source", request.source)
            done = await self._backend.apply(request.yaml, request.source, request.dry_run)
            warnings = [one[:WARNING_CHARACTERS_MAX] for one in done.warnings[:WARNINGS_MAX]]
            return pb.ApplyReply(changes=_changes(done), counter=done.counter, warnings=warnings)

    async def Delete(self, request: pb.DeleteRequest, context: Context) -> pb.DeleteReply:  # noqa: N802
        async with Refusals(context):
            _check_name("kind", request.kind, needed=True)
            _check_name("name", request.name, needed=True)
            done = await self._backend.delete(request.kind, request.name)
            return pb.DeleteReply(changes=_changes(done), counter=done.counter)

    async def CreateToken(  # noqa: N802
        self, request: pb.CreateTokenRequest, context: Context
    ) -> pb.CreateTokenReply:
        async with Refusals(context):
            _check_name("site", request.site, needed=True)
            if request.valid_s > TOKEN_VALID_S_MAX:
                raise BadInput(f"a token is valid for at most {TOKEN_VALID_S_MAX} s (a week)")
            made = await self._backend.create_token(request.site, request.valid_s)
            return pb.CreateTokenReply(token=made.token, expires_unix_ms=made.expires_unix_ms)

    async def PushManifest(  # noqa: N802
        self, request: pb.PushManifestRequest, context: Context
    ) -> pb.PushManifestReply:
        async with Refusals(context):
            _at_most(len(request.manifest), MANIFEST_BYTES_MAX, "the manifest", "push fewer files")
            pushed = await self._backend.push_manifest(request.manifest)
            return pb.PushManifestReply(artifact=pushed.artifact, missing=pushed.missing)

    async def PushChunks(  # noqa: N802
        self, parts: AsyncIterator[pb.PushChunk], context: Context
    ) -> pb.PushChunksReply:
        async with Refusals(context):
            artifact = b""
            async for artifact, chunk, data in whole_chunks(parts):
                await self._backend.push_chunk(artifact, chunk, data)
            missing = await self._backend.missing(artifact) if artifact else []
            return pb.PushChunksReply(missing=missing)

    async def Release(self, request: pb.ReleaseRequest, context: Context) -> pb.ReleaseReply:  # noqa: N802
        async with Refusals(context):
            _check_digest(request.artifact)
            return pb.ReleaseReply(counter=await self._backend.release(request.artifact))

    async def Revoke(self, request: pb.RevokeRequest, context: Context) -> pb.RevokeReply:  # noqa: N802
        async with Refusals(context):
            _check_name("node", request.node, needed=True)
            _check_reason(request.reason)
            if not request.reason.strip():
                raise BadInput("every peer that refuses the node will say why: give a --reason")
            done = await self._backend.revoke(request.node, request.reason)
            return pb.RevokeReply(counter=done.counter, already=done.already)

    async def Restart(self, request: pb.RestartRequest, context: Context) -> pb.RestartReply:  # noqa: N802
        async with Refusals(context):
            _check_name("workload", request.workload, needed=True)
            _check_name("site", request.site)
            _check_reason(request.reason)
            done = await self._backend.restart(request.workload, request.site, request.reason)
            return pb.RestartReply(replicas=done.replicas, counter=done.counter)

    async def Rollout(self, request: pb.RolloutRequest, context: Context) -> pb.SteerReply:  # noqa: N802
        async with Refusals(context):
            _check_name("service", request.workload, needed=True)
            _check_name("site", request.site)
            _check_reason(request.reason)
            if request.action not in ROLLOUT_ACTIONS:
                known = ", ".join(ROLLOUT_ACTIONS)
                raise BadInput(f"no action {request.action[:32]!r}; actions are {known}")
            if request.action == "undo" and request.site:
                raise BadInput(
                    "undo is for all sites of a service; to hold one at a version: meshctl pin"
                )
            done = await self._backend.rollout(
                request.workload, request.site, request.action, request.reason
            )
            return _steered(done)

    async def Pin(self, request: pb.PinRequest, context: Context) -> pb.SteerReply:  # noqa: N802
        async with Refusals(context):
            _check_name("service", request.workload, needed=True)
            _check_name("site", request.site)
            _check_name("version", request.version)
            _check_reason(request.reason)
            done = await self._backend.pin(
                request.workload, request.site, request.version, request.reason
            )
            return _steered(done)

    async def DraftChange(  # noqa: N802
        self, request: pb.DraftChangeRequest, context: Context
    ) -> pb.DraftChangeReply:
        async with Refusals(context):
            _check_name("service", request.workload, needed=True)
            _check_name("field", request.field, needed=True)
            _check_name("value", request.value)
            _check_reason(request.reason)
            return pb.DraftChangeReply(
                change=await self._backend.draft_change(
                    request.workload,
                    request.field,
                    request.value,
                    request.valid_s,
                    request.reason,
                )
            )

    async def Change(self, request: pb.ChangeRequest, context: Context) -> pb.ChangeReply:  # noqa: N802
        async with Refusals(context):
            if len(request.envelope) > CHANGE_BYTES_MAX:
                raise BadInput(f"a change has at most {CHANGE_BYTES_MAX} bytes")
            return pb.ChangeReply(digest=await self._backend.change(request.envelope))

    async def Delegate(  # noqa: N802
        self, request: pb.DelegateRequest, context: Context
    ) -> pb.DelegateReply:
        async with Refusals(context):
            _check_name("site", request.site, needed=True)
            authority = request.authority
            _at_most(len(authority), CERTIFICATE_MAX_BYTES, "the certificate", "make another key")
            done = await self._backend.delegate(
                request.site, request.count, request.valid_ms, authority
            )
            return _delegated(done)

    async def EndDelegation(  # noqa: N802
        self, request: pb.EndDelegationRequest, context: Context
    ) -> pb.DelegateReply:
        async with Refusals(context):
            _check_name("delegation", request.id, needed=True)
            _check_reason(request.reason)
            return _delegated(await self._backend.end_delegation(request.id, request.reason))

    async def GetSnapshot(  # noqa: N802
        self, request: pb.GetSnapshotRequest, context: Context
    ) -> pb.GetSnapshotReply:
        async with Refusals(context):
            _check_name("site", request.site, needed=True)
            return pb.GetSnapshotReply(snapshot=await self._backend.snapshot(request.site))

    async def Cordon(self, request: pb.CordonRequest, context: Context) -> pb.CordonReply:  # noqa: N802
        async with Refusals(context):
            _check_name("node", request.node, needed=True)
            _check_reason(request.reason)
            cordoned = request.cordoned or request.draining
            done = await self._backend.cordon(
                request.node, cordoned, request.draining, request.reason
            )
            return pb.CordonReply(workloads=done.workloads, counter=done.counter)


class Refusals:
    """Ends the call with the status code of the refusal that is raised inside."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: object
    ) -> None:
        if isinstance(error, Refusal):
            await self._context.abort(_code(error), shortened(str(error)))
        if isinstance(error, Exception):
            log.error("admin.failed", exc_info=error)
            text = f"the daemon failed with {type(error).__name__}; its log says where"
            await self._context.abort(grpc.StatusCode.INTERNAL, text)


async def whole_chunks(
    parts: AsyncIterator[pb.PushChunk],
) -> AsyncIterator[tuple[bytes, int, bytes]]:
    """Puts chunks together from their parts, one at a time: (artifact, chunk, data).

    Raises BadInput for a part that does not carry on where the one before ended.
    """
    data = bytearray()
    open_chunk: tuple[bytes, int] | None = None
    async for part in parts:
        _check_digest(part.artifact)
        _at_most(len(part.data), PART_BYTES_MAX, "a part of a chunk", "send smaller parts")
        name = (part.artifact, part.chunk)
        if open_chunk is not None and name != open_chunk:
            raise BadInput(f"chunk {open_chunk[1]} was not finished before chunk {part.chunk}")
        _at_most(len(data) + len(part.data), CHUNK_BYTES_MAX, "a chunk", "make smaller chunks")
        data += part.data
        open_chunk = name if part.more else None
        if not part.more:
            yield part.artifact, part.chunk, bytes(data)
            data.clear()
    if open_chunk is not None:
        raise BadInput(f"chunk {open_chunk[1]} ends in its middle; push again to carry on")


def shortened(text: str) -> str:
    """`text` cut at a line's end to what a status can carry, saying how many lines are left out."""
    lines = text.splitlines()
    kept: list[str] = []
    size = 0
    for line in lines:
        size += len(line.encode()) + 3  # a line break is three characters in a header
        if size > DETAIL_BYTES_MAX:
            break
        kept.append(line)
    if len(kept) == len(lines):
        return text
    if not kept:
        return text[: DETAIL_BYTES_MAX // 4] + " ..."
    return "\n".join([*kept, f"... and {len(lines) - len(kept)} lines more"])


def _code(refusal: Refusal) -> grpc.StatusCode:
    codes = (code for kind, code in CODES.items() if isinstance(refusal, kind))
    return next(codes, grpc.StatusCode.ABORTED)


def _checked_query(request: pb.GetRequest) -> tuple[str, int]:
    """The kind and the limit; raises BadInput."""
    _check_name("kind", request.kind)
    _check_name("name", request.name)
    _check_name("site", request.site)
    if request.kind not in KINDS:
        raise BadInput(f"no kind {request.kind!r} here; kinds are {', '.join(KINDS)}")
    return request.kind, min(request.limit or DOCUMENTS_DEFAULT, DOCUMENTS_MAX)


def _reply(found: Sequence[Document]) -> pb.GetReply:
    documents = [json.dumps(one, separators=(",", ":"), allow_nan=False) for one in found]
    size = sum(len(one) for one in documents)
    if size > REPLY_BYTES_MAX:
        raise Exhausted(
            f"{len(documents)} documents are {size} bytes, more than the {REPLY_BYTES_MAX} of a "
            "reply; ask for one site or one name, or set a lower limit"
        )
    return pb.GetReply(documents=documents)


def _changes(done: Applied) -> list[pb.ResourceChange]:
    return [
        pb.ResourceChange(kind=one.kind, name=one.name, change=one.change) for one in done.changes
    ]


def _steered(done: Steered) -> pb.SteerReply:
    return pb.SteerReply(sites=done.sites, counter=done.counter, version=done.version)


def _delegated(done: DelegationMade) -> pb.DelegateReply:
    return pb.DelegateReply(id=done.id, until_unix_ms=done.until_unix_ms, counter=done.counter)


def _at_most(size: int, limit: int, what: str, way_out: str) -> None:
    if size > limit:
        raise Exhausted(f"{what} is {size} bytes, at most {limit} are taken; {way_out}")


def _check_name(field: str, value: str, needed: bool = False) -> None:
    if needed and not value:
        raise BadInput(f"the request names no {field}")
    if len(value) > NAME_CHARACTERS_MAX:
        raise BadInput(f"{field} has {len(value)} characters, at most {NAME_CHARACTERS_MAX}")


def _check_reason(reason: str) -> None:
    if len(reason) > REASON_CHARACTERS_MAX:
        raise BadInput(f"a reason has at most {REASON_CHARACTERS_MAX} characters")


def _check_digest(digest: bytes) -> None:
    if len(digest) != DIGEST_BYTES:
        raise BadInput(f"an artifact's digest has {DIGEST_BYTES} bytes, this one {len(digest)}")
