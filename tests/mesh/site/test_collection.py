"""What a node keeps, fetches for its site, and lets go of."""

import dataclasses
import random

import pytest

from mesh.hashing import sha256
from mesh.site.collection import KEEPER, Judgement, Known, judge, keepers

ROSTER = frozenset("abcd")
MODEL, OLD = sha256(b"model"), sha256(b"old")
FIRST, SECOND = keepers(MODEL, ROSTER)
THIRD, FOURTH = sorted(ROSTER - {FIRST, SECOND})
BOTH = {FIRST: {MODEL}, SECOND: {MODEL}}


def known(node: str = THIRD, **changes: object) -> Known:
    """A node that knows all: the plan needs MODEL, which both keepers say that they hold."""
    base = Known(node, {}, {MODEL}, set(), ROSTER, BOTH)
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_each_artifact_has_two_keepers_that_all_agree_about() -> None:
    assert len({FIRST, SECOND}) == 2
    assert keepers(MODEL, frozenset("a")) == ("a",)
    assert keepers(MODEL, frozenset()) == ()
    names = {keeper for n in range(50) for keeper in keepers(sha256(bytes([n])), ROSTER)}
    assert names == ROSTER, "the work is spread over the site"


@pytest.mark.parametrize("keeper", [FIRST, SECOND])
def test_a_keeper_fetches_and_keeps_what_the_plan_needs(keeper: str) -> None:
    for holders in ({}, BOTH):
        here = known(keeper, holders=holders)
        assert judge(here, ()) == Judgement({MODEL: KEEPER}, frozenset({MODEL}), {})
        assert judge(here, {MODEL}).idle == {}


def test_others_let_go_only_while_both_keepers_say_that_they_hold_it() -> None:
    assert judge(known(), {MODEL}) == Judgement({}, frozenset(), {MODEL: ""})
    for holders in ({}, {FIRST: {MODEL}}, {FIRST: {MODEL}, SECOND: {OLD}}, {FOURTH: {MODEL}}):
        assert "does not say" in judge(known(holders=holders), {MODEL}).idle[MODEL]


def test_what_nobody_needs_may_go_anywhere() -> None:
    for node in ROSTER:
        assert judge(known(node), {OLD}).idle == {OLD: ""}


def test_a_last_good_version_is_kept_like_the_plans_and_fetched_by_nobody() -> None:
    good = known(planned=set(), good={MODEL})
    for keeper in (FIRST, SECOND):
        here = dataclasses.replace(good, node=keeper)
        assert judge(here, {MODEL}) == Judgement({MODEL: KEEPER}, frozenset(), {})
        assert judge(here, ()).fetch == frozenset()
    assert judge(good, {MODEL}).idle == {MODEL: ""}
    assert judge(dataclasses.replace(good, holders={}), {MODEL}).idle[MODEL] != ""


def test_what_the_node_has_a_use_for_stays_whatever_others_hold() -> None:
    judged = judge(known(uses={MODEL: "runs", OLD: "spare"}), {MODEL, OLD})
    assert judged == Judgement({MODEL: "runs", OLD: "spare"}, frozenset(), {})
    assert judge(known(FIRST, uses={MODEL: "runs"}), ()).keep == {MODEL: "runs"}


def test_where_anything_is_not_known_nothing_goes() -> None:
    unknown = known(unknown="no plan is in force")
    assert judge(unknown, {MODEL, OLD}).idle == dict.fromkeys((MODEL, OLD), "no plan is in force")


def test_two_holders_are_left_whoever_lets_go_in_whatever_order() -> None:
    """Nodes that go by one state: each looks at what the others said last and lets go, or not."""
    dice = random.Random(5)
    for size in (1, 2, 3, 5, 9):
        for _ in range(200):
            roster = frozenset(f"n{n}" for n in range(size))
            holding = {node for node in sorted(roster) if dice.random() < 0.8}
            said = {node: {MODEL} if node in holding else set() for node in roster}
            before = holding & set(keepers(MODEL, roster))
            for node in dice.sample(sorted(holding), len(holding)):
                judged = judge(known(node, roster=roster, holders=said), {MODEL})
                if judged.idle.get(MODEL) == "":
                    holding.discard(node)
            assert before <= holding
            if len(before) < min(2, size):
                assert holding == {node for node, held in said.items() if held}
