"""What the load client counts, by virtual time."""

import pytest

from node.admin.load_tally import FAILURES_KEPT_MAX, Latencies, Tally


def killed_at(kill_ms: float, told_ms: float, failures: list[tuple[float, float]]) -> Tally:
    """A node killed at `kill_ms`, said so at `told_ms`; failures are (sent, ended)."""
    tally = Tally(0.0)
    for sent, ended in failures:
        if ended < told_ms:
            tally.failed(sent, ended, "UNAVAILABLE", "gone")
    tally.down(kill_ms)
    for sent, ended in failures:
        if ended >= told_ms:
            tally.failed(sent, ended, "UNAVAILABLE", "gone")
    return tally


@pytest.mark.parametrize(
    ("sent", "ended", "column"),
    [
        pytest.param(100, 200, "failed", id="before the kill: a failure"),
        pytest.param(990, 1005, "in_flight_at_kill", id="in flight, ended before it was said"),
        pytest.param(990, 1500, "in_flight_at_kill", id="in flight, ended after it was said"),
        pytest.param(1005, 1010, "not_counted", id="sent into the void, ended before it was said"),
        pytest.param(1005, 1500, "not_counted", id="sent into the void, ended after it was said"),
    ],
)
def test_a_failure_near_a_kill(sent: float, ended: float, column: str) -> None:
    document = killed_at(1000, 1020, [(sent, ended)]).document(2000)
    counted = {name: document[name] for name in ("failed", "in_flight_at_kill", "not_counted")}
    assert counted == {"failed": 0, "in_flight_at_kill": 0, "not_counted": 0, column: 1}


@pytest.mark.parametrize(
    ("sent", "column"),
    [
        pytest.param(990, "in_flight_at_kill", id="in flight at the kill, ended after the return"),
        pytest.param(1010, "not_counted", id="sent while down"),
        pytest.param(3001, "failed", id="sent after the return"),
    ],
)
def test_a_failure_after_the_return(sent: float, column: str) -> None:
    tally = killed_at(1000, 1020, [])
    tally.raised(3000)
    tally.failed(sent, 3100, "DEADLINE_EXCEEDED", "late")
    assert tally.document(4000)[column] == 1


def test_the_gap_is_measured_while_up_only() -> None:
    tally = Tally(0.0)
    tally.answered(100, 110, right=True)
    tally.answered(400, 410, right=True)
    tally.down(500)
    assert tally.document(9000)["longest_gap_ms"] == 300
    tally.raised(9000)
    tally.answered(9050, 9060, right=True)
    assert tally.document(9100)["longest_gap_ms"] == 300
    assert tally.document(9560)["longest_gap_ms"] == 500, "a gap that goes on counts"


def test_saying_it_twice_changes_nothing() -> None:
    tally = Tally(0.0)
    tally.raised(5)
    tally.down(100)
    tally.down(200)
    assert tally.down_since_ms == 100
    tally.raised(300)
    tally.raised(400)
    tally.answered(310, 320, right=True)
    assert tally.document(320)["longest_gap_ms"] == 100, "from the start to the kill"


def test_wrong_answers_are_told_and_are_no_failures() -> None:
    tally = Tally(0.0)
    tally.answered(10, 20, right=False, detail="output scores is missing")
    tally.down(15)
    document = tally.document(30)
    assert (document["wrong"], document["failed"], document["requests"]) == (1, 0, 1)
    assert document["failures"] == [
        {"sent_s": 0.01, "took_ms": 10, "code": "WRONG", "detail": "output scores is missing"}
    ]


def test_failures_told_are_bounded_and_all_are_counted() -> None:
    tally = Tally(0.0)
    for _ in range(FAILURES_KEPT_MAX + 5):
        tally.failed(1, 2, "UNAVAILABLE", "x" * 1000)
    tally.answered(1, 2, right=False, detail="late to the list")
    document = tally.document(10)
    assert (document["failed"], document["failures_untold"]) == (FAILURES_KEPT_MAX + 5, 5)
    assert document["wrong"] == 1
    assert document["codes"] == {"UNAVAILABLE": FAILURES_KEPT_MAX}
    assert len(document["failures"][0]["detail"]) == 160


def test_percentiles_are_right_within_five_percent() -> None:
    latencies = Latencies()
    assert latencies.percentile(0.5) is None
    for value in range(1, 1001):
        latencies.add(value / 10)
    assert latencies.percentile(0.5) == pytest.approx(50, rel=0.05)
    assert latencies.percentile(0.99) == pytest.approx(99, rel=0.05)
    latencies.add(0.0)
    assert latencies.percentile(0.0001) == 0.01
