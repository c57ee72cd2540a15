"""The demo's load: more callers while answers come soon; each answer is judged."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from mesh.desired.parse import parse
from mesh.desired.resources import Service
from node.admin.demo.layout import REPLICAS_BUSY, SCALED_SITE, service_yaml
from node.admin.demo.pressure import CALLERS_MAX, CHANGE_EVERY_S, LATE_S, SOON_S, Callers, Pressure

MANY = 20
ANSWERS = {b"good": b"good", b"odd": b"wrong"}


class Answering(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Answers any method by what was sent; aborts what it does not know. `asked_often` is set once
    many were."""

    def __init__(self) -> None:
        self.asked_often = threading.Event()
        self._asked = 0

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: Any) -> bytes:
        self._asked += 1
        if self._asked >= MANY:
            self.asked_often.set()
        if request not in ANSWERS:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many")
        return ANSWERS[request]


@pytest.fixture
def node() -> Iterator[tuple[str, Answering]]:
    handler = Answering()
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", handler
    server.stop(None)


def judge(data: bytes) -> str | None:
    return None if data == b"good" else "not good"


def test_who_is_answered_asks_again_until_told_to_end(node: tuple[str, Answering]) -> None:
    address, handler = node
    pressure = Pressure([address], b"good", judge)
    pressure.start()
    assert handler.asked_often.wait(10)
    pressure.end()
    assert pressure.answered >= MANY
    assert not pressure.failures


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        pytest.param(b"odd", "not good", id="wrong"),
        pytest.param(b"?", "RESOURCE_EXHAUSTED: too many", id="refused"),
    ],
)
def test_what_fails_is_counted_and_its_caller_asks_no_more(
    node: tuple[str, Answering], body: bytes, failure: str
) -> None:
    pressure = Pressure([node[0]], body, judge)
    pressure.start()
    pressure.end()
    assert dict(pressure.failures) == {failure: 1}


@pytest.mark.parametrize(
    ("count", "took_s", "since_s", "change"),
    [
        pytest.param(1, SOON_S / 2, CHANGE_EVERY_S, 1, id="answers come soon"),
        pytest.param(5, SOON_S, CHANGE_EVERY_S, 0, id="they take long enough"),
        pytest.param(5, LATE_S * 2, CHANGE_EVERY_S, -1, id="they come late"),
        pytest.param(1, LATE_S * 2, CHANGE_EVERY_S, 0, id="one stays"),
        pytest.param(1, SOON_S / 2, CHANGE_EVERY_S / 2, 0, id="one came just now"),
        pytest.param(CALLERS_MAX, SOON_S / 2, CHANGE_EVERY_S, 0, id="no more than may wait"),
    ],
)
def test_callers_come_one_by_one_while_answers_come_soon_and_go_while_late(
    count: int, took_s: float, since_s: float, change: int
) -> None:
    callers = Callers(0.0, count)
    assert callers.change(took_s, since_s) == change
    assert callers.count == count + change
    assert callers.change(took_s, since_s + CHANGE_EVERY_S / 2) == 0 or not change


def test_the_service_that_load_scales_differs_in_its_bounds_and_times_alone() -> None:
    least, most = REPLICAS_BUSY
    usual, busy = (parse(service_yaml(SCALED_SITE, least, most=n))[0] for n in (least, most))
    assert isinstance(usual.resource, Service)
    assert isinstance(busy.resource, Service)
    assert busy.resource.spec.replicas.most == most
    assert busy.resource.spec.scaling.queue_delay < usual.resource.spec.scaling.queue_delay
    assert busy.resource.spec.model == usual.resource.spec.model


def test_an_answer_at_which_the_judge_fails_itself_is_none(node: tuple[str, Answering]) -> None:
    def failing(data: bytes) -> str | None:
        raise ValueError("what came is no answer")

    pressure = Pressure([node[0]], b"good", failing)
    pressure.start()
    pressure.end()
    assert dict(pressure.failures) == {"ValueError: what came is no answer": 1}
