"""How busy a service is, in figures that do not tremble."""

import pytest

from node.runtime.load import USUAL_OF, LoadMeter


def test_an_idle_service_has_no_load() -> None:
    load = LoadMeter().take(2.0)
    assert (load.queue_delay_ms, load.in_flight, load.requests_per_second) == (0, 0, 0)


@pytest.mark.parametrize(
    ("waited_s", "step"),
    [(0.0001, 0), (0.0007, 1), (0.004, 5), (0.013, 20), (0.3, 500), (99.0, 10_000)],
    ids=["microseconds", "under one", "four", "thirteen", "three hundred", "beyond the last"],
)
def test_the_queue_delay_is_the_mean_rounded_up_to_a_step(waited_s: float, step: int) -> None:
    meter = LoadMeter()
    for _ in range(3):
        meter.waited(waited_s)
    assert meter.take(2.0).queue_delay_ms == step


def test_counting_begins_anew_with_each_look() -> None:
    meter = LoadMeter()
    for _ in range(40):
        meter.waited(0.01)
        meter.served(0.01)
    assert meter.take(2.0).requests_per_second == 20
    assert meter.take(2.0).requests_per_second == 0


def test_what_is_at_work_counts_until_it_is_done() -> None:
    meter = LoadMeter()
    meter.waited(0.0)
    meter.waited(0.0)
    meter.served(0.5)
    assert meter.take(0.0).in_flight == 1


def test_the_usual_time_of_an_inference_is_that_of_most_of_the_last() -> None:
    meter = LoadMeter()
    assert meter.service_s == 0.0
    meter.served(1.0)
    assert meter.service_s == 1.0
    for _ in range(USUAL_OF):
        meter.served(0.004)
    meter.served(3.0)  # the machine stood still
    assert meter.service_s == 0.004
    for _ in range(USUAL_OF):
        meter.served(0.5)
    assert meter.service_s == 0.5


def test_any_request_at_all_is_told() -> None:
    meter = LoadMeter()
    meter.waited(0.0)
    meter.served(0.01)
    assert meter.take(60.0).requests_per_second == 1
    assert meter.take(60.0).requests_per_second == 0
