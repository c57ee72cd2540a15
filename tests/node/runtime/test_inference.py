"""The inference port, as a client of the protocol sees it."""

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc
import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from protos import inference_pb2 as v2
from tests.node.runtime.harness import RunningRuntime, request

S = 10.0


async def test_a_raw_request_gets_the_right_answer(serving: RunningRuntime) -> None:
    answer = await serving.inference.ModelInfer(request(2.0), timeout=S)
    assert answer.model_name == "faces"
    assert answer.model_version == "1.0.0"
    assert answer.id == "7"
    values = np.frombuffer(answer.raw_output_contents[0], np.float32)
    assert values.tolist() == [3.0] * 4


async def test_a_typed_request_gets_the_same(serving: RunningRuntime) -> None:
    typed = v2.ModelInferRequest(model_name="tiny", model_version="1.0.0")
    tensor = typed.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    tensor.contents.fp32_contents.extend([1, 2, 3, 4])
    typed.outputs.add(name="y")
    answer = await serving.inference.ModelInfer(typed, timeout=S)
    assert answer.model_name == "tiny"
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [2, 3, 4, 5]


def changed(change: Callable[[v2.ModelInferRequest], object]) -> v2.ModelInferRequest:
    made = request()
    change(made)
    return made


BAD = [
    ("an unknown model", request(name="nobody"), "NOT_FOUND", "no service or model 'nobody'"),
    ("an unknown version", request(version="9"), "NOT_FOUND", "no version '9'"),
    ("nobody serves it", request(name="absent"), "UNAVAILABLE", "'absent'"),
    (
        "a wrong tensor name",
        changed(lambda r: setattr(r.inputs[0], "name", "z")),
        "INVALID_ARGUMENT",
        "the model takes ['x']",
    ),
    (
        "a wrong shape",
        changed(lambda r: r.inputs[0].shape.__setitem__(slice(None), [4, 1])),
        "INVALID_ARGUMENT",
        "has the shape [4, 1], the model takes [1, 4]",
    ),
    (
        "a wrong type",
        changed(lambda r: setattr(r.inputs[0], "datatype", "INT32")),
        "INVALID_ARGUMENT",
        "has the type INT32, the model takes FP32",
    ),
    (
        "too few bytes",
        changed(lambda r: r.raw_input_contents.__setitem__(0, b"\0\0\0\0")),
        "INVALID_ARGUMENT",
        "needs 16",
    ),
    (
        "an unknown output",
        changed(lambda r: r.outputs.add(name="nothing")),
        "INVALID_ARGUMENT",
        "no output 'nothing'",
    ),
]


@pytest.mark.parametrize(("bad", "code", "text"), [c[1:] for c in BAD], ids=[c[0] for c in BAD])
async def test_a_bad_request_is_told_what_is_wrong(
    serving: RunningRuntime, bad: v2.ModelInferRequest, code: str, text: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await serving.inference.ModelInfer(bad, timeout=S)
    assert caught.value.code().name == code
    assert text in (caught.value.details() or "")
    assert await serving.infer(1.0) == 2.0


async def test_a_message_beyond_the_limit_is_refused(serving: RunningRuntime) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await serving.inference.ModelInfer(
            changed(lambda r: r.raw_input_contents.append(bytes(65 << 20))), timeout=S
        )
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_liveness_and_readiness(serving: RunningRuntime) -> None:
    stub = serving.inference
    assert (await stub.ServerLive(v2.ServerLiveRequest(), timeout=S)).live
    # "absent" has nobody to answer it.
    assert not (await stub.ServerReady(v2.ServerReadyRequest(), timeout=S)).ready


@pytest.mark.parametrize(
    ("name", "version", "ready"),
    [
        ("faces", "", True),
        ("faces", "1.0.0", True),
        ("tiny", "", True),
        ("faces", "9", False),
        ("absent", "", False),
        ("nobody", "", False),
    ],
    ids=["serving", "its version", "by model", "another version", "not serving", "unknown"],
)
async def test_model_readiness(
    serving: RunningRuntime, name: str, version: str, ready: bool
) -> None:
    asked = v2.ModelReadyRequest(name=name, version=version)
    assert (await serving.inference.ModelReady(asked, timeout=S)).ready == ready


async def test_server_metadata(serving: RunningRuntime) -> None:
    told = await serving.inference.ServerMetadata(v2.ServerMetadataRequest(), timeout=S)
    assert told.name == "meshd"
    assert list(told.extensions) == ["model_repository"]


async def test_model_metadata(serving: RunningRuntime) -> None:
    asked = v2.ModelMetadataRequest(name="faces")
    told = await serving.inference.ModelMetadata(asked, timeout=S)
    assert told.platform == "openvino"
    assert list(told.versions) == ["1.0.0"]
    assert [(t.name, t.datatype, list(t.shape)) for t in told.inputs] == [("x", "FP32", [1, 4])]
    assert [(t.name, t.datatype, list(t.shape)) for t in told.outputs] == [("y", "FP32", [1, 4])]
    assert told.properties["threshold"] == "0.5"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await serving.inference.ModelMetadata(v2.ModelMetadataRequest(name="absent"), timeout=S)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_the_index_lists_what_the_mesh_runs(serving: RunningRuntime) -> None:
    stub = serving.inference
    index = await stub.RepositoryIndex(v2.RepositoryIndexRequest(), timeout=S)
    assert [(m.name, m.version, m.state) for m in index.models] == [
        ("absent", "2.0.0", "UNAVAILABLE"),
        ("faces", "1.0.0", "READY"),
    ]
    index = await stub.RepositoryIndex(v2.RepositoryIndexRequest(ready=True), timeout=S)
    assert [m.name for m in index.models] == ["faces"]


async def test_loading_is_the_meshs(serving: RunningRuntime) -> None:
    stub = serving.inference
    await stub.RepositoryModelLoad(v2.RepositoryModelLoadRequest(model_name="faces"), timeout=S)
    await stub.RepositoryModelUnload(
        v2.RepositoryModelUnloadRequest(model_name="absent"), timeout=S
    )
    refused = [
        stub.RepositoryModelLoad(v2.RepositoryModelLoadRequest(model_name="absent"), timeout=S),
        stub.RepositoryModelUnload(v2.RepositoryModelUnloadRequest(model_name="faces"), timeout=S),
    ]
    for call in refused:
        with pytest.raises(grpc.aio.AioRpcError, match="meshctl apply") as caught:
            await call
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await stub.RepositoryModelLoad(v2.RepositoryModelLoadRequest(model_name="x"), timeout=S)
    assert unknown.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_stream_answers_in_order_and_survives_a_bad_request(
    serving: RunningRuntime,
) -> None:
    async def requests() -> AsyncIterator[v2.ModelInferRequest]:
        yield request(1.0)
        yield request(1.0, name="nobody")
        yield request(2.0)

    stream = serving.inference.ModelStreamInfer(requests(), timeout=S)
    answers = [answer async for answer in stream]
    assert [bool(answer.error_message) for answer in answers] == [False, True, False]
    assert answers[1].infer_response.id == "7"
    last = np.frombuffer(answers[2].infer_response.raw_output_contents[0], np.float32)
    assert last[0] == 3.0


async def test_health_and_reflection(serving: RunningRuntime) -> None:
    async with grpc.aio.insecure_channel(serving.state.inference_address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        status = await health.Check(
            health_pb2.HealthCheckRequest(service="inference.GRPCInferenceService"), timeout=S
        )
        assert status.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        stream = reflection.ServerReflectionInfo(iter([asked]), timeout=S)
        answer = await stream.read()
        names = {service.name for service in answer.list_services_response.service}
        assert "inference.GRPCInferenceService" in names


async def test_many_at_once_are_all_answered(serving: RunningRuntime) -> None:
    values = [float(n) for n in range(50)]
    answers = await asyncio.gather(*(serving.infer(value) for value in values))
    assert answers == [value + 1 for value in values]
