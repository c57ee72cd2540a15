"""What one node grants of leases, by its own clock."""

from mesh.core.grants import Given, Grants, Owner
from mesh.site.leases import FREE_MS

A, B = Owner("a", 1, b"1"), Owner("b", 1, b"2")
A_AGAIN, A_COPY = Owner("a", 2, b"3"), Owner("a", 1, b"4")
START_MS = 1_000
READY_MS = START_MS + FREE_MS


def test_a_node_that_has_just_started_grants_nothing() -> None:
    grants = Grants(START_MS)
    assert "started a moment ago" in str(grants.ask("door", A, 1, READY_MS - 1))
    assert grants.ask("door", A, 2, READY_MS) == ""


def test_one_owner_has_it_until_a_lease_and_a_margin_are_over() -> None:
    grants = Grants(START_MS)
    assert grants.ask("door", A, 1, READY_MS) == ""
    assert grants.ask("door", B, 1, READY_MS + 1) == "a has it"
    assert grants.ask("door", A, 2, READY_MS + 5_000) == ""
    assert grants.ask("door", B, 2, READY_MS + 5_000 + FREE_MS - 1) == "a has it"
    assert grants.ask("door", B, 3, READY_MS + 5_000 + FREE_MS) == ""
    assert grants.ask("door", A, 3, READY_MS + 5_000 + FREE_MS) == "b has it"
    assert grants.ask("window", A, 4, READY_MS) == ""


def test_another_start_and_a_copy_of_the_disk_are_other_owners() -> None:
    grants = Grants(START_MS)
    assert grants.ask("door", A, 9, READY_MS) == ""
    for other in (A_AGAIN, A_COPY):
        assert "an earlier start of a" in str(grants.ask("door", other, 1, READY_MS + 1))
    assert grants.ask("door", A_AGAIN, 2, READY_MS + FREE_MS) == ""


def test_an_ask_that_comes_twice_or_late_is_not_answered() -> None:
    grants = Grants(START_MS)
    assert grants.ask("door", A, 2, READY_MS) == ""
    assert grants.ask("door", A, 2, READY_MS + 1) is None
    assert grants.ask("door", A, 1, READY_MS + 2 * FREE_MS) is None
    assert grants.holder("door", READY_MS + FREE_MS) is None


def test_what_is_released_is_free_at_once_and_only_its_owner_releases_it() -> None:
    grants = Grants(START_MS)
    grants.release("door", A, 1)
    grants.ask("door", A, 2, READY_MS)
    grants.release("door", B, 3)
    grants.release("door", A, 2)  # said before it was asked for again
    assert grants.holder("door", READY_MS) == Given(A, 2, READY_MS)
    grants.release("door", A, 3)
    assert grants.holder("door", READY_MS) is None
    assert grants.ask("door", A, 3, READY_MS) is None
    assert grants.ask("door", B, 1, READY_MS + 1) == ""


def test_what_is_not_planned_any_more_binds_until_it_is_over() -> None:
    grants = Grants(START_MS)
    grants.ask("door", A, 1, READY_MS)
    grants.forget(frozenset(), READY_MS + FREE_MS - 1)
    assert grants.ask("door", B, 1, READY_MS + FREE_MS - 1) == "a has it"
    grants.forget(frozenset({"door"}), READY_MS + FREE_MS)
    assert grants.ask("door", A, 1, READY_MS + FREE_MS) is None
    grants.forget(frozenset(), READY_MS + FREE_MS)
    assert grants.ask("door", A, 1, READY_MS + FREE_MS) == ""
