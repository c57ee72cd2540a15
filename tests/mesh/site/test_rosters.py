"""What a state tells of the rosters before it, and what one that tells nothing leaves open."""

import random

from mesh.site.leases import Member
from mesh.site.rosters import members, rosters_before
from protos.documents_pb2 import FormerEntry, RosterEntry, SiteBranch

A, B, C = (Member(name, name.encode()) for name in "abc")
C_AGAIN = Member("c", b"other key")


def entry(member: Member, since: int) -> RosterEntry:
    return RosterEntry(node=member.node, tls_key=member.tls_key, since=since)


def former(member: Member, since: int, until: int) -> FormerEntry:
    return FormerEntry(node=member.node, tls_key=member.tls_key, since=since, until=until)


def told(branch: SiteBranch, counter: int) -> list[tuple[tuple[Member, ...], int]]:
    return [(one.nodes, one.until) for one in rosters_before(branch, counter)]


def test_each_roster_is_told_with_the_state_that_replaced_it() -> None:
    branch = SiteBranch(
        roster=[entry(C_AGAIN, 9), entry(A, 2)], former=[former(B, 4, 7), former(C, 4, 9)]
    )
    assert members(branch) == (A, C_AGAIN)
    assert told(branch, 9) == [((A,), 4), ((A, B, C), 7), ((A, C), 9)]


def test_of_what_an_older_release_enrolled_nothing_is_told() -> None:
    assert told(SiteBranch(roster=[entry(A, 0), entry(B, 0)]), 9) == []
    branch = SiteBranch(roster=[entry(A, 0), entry(B, 8)], former=[former(C, 0, 8)])
    assert told(branch, 8) == [((A, C), 8)]


def test_what_a_state_cannot_tell_whole_is_left_out() -> None:
    branch = SiteBranch(roster=[entry(A, 2), entry(B, 5)], former=[former(C, 2, 7)], rosters_from=5)
    assert told(branch, 8) == [((A, B, C), 7)]
    assert told(branch, 6) == []  # it is of a state before what it says, which cannot be


def test_whatever_was_enrolled_and_taken_out_the_last_state_tells_all_rosters() -> None:
    for seed in range(20):
        pick = random.Random(seed)
        branch, rosters, since = SiteBranch(), [], {}
        for counter in range(1, 30):
            before = tuple(sorted(since))
            if since and pick.random() < 0.4:
                gone = pick.choice(sorted(since))
                branch.former.append(former(gone, since.pop(gone), counter))
            elif pick.random() < 0.6:
                since[Member(pick.choice("abcd") + str(counter), bytes([counter]))] = counter
            if before and tuple(sorted(since)) != before:
                rosters.append((before, counter))
        branch.roster.extend(entry(one, counter) for one, counter in sorted(since.items()))
        assert told(branch, 30) == rosters
