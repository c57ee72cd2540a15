"""Liveness by itself: each event, and the verdicts that follow."""

from itertools import pairwise

import pytest

from mesh.registers.liveness import (
    ASK_AGAIN_MS,
    DIRECT_MS,
    DOUBLED,
    DOUBT_MAX,
    GRACE_MS,
    INDIRECT_MS,
    STALL_MS,
    SUSPICION_ONE_MS,
    SUSPICION_TWO_MS,
    Action,
    Changed,
    Liveness,
    SendProbe,
)
from mesh.registers.watched import Verdict, current_suspects

STEP_MS = 100


def site(*others: str, linked: bool = True) -> Liveness:
    """The view of `me` on others that are linked."""
    liveness = Liveness("me", 0)
    liveness.members(others, 0)
    for other in others if linked else ():
        liveness.link(other, True, 0)
    return liveness


def run(liveness: Liveness, start_ms: int, end_ms: int, *speakers: str) -> list[Action]:
    """Ticks, with `speakers` heard at each."""
    actions: list[Action] = []
    for now_ms in range(start_ms, end_ms + 1, STEP_MS):
        for speaker in speakers:
            actions += liveness.heard(speaker, now_ms)
        actions += liveness.tick(now_ms)
    return actions


def verdicts(actions: list[Action]) -> list[tuple[str, Verdict]]:
    return [(a.node, a.verdict) for a in actions if isinstance(a, Changed)]


def test_nobody_is_known_alive_and_nobody_unknown_is_dead() -> None:
    liveness = site()
    assert liveness.verdict("stranger") is Verdict.ALIVE
    assert not liveness.is_alive("stranger")
    assert not liveness.knows("stranger")
    assert (liveness.live(), liveness.dead(), liveness.suspected()) == (["me"], [], [])
    assert run(liveness, 0, 10_000) == []


@pytest.mark.parametrize("event", ["heard", "refuted", "link", "unreachable"])
def test_events_about_strangers_are_nothing(event: str) -> None:
    liveness = site("a")
    arguments = {"link": ("x", True, 5), "refuted": ("x", 1)}.get(event, ("x", 5))
    assert getattr(liveness, event)(*arguments) == []
    assert liveness.live() == ["a", "me"]


def test_a_silent_node_is_asked_directly_then_suspected_then_dead() -> None:
    liveness = site("a")
    actions = run(liveness, 0, DIRECT_MS + SUSPICION_TWO_MS + 1_500)
    assert isinstance(actions[0], SendProbe)
    assert (actions[0].peer, actions[0].target) == ("a", "")
    assert verdicts(actions) == [("a", Verdict.SUSPECT), ("a", Verdict.DEAD)]
    assert liveness.suspected() == ["a"]
    assert liveness.dead() == ["a"]
    assert verdicts(liveness.heard("a", 9_000)) == [("a", Verdict.ALIVE)]
    assert liveness.suspected() == []


def test_others_are_asked_before_anybody_is_suspected() -> None:
    liveness = site("a", "b", "c")
    asked: list[SendProbe] = []
    for now_ms in range(0, 4_000, STEP_MS):
        for speaker in ("b", "c"):
            liveness.heard(speaker, now_ms)
        for action in liveness.tick(now_ms):
            if isinstance(action, SendProbe) and action.target == "a":
                asked.append(action)
                liveness.answered(action.peer, action.number, "a", True, now_ms)
    assert {probe.peer for probe in asked} == {"b", "c"}
    assert liveness.verdict("a") is Verdict.ALIVE


def test_the_last_no_makes_a_suspect_at_once() -> None:
    liveness = site("a", "b", "c")
    probes = [p for p in liveness.link("a", False, 100) if isinstance(p, SendProbe)]
    first, second = probes
    assert liveness.answered(first.peer, first.number + 9, "a", False, 110) == []
    assert liveness.answered(first.peer, first.number, "stranger", False, 110) == []
    assert liveness.answered("stranger", first.number, "a", True, 110) == []  # nobody asked it
    assert liveness.answered(first.peer, first.number, "a", False, 110) == []
    (suspected,) = liveness.answered(second.peer, second.number, "a", False, 120)
    assert isinstance(suspected, Changed)
    assert suspected.why == "nobody reaches it"
    assert liveness.answered(second.peer, second.number, "a", False, 130) == []


def test_a_higher_version_clears_all_suspicion() -> None:
    liveness = site("a", "b")
    liveness.testimony("b", {"a"}, 0)
    liveness.link("a", False, 0)
    run(liveness, 0, INDIRECT_MS + 200, "b")
    assert liveness.verdict("a") is Verdict.SUSPECT
    assert verdicts(liveness.refuted("a", 0)) == [("a", Verdict.ALIVE)]
    assert liveness.suspected() == []


def suspected_twice() -> tuple[Liveness, int]:
    """`a`, which nobody reaches: it has refuted once, and is suspected again at that time."""
    liveness = site("a", "b")
    run(liveness, 0, GRACE_MS, "a", "b")
    liveness.link("a", False, GRACE_MS)
    run(liveness, GRACE_MS, GRACE_MS + INDIRECT_MS, "b")
    assert verdicts(liveness.refuted("a", 0)) == [("a", Verdict.ALIVE)]
    now_ms = GRACE_MS + INDIRECT_MS
    liveness.unreachable("a", now_ms)
    run(liveness, now_ms, now_ms + INDIRECT_MS, "b")
    assert liveness.verdict("a") is Verdict.SUSPECT
    return liveness, now_ms + INDIRECT_MS


def asked_about(actions: list[Action], node: str) -> list[SendProbe]:
    return [a for a in actions if isinstance(a, SendProbe) and a.target == node]


def test_who_refuted_in_vain_is_asked_before_it_is_believed() -> None:
    liveness, now_ms = suspected_twice()
    assert liveness.refuted("a", 0) == []
    assert liveness.refuted("a", 0) == []
    (probe,) = asked_about(liveness.tick(now_ms + STEP_MS), "a")
    assert liveness.suspected() == ["a"]
    (changed,) = liveness.answered("b", probe.number, "a", True, now_ms + 2 * STEP_MS)
    assert isinstance(changed, Changed)
    assert (changed.verdict, changed.why) == (Verdict.ALIVE, "b reaches it")
    assert liveness.suspected() == []


def test_a_dead_node_that_says_it_lives_is_asked_ever_more_seldom_until_somebody_reaches_it() -> (
    None
):
    liveness, now_ms = suspected_twice()
    liveness.refuted("a", 0)
    times = [
        at_ms
        for at_ms in range(now_ms + STEP_MS, now_ms + 20 * ASK_AGAIN_MS, STEP_MS)
        if asked_about(run(liveness, at_ms, at_ms, "b"), "a")
    ]
    assert liveness.dead() == ["a"]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == [ASK_AGAIN_MS << min(1 + n, DOUBLED) for n in range(len(gaps))]
    assert len(gaps) >= 3
    liveness.link("b", True, now_ms + 20 * ASK_AGAIN_MS)  # a new link: it may reach others
    at_ms = times[-1] + ASK_AGAIN_MS
    (probe,) = asked_about(run(liveness, at_ms, at_ms + STEP_MS, "b"), "a")
    (changed,) = liveness.answered("b", probe.number, "a", True, at_ms)
    assert isinstance(changed, Changed)
    assert changed.verdict is Verdict.ALIVE


def test_who_was_reached_through_another_is_not_dead_by_what_others_said_before() -> None:
    liveness = site("a", "b", "c", linked=False)
    for helper in ("b", "c"):
        liveness.link(helper, True, 0)
    liveness.testimony("b", {"a"}, 0)
    actions = []
    for now_ms in range(0, 20_000, STEP_MS):
        for action in run(liveness, now_ms, now_ms, "b", "c"):
            actions.append(action)
            if isinstance(action, SendProbe) and action.target and action.peer == "c":
                actions += liveness.answered("c", action.number, "a", True, now_ms)
    assert verdicts(actions) == []


def test_whoever_reached_it_last_is_asked_first() -> None:
    helpers = [f"h{number}" for number in range(9)]
    liveness = site("a", *helpers)
    run(liveness, 0, GRACE_MS, "a", *helpers)
    first = asked_about(liveness.link("a", False, GRACE_MS), "a")
    reaching = first[-1].peer
    liveness.answered(reaching, first[-1].number, "a", True, GRACE_MS)
    for _ in range(5):
        probes = asked_about(liveness.unreachable("a", GRACE_MS), "a")
        assert probes[0].peer == reaching
        liveness.answered(reaching, probes[0].number, "a", True, GRACE_MS)


def test_a_new_start_is_believed() -> None:
    liveness, _ = suspected_twice()
    assert verdicts(liveness.refuted("a", 1)) == [("a", Verdict.ALIVE)]


def with_a_stranger() -> tuple[Liveness, str]:
    """A site of nine that are linked, and one that this node does not watch, and never hears."""
    names = [f"n{number}" for number in range(8)]
    liveness = site(*names)
    return liveness, next(name for name in names if name not in liveness._watched)


def test_a_dead_node_that_its_last_witness_reached_is_asked_by_the_others_too() -> None:
    liveness, stranger = with_a_stranger()
    witnesses = [name for name in liveness.live() if name not in ("me", stranger)][:2]
    for witness in witnesses:
        liveness.testimony(witness, {stranger}, 0)
    others = [name for name in liveness.live() if name not in ("me", stranger)]
    run(liveness, 0, SUSPICION_TWO_MS, *others)
    assert liveness.dead() == [stranger]
    liveness.testimony(witnesses[0], set(), SUSPICION_TWO_MS)
    assert not _asks(liveness.tick(SUSPICION_TWO_MS + STEP_MS), stranger)
    liveness.testimony(witnesses[1], set(), SUSPICION_TWO_MS + STEP_MS)
    assert _asks(liveness.tick(SUSPICION_TWO_MS + 2 * STEP_MS), stranger)


def test_who_is_dead_by_what_others_say_and_says_that_it_lives_is_asked() -> None:
    liveness, stranger = with_a_stranger()
    others = [name for name in liveness.live() if name not in ("me", stranger)]
    for witness in others[:2]:
        liveness.testimony(witness, {stranger}, 0)
    run(liveness, 0, SUSPICION_TWO_MS, *others)
    assert liveness.dead() == [stranger]
    assert liveness.refuted(stranger, 0) == []
    assert liveness.suspected() == []
    assert _asks(liveness.tick(SUSPICION_TWO_MS + STEP_MS), stranger)
    assert liveness.dead() == [stranger]


def _asks(actions: list[Action], node: str) -> bool:
    return any(isinstance(a, SendProbe) and node in (a.peer, a.target) for a in actions)


def test_two_witnesses_are_faster_than_one() -> None:
    def took(count: int) -> int:
        liveness, stranger = with_a_stranger()
        others = [name for name in liveness.live() if name not in ("me", stranger)]
        for witness in others[:count]:
            liveness.testimony(witness, {stranger}, 0)
        for now_ms in range(0, 20_000, STEP_MS):
            run(liveness, now_ms, now_ms, *others)
            if stranger in liveness.dead():
                return now_ms
        raise AssertionError("never")

    assert SUSPICION_TWO_MS <= took(2) <= SUSPICION_TWO_MS + 2 * STEP_MS
    assert SUSPICION_ONE_MS <= took(1) <= SUSPICION_ONE_MS + 2 * STEP_MS


def test_who_is_heard_directly_is_not_dead_whatever_others_say() -> None:
    liveness = site("a", "b", "c")
    for witness in ("b", "c"):
        liveness.testimony(witness, {"a"}, 0)
    assert verdicts(run(liveness, 0, 20_000, "a", "b", "c")) == []


def test_the_dead_and_the_suspects_do_not_testify() -> None:
    liveness = site("a", "b", "c")
    liveness.testimony("b", {"a", "b"}, 0)
    liveness.link("b", False, 0)
    run(liveness, 0, INDIRECT_MS + SUSPICION_ONE_MS + 1_000, "a", "c")
    assert liveness.dead() == ["b"]
    assert liveness.verdict("a") is Verdict.ALIVE


def test_testimony_that_is_withdrawn_counts_no_more() -> None:
    liveness = site("a", "b", "c")
    liveness.testimony("b", {"a"}, 0)
    liveness.testimony("b", set(), 100)
    liveness.link("a", False, 100)
    liveness.members(["b", "c"], 200)
    assert liveness.dead() == []
    assert not liveness.knows("a")


def test_a_node_that_stood_still_doubts_itself_first() -> None:
    liveness = site("a")
    run(liveness, 0, 200)
    late = 200 + STALL_MS + 2_000
    assert liveness.tick(late) == []
    assert liveness.doubt == 1
    liveness.testimony("a", {"b"}, late)
    liveness.answered("a", 1, "", True, late + 10)
    assert liveness.doubt == 0
    for number in range(1, DOUBT_MAX + 5):
        liveness.tick(late + number * 5_000)
    assert liveness.doubt == DOUBT_MAX


def test_after_a_stall_suspicions_count_anew_and_patience_is_longer() -> None:
    liveness = site("a")
    run(liveness, 0, DIRECT_MS + 200)
    assert liveness.verdict("a") is Verdict.SUSPECT
    woken = 30_000
    assert liveness.tick(woken) == []
    assert verdicts(run(liveness, woken + 100, woken + SUSPICION_TWO_MS)) == []
    assert verdicts(run(liveness, woken + SUSPICION_TWO_MS, woken + 2 * SUSPICION_TWO_MS)) == [
        ("a", Verdict.DEAD)
    ]


def test_who_was_just_heard_of_has_time_to_link() -> None:
    liveness = site("a", "b", linked=False)
    assert liveness.unreachable("a", 100) == []
    assert run(liveness, 0, GRACE_MS - 200) == []
    assert verdicts(run(liveness, GRACE_MS - 100, GRACE_MS + 300)) != []


def test_a_dial_that_fails_is_a_reason_to_ask_others_once() -> None:
    liveness = site("b")
    liveness.members(["a", "b"], 0)
    assert liveness.unreachable("b", GRACE_MS) == []
    (asked,) = liveness.unreachable("a", GRACE_MS)
    assert isinstance(asked, SendProbe)
    assert (asked.peer, asked.target) == ("b", "a")
    assert liveness.unreachable("a", GRACE_MS + 50) == []


def test_a_link_may_stand_before_its_node_is_known() -> None:
    liveness = Liveness("me", 0)
    liveness.link("a", True, 0)
    liveness.members(["a"], 100)
    actions = run(liveness, 100, 200)
    assert [(a.peer, a.target) for a in actions if isinstance(a, SendProbe)] == [("a", "")]


def test_each_node_is_watched_by_two_others() -> None:
    names = [f"n{i}" for i in range(9)]
    watchers: dict[str, int] = dict.fromkeys(names, 0)
    for name in names:
        liveness = Liveness(name, 0)
        others = [n for n in names if n != name]
        liveness.members(others, 0)
        for other in others:
            liveness.link(other, True, 0)
        for action in liveness.tick(0):
            if isinstance(action, SendProbe):
                watchers[action.peer] += 1
    assert set(watchers.values()) == {2}


def test_now_and_then_another_node_is_asked() -> None:
    names = [f"n{i}" for i in range(12)]
    liveness = site(*names)
    asked = {a.peer for a in run(liveness, 0, 60_000, *names) if isinstance(a, SendProbe)}
    assert len(asked) > 4


def test_only_what_is_said_of_the_current_version_counts() -> None:
    said = {"a": (1, 5), "b": (1, 5), "c": (2, 0)}
    assert current_suspects(said, {"a": (1, 5), "b": (1, 6)}) == {"a", "c"}


def test_a_node_without_a_link_is_asked_for_through_others() -> None:
    liveness = site("b", "c")
    liveness.members(["a", "b", "c"], 0)
    through: set[str] = set()
    for now_ms in range(0, GRACE_MS + 4_000, STEP_MS):
        for speaker in ("b", "c"):
            liveness.heard(speaker, now_ms)
        for action in liveness.tick(now_ms):
            if isinstance(action, SendProbe) and action.target == "a":
                through.add(action.peer)
                liveness.answered(action.peer, action.number, "a", True, now_ms)
    assert through == {"b", "c"}
    assert liveness.verdict("a") is Verdict.ALIVE


def test_who_is_suspect_or_dead_already_does_not_become_so_again() -> None:
    liveness = site("a")
    assert verdicts(liveness.link("a", False, 100)) == [("a", Verdict.SUSPECT)]
    assert liveness.link("a", False, 200) == []
    run(liveness, 200, 200 + SUSPICION_TWO_MS + 200)
    assert liveness.dead() == ["a"]
    assert liveness.link("a", False, 5_000) == []


def test_one_that_others_suspected_and_this_node_too_is_told_once() -> None:
    liveness = site("a")
    liveness.link("a", False, 100)
    liveness.tick(500 + STALL_MS)
    assert liveness.verdict("a") is Verdict.SUSPECT
    liveness.testimony("me", set(), 600)
    assert liveness.link("a", False, 700) == []
