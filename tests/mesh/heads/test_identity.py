"""An identity has one spelling of each form; nothing else is an identity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.heads.identity import Identity, IdentityRefused, check_name

NODE = Identity("acme", "node", "a1", "north")
LONGEST = "x" * 63

SPELLINGS = [
    pytest.param(
        NODE, "spiffe://acme/site/north/node/a1", "a1.node.acme.mesh.internal", id="a node"
    ),
    pytest.param(
        Identity("acme", "master", "master-1"),
        "spiffe://acme/master/master-1",
        "master-1.master.acme.mesh.internal",
        id="a master",
    ),
    pytest.param(
        Identity("acme", "operator", "ann"),
        "spiffe://acme/operator/ann",
        "ann.operator.acme.mesh.internal",
        id="an operator",
    ),
    pytest.param(
        Identity("acme", "release", "build"),
        "spiffe://acme/release/build",
        "build.release.acme.mesh.internal",
        id="a release signer",
    ),
    pytest.param(
        Identity("acme", "node", "master", "master"),
        "spiffe://acme/site/master/node/master",
        "master.node.acme.mesh.internal",
        id="a node whose names are a role's word",
    ),
]


@pytest.mark.parametrize(("identity", "uri", "dns_name"), SPELLINGS)
def test_each_form_is_spelled_one_way_and_read_back(
    identity: Identity, uri: str, dns_name: str
) -> None:
    assert (identity.uri, identity.dns_name) == (uri, dns_name)
    assert Identity.from_uri(uri) == identity


def test_the_longest_names_still_fit() -> None:
    longest = Identity(LONGEST, "node", LONGEST, LONGEST)
    assert Identity.from_uri(longest.uri) == longest
    assert len(longest.dns_name) <= 253


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("", id="nothing"),
        pytest.param("https://acme/master/m", id="another scheme"),
        pytest.param("SPIFFE://acme/master/m", id="the scheme in capitals"),
        pytest.param("spiffe://acme", id="a mesh alone"),
        pytest.param("spiffe://acme/node/a1", id="a node without a site"),
        pytest.param("spiffe://acme/site/north/master/m", id="a master with a site"),
        pytest.param("spiffe://acme/site/north/node/a1/", id="a slash at the end"),
        pytest.param("spiffe://acme/site/north/node/a1?x", id="a query"),
        pytest.param("spiffe://acme/site/../node/a1", id="dots for a site"),
        pytest.param("spiffe://acme:7400/master/m", id="a port"),
        pytest.param("spiffe://u@acme/master/m", id="a user"),
        pytest.param("spiffe://acme/site//node/a1", id="an empty site"),
        pytest.param("spiffe://acme/root/m", id="an unknown role"),
        pytest.param("spiffe://acme/master/%6d", id="an escape"),
        pytest.param("spiffe://acme/master/m\n", id="a line break"),
        pytest.param("spiffe://acme/master/" + "m" * 300, id="too long"),
    ],
)
def test_what_spells_no_identity_is_refused(uri: str) -> None:
    with pytest.raises(IdentityRefused):
        Identity.from_uri(uri)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param(("acme", "root", "m", ""), "role 'root'", id="an unknown role"),
        pytest.param(("acme", "master", "m", "north"), "only nodes", id="a master with a site"),
        pytest.param(("acme", "node", "a1", ""), "site ''", id="a node without a site"),
        pytest.param(("Acme", "node", "a1", "n"), "mesh 'Acme'", id="a mesh in capitals"),
        pytest.param(("acme", "node", "a.b", "n"), "node 'a.b'", id="a dot in a name"),
    ],
)
def test_an_identity_cannot_be_made_of_bad_parts(
    fields: tuple[str, str, str, str], says: str
) -> None:
    with pytest.raises(IdentityRefused, match=says):
        Identity(*fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a", "a1", "0", "a-b", "x--y", LONGEST])
def test_dns_labels_are_names(name: str) -> None:
    assert check_name("site", name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a b", "é", "a\n", "a" * 64, "a" * 100_000, "٣"]
)
def test_other_text_is_no_name_and_is_not_echoed_at_length(name: str) -> None:
    with pytest.raises(IdentityRefused, match=r"^site ") as refused:
        check_name("site", name)
    assert len(str(refused.value)) < 250


@given(st.text(max_size=80))
def test_no_text_is_read_as_an_identity_that_spells_otherwise(text: str) -> None:
    uri = "spiffe://" + text
    try:
        identity = Identity.from_uri(uri)
    except IdentityRefused:
        return
    assert identity.uri == uri
