"""Delegations at the master, and the boxes that it takes in: by the rules of the site."""

import itertools
from dataclasses import replace

import pytest

from mesh.heads.branches import open_site_branch
from mesh.heads.certificates import issue as issue_certificate
from mesh.heads.certificates import make_authority, tls_key_digest
from mesh.heads.delegations import AdmissionRefused
from mesh.heads.identity import Identity, IdentityRefused
from mesh.heads.limits import DELEGATED_MAX, DELEGATIONS_MAX
from mesh.signed import Signer
from node.master.content import put_delegation
from node.master.delegating import Delegated
from node.master.errors import MasterRefused, NotFound
from node.master.records import DelegationRecord
from tests.node.master.fleet import START_MS, Fleet, Machine

DAY_MS = 86_400_000


class Operator:
    """The operator of a site, with a delegated authority."""

    def __init__(self, fleet: Fleet, count: int = 2, mesh: str = "acme") -> None:
        self.fleet = fleet
        self.own = Machine()
        self.authority = make_authority(self.own.tls_key, mesh, serial=77)
        self.count = count

    def ask(self, site: str = "north", count: int = 0, valid_ms: int = DAY_MS) -> Delegated:
        asked = (site, count or self.count, valid_ms, self.authority, "bob")
        return self.fleet.authority.delegating(lambda d: d.delegate(*asked))

    def box(
        self, number: int, name: str = "d", machine: Machine | None = None, replaces: bytes = b""
    ) -> bytes:
        machine = machine or Machine()
        return issue_certificate(
            self.own.tls_key,
            self.authority,
            Identity("acme", "node", name, "north"),
            machine.tls_key.public_key(),
            Signer(machine.signing_key).public_key,
            number,
            replaces,
        )


@pytest.fixture
def operator(fleet: Fleet) -> Operator:
    """An operator who may admit two boxes at north, where `a` and `c` are enrolled."""
    fleet.join("a", "north")
    fleet.join("c", "north")
    made = Operator(fleet)
    made.ask()
    return made


def events(fleet: Fleet) -> list[tuple[str, str]]:
    return [(one.event, one.subject) for one in fleet.authority.events()]


def key_of(fleet: Fleet, node: str) -> bytes:
    return fleet.authority.content.nodes[node].tls_key


def branch(fleet: Fleet) -> tuple[set[str], list[DelegationRecord]]:
    """The roster of north, and the delegations that its state has."""
    _, blob = fleet.authority.branch("site/north") or (None, b"")
    body = open_site_branch(blob, "north")
    return {entry.node for entry in body.roster}, list(body.delegations)  # type: ignore[arg-type]


def test_a_delegation_stands_in_the_state_of_its_site_over_a_restart(operator: Operator) -> None:
    fleet = operator.fleet
    before = fleet.authority.counter
    record = operator.ask().record
    assert (record.site, record.count, record.operator) == ("north", 2, "bob")
    assert record.until_unix_ms == START_MS + DAY_MS
    assert fleet.authority.counter == before  # it stood already
    fleet.reopen()
    assert [one.id for one in branch(fleet)[1]] == [record.id]
    assert fleet.authority.delegated() == [operator.authority]
    assert events(fleet)[-1] == ("delegation.made", record.id)


def test_what_stands_is_made_once_for_each_content(operator: Operator) -> None:
    content = operator.fleet.authority.content
    before = content.delegations_by_site()
    assert content.delegations_by_site() is before
    operator.fleet.authority.take_in(operator.box(1))
    after = operator.fleet.authority.content.delegations_by_site()
    assert [len(one.uses) for stands in (before, after) for one in stands["north"]] == [0, 1]


def test_what_cannot_be_delegated_is_refused_with_the_way_out(operator: Operator) -> None:
    fleet = operator.fleet
    with pytest.raises(NotFound, match="no site 'moon'"):
        operator.ask(site="moon")
    with pytest.raises(MasterRefused, match="--count"):
        operator.ask(count=DELEGATED_MAX + 1)
    with pytest.raises(MasterRefused, match="--until"):
        operator.ask(valid_ms=401 * DAY_MS)
    with pytest.raises(MasterRefused, match="not of the mesh"):
        Operator(fleet, mesh="other").ask()
    own = Operator(fleet)
    own.authority = fleet.keys.authority_der
    with pytest.raises(MasterRefused, match="the mesh itself"):
        own.ask()
    for _ in range(DELEGATIONS_MAX - 1):
        Operator(fleet).ask()
    with pytest.raises(MasterRefused, match="end those that are over"):
        Operator(fleet).ask()


def test_a_box_is_taken_in_once_with_its_event_and_stays_over_a_restart(
    operator: Operator,
) -> None:
    fleet, box = operator.fleet, operator.box(1)
    assert fleet.authority.check_box(box).identity.name == "d"
    counter = fleet.authority.take_in(box)
    assert fleet.authority.take_in(box) == counter
    fleet.reopen()
    roster, (delegation,) = branch(fleet)
    assert "d" in roster
    assert [use.number for use in delegation.uses] == [1]
    assert fleet.authority.content.nodes["d"].admitted.startswith("bob (")
    assert events(fleet)[-1] == ("node.admitted", "d")
    assert fleet.authority.events()[-1].fields["operator"] == "bob"
    fleet.clock.now_ms += 2 * DAY_MS
    assert fleet.authority.check_box(box).identity.name == "d"


def test_whose_place_a_box_takes_is_revoked_in_the_same_state(operator: Operator) -> None:
    fleet = operator.fleet
    old = key_of(fleet, "c")
    with pytest.raises(IdentityRefused, match="also where it takes that node's place"):
        fleet.authority.take_in(operator.box(1, "c", replaces=old))
    fleet.authority.take_in(operator.box(1, "d", replaces=old))
    assert "bob" in fleet.authority.content.revocations[old].reason
    assert "takes its place" in fleet.authority.content.nodes["c"].revoked
    assert branch(fleet)[0] == {"a", "d"}
    fleet.authority.take_in(operator.box(2, "c"))  # no roster has it any more
    assert branch(fleet)[0] == {"a", "c", "d"}
    assert key_of(fleet, "c") != old
    keys = fleet.authority.content.signing_keys()
    assert sum(1 for node, _ in keys if node == "c") == 2  # the journals of both are checked


@pytest.mark.parametrize("order", ["cba", "bca", "acb", "bac"])
def test_a_box_whose_place_was_taken_before_the_master_heard_of_it_is_welcome_nowhere(
    operator: Operator, order: str
) -> None:
    """In the place of `c` came `x`, in the place of that `y`, and then `z`."""
    fleet = operator.fleet
    wide = Operator(fleet, count=3)
    wide.ask()
    machines = [Machine() for _ in range(3)]
    keys = [key_of(fleet, "c"), *(tls_key_digest(one.tls_key.public_key()) for one in machines)]
    boxes = {
        letter: wide.box(number, name, machines[number - 1], keys[number - 1])
        for number, (letter, name) in enumerate(zip("abc", "xyz", strict=True), start=1)
    }
    for letter in order:
        fleet.authority.take_in(boxes[letter])
    assert branch(fleet)[0] == {"a", "z"}
    assert set(keys[:3]) <= fleet.authority.content.revocations.keys()
    assert fleet.authority.check_box(boxes["c"]).identity.name == "z"
    for letter in "ab":
        with pytest.raises(IdentityRefused, match="no longer a node"):
            fleet.authority.check_box(boxes[letter])
    fleet.reopen()
    assert branch(fleet)[0] == {"a", "z"}


def test_who_was_replaced_is_refused_before_it_is_written_down(operator: Operator) -> None:
    fleet, machine = operator.fleet, Machine()
    first = operator.box(1, "x", machine, key_of(fleet, "c"))
    second = operator.box(2, "y", replaces=tls_key_digest(machine.tls_key.public_key()))
    fleet.authority.take_in(second)
    with pytest.raises(IdentityRefused, match="y has taken its place"):
        fleet.authority.check_box(first)
    fleet.authority.take_in(first)
    assert "y has taken its place" in fleet.authority.content.nodes["x"].revoked
    assert branch(fleet)[0] == {"a", "y"}
    assert events(fleet)[-1] == ("node.admitted", "x")


def test_whose_place_was_taken_stays_out_when_the_id_of_its_replacement_is_given_anew(
    operator: Operator,
) -> None:
    fleet, machine = operator.fleet, Machine()
    first = operator.box(1, "x", machine)
    key = tls_key_digest(machine.tls_key.public_key())
    fleet.authority.take_in(operator.box(2, "y", replaces=key))
    fleet.authority.revoke("y", "it was stolen")
    fleet.join("y", "north")
    fleet.reopen()
    with pytest.raises(IdentityRefused, match="y has taken its place"):
        fleet.authority.check_box(first)
    fleet.authority.take_in(first)
    assert key in fleet.authority.content.revocations
    assert branch(fleet)[0] == {"a", "c", "y"}


def test_a_store_that_does_not_say_whose_place_was_taken_is_read_with_the_certificates_that_do(
    operator: Operator,
) -> None:
    fleet, machine = operator.fleet, Machine()
    first = operator.box(1, "x", machine)
    key = tls_key_digest(machine.tls_key.public_key())
    fleet.authority.take_in(operator.box(2, "y", replaces=key))
    (record,) = fleet.authority.content.delegations.values()
    assert record.replaced == {key.hex(): "y"}
    fleet.store.commit([put_delegation(replace(record, replaced={}))])
    fleet.reopen()
    with pytest.raises(IdentityRefused, match="y has taken its place"):
        fleet.authority.check_box(first)
    fleet.authority.take_in(first)
    assert branch(fleet)[0] == {"a", "c", "y"}


def test_nobody_of_another_site_is_replaced(operator: Operator) -> None:
    fleet = operator.fleet
    fleet.join("s", "south")
    fleet.authority.take_in(operator.box(1, replaces=key_of(fleet, "s")))
    assert not fleet.authority.content.nodes["s"].revoked


def test_what_no_rule_allows_is_not_taken_in(operator: Operator) -> None:
    fleet, take_in = operator.fleet, operator.fleet.authority.take_in
    take_in(operator.box(1))
    with pytest.raises(IdentityRefused, match="showed it first"):
        take_in(operator.box(1, "e"))
    with pytest.raises(IdentityRefused, match="counts 2"):
        take_in(operator.box(3, "e"))
    with pytest.raises(IdentityRefused, match="another node has this ID"):
        take_in(operator.box(2, "a"))
    with pytest.raises(IdentityRefused, match="by no delegation"):
        take_in(Operator(fleet).box(2, "e"))
    fleet.clock.now_ms += 2 * DAY_MS
    with pytest.raises(IdentityRefused, match="is over"):
        take_in(operator.box(2, "e"))


def test_a_number_that_was_taken_in_is_of_one_certificate_also_once_it_was_ended(
    operator: Operator,
) -> None:
    fleet, machine = operator.fleet, Machine()
    box = operator.box(1, "d", machine)
    fleet.authority.take_in(box)
    others = [
        operator.box(1, "e", machine),
        operator.box(1, "a", machine),
        operator.box(1, "d", machine, key_of(fleet, "c")),
    ]
    name = operator.ask().record.id
    for _ in range(2):
        for other in others:
            with pytest.raises(IdentityRefused, match="showed it first"):
                fleet.authority.check_box(other)
        assert fleet.authority.check_box(box).identity.name == "d"
        fleet.authority.delegating(lambda d: d.end(name, "stolen"))
    operator.ask()
    fleet.join("b", "north")
    fleet.authority.revoke("d", "stolen")
    with pytest.raises(IdentityRefused):
        fleet.authority.check_box(box)


def test_keys_that_are_enrolled_or_revoked_are_not_taken_in(operator: Operator) -> None:
    fleet = operator.fleet
    machine = fleet.join("b", "north")
    half = Machine()
    half.signing_key = machine.signing_key
    boxes = [operator.box(1, "e", one) for one in (machine, half)]
    asked = [fleet.authority.check_box, fleet.authority.take_in]
    for box, ask in itertools.product(boxes, asked):
        with pytest.raises(AdmissionRefused, match="has keys of 'b'"):
            ask(box)
    fleet.authority.revoke("b", "stolen")
    assert tls_key_digest(machine.tls_key.public_key()) in fleet.authority.content.revocations
    for box, ask in itertools.product(boxes, asked):
        with pytest.raises(AdmissionRefused, match="were revoked"):
            ask(box)


def test_an_ended_delegation_stands_for_those_that_were_taken_in_alone(operator: Operator) -> None:
    fleet, box = operator.fleet, operator.box(1)
    fleet.authority.take_in(box)
    name = operator.ask().record.id
    with pytest.raises(NotFound, match="no delegation"):
        fleet.authority.delegating(lambda d: d.end("nothing", ""))
    counter = fleet.authority.delegating(lambda d: d.end(name, "over")).counter
    assert fleet.authority.delegating(lambda d: d.end(name, "over")).counter == counter
    assert fleet.authority.check_box(box).identity.name == "d"
    with pytest.raises(IdentityRefused, match="was ended"):
        fleet.authority.take_in(operator.box(2, "e"))
    fleet.authority.revoke("d", "gone")
    assert branch(fleet)[1] == []  # nobody is left who needs it
    assert events(fleet)[-2:] == [("delegation.ended", name), ("node.revoked", "d")]
