"""What one node makes of the boxes that it sees: first come, kept, repeated, ended, replaced."""

import pytest

from mesh.core.admissions import CLASHES_MAX, REPEATED_MAX, Admissions
from mesh.core.view import _shorten
from mesh.events import SaveDocument, WriteJournal
from mesh.heads.certificates import Certified, issue
from mesh.heads.identity import IdentityRefused
from mesh.heads.trust import Trust
from protos.documents_pb2 import (
    Delegation,
    DelegationUse,
    RosterEntry,
    SiteBranch,
    StableRegister,
)
from tests.sim import identities
from tests.sim.boxes import FIRST, admit, authority, delegation

OLD = identities.node_keys("south", "c").tls_key


def branch(*delegations: Delegation, roster: str = "abc") -> SiteBranch:
    entries = []
    for node in roster:
        keys = identities.node_keys("south", node)
        entry = RosterEntry(node=node, signing_key=keys.signing_key, tls_key=keys.tls_key)
        entries.append(entry)
    return SiteBranch(site="south", roster=entries, delegations=delegations or [delegation()])


def at(node_branch: SiteBranch | None = None, document: bytes = b"") -> Admissions:
    trust = Trust(identities.signer("root").public_key, identities.trust_envelope())
    made = Admissions("south", trust, document)
    made.use(node_branch or branch())
    return made


def issued_again(box: Certified, name: str, replaces: bytes = b"") -> bytes:
    """Another certificate of this box's number and TLS key, by the same authority."""
    return issue(
        identities.tls_key("bob"),
        authority("bob"),
        identities.node_identity("south", name),
        identities.tls_key("box d ").public_key(),
        identities.signer("another").public_key,
        box.serial,
        replaces,
    )


def kept(admissions: Admissions) -> bytes:
    """What is written down of the news."""
    save = admissions.look()[0]
    assert isinstance(save, SaveDocument)
    return save.data


def test_a_box_counts_from_when_it_is_first_seen_and_is_journalled_once() -> None:
    admissions, (box, _) = at(), admit("d")
    assert admissions.look() == []
    assert admissions.check(box.der) == box
    assert admissions.check(box.der) == box
    _, entry = admissions.look()
    assert isinstance(entry, WriteJournal)
    assert (entry.event, entry.subject) == ("node.admitted", "d")
    assert entry.fields["number"] == str(FIRST)
    assert admissions.look() == []
    assert admissions.tls_keys == (box.tls_key,)
    assert admissions.certificates == [box.der]
    assert admissions.nodes == {"d": f"bob ({delegation().id}/{FIRST})"}
    assert admissions.used() == {delegation().id: [FIRST]}
    assert admissions.authorities == (delegation().authority,)


def test_the_first_keys_that_show_a_number_are_kept_over_a_restart_and_others_are_told() -> None:
    admissions, (first, _), (second, _) = at(), admit("d"), admit("e", keys="other")
    admissions.check(first.der)
    after = at(document=kept(admissions))
    with pytest.raises(IdentityRefused, match="showed it first"):
        after.check(second.der)
    assert after.check(first.der) == first
    assert list(after.clashes) == [f"{delegation().id}/{FIRST}"]
    (message,) = after.clashes.values()
    assert message.startswith("d and e show")
    assert f"meshctl delegate --end {delegation().id}" in message
    after.use(branch(delegation("eve")))
    assert after.clashes == {}  # the delegation is gone, and with it what was wrong


def test_a_number_is_of_one_certificate_and_not_of_whatever_its_keys_are_called() -> None:
    admissions, (box, _) = at(), admit("d")
    admissions.check(box.der)
    before = admissions.nodes
    for name, replaces in (("a", b""), ("e", b""), ("d", OLD)):
        with pytest.raises(IdentityRefused, match="showed it first"):
            admissions.check(issued_again(box, name, replaces))
    assert admissions.nodes == before
    assert admissions.replaced() == {}
    assert admissions.check(box.der) == box


def test_who_was_taken_in_counts_under_the_id_that_the_roster_has_and_no_other() -> None:
    box, _ = admit("d")
    said = branch(delegation(uses=[DelegationUse(number=FIRST, tls_key=box.tls_key)], ended=True))
    with pytest.raises(IdentityRefused, match="no longer a node"):
        at(said).check(box.der)
    said.roster.add(node="d", signing_key=box.signing_key, tls_key=box.tls_key)
    admissions = at(said)
    with pytest.raises(IdentityRefused, match="showed it first"):
        admissions.check(issued_again(box, "a"))
    assert admissions.check(box.der) == box
    said.roster[-1].signing_key = b"of another machine".ljust(32)
    admissions.use(said)
    assert admissions.tls_keys == ()


def test_who_was_taken_in_takes_no_place_that_the_roster_still_has() -> None:
    box, _ = admit("d", replaces=OLD)
    said = branch(delegation(uses=[DelegationUse(number=FIRST, tls_key=box.tls_key)]))
    said.roster.add(node="d", signing_key=box.signing_key, tls_key=box.tls_key)
    admissions = at(said)
    assert admissions.check(box.der) == box
    assert admissions.replaced() == {}  # the master took it in, and let that one stay
    untold = admit("e", FIRST + 1)[0]
    later = admit("f", FIRST + 2, replaces=untold.tls_key)[0]
    said.delegations[0].uses.add(number=FIRST + 2, tls_key=later.tls_key)
    said.roster.add(node="f", signing_key=later.signing_key, tls_key=later.tls_key)
    admissions.use(said)
    for one in (untold, later):
        admissions.check(one.der)
    assert list(admissions.replaced()) == [untold.tls_key]  # of that one no master has heard


def test_so_many_clashes_are_told_and_no_more() -> None:
    names = [f"operator-{n}" for n in range(3)]
    admissions = at(branch(*[delegation(name) for name in names]))
    for name in names:
        for number in range(FIRST, 10):
            admissions.check(admit(f"n{number}{name[-1]}", number, operator=name)[0].der)
            with pytest.raises(IdentityRefused):
                admissions.check(admit("x", number, keys="x", operator=name)[0].der)
    assert len(admissions.clashes) == CLASHES_MAX < len(names) * 7


def test_what_another_release_wrote_is_shown_again_by_its_boxes() -> None:
    admissions, (box, _) = at(document=b"\xff rubbish"), admit("d")
    assert admissions.tls_keys == ()
    assert admissions.check(box.der) == box


def test_who_was_first_is_remembered_while_no_state_is_known() -> None:
    admissions, (first, _), (second, _) = at(), admit("d"), admit("e", keys="other")
    admissions.check(first.der)
    after = at(SiteBranch(), kept(admissions))  # what was in force is damaged on disk
    with pytest.raises(IdentityRefused, match="by no delegation"):
        after.check(first.der)
    after.use(branch())
    with pytest.raises(IdentityRefused, match="showed it first"):
        after.check(second.der)


def test_a_box_stays_when_the_time_is_over_and_goes_when_the_delegation_is_ended() -> None:
    admissions, (box, _) = at(branch(delegation(until_unix_ms=10))), admit("d")
    admissions.unix_ms = 9
    admissions.check(box.der)
    admissions.unix_ms = 10
    admissions.use(branch(delegation(until_unix_ms=10)))
    assert admissions.check(box.der) == box
    with pytest.raises(IdentityRefused, match="is over"):
        admissions.check(admit("e", FIRST + 1)[0].der)
    after = at(branch(delegation(until_unix_ms=10)), kept(admissions))
    after.unix_ms = 11
    assert after.check(box.der) == box
    after.use(branch(delegation(ended=True)))
    with pytest.raises(IdentityRefused, match="was ended"):
        after.check(box.der)
    assert after.tls_keys == ()


def test_who_was_seen_and_ended_before_it_was_written_down_is_no_news() -> None:
    admissions, (box, _) = at(), admit("d")
    admissions.check(box.der)
    admissions.use(branch(delegation(ended=True)))
    assert admissions.look() == []


def test_what_the_master_took_in_counts_whatever_was_seen_first() -> None:
    admissions, (first, _), (second, _) = at(), admit("d"), admit("e", keys="other")
    admissions.check(first.der)
    use = DelegationUse(number=FIRST, tls_key=second.tls_key)
    said = branch(delegation(uses=[use]))
    said.roster.add(node="e", signing_key=second.signing_key, tls_key=second.tls_key)
    admissions.use(said)
    assert admissions.tls_keys == ()
    assert admissions.check(second.der) == second
    with pytest.raises(IdentityRefused, match="showed it first"):
        admissions.check(first.der)
    assert admissions.to_repeat(()) == []  # the state tells of it


def test_a_box_takes_the_place_of_a_node_of_its_site_and_of_nobody_else() -> None:
    admissions, (box, _) = at(), admit("d", replaces=OLD)
    admissions.check(box.der)
    ((key, why),) = admissions.replaced().items()
    assert key == OLD
    assert why.startswith("d takes its place, admitted by bob")
    stranger = admit("e", FIRST + 1, replaces=b"an operator's or a master's key!")[0]
    admissions.check(stranger.der)
    assert list(admissions.replaced()) == [OLD]


def test_an_id_in_use_stays_with_its_node() -> None:
    admissions, (box, _) = at(), admit("c")
    with pytest.raises(IdentityRefused, match="another node has this ID"):
        admissions.check(box.der)
    first, second = admit("d", FIRST)[0], admit("d", FIRST + 1, keys="2")[0]
    admissions.check(first.der)
    with pytest.raises(IdentityRefused, match="another node has this ID"):
        admissions.check(second.der)


def test_an_id_stays_with_its_node_also_when_a_box_replaces_it() -> None:
    admissions = at()
    first = admit("d", FIRST, replaces=OLD)[0]
    admissions.check(first.der)
    for name, replaces in (("c", OLD), ("c", b""), ("d", first.tls_key)):
        again = admit(name, FIRST + 1, replaces=replaces, keys="2")[0]
        with pytest.raises(IdentityRefused, match="another node has this ID"):
            admissions.check(again.der)
    assert list(admissions.replaced()) == [OLD]
    without = branch(roster="ab")
    assert at(without).check(again.der).identity.name == "d"


def test_boxes_of_which_no_register_tells_are_repeated_and_heard() -> None:
    here, there = at(), at()
    first = admit("d", FIRST, replaces=OLD)[0]
    second = admit("e", FIRST + 1, replaces=first.tls_key)[0]
    for box in (first, second):
        here.check(box.der)
    repeated = here.to_repeat({second.der})
    assert repeated == [first.der]
    there.check(second.der)
    assert list(there.replaced()) == []
    there.heard([b"rubbish", *repeated])
    assert set(there.replaced()) == {OLD, first.tls_key}


def test_a_register_repeats_only_so_many_and_no_more_are_looked_at() -> None:
    admissions, there = at(), at()
    for number in range(FIRST, FIRST + REPEATED_MAX + 2):
        admissions.check(admit(f"n{number}", number)[0].der)
    assert len(admissions.to_repeat(())) == REPEATED_MAX
    there.heard(admissions.certificates)
    assert len(there.certificates) == REPEATED_MAX


def test_what_does_not_fit_a_register_is_not_repeated_in_it() -> None:
    content = StableRegister(admissions=[b"certificate" * 300] * REPEATED_MAX)
    _shorten(content)
    assert 0 < len(content.admissions) < REPEATED_MAX
