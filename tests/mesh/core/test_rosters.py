"""The rosters that one node counts leases by: what it takes from the state, what it remembers."""

import pytest

from mesh.core.rosters import (
    EARLIER_MAX,
    MEMBERS_MAX,
    ROSTERS,
    Heard,
    Rosters,
    read,
    written,
)
from mesh.events import SaveDocument
from mesh.site.leases import FREE_MS, Earlier, Member
from protos.documents_pb2 import EarlierRoster, FormerEntry, KeptRosters, RosterEntry, SiteBranch

A, B, C = (Member(name, name.encode() * 32) for name in "abc")
C_AGAIN = Member("c", b"d" * 32)


def branch(since: dict[Member, int], former: tuple[FormerEntry, ...] = ()) -> SiteBranch:
    """A state; `since` when each is in the roster, 0: it does not say."""
    roster = [
        RosterEntry(node=one.node, tls_key=one.tls_key, since=at) for one, at in since.items()
    ]
    return SiteBranch(site="south", roster=roster, former=former)


def untold(*nodes: Member) -> SiteBranch:
    """A state of a master that does not say since when."""
    return branch(dict.fromkeys(nodes, 0))


def kept(rosters: Rosters, applied: dict[Member, int], now_ms: int) -> bytes:
    (save,) = rosters.look(applied, now_ms)
    assert isinstance(save, SaveDocument)
    assert save.name == ROSTERS
    return save.data


def test_rosters_are_kept_and_an_earlier_one_outlives_a_restart() -> None:
    rosters = Rosters(b"")
    rosters.use(untold(A, B), 3, 1)
    rosters.use(untold(B, A), 4, 1)
    rosters.use(untold(), 5, 1)
    assert (rosters.nodes, rosters.since, rosters.earlier) == ((A, B), 3, ())
    first = kept(rosters, {}, 0)
    assert rosters.look({}, 0) == []
    again = Rosters(first)
    again.use(untold(A, B, C), 7, 1)
    assert again.earlier == (Earlier((A, B), 7),)
    assert Rosters(kept(again, {A: 7, B: 6}, 0)).earlier == again.earlier
    assert again.look({A: 7, B: 7}, 1) == []
    assert again.look({A: 7, B: 7}, FREE_MS) == []
    assert len(again.look({A: 7, B: 7}, 1 + FREE_MS)) == 1
    assert again.earlier == ()


def test_a_new_node_takes_from_the_state_which_rosters_were_before_it() -> None:
    rosters = Rosters(b"")
    rosters.use(branch({A: 2, B: 2, C: 7}), 8, 1)
    assert (rosters.nodes, rosters.since) == ((A, B, C), 8)
    assert rosters.earlier == (Earlier((A, B), 7),)
    assert rosters.counting() == [(A, B, C), (A, B)]


def test_what_the_state_tells_is_not_remembered_besides() -> None:
    rosters = Rosters(b"")
    rosters.use(branch({A: 2, B: 2}), 2, 1)
    rosters.use(branch({A: 2, B: 2, C: 7}), 9, 1)
    assert rosters.earlier == (Earlier((A, B), 7),)
    rosters.use(branch({A: 2, B: 2, C: 7}), 10, 1)
    assert rosters.earlier == (Earlier((A, B), 7),)


def test_what_is_over_stays_over_whatever_state_tells_it_again_also_after_a_restart() -> None:
    rosters, state = Rosters(b""), branch({A: 2, B: 2, C: 7})
    rosters.use(state, 7, 1)
    kept(rosters, {A: 7, B: 7}, 0)
    document = kept(rosters, {A: 7, B: 7}, FREE_MS)
    for one in (rosters, Rosters(document)):
        one.use(state, 8, 1)
        assert one.earlier == ()
    rosters.use(branch({A: 2, B: 2, C: 7, C_AGAIN: 9}), 9, 1)
    assert rosters.earlier == (Earlier((A, B, C), 9),)
    assert len(KeptRosters.FromString(kept(rosters, {}, FREE_MS)).over) == 1
    rosters.use(untold(A, B, C, C_AGAIN), 10, 1)  # a state that tells of no earlier one
    rosters.use(untold(A, B), 11, 1)
    assert KeptRosters.FromString(kept(rosters, {}, FREE_MS)).over == []


@pytest.mark.parametrize(("many", "nodes"), [(EARLIER_MAX + 9, 1), (9, MEMBERS_MAX // 2)])
def test_of_more_than_it_can_count_by_so_many_are_kept_that_it_stays_so(
    many: int, nodes: int
) -> None:
    rosters = Rosters(b"")
    rosters.earlier = tuple(Earlier((A,) * nodes, until) for until in range(1, 1 + many))
    rosters.use(untold(A, B), many, 1)
    rosters.use(branch({A: many + 1, C: many + 1}), many + 1, 1)
    assert rosters.too_many
    again = Rosters(kept(rosters, {}, 0))
    assert again.too_many
    assert len(again.earlier) < many
    assert again.earlier[0] == Earlier((A, B), many + 1)  # which no state tells


def test_an_id_that_was_given_to_other_keys_makes_another_roster() -> None:
    rosters = Rosters(b"")
    rosters.use(untold(A, B, C), 1, 1)
    rosters.use(untold(A, B, C_AGAIN), 2, 1)
    assert (rosters.nodes, rosters.earlier) == ((A, B, C_AGAIN), (Earlier((A, B, C), 2),))


def test_the_same_nodes_again_are_since_the_last_change_between() -> None:
    rosters = Rosters(b"")
    rosters.use(branch({A: 2, B: 2}), 3, 1)
    gone = FormerEntry(node=C.node, tls_key=C.tls_key, since=5, until=8)
    rosters.use(branch({A: 2, B: 2}, (gone,)), 9, 1)
    assert rosters.since == 8
    assert rosters.earlier == (Earlier((A, B), 5), Earlier((A, B, C), 8))


def test_other_nodes_of_the_same_counter_are_not_over_with_those_that_are() -> None:
    """As of a master that was restored from a backup, and gave the counter once more."""
    rosters = Rosters(b"")
    rosters.use(branch({A: 2, B: 7}), 7, 1)
    kept(rosters, {A: 7}, 0)
    kept(rosters, {A: 7}, FREE_MS)
    assert rosters.is_over(Earlier((A,), 7))
    rosters.use(branch({A: 2, C: 2, B: 7}), 12, 1)
    assert not rosters.is_over(Earlier((A, C), 7))
    assert Earlier((A, C), 7) in rosters.earlier


def test_what_a_master_from_a_backup_says_of_a_counter_long_past_is_not_taken_for_known() -> None:
    rosters = Rosters(b"")
    rosters.use(branch({A: 1, B: 1}), 11, 1)
    state = branch({A: 1, B: 1, C: 2})
    state.continued = 12
    rosters.use(state, 12, 1)
    assert rosters.since == 12
    assert rosters.earlier == (Earlier((A, B), 12), Earlier((A, B), 2))
    new = Rosters(b"")
    new.use(state, 12, 1)
    assert new.earlier == (Earlier((A, B), 2),)
    new.look({A: 11, B: 11}, 0)
    new.look({A: 11, B: 12}, FREE_MS)
    assert new.earlier == (Earlier((A, B), 2),)
    new.look({A: 12, B: 12}, FREE_MS)
    new.look({A: 12, B: 12}, 2 * FREE_MS)
    assert new.earlier == ()


def test_under_another_trust_generation_all_that_was_before_counts_until_its_nodes_know() -> None:
    rosters = Rosters(b"")
    rosters.use(branch({A: 2, B: 401}), 1_000_000, 1)
    kept(rosters, {A: 401}, 0)
    kept(rosters, {A: 401}, FREE_MS)
    rosters.use(branch({A: 2, C: 401}), 1_000_001, 1)
    assert rosters.earlier == (Earlier((A, B), 1_000_001),)
    for one in (rosters, Rosters(kept(rosters, {}, FREE_MS))):
        one.use(branch({A: 2, B: 51, C: 401}), 51, 2)
        assert (one.generation, one.since) == (2, 51)
        assert one.earlier == (Earlier((A, C), 51), Earlier((A, B), 51), Earlier((A,), 51))
        assert Rosters(kept(one, {}, FREE_MS)).generation == 2


def test_the_same_roster_under_another_trust_generation_is_since_its_first_state() -> None:
    rosters = Rosters(b"")
    rosters.use(branch({A: 2, B: 401}), 401, 1)
    rosters.use(branch({A: 2, B: 2}), 51, 2)
    assert (rosters.since, rosters.nodes) == (51, (A, B))
    assert rosters.earlier == (Earlier((A,), 51),)


def test_a_document_that_is_damaged_is_none() -> None:
    rosters = Rosters(b"\xff")
    assert (rosters.nodes, rosters.earlier) == ((), ())
    rosters.use(branch({A: 2, B: 3}), 3, 1)
    assert rosters.earlier == (Earlier((A,), 3),)


def test_what_an_older_release_kept_is_of_the_keys_of_now() -> None:
    old = KeptRosters(nodes=["a", "c"], since=4, earlier=[EarlierRoster(nodes=["a", "b"], until=4)])
    rosters = Rosters(old.SerializeToString())
    rosters.use(untold(A, C), 5, 1)
    assert (rosters.nodes, rosters.since) == ((A, C), 4)
    assert rosters.earlier == (Earlier((A, Member("b", b"")), 4),)


def test_earlier_rosters_are_read_as_they_were_written_and_without_keys_as_those_of_now() -> None:
    earlier = (Earlier((A, C), 3), Earlier((B,), 4))
    assert read(written(earlier), ()) == earlier
    assert read([EarlierRoster(nodes=["c", "x"], until=3)], (A, C)) == (
        Earlier((C, Member("x", b"")), 3),
    )
    few = EarlierRoster(nodes=["a", "c"], tls_keys=[b"only one"], until=3)
    assert read([few], (A, C)) == (Earlier((A, C), 3),)


def test_what_many_say_alike_is_read_once() -> None:
    heard, one = Heard(), written([Earlier((A, C), 3)])
    assert heard.read([], (A,)) == ()
    first = heard.read(one, (A,))
    assert first == (Earlier((A, C), 3),)
    assert heard.read(written(first), (A,)) is first
    few = [EarlierRoster(nodes=["a"], until=3)]
    assert heard.read(few, (A,)) == (Earlier((A,), 3),)
    assert heard.read(few, (C,)) == (Earlier((Member("a", b""),), 3),)
