"""What NVIDIA's `tritonclient` sees of an inference port, as one line of JSON on stdout.

A program of its own: tritonclient brings its own classes for the protocol's messages, and both
they and the project's cannot be registered in one process. Run: `triton_client.py HOST:PORT`.
"""

import json
import queue
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

TIMEOUT_S = 10.0
"""Of one call; less than a test waits for all of them."""

Answer = dict[str, Any]


def tensor(values: list[float], name: str = "x", datatype: str = "FP32") -> InferInput:
    """One row of these values, sent raw."""
    kinds = {"FP32": np.float32, "INT32": np.int32}
    array = np.array([values], kinds[datatype])
    made = InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def told(result: InferResult) -> Answer:
    """An answer: what it says of itself, and its values."""
    response = result.get_response()
    return {
        "model": response.model_name,
        "version": response.model_version,
        "id": response.id,
        "shape": list(result.get_output("y").shape),
        "datatype": result.get_output("y").datatype,
        "values": result.as_numpy("y").tolist(),
    }


def failure(call: Callable[[], object]) -> Answer:
    """The error that a call ends with."""
    try:
        return {"no error": str(call())}
    except InferenceServerException as raised:
        return {"status": raised.status(), "message": raised.message()}


def unary(client: InferenceServerClient) -> Answer:
    """Every call that the protocol has, but the stream."""
    good = [tensor([1, 2, 3, 4])]

    def infer(inputs: list[InferInput], name: str = "faces", **more: object) -> Answer:
        return told(client.infer(name, inputs, client_timeout=TIMEOUT_S, **more))

    outputs = [InferRequestedOutput("y")]
    return {
        "live": client.is_server_live(client_timeout=TIMEOUT_S),
        "ready": client.is_server_ready(client_timeout=TIMEOUT_S),
        "models ready": {
            name: client.is_model_ready(name, client_timeout=TIMEOUT_S)
            for name in ("faces", "absent", "nobody")
        },
        "server": client.get_server_metadata(as_json=True, client_timeout=TIMEOUT_S),
        "model": client.get_model_metadata("faces", as_json=True, client_timeout=TIMEOUT_S),
        "index": client.get_model_repository_index(as_json=True, client_timeout=TIMEOUT_S),
        "raw": infer(good, request_id="7", outputs=outputs),
        "with a version": infer(good, model_version="1.0.0"),
        "errors": {
            "an unknown model": failure(lambda: infer(good, "nobody")),
            "nobody serves it": failure(lambda: infer(good, "absent")),
            "an unknown version": failure(lambda: infer(good, model_version="9")),
            "a wrong name": failure(lambda: infer([tensor([1, 2, 3, 4], "z")])),
            "a wrong shape": failure(lambda: infer([tensor([1, 2, 3])])),
            "a wrong type": failure(lambda: infer([tensor([1, 2, 3, 4], datatype="INT32")])),
            "an unknown output": failure(lambda: infer(good, outputs=[InferRequestedOutput("q")])),
            "configuration": failure(lambda: client.get_model_config("faces")),
            "loading": failure(lambda: client.load_model("absent")),
        },
    }


def streamed(client: InferenceServerClient) -> list[Answer]:
    """Three requests on one stream, the second for a model that nobody knows."""
    answers: queue.Queue[Answer] = queue.Queue()

    def take(result: InferResult | None, error: InferenceServerException | None) -> None:
        answers.put({"error": error.message()} if error else told(result))

    client.start_stream(take)
    for name, value in (("faces", 1), ("nobody", 2), ("faces", 3)):
        client.async_stream_infer(name, [tensor([value] * 4)], request_id=str(value))
    found = [answers.get(timeout=TIMEOUT_S) for _ in range(3)]
    client.stop_stream()
    return found


if __name__ == "__main__":
    with InferenceServerClient(sys.argv[1]) as asking:
        print(json.dumps({**unary(asking), "stream": streamed(asking)}))
