"""What an inference costs through the mesh, against OpenVINO alone in the same minute.

Kinds take turns within a round, so that a machine that is busy for a while is busy for all. The
request is the model's first golden one, asking for its scores; every answer is checked.
"""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import grpc
import numpy as np
import openvino as ov

from node.admin.demo.lab import in_parallel
from node.admin.demo.waiting import require
from node.admin.load_golden import DTYPES, Golden, read_golden
from node.admin.load_sender import CHANNEL_OPTIONS, METHOD
from tests.bench import looks
from tests.bench.figures import Figure, Series
from tests.bench.mesh import EXAMPLE, FIVE, LONE, SERVICES, SITES, Mesh
from tests.bench.runs import Runs

CLIENTS = 4
DEADLINE_S = 5.0
WARM_UP = 20
OUTPUTS = ("scores",)

Call = Callable[[], None]
"""One inference; raises if it fails or is wrong."""


def measure(mesh: Mesh, runs: Runs) -> list[Figure]:
    golden = read_golden(EXAMPLE / "golden", 0, OUTPUTS)
    near, far = _addresses(mesh)
    series = Series()
    with ExitStack() as open_channels:
        kinds = {"direct": _direct(golden)}
        for name, service, address in (
            ("mesh", SERVICES[LONE], mesh.layout.nodes[SITES[LONE][0]].inference),
            ("near", SERVICES[FIVE], near),
            ("far", SERVICES[FIVE], far),
        ):
            call = open_channels.enter_context(_remote(golden, service, address))
            kinds[name] = call
        for call in kinds.values():
            _latencies(call, WARM_UP)
        for _ in range(runs.inference_rounds):
            _round(kinds, runs.inference_requests, series)
    return _figures(series)


def _round(kinds: dict[str, Call], requests: int, series: Series) -> None:
    p50 = {}
    for name, call in kinds.items():
        took = _latencies(call, requests)
        p50[name] = statistics.median(took)
        series.add(f"{name}-p50", p50[name])
        series.add(f"{name}-p99", float(np.percentile(took, 99)))
        series.add(f"{name}-rate", 1000 * len(took) / sum(took))
    began = time.monotonic()
    took = _crowd(kinds["mesh"], requests)
    rate = len(took) / (time.monotonic() - began)
    series.add("crowd-rate", rate)
    series.add("crowd-p50", statistics.median(took))
    series.add("crowd-p99", float(np.percentile(took, 99)))
    series.add("crowd-share", rate * p50["direct"] / 1000)
    series.add("added", p50["mesh"] - p50["direct"])
    series.add("forwarded", p50["far"] - p50["near"])


def _latencies(call: Call, requests: int) -> list[float]:
    """Milliseconds of each of so many calls, one after the other."""
    took = []
    for _ in range(requests):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    return took


def _crowd(call: Call, requests: int) -> list[float]:
    """Milliseconds of each call of several clients at once."""
    took: list[float] = []
    lock = threading.Lock()

    def client(_: int) -> None:
        own = _latencies(call, requests)
        with lock:
            took.extend(own)

    in_parallel(client, range(CLIENTS))
    return took


def _direct(golden: Golden) -> Call:
    """OpenVINO in this process, compiled for one core in the mode that a worker tries first."""
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "EXECUTION_MODE_HINT": "PERFORMANCE",
        "INFERENCE_NUM_THREADS": 1,
    }
    model = ov.Core().compile_model(str(EXAMPLE / "face-detector.xml"), "CPU", options)
    request = model.create_infer_request()
    given, wanted = golden.inputs[0], golden.outputs[0]
    picture = np.frombuffer(given.raw, DTYPES[given.datatype]).reshape(given.shape)
    right = np.frombuffer(wanted.raw, DTYPES[wanted.datatype]).reshape(wanted.shape)

    def call() -> None:
        request.set_input_tensor(ov.Tensor(picture.copy(), shared_memory=True))
        request.start_async()
        request.wait()
        scores = request.get_tensor(wanted.name).data.copy()
        require(np.allclose(scores, right, golden.relative, golden.absolute), "OpenVINO differs")

    return call


@contextmanager
def _remote(golden: Golden, service: str, address: str) -> Iterator[Call]:
    body = golden.request(service)
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        infer = channel.unary_unary(METHOD, None, None)

        def call() -> None:
            fault = golden.fault(infer(body, timeout=DEADLINE_S))
            require(fault is None, f"{address}: {fault}")

        yield call


def _addresses(mesh: Mesh) -> tuple[str, str]:
    """In the site of five: a node with a replica, and one that must forward."""
    serving = looks.replicas(mesh, SITES[FIVE][0], SERVICES[FIVE])
    without = [name for name in SITES[FIVE] if name not in serving]
    require(serving and without, f"no two kinds of nodes: {serving}")
    return mesh.layout.nodes[sorted(serving)[0]].inference, mesh.layout.nodes[without[0]].inference


def _figures(series: Series) -> list[Figure]:
    alone = "one client, one request after the other"
    direct = "OpenVINO in the client's process, compiled as in a worker with one core"
    mesh = "a node with one replica of one core"
    crowd = f"{mesh}; {CLIENTS} clients at once"
    return [
        series.figure("direct-rate", "OpenVINO alone", "inferences/s", direct),
        series.figure("direct-p50", "OpenVINO alone, p50", "ms", direct),
        series.figure("direct-p99", "OpenVINO alone, p99", "ms", direct),
        series.figure("mesh-rate", "inference port, one client", "inferences/s", mesh),
        series.figure("mesh-p50", "inference port, p50", "ms", f"{mesh}; {alone}"),
        series.figure("mesh-p99", "inference port, p99", "ms", f"{mesh}; {alone}"),
        series.figure("added", "the port's part of it", "ms", "p50 less OpenVINO's, each round"),
        series.figure("crowd-rate", "inference port, 4 clients", "inferences/s", crowd),
        series.figure("crowd-p50", "inference port, 4 clients, p50", "ms", crowd),
        series.figure("crowd-p99", "inference port, 4 clients, p99", "ms", crowd),
        series.figure(
            "crowd-share", "of what OpenVINO alone does", "", "rate with 4 clients / rate of "
            "OpenVINO alone; client, runtime and worker share the machine"
        ),
        series.figure(
            "forwarded", "forwarding adds", "ms",
            "site of five: p50 at a node without a replica less p50 at one with",
        ),
    ]  # fmt: skip
