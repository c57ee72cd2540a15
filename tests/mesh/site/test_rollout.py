"""Whose turn it is, and when a site refuses: tables of what nodes say and what follows."""

import pytest

from mesh.site.rollout import PAUSED, Stage, Target, is_refused, turn

OLD, TRYING, PASSED, REFUSED = Stage.OLD, Stage.TRYING, Stage.PASSED, Stage.REFUSED
NEW, GOOD = Target.NEW, Target.LAST_GOOD
ORDER = ["a", "b", "c"]


def stages(*said: Stage) -> dict[str, Stage]:
    return dict(zip("abcdef", said, strict=False))


@pytest.mark.parametrize(
    ("node", "said", "target", "why"),
    [
        pytest.param("a", stages(), NEW, "its turn", id="the first begins"),
        pytest.param("b", stages(), GOOD, "waits for a", id="the second waits for the first"),
        pytest.param("b", stages(TRYING), GOOD, "waits for a", id="also while the first tries"),
        pytest.param("b", stages(PASSED), NEW, "its turn", id="until the first has passed"),
        pytest.param("c", stages(PASSED, OLD), GOOD, "waits for b", id="each waits for the one"),
        pytest.param("c", stages(PASSED, PASSED), NEW, "its turn", id="the last comes last"),
        pytest.param("a", stages(TRYING), NEW, "tried here", id="who tries goes on"),
        pytest.param(
            "b", stages(OLD, TRYING), NEW, "tried here", id="also if another is first now"
        ),
        pytest.param("a", stages(OLD, TRYING), GOOD, "waits for b", id="who is first now waits"),
        pytest.param("b", stages(OLD, PASSED), NEW, "it has passed here", id="who passed stays"),
        pytest.param("a", stages(REFUSED), GOOD, "one other node", id="who refused goes back"),
        pytest.param("b", stages(REFUSED), NEW, "its turn", id="it is tried on one other node"),
        pytest.param("c", stages(REFUSED), GOOD, "waits for b", id="and on no more at a time"),
        pytest.param(
            "c", stages(REFUSED, REFUSED), GOOD, "refuses it: a, b", id="two refusals end it"
        ),
        pytest.param(
            "c", stages(REFUSED, REFUSED, PASSED), GOOD, "refuses it", id="also where it passed"
        ),
        pytest.param("x", stages(), GOOD, "waits for a", id="a spare waits for all"),
        pytest.param(
            "x", stages(PASSED, PASSED, PASSED), NEW, "its turn", id="a spare follows all"
        ),
        pytest.param(
            "c", {"a": PASSED, "b": PASSED, "d": REFUSED}, NEW, "turn", id="one verdict of another"
        ),
    ],
)
def test_whose_turn_it_is(node: str, said: dict[str, Stage], target: Target, why: str) -> None:
    answer = turn(node, ORDER, said, protects=True, paused=False, beside=True)
    assert answer.target is target
    assert why in answer.why


def test_where_nothing_good_could_be_lost_all_start_at_once() -> None:
    for node in ORDER:
        answer = turn(node, ORDER, {}, protects=False, paused=True, beside=False)
        assert answer.target is NEW


@pytest.mark.parametrize(
    ("said", "targets"),
    [
        pytest.param(stages(), [GOOD, GOOD, GOOD], id="nobody begins"),
        pytest.param(stages(PASSED), [NEW, GOOD, GOOD], id="who has passed stays"),
        pytest.param(stages(PASSED, TRYING), [NEW, NEW, GOOD], id="who has begun goes on"),
        pytest.param(stages(REFUSED), [GOOD, GOOD, GOOD], id="a refusal is tried nowhere else"),
        pytest.param(
            stages(PASSED, REFUSED, REFUSED), [GOOD, GOOD, GOOD], id="what the site refuses goes"
        ),
    ],
)
def test_in_a_paused_rollout_no_turn_begins_and_what_has_begun_ends(
    said: dict[str, Stage], targets: list[Target]
) -> None:
    answers = [turn(n, ORDER, said, protects=True, paused=True, beside=True) for n in ORDER]
    assert [answer.target for answer in answers] == targets


def test_a_node_that_waits_says_that_the_rollout_is_paused() -> None:
    answer = turn("a", ORDER, {}, protects=True, paused=True, beside=True)
    assert answer.why == PAUSED


@pytest.mark.parametrize(
    ("said", "beside", "target"),
    [
        pytest.param(stages(REFUSED), False, GOOD, id="the last good one starts first"),
        pytest.param(stages(REFUSED), True, NEW, id="beside it, it is tried"),
        pytest.param(stages(), False, NEW, id="what nobody refused is simply tried"),
        pytest.param(
            {"a": REFUSED, "c": PASSED}, False, NEW, id="what another node passed is trusted"
        ),
    ],
)
def test_what_one_node_refused_is_tried_only_beside_the_last_good_version(
    said: dict[str, Stage], beside: bool, target: Target
) -> None:
    answer = turn("b", ORDER, said, protects=True, paused=False, beside=beside)
    order = turn("b", ["b"], said, protects=True, paused=False, beside=beside)
    assert order.target is target
    assert answer.target is (target if "a" in said else GOOD)


@pytest.mark.parametrize(
    ("order", "said", "refused"),
    [
        pytest.param(ORDER, {}, False, id="nobody refused"),
        pytest.param(ORDER, {"a": REFUSED}, False, id="one of three"),
        pytest.param(ORDER, {"a": REFUSED, "b": REFUSED}, True, id="two of three"),
        pytest.param(ORDER, {"y": REFUSED, "z": REFUSED}, True, id="two that run it no more"),
        pytest.param(["a"], {"a": REFUSED}, True, id="the only one that runs it"),
        pytest.param(["a"], {"z": REFUSED}, False, id="a liar about a service with one replica"),
        pytest.param(["a"], {"a": PASSED, "z": REFUSED}, False, id="a liar after it passed"),
        pytest.param([], {"z": REFUSED}, False, id="it runs nowhere, one refusal"),
        pytest.param([], {}, False, id="it runs nowhere"),
    ],
)
def test_when_the_site_refuses(order: list[str], said: dict[str, Stage], refused: bool) -> None:
    assert is_refused(order, said) is refused
