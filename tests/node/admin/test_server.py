"""The Admin service's bounds, spoken to without `meshctl`: a caller may send anything."""

import grpc
import pytest

from node.admin.backend import BadInput
from node.admin.limits import DETAIL_BYTES_MAX
from node.admin.server import AdminServicer, shortened
from protos import admin_pb2 as pb
from protos.admin_pb2_grpc import AdminStub, add_AdminServicer_to_server
from tests.node.admin.support import MemoryBackend

ARTIFACT = b"a" * 32


@pytest.fixture
async def backend():
    return MemoryBackend()


@pytest.fixture
async def stub(backend):
    server = grpc.aio.server()
    add_AdminServicer_to_server(AdminServicer(backend), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield AdminStub(channel)
    await server.stop(None)


async def code_of(call) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code()


@pytest.mark.parametrize(
    ("call", "request_", "code"),
    [
        pytest.param("Get", pb.GetRequest(kind="pods"), "INVALID_ARGUMENT", id="unknown kind"),
        pytest.param(
            "Get", pb.GetRequest(kind="nodes", name="x" * 257), "INVALID_ARGUMENT", id="long name"
        ),
        pytest.param(
            "Apply", pb.ApplyRequest(yaml=b" " * 245_761), "RESOURCE_EXHAUSTED", id="large yaml"
        ),
        pytest.param(
            "PushManifest",
            pb.PushManifestRequest(manifest=b" " * 196_609),
            "RESOURCE_EXHAUSTED",
            id="large manifest",
        ),
        pytest.param("Delete", pb.DeleteRequest(kind="Model"), "INVALID_ARGUMENT", id="no name"),
        pytest.param(
            "CreateToken",
            pb.CreateTokenRequest(site="s", valid_s=2_592_001),
            "INVALID_ARGUMENT",
            id="a token for ever",
        ),
        pytest.param(
            "Release", pb.ReleaseRequest(artifact=b"short"), "INVALID_ARGUMENT", id="half a digest"
        ),
        pytest.param(
            "Revoke",
            pb.RevokeRequest(node="n", reason="x" * 1025),
            "INVALID_ARGUMENT",
            id="long reason",
        ),
        pytest.param(
            "Revoke", pb.RevokeRequest(node="n", reason=" "), "INVALID_ARGUMENT", id="no reason"
        ),
        pytest.param(
            "Rollout", pb.RolloutRequest(action="undo"), "INVALID_ARGUMENT", id="no service"
        ),
        pytest.param(
            "Rollout",
            pb.RolloutRequest(workload="faces", action="delete"),
            "INVALID_ARGUMENT",
            id="no such action",
        ),
        pytest.param(
            "Rollout",
            pb.RolloutRequest(workload="faces", action="undo", site="north"),
            "INVALID_ARGUMENT",
            id="undo in one site",
        ),
        pytest.param(
            "Pin",
            pb.PinRequest(workload="faces", version="1" * 257),
            "INVALID_ARGUMENT",
            id="a long version",
        ),
    ],
)
async def test_what_is_out_of_bounds_is_refused(stub, call, request_, code):
    assert (await code_of(getattr(stub, call)(request_, timeout=5))).name == code


def parts(*shapes: tuple[int, int, bool]) -> list[pb.PushChunk]:
    return [
        pb.PushChunk(artifact=ARTIFACT, chunk=chunk, data=b"x" * size, more=more)
        for chunk, size, more in shapes
    ]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        pytest.param(parts((0, 9, True)), "INVALID_ARGUMENT", id="ends in a chunk's middle"),
        pytest.param(
            parts((0, 9, True), (1, 9, False)), "INVALID_ARGUMENT", id="another chunk in between"
        ),
        pytest.param(parts((0, 196_609, False)), "RESOURCE_EXHAUSTED", id="a large part"),
        pytest.param(parts(*[(0, 190_000, True)] * 6), "RESOURCE_EXHAUSTED", id="a large chunk"),
        pytest.param(
            [pb.PushChunk(artifact=b"x", chunk=0)], "INVALID_ARGUMENT", id="half a digest"
        ),
        pytest.param(parts((0, 9, False)), "NOT_FOUND", id="a chunk of nothing"),
    ],
)
async def test_chunks_that_do_not_hold_together_are_refused(stub, stream, code):
    assert (await code_of(stub.PushChunks(iter(stream), timeout=5))).name == code


async def test_no_chunks_are_no_error(stub):
    assert list((await stub.PushChunks(iter([]), timeout=5)).missing) == []


async def test_a_reply_that_would_be_too_large_says_how_to_ask_for_less(stub, backend):
    backend.documents["events"] = [{"event": "x" * 1000}] * 4000
    with pytest.raises(grpc.aio.AioRpcError, match="set a lower limit"):
        await stub.Get(pb.GetRequest(kind="events", limit=4000), timeout=5)
    assert len((await stub.Get(pb.GetRequest(kind="events"), timeout=5)).documents) == 1000


def test_a_long_text_is_cut_at_a_lines_end():
    text = "\n".join(f"line {number}" for number in range(1000))
    cut = shortened(text)
    assert len(cut.encode()) <= DETAIL_BYTES_MAX + 40
    kept = len(cut.splitlines()) - 1
    assert cut.splitlines()[-1] == f"... and {1000 - kept} lines more"
    assert shortened("x" * 5000).endswith("x ...")
    assert shortened("short") == "short"


async def test_a_refusal_of_many_lines_reaches_the_caller(stub, backend):
    async def refuse(*_):
        raise BadInput("\n".join(f"f.yaml:{line}:1: wrong" for line in range(1000)))

    backend.apply = refuse
    with pytest.raises(grpc.aio.AioRpcError, match=r"f\.yaml:0:1: wrong"):
        await stub.Apply(pb.ApplyRequest(yaml=b"x"), timeout=5)
