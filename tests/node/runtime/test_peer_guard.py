"""Who is let in between nodes follows trust and revocations, on streams that are open as well."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from node.runtime.authorities import Authorities
from protos.documents_pb2 import SERVING
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from protos.runtime_pb2 import RuntimeSpec
from tests.node.runtime.harness import WAIT_S, RunningRuntime, phases, request, runtime_here
from tests.node.runtime.identities import Authority, Holder
from tests.node.runtime.test_neighbours import ANY, ask_as, channel_of, route
from tests.node.worker.models import Built

ENDS_S = 5.0
"""How soon a revoked caller's streams end."""


async def ended(stream: Any) -> tuple[grpc.StatusCode, str]:
    """How a silent stream ends by itself."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(ENDS_S):
            await stream.read()
    return caught.value.code(), caught.value.details() or ""


async def apply(runtime: RunningRuntime, **spec: Any) -> None:
    await runtime.control.Apply(RuntimeSpec(**spec), timeout=WAIT_S)


async def open_stream(channel: grpc.aio.Channel) -> Any:
    """An inference stream on which one answer has come, and nothing is asked any more."""
    stream = GRPCInferenceServiceStub(channel).ModelStreamInfer()
    await stream.write(request())
    assert (await stream.read()).infer_response.model_name == "faces"
    return stream


async def open_watch(channel: grpc.aio.Channel) -> Any:
    """A watch on the port's health."""
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    return watch


async def test_open_streams_end_with_a_revocation_and_those_of_others_go_on(
    tmp_path: Path, model: Built
) -> None:
    authority = Authority(tmp_path / "pki")
    server, thief, neighbour = (authority.node(name) for name in ("n1", "n2", "n3"))
    async with (
        runtime_here(tmp_path / "1", server.paths, ANY) as runtime,
        channel_of(thief, runtime, server) as theirs,
        channel_of(neighbour, runtime, server) as others,
    ):
        await runtime.apply(model.spec)
        await runtime.until(lambda state: phases(state) == [SERVING])
        stream, watch, other = (
            await open_stream(theirs),
            await open_watch(theirs),
            await open_stream(others),
        )
        await apply(runtime, replicas=[model.spec], revoked_tls_keys=[thief.tls_key])
        for one in (stream, watch):
            code, text = await ended(one)
            assert (code, "was revoked" in text) == (grpc.StatusCode.PERMISSION_DENIED, True)
        await other.write(request())
        assert (await other.read()).infer_response.model_name == "faces"
        await other.done_writing()


def der(holder_authority: Authority) -> bytes:
    [found] = Authorities(holder_authority.pem, holder_authority.pem).ders
    return found


async def test_the_authorities_are_those_of_the_trust_head_and_stay_so_over_a_restart(
    tmp_path: Path,
) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    server, before = old.node("n1"), old.node("n2")
    after = with_roots(new.node("n3"), old)
    async with runtime_here(tmp_path / "1", server.paths, ANY) as runtime:
        assert await ask_as(before, runtime, server) == "OK"
        assert await ask_as(after, runtime, server) == "UNAVAILABLE"
        async with channel_of(before, runtime, server) as channel:
            watch = await open_watch(channel)
            await apply(runtime, authorities=[der(new)])
            code, text = await ended(watch)
        assert (code, "no authority" in text) == (grpc.StatusCode.PERMISSION_DENIED, True)
        assert await ask_as(after, runtime, server) == "OK"
        assert await ask_as(before, runtime, server) == "UNAVAILABLE"
    async with runtime_here(tmp_path / "1", server.paths, ANY) as runtime:
        await apply(runtime)  # an older agent, which says nothing of authorities
        assert await ask_as(after, runtime, server) == "OK"
        assert await ask_as(before, runtime, server) == "UNAVAILABLE"


def with_roots(holder: Holder, authority: Authority) -> Holder:
    """The holder trusts another authority than the one that issued its certificate."""
    shutil.copy(authority.pem, holder.paths.authorities)
    return holder


async def test_neighbours_are_dialled_anew_when_other_authorities_are_trusted(
    tmp_path: Path, model: Built
) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    n1, n2 = old.node("n1"), old.node("n2")
    async with (
        runtime_here(tmp_path / "1", n1.paths, ANY) as first,
        runtime_here(tmp_path / "2", n2.paths, ANY) as second,
    ):
        await second.apply(model.spec)
        await second.until(lambda state: phases(state) == [SERVING])
        await first.apply(routes=[route(second, n2)])
        assert await first.infer(1.0) == 2.0
        await first.apply(routes=[route(second, n2)], authorities=[der(new)])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await first.infer(1.0, within_s=2.0)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        await first.apply(routes=[route(second, n2)], authorities=[der(new), der(old)])
        assert await first.infer(1.0) == 2.0


def test_kept_authorities_that_are_damaged_are_those_of_enrolment(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    kept = tmp_path / "kept.pem"
    kept.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    assert list(Authorities(authority.pem, kept).ders) == [der(authority)]


def test_authorities_that_cannot_be_kept_hold_all_the_same(tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    authorities = Authorities(old.pem, tmp_path / "no such folder" / "kept.pem")
    assert authorities.replace([der(new)])
    assert not authorities.replace([der(new)])
    assert not authorities.replace([])
    assert list(authorities.ders) == [der(new)]
