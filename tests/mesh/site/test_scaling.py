"""The count of a service: its bounds, its keeper, and the hysteresis of its steps."""

import pytest

from mesh.site.scaling import (
    STEP_MS,
    UNHEARD_MS,
    UP_AFTER_MS,
    Delay,
    Scaler,
    agreed,
    bounded,
    delay,
    keeper,
    may_sleep,
)
from protos.documents_pb2 import ServicePlan

LIVE = ["a", "b", "c"]
TICK_MS = 500


def faces(least: int = 1, most: int = 3, queue_ms: int = 20, down_ms: int = 4_000) -> ServicePlan:
    return ServicePlan(
        name="faces",
        replicas_min=least,
        replicas_max=most,
        queue_delay_ms=queue_ms,
        down_after_ms=down_ms,
    )


def heard(delay_ms: int) -> Delay:
    """The delay of a service whose nodes are all heard."""
    return Delay(delay_ms, delay_ms)


def after(
    scaler: Scaler, service: ServicePlan, delay_ms: int, until_ms: int, at_ms: int = 0
) -> int:
    """The count after the delay was so from `at_ms` to `until_ms`."""
    for now_ms in range(at_ms, until_ms + 1, TICK_MS):
        scaler.update(service, heard(delay_ms), now_ms)
    return scaler.count


@pytest.mark.parametrize(
    ("count", "least", "most", "expected"),
    [
        pytest.param(2, 1, 3, 2, id="within"),
        pytest.param(0, 1, 3, 1, id="never below min"),
        pytest.param(4_294_967_295, 1, 3, 3, id="an absurd claim is max at most"),
        pytest.param(5, 2, 0, 2, id="a plan of an older release names no max"),
        pytest.param(3, 0, 0, 0, id="none wanted"),
    ],
)
def test_whatever_is_claimed_stays_within_the_plan(
    count: int, least: int, most: int, expected: int
) -> None:
    assert bounded(count, faces(least, most)) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param({}, 1, id="nobody has spoken: min"),
        pytest.param({"keeper": 2, "other": 3}, 2, id="the keeper's word counts"),
        pytest.param({"other": 2, "third": 3}, 3, id="before it spoke, the highest"),
        pytest.param({"dead": 3}, 1, id="who is not live says nothing"),
        pytest.param({"keeper": 10**6}, 3, id="a lying keeper reaches max at most"),
        pytest.param({"keeper": 0}, 1, id="and min at least"),
    ],
)
def test_which_count_everybody_goes_by(said: dict[str, int], expected: int) -> None:
    keeping = keeper("faces", LIVE)
    assert keeping is not None
    other, third = sorted(set(LIVE) - {keeping})
    names = {"keeper": keeping, "other": other, "third": third, "dead": "z"}
    counts = {names[name]: count for name, count in said.items()}
    assert agreed(faces(), LIVE, counts) == expected


def test_with_nobody_live_the_count_is_the_plans_min() -> None:
    assert keeper("faces", []) is None
    assert agreed(faces(2), [], {"a": 3}) == 2


@pytest.mark.parametrize(
    ("delays", "expected"),
    [
        pytest.param([], 0, id="nobody serves"),
        pytest.param([70], 70, id="one is believed"),
        pytest.param([5, 10**9], 5, id="of two the lower"),
        pytest.param([5, 10, 10**9], 10, id="one liar of three moves nothing"),
        pytest.param([0, 80, 90], 80, id="nor by claiming that it is idle"),
    ],
)
def test_the_delay_of_a_service(delays: list[int], expected: int) -> None:
    assert delay(delays) == heard(expected)


@pytest.mark.parametrize(
    ("delays", "least", "most"),
    [
        pytest.param([None], 0, UNHEARD_MS, id="of one nothing is known"),
        pytest.param([None, 30], 0, 30, id="of two it is no more than the other's"),
        pytest.param([None, 30, 40], 30, 40, id="one of three moves little"),
        pytest.param([None, None, 40], 0, UNHEARD_MS, id="two of three everything"),
    ],
)
def test_the_delay_where_some_are_not_heard(
    delays: list[int | None], least: int, most: int
) -> None:
    assert delay(delays) == Delay(least, most)


@pytest.mark.parametrize(
    ("least_ms", "most_ms", "expected"),
    [
        pytest.param(0, UNHEARD_MS, 2, id="nothing is known"),
        pytest.param(0, 21, 2, id="high or low"),
        pytest.param(21, UNHEARD_MS, 3, id="high whatever they say"),
        pytest.param(0, 5, 1, id="low whatever they say"),
    ],
)
def test_the_count_changes_only_where_it_would_whatever_the_unheard_say(
    least_ms: int, most_ms: int, expected: int
) -> None:
    scaler = Scaler(2)
    for now_ms in range(0, 4_001, TICK_MS):
        scaler.update(faces(), Delay(least_ms, most_ms), now_ms)
    assert scaler.count == expected


@pytest.mark.parametrize(
    ("delay_ms", "until_ms", "expected"),
    [
        pytest.param(21, UP_AFTER_MS - TICK_MS, 2, id="high, not for long enough"),
        pytest.param(21, UP_AFTER_MS, 3, id="high for long enough"),
        pytest.param(20, 60_000, 2, id="at the limit is not above it"),
        pytest.param(6, 60_000, 2, id="between low and high nothing changes"),
        pytest.param(5, 3_500, 2, id="low, not for long enough"),
        pytest.param(5, 4_000, 1, id="low for long enough"),
        pytest.param(0, 60_000, 1, id="never below min"),
        pytest.param(500, 60_000, 5, id="never above max"),
    ],
)
def test_steps_and_their_hysteresis(delay_ms: int, until_ms: int, expected: int) -> None:
    assert after(Scaler(2), faces(1, 5), delay_ms, until_ms) == expected


def test_a_step_up_is_given_time_before_the_next() -> None:
    scaler = Scaler(1)
    service = faces(1, 9)
    assert after(scaler, service, 100, UP_AFTER_MS) == 2
    second = UP_AFTER_MS + STEP_MS
    assert after(scaler, service, 100, second - TICK_MS, UP_AFTER_MS) == 2
    assert after(scaler, service, 100, second, second) == 3


def test_a_moment_of_quiet_begins_the_wait_anew() -> None:
    scaler = Scaler(1)
    after(scaler, faces(), 100, UP_AFTER_MS - TICK_MS)
    scaler.update(faces(), heard(10), UP_AFTER_MS)
    assert after(scaler, faces(), 100, 2 * UP_AFTER_MS, UP_AFTER_MS + TICK_MS) == 1


def test_why_the_count_changed_is_told() -> None:
    scaler = Scaler(9)
    assert scaler.update(faces(), heard(0), 0) == "its bounds changed: a plan, or an operator here"
    assert scaler.update(faces(), heard(0), 0) == ""
    assert "low for 4000 ms" in scaler.update(faces(), heard(0), 5_000)
    scaler.update(faces(), heard(99), 10_000)
    assert "99 ms in the queue, more than 20 ms" in scaler.update(faces(), heard(99), 15_000)


def test_a_service_without_a_queue_delay_never_grows() -> None:
    assert after(Scaler(1), faces(queue_ms=0), 10**6, 60_000) == 1


# ---- to zero ----


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        pytest.param(0, 2, True, id="the plan allows none"),
        pytest.param(1, 2, False, id="one at least"),
        pytest.param(0, 0, False, id="none wanted at all: nothing wakes it"),
    ],
)
def test_which_services_may_sleep(least: int, most: int, expected: bool) -> None:
    assert may_sleep(faces(least, most)) == expected


@pytest.mark.parametrize(
    ("said", "wanted", "serving", "expected"),
    [
        pytest.param({"keeper": 0}, False, 2, 0, id="the keeper's word counts"),
        pytest.param({"keeper": 0}, True, 0, 1, id="but where a request waits"),
        pytest.param({"keeper": 2}, True, 0, 2, id="which asks for no more than one"),
        pytest.param({}, False, 2, 2, id="before the keeper spoke, what serves stays"),
        pytest.param({}, False, 9, 3, id="within the plan"),
        pytest.param({}, True, 0, 1, id="before it spoke a request wakes it too"),
        pytest.param({}, False, 0, 0, id="what sleeps sleeps on"),
    ],
)
def test_which_count_of_a_service_that_may_sleep_everybody_goes_by(
    said: dict[str, int], wanted: bool, serving: int, expected: int
) -> None:
    counts = {keeper("faces", LIVE) or "": count for count in said.values()}
    assert agreed(faces(0), LIVE, counts, wanted, serving) == expected
    assert agreed(faces(0, 0), LIVE, counts, wanted, serving) == 0, "none are allowed"


def rested(needed: str = "", idle: bool = True, least: int = 0) -> Scaler:
    scaler = Scaler(1)
    for now_ms in range(0, 4_001, TICK_MS):
        scaler.update(faces(least), heard(0), now_ms, needed, idle)
    return scaler


def test_the_last_replica_goes_only_where_nobody_would_miss_it() -> None:
    assert rested().count == 0
    assert rested(idle=False).count == 1, "an empty queue is not enough: requests come"
    assert rested(needed="one waits").count == 1
    assert rested(least=1).count == 1


def test_why_the_last_replica_went_and_came_is_told() -> None:
    scaler = Scaler(1)
    scaler.update(faces(0), heard(0), 0, idle=True)
    gone = scaler.update(faces(0), heard(0), 4_000, idle=True)
    assert gone == "no request at any node for 4000 ms"
    assert scaler.update(faces(0), heard(0), 4_500) == ""
    assert scaler.update(faces(0), heard(0), 4_500, needed="one waits") == "one waits"
    assert scaler.count == 1
    assert Scaler(0).update(faces(0, 0), heard(0), 0, needed="one waits") == "", "none are allowed"
