"""Which certificates of a delegated authority count: each rule, and what breaks it."""

from typing import Any

import pytest

from mesh.heads.branches import open_site_branch
from mesh.heads.certificates import issue, make_authority
from mesh.heads.delegations import (
    AdmissionRefused,
    Shown,
    check_certificate_first,
    check_counts,
    check_name_free,
    delegation_id,
    shown,
    usable,
)
from mesh.heads.identity import Identity, IdentityRefused
from mesh.heads.limits import DELEGATED_MAX, DELEGATIONS_MAX
from mesh.heads.tree import BranchRefused
from protos.documents_pb2 import Delegation, DelegationUse, SiteBranch
from tests.mesh.heads.forging import AUTHORITY, CERTIFICATE, key

UNTIL = 5_000
DELEGATE_KEY = key(77)
DELEGATE = make_authority(DELEGATE_KEY, "acme", 78)


def delegation(**changes: Any) -> Delegation:
    fields: dict[str, Any] = {
        "id": delegation_id(DELEGATE),
        "count": 3,
        "until_unix_ms": UNTIL,
        "authority": DELEGATE,
        "operator": "ann",
    }
    return Delegation(**fields | changes)


def box(
    number: int = 1,
    keys: int = 50,
    name: str = "c",
    site: str = "north",
    replaces: bytes = b"",
    mesh: str = "acme",
) -> bytes:
    authority = DELEGATE if mesh == "acme" else make_authority(DELEGATE_KEY, mesh, 78)
    return issue(
        DELEGATE_KEY,
        authority,
        Identity(mesh, "node", name, site),
        key(keys).public_key(),
        bytes([keys]) * 32,
        number,
        replaces,
    )


def show(der: bytes, *delegations: Delegation) -> Shown:
    return shown(der, delegations or [delegation()], "acme", "north")


def test_a_box_is_who_its_certificate_says_and_replaces_whom_it_says() -> None:
    one = show(box(2, replaces=b"r" * 32))
    assert (one.certified.identity.name, one.key) == ("c", (delegation_id(DELEGATE), 2))
    assert one.certified.replaces == b"r" * 32
    assert one.name == f"{delegation_id(DELEGATE)}/2"
    check_counts(one, None, UNTIL - 1)


@pytest.mark.parametrize(
    ("der", "says"),
    [
        pytest.param(CERTIFICATE, "no authority of this mesh", id="by the mesh's authority"),
        pytest.param(box(mesh="other"), "no authority of this mesh", id="of another mesh"),
        pytest.param(box(site="south"), "nodes of site 'north' alone", id="of another site"),
        pytest.param(box(4), "number 4 of the delegation", id="beyond the count"),
        pytest.param(b"no certificate", "no certificate", id="rubbish"),
        pytest.param(
            issue(
                DELEGATE_KEY,
                DELEGATE,
                Identity("acme", "master", "master-1"),
                key(50).public_key(),
                b"s" * 32,
                1,
            ),
            "nodes of site 'north' alone",
            id="a master",
        ),
    ],
)
def test_what_no_delegation_allows_is_refused_with_the_rule(der: bytes, says: str) -> None:
    with pytest.raises(IdentityRefused, match=says):
        show(der)


def test_without_a_delegation_nobody_is_admitted() -> None:
    with pytest.raises(IdentityRefused, match="by no delegation"):
        shown(box(), [], "acme", "north")


def test_a_number_belongs_to_the_keys_that_showed_it_first() -> None:
    first, second = show(box(1, keys=50)), show(box(1, keys=51))
    check_counts(first, first.certified.tls_key, 0)
    with pytest.raises(AdmissionRefused, match="showed it first") as refused:
        check_counts(second, first.certified.tls_key, 0)
    assert refused.value.clash == second.name


def test_a_number_belongs_to_one_certificate_of_those_keys() -> None:
    first, again = show(box(1)), show(box(1, name="d"))
    check_certificate_first(first, None, {})
    check_certificate_first(first, first.certified.der, {})
    with pytest.raises(AdmissionRefused, match="showed it first") as refused:
        check_certificate_first(again, first.certified.der, {})
    assert refused.value.clash == again.name
    tls_key, signing_key = first.certified.tls_key, first.certified.signing_key
    said = delegation(uses=[DelegationUse(number=1, tls_key=tls_key)])
    with pytest.raises(AdmissionRefused, match="no longer a node") as refused:
        check_certificate_first(show(box(1), said), None, {})
    assert not refused.value.clash
    roster = {tls_key: ("c", signing_key)}
    check_certificate_first(show(box(1), said), None, roster)
    with pytest.raises(AdmissionRefused, match="showed it first"):
        check_certificate_first(show(box(1, name="d"), said), None, roster)


def test_what_the_state_says_of_a_number_comes_first() -> None:
    second = show(box(1, keys=51)).certified.tls_key
    said = delegation(uses=[DelegationUse(number=1, tls_key=second)], ended=True)
    check_counts(show(box(1, keys=51), said), None, UNTIL + 1)
    with pytest.raises(AdmissionRefused, match="showed it first"):
        check_counts(show(box(1, keys=50), said), show(box(1)).certified.tls_key, 0)


def test_nobody_new_comes_once_the_time_is_over_and_who_came_stays() -> None:
    one = show(box())
    with pytest.raises(AdmissionRefused, match="is over"):
        check_counts(one, None, UNTIL)
    check_counts(one, one.certified.tls_key, UNTIL)


def test_what_was_ended_by_hand_stands_only_for_those_that_the_state_names() -> None:
    one = show(box(), delegation(ended=True))
    with pytest.raises(AdmissionRefused, match="was ended at a master"):
        check_counts(one, one.certified.tls_key, 0)


def test_an_id_in_use_is_not_free_for_the_box_that_replaces_its_node_either() -> None:
    one = show(box())
    check_name_free(one, {})
    check_name_free(one, {one.certified.tls_key: "c", b"o" * 32: "d"})
    with pytest.raises(AdmissionRefused, match="another node has this ID"):
        check_name_free(one, {b"o" * 32: "c"})
    with pytest.raises(AdmissionRefused, match="also where it takes that node's place"):
        check_name_free(show(box(replaces=b"o" * 32)), {b"o" * 32: "c"})


def test_one_useless_delegation_takes_no_other_away() -> None:
    other = make_authority(key(79), "other", 80)
    rubbish = Delegation(id="x", authority=b"rubbish", count=1)
    foreign = Delegation(id="y", authority=other, count=1)
    assert usable([rubbish, delegation(), foreign], "acme") == [delegation()]
    assert show(box(), rubbish, foreign, delegation()).delegation == delegation()


# ---- as they stand in a site's branch ----


def branch(*delegations: Delegation) -> bytes:
    return SiteBranch(site="north", delegations=delegations).SerializeToString()


def test_a_branch_carries_delegations() -> None:
    used = delegation(uses=[DelegationUse(number=n, tls_key=bytes([n]) * 32) for n in (1, 3)])
    assert list(open_site_branch(branch(used), "north").delegations) == [used]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        pytest.param(delegation(id="d" * 12), "not named as its", id="another name"),
        pytest.param(delegation(count=0), "count is 0", id="of nothing"),
        pytest.param(delegation(count=DELEGATED_MAX + 1), "count is 17", id="of too many"),
        pytest.param(delegation(until_unix_ms=1 << 63), "until is", id="for ever"),
        pytest.param(delegation(operator="a\x1b[2J"), "cannot be printed", id="steers a terminal"),
        pytest.param(
            Delegation(id=delegation_id(b"c" * 3000), authority=b"c" * 3000, count=1),
            "authority is 3000",
            id="a huge certificate",
        ),
        pytest.param(
            delegation(uses=[DelegationUse(number=4, tls_key=b"k" * 32)]),
            "number is 4",
            id="a number beyond the count",
        ),
        pytest.param(
            delegation(uses=[DelegationUse(number=1, tls_key=b"k")]), "1 bytes", id="a short key"
        ),
        pytest.param(
            delegation(uses=[DelegationUse(number=1, tls_key=b"k" * 32)] * 2),
            "something twice",
            id="a number twice",
        ),
    ],
)
def test_a_branch_with_a_bad_delegation_is_refused(bad: Delegation, says: str) -> None:
    with pytest.raises(BranchRefused, match=says):
        open_site_branch(branch(bad), "north")


def test_a_branch_holds_so_many_delegations_each_once() -> None:
    with pytest.raises(BranchRefused, match="something twice"):
        open_site_branch(branch(delegation(), delegation()), "north")
    with pytest.raises(BranchRefused, match=r"delegations\.size"):
        open_site_branch(branch(*[delegation()] * (DELEGATIONS_MAX + 1)), "north")


def test_an_authority_of_the_mesh_is_no_delegated_one() -> None:
    with pytest.raises(IdentityRefused, match="by no delegation"):
        show(box(), delegation(authority=AUTHORITY, id=delegation_id(AUTHORITY)))
