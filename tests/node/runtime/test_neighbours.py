"""Requests that another node answers: mTLS, one hop, and neighbours that fail."""

import asyncio
import os
import signal
from pathlib import Path

import grpc
import grpc.aio
import pytest

from mesh.heads.identity import Identity
from node.runtime.authorities import Authorities
from node.runtime.tls import TlsDialler
from protos import inference_pb2 as v2
from protos.documents_pb2 import SERVING
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from protos.runtime_pb2 import Route, RuntimeSpec
from tests.node.runtime.harness import (
    WAIT_S,
    RunningRuntime,
    phases,
    replica,
    request,
    runtime_here,
)
from tests.node.runtime.identities import Authority, Holder
from tests.node.worker.models import Built

ANY = "127.0.0.1:0"


def route(runtime: RunningRuntime, holder: Holder) -> Route:
    return Route(
        workload="faces",
        node=holder.identity.name,
        address=runtime.state.peer_inference_address,
        dns_name=holder.identity.dns_name,
    )


async def nobody_there() -> str:
    """An address at which nobody listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()
    return address


async def test_a_node_without_a_replica_answers_through_its_neighbour(
    tmp_path: Path, model: Built
) -> None:
    authority = Authority(tmp_path / "pki")
    n1, n2 = authority.node("n1"), authority.node("n2")
    async with (
        runtime_here(tmp_path / "1", n1.paths, ANY) as first,
        runtime_here(tmp_path / "2", n2.paths, ANY) as second,
    ):
        await second.apply(model.spec)
        await second.until(lambda state: phases(state) == [SERVING])
        dead = Route(workload="faces", node="n3", address=await nobody_there(), dns_name="n3.x")
        await first.apply(routes=[dead, route(second, n2)])
        assert await first.infer(4.0) == 5.0
        asked = v2.ModelMetadataRequest(name="faces")
        told = await first.inference.ModelMetadata(asked, timeout=WAIT_S)
        assert told.inputs[0].name == "x"
        ready = await first.inference.ServerReady(v2.ServerReadyRequest(), timeout=WAIT_S)
        assert ready.ready
        with pytest.raises(grpc.aio.AioRpcError) as bad:
            await first.inference.ModelInfer(_misnamed(), timeout=WAIT_S)
        assert bad.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def _misnamed() -> v2.ModelInferRequest:
    made = request()
    made.inputs[0].name = "z"
    return made


async def test_a_request_hops_once_at_most(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    n1, n2 = authority.node("n1"), authority.node("n2")
    async with (
        runtime_here(tmp_path / "1", n1.paths, ANY) as first,
        runtime_here(tmp_path / "2", n2.paths, ANY) as second,
    ):
        # Each believes that the other serves.
        await first.apply(routes=[route(second, n2)])
        await second.apply(routes=[route(first, n1)])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await first.infer(1.0)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_worker_that_dies_costs_nothing_where_a_neighbour_serves(
    tmp_path: Path, model: Built
) -> None:
    authority = Authority(tmp_path / "pki")
    n1, n2 = authority.node("n1"), authority.node("n2")
    async with (
        runtime_here(tmp_path / "1", n1.paths, ANY) as first,
        runtime_here(tmp_path / "2", n2.paths, ANY) as second,
    ):
        await second.apply(model.spec)
        await first.apply(model.spec, routes=[route(second, n2)])
        for runtime in (first, second):
            await runtime.until(lambda state: phases(state) == [SERVING])
        os.kill(replica(first.state).pid, signal.SIGKILL)
        answers = await asyncio.gather(*(first.infer(1.0, within_s=2.0) for _ in range(20)))
        assert answers == [2.0] * 20


async def test_a_neighbour_that_is_not_who_it_should_be_is_not_asked(
    tmp_path: Path, model: Built
) -> None:
    authority = Authority(tmp_path / "pki")
    n1, n2, n3 = (authority.node(name) for name in ("n1", "n2", "n3"))
    async with (
        runtime_here(tmp_path / "1", n1.paths, ANY) as first,
        runtime_here(tmp_path / "2", n2.paths, ANY) as second,
    ):
        await second.apply(model.spec)
        await second.until(lambda state: phases(state) == [SERVING])
        posing = route(second, n3)
        await first.apply(routes=[posing])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await first.infer(1.0, within_s=2.0)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def dialler(holder: Holder, own: str = ANY) -> TlsDialler:
    """What `holder`, which listens at `own`, dials with."""
    enrolled = holder.paths.authorities
    return TlsDialler(holder.paths, Authorities(enrolled, enrolled), own)


def channel_of(holder: Holder, runtime: RunningRuntime, server: Holder) -> grpc.aio.Channel:
    """A channel of `holder` to the mTLS port of `runtime`, which is `server`."""
    address = runtime.state.peer_inference_address
    return dialler(holder).dial(address, server.identity.dns_name, b"")


async def ask_as(holder: Holder, runtime: RunningRuntime, server: Holder) -> str:
    """The status that `holder` gets for a call to the mTLS port of `runtime`."""
    async with channel_of(holder, runtime, server) as channel:
        try:
            stub = GRPCInferenceServiceStub(channel)
            await stub.ServerLive(v2.ServerLiveRequest(), timeout=WAIT_S)
            index = stub.ModelStreamInfer(iter([]), timeout=WAIT_S)
            assert [answer async for answer in index] == []
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "OK"


async def test_who_may_use_the_port_between_nodes(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    server, neighbour = authority.node("n1"), authority.node("n2")
    operator = authority.issue(Identity("test", "operator", "ann"))
    master = authority.issue(Identity("test", "master", "m1"))
    elsewhere = authority.issue(Identity("test", "node", "n9", "south"))
    stranger = Authority(tmp_path / "other").node("n2")
    async with runtime_here(tmp_path / "1", server.paths, ANY) as runtime:
        assert await ask_as(neighbour, runtime, server) == "OK"
        assert await ask_as(operator, runtime, server) == "OK"
        assert await ask_as(master, runtime, server) == "PERMISSION_DENIED"
        assert await ask_as(elsewhere, runtime, server) == "PERMISSION_DENIED"
        assert await ask_as(stranger, runtime, server) == "UNAVAILABLE"
        revoked = RuntimeSpec(revoked_tls_keys=[neighbour.tls_key])
        await runtime.control.Apply(revoked, timeout=WAIT_S)
        assert await ask_as(neighbour, runtime, server) == "PERMISSION_DENIED"


@pytest.mark.parametrize("scheme", ["unix:{}", "unix-abstract:{}", "unix:///{}", "dns:///{}"])
async def test_a_route_that_is_no_tcp_address_is_not_dialled_and_said(
    tmp_path: Path, scheme: str
) -> None:
    dialled: list[object] = []
    trap = await asyncio.start_unix_server(
        lambda reader, writer: dialled.append(writer), tmp_path / "trap"
    )
    authority = Authority(tmp_path / "pki")
    bad = Route(workload="faces", node="n2", address=scheme.format(tmp_path / "trap"))
    async with runtime_here(tmp_path / "1", authority.node("n1").paths, ANY) as runtime:
        await runtime.apply(routes=[bad])
        await runtime.apply(routes=[bad])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await runtime.infer(1.0, within_s=2.0)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        [said] = await runtime.until_journalled("route.refused")
    assert (said.subject, said.fields["node"]) == ("faces", "n2")
    assert "give HOST:PORT" in said.cause
    assert dialled == []
    trap.close()


@pytest.mark.parametrize(
    ("own", "address", "allowed"),
    [
        ("127.0.0.1:0", "127.0.0.1:7412", True),
        ("10.0.0.1:7412", "10.0.0.2:7412", True),
        ("10.0.0.1:7412", "box-2.site:7412", True),
        ("10.0.0.1:7412", "127.0.0.1:7412", False),
        ("0.0.0.0:7412", "[::ffff:127.0.0.1]:7412", False),
        ("0.0.0.0:7412", "localhost:7412", False),
        ("127.0.0.1:0", "0.0.0.0:7412", False),
    ],
)
def test_only_a_node_on_loopback_has_neighbours_there(
    tmp_path: Path, own: str, address: str, allowed: bool
) -> None:
    node = Authority(tmp_path).node("n1")
    assert (dialler(node, own).refusal(address) == "") is allowed
