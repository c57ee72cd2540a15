"""Joining: tokens, proofs, and IDs that are taken."""

import json
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from mesh.heads.branches import open_site_branch
from mesh.heads.certificates import check_certificate
from mesh.heads.limits import ROSTER_MAX
from mesh.heads.tokens import parse_token
from mesh.heads.trust import pin
from mesh.signed import Signer
from node.master.admission import TOKEN_KEPT_MS, TOKEN_VALID_S_MAX, TOKENS_MAX
from node.master.content import put_node
from node.master.errors import EnrolRefused, MasterRefused
from node.master.records import NodeRecord, TokenRecord
from node.master.store import Write
from tests.node.master.fleet import Fleet, Machine


def refuse(fleet: Fleet, token: str, node: str, machine: Machine, message: str) -> None:
    """The request is refused, and nothing of it is kept."""
    before = fleet.authority.state(), dict(fleet.authority.content.nodes)
    with pytest.raises(EnrolRefused, match=message):
        fleet.authority.redeem(machine.request(token, node))
    assert (fleet.authority.state(), dict(fleet.authority.content.nodes)) == before


def test_a_machine_becomes_a_node(fleet: Fleet) -> None:
    made = fleet.authority.create_token("north")
    token = parse_token(made.text)
    assert token.pin == pin(fleet.keys.root_key)
    assert made.expires_unix_ms == fleet.clock.now_ms + 600_000
    machine = Machine()
    counter = fleet.authority.counter
    enrolled = fleet.authority.redeem(machine.request(made.text, "node-1"))
    assert (enrolled.mesh, enrolled.site, enrolled.node) == ("acme", "north", "node-1")
    certified = check_certificate(enrolled.certificate, fleet.authority.trust.authorities, "acme")
    assert certified.identity.uri == "spiffe://acme/site/north/node/node-1"
    assert certified.signing_key == Signer(machine.signing_key).public_key
    assert fleet.authority.counter == counter + 1
    branch = fleet.authority.branch("site/north")
    assert branch is not None
    (entry,) = open_site_branch(branch[1], "north").roster
    assert (entry.node, entry.tls_key, entry.signing_key) == (
        "node-1",
        certified.tls_key,
        certified.signing_key,
    )


def test_who_made_a_token_stands_in_the_events_of_it_and_of_the_node(fleet: Fleet) -> None:
    fleet.asking = "ann"
    made = fleet.authority.create_token("north")
    fleet.asking = ""
    machine, token = Machine(), parse_token(made.text)
    for _ in range(2):  # the answer was lost
        fleet.authority.redeem(machine.request(made.text, "node-1"))
    fleet.reopen()
    first, second = fleet.authority.events()
    until = str(made.expires_unix_ms)
    assert (first.event, first.subject, first.sites) == ("token.made", token.id, ["north"])
    assert first.fields == {"until": until, "operator": "ann"}
    assert (second.event, second.subject, second.sites) == ("node.enrolled", "node-1", ["north"])
    assert (second.cause, second.fields) == (
        f"it joined with the token {token.id}",
        {"operator": "ann"},
    )


def test_a_token_of_an_older_release_names_nobody() -> None:
    old = TokenRecord("t", b"hash", "north", 5, operator="ann").encode()
    del (values := json.loads(old))["operator"]
    assert TokenRecord.decode(json.dumps(values).encode()).operator == ""


def test_the_secret_is_kept_nowhere(fleet: Fleet) -> None:
    token = parse_token(fleet.authority.create_token("north").text)
    fleet.store.close()
    assert token.secret.encode() not in fleet.path.read_bytes()
    assert token.id.encode() in fleet.path.read_bytes()


def test_a_token_is_good_once(fleet: Fleet) -> None:
    token = fleet.authority.create_token("north").text
    machine = Machine()
    fleet.authority.redeem(machine.request(token, "node-1"))
    fleet.reopen()
    refuse(fleet, token, "node-2", Machine(), "was used by node-1")
    refuse(fleet, token, "node-2", machine, "was used by node-1")
    refuse(fleet, token, "node-1", Machine(), "was used by node-1")


def test_a_machine_whose_answer_was_lost_asks_again_and_gets_the_same(fleet: Fleet) -> None:
    token = fleet.authority.create_token("north", valid_s=60).text
    machine = Machine()
    first = fleet.authority.redeem(machine.request(token, "node-1"))
    state = fleet.authority.state()
    fleet.clock.now_ms += 60_000  # the token has expired meanwhile: the machine is a node already
    fleet.reopen()
    assert fleet.authority.redeem(machine.request(token, "node-1")) == first
    assert fleet.authority.state() == state
    other = replace(machine, tls_key=ec.generate_private_key(ec.SECP256R1()))
    refuse(fleet, token, "node-1", other, "was used by node-1")
    half = replace(machine.request(token, "node-1"), signing_proof=b"")
    with pytest.raises(EnrolRefused, match="does not hold"):
        fleet.authority.redeem(half)
    fleet.authority.revoke("node-1", "stolen")
    refuse(fleet, token, "node-1", machine, "was used by node-1")


def test_a_token_expires(fleet: Fleet) -> None:
    token = fleet.authority.create_token("north", valid_s=60).text
    fleet.clock.now_ms += 60_000
    refuse(fleet, token, "node-1", Machine(), "has expired; make another: .* --site north")
    assert fleet.authority.tokens() == []


def test_tokens_that_are_long_over_are_forgotten(fleet: Fleet) -> None:
    token = fleet.authority.create_token("north", valid_s=60).text
    fleet.clock.now_ms += 60_000 + TOKEN_KEPT_MS
    kept = parse_token(fleet.authority.create_token("north").text)
    refuse(fleet, token, "node-1", Machine(), "no such token")
    assert [one.id for one in fleet.authority.tokens()] == [kept.id]


@pytest.mark.parametrize(
    "change", [{"token_id": "zzzzz"}, {"secret": "0" * 32}, {"secret": ""}, {"token_id": "\x00"}]
)
def test_a_wrong_token_tells_nothing(fleet: Fleet, change: dict[str, str]) -> None:
    token = fleet.authority.create_token("north").text
    request = replace(Machine().request(token, "node-1"), **change)
    with pytest.raises(EnrolRefused, match="no such token, or the secret is wrong"):
        fleet.authority.redeem(request)


@pytest.mark.parametrize(
    ("site", "valid_s"), [("North", 0), ("north", -1), ("north", TOKEN_VALID_S_MAX + 1)]
)
def test_tokens_that_are_not_made(fleet: Fleet, site: str, valid_s: int) -> None:
    with pytest.raises(MasterRefused):
        fleet.authority.create_token(site, valid_s)
    assert fleet.authority.tokens() == []


def test_the_number_of_tokens_is_bounded(fleet: Fleet) -> None:
    record = TokenRecord("", bytes(32), "north", fleet.clock.now_ms + 1)
    fleet.store.commit(
        [Write("token", f"{number}", record.encode()) for number in range(TOKENS_MAX)]
    )
    with pytest.raises(MasterRefused, match="there are 10000 tokens"):
        fleet.authority.create_token("north")


def test_a_taken_id_is_refused_and_the_first_is_kept(fleet: Fleet) -> None:
    fleet.join("node-1", "north")
    token = fleet.authority.create_token("north").text
    refuse(fleet, token, "node-1", Machine(), "enrolled with other keys and is kept")
    refuse(fleet, token, "node-1", Machine(), "enrolled with other keys and is kept")
    (alarm,) = fleet.authority.alarms()
    assert (alarm.kind, alarm.subject, alarm.site) == ("Clone", "node-1", "north")
    fleet.authority.redeem(Machine().request(token, "node-2"))
    fleet.authority.revoke("node-1", "it was the stranger")
    assert fleet.authority.alarms() == []


def test_the_id_of_a_master_is_no_nodes(fleet: Fleet) -> None:
    token = fleet.authority.create_token("north").text
    refuse(fleet, token, "master-1", Machine(), "'master-1' is the ID of a master")
    fleet.authority.redeem(Machine().request(token, "node-1"))


def test_the_same_machine_may_join_again_with_a_fresh_token(fleet: Fleet) -> None:
    machine = fleet.join("node-1", "north")
    state = fleet.authority.state()
    fleet.join("node-1", "north", machine)
    assert fleet.authority.state() == state
    assert fleet.authority.alarms() == []


def test_a_token_of_another_site_does_not_move_a_node(fleet: Fleet) -> None:
    machine = fleet.join("node-1", "north")
    token = fleet.authority.create_token("south").text
    refuse(fleet, token, "node-1", machine, "is for site 'south', node 'node-1' belongs to 'north'")


def test_a_copied_data_folder_under_another_id_is_refused(fleet: Fleet) -> None:
    machine = fleet.join("node-1", "north")
    token = fleet.authority.create_token("north").text
    refuse(fleet, token, "node-2", machine, "those of node 'node-1': its data folder was copied")
    half = Machine(signing_key=machine.signing_key)
    refuse(fleet, token, "node-2", half, "those of node 'node-1'")


def test_revoked_keys_never_come_back_but_the_id_may(fleet: Fleet) -> None:
    machine = fleet.join("node-1", "north")
    fleet.authority.revoke("node-1", "stolen")
    token = fleet.authority.create_token("north").text
    refuse(fleet, token, "node-1", machine, r"were revoked \(stolen\)")
    refuse(fleet, token, "node-1", Machine(signing_key=machine.signing_key), "were revoked")
    fleet.authority.redeem(Machine().request(token, "node-1"))
    fleet.reopen()
    token = fleet.authority.create_token("north").text
    refuse(fleet, token, "node-1", machine, "were revoked")


def test_a_full_site_takes_no_more(fleet: Fleet) -> None:
    writes = []
    for number in range(ROSTER_MAX):
        key = number.to_bytes(32, "big")
        record = NodeRecord(f"n{number}", "north", b"", key, key, 0)
        writes.append(put_node(record))
    fleet.store.commit(writes)
    fleet.reopen()
    token = fleet.authority.create_token("north").text
    refuse(fleet, token, "node-1", Machine(), "has 256 nodes, which is the most")
    fleet.authority.revoke("n7", "gone")
    fleet.authority.redeem(Machine().request(token, "node-1"))


def _csr(key: object) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)  # type: ignore[arg-type]


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


RSA = rsa.generate_private_key(65537, 2048)
P384 = ec.generate_private_key(ec.SECP384R1())
GOOD = Machine()
OTHER = Machine()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"node": "Node_1"}, "no valid name", id="bad ID"),
        pytest.param({"node": "../root"}, "no valid name", id="path as ID"),
        pytest.param({"signing_key": b"short"}, "has not 32 bytes", id="short signing key"),
        pytest.param({"tls_request": b"rubbish"}, "no PKCS #10 request", id="rubbish"),
        pytest.param({"tls_request": b""}, "no PKCS #10 request", id="nothing"),
        pytest.param({"tls_request": b"x" * 5000}, "more than 2048 bytes", id="large request"),
        pytest.param({"tls_request": _csr(RSA)}, "not on P-256", id="RSA"),
        pytest.param({"tls_request": _csr(P384)}, "not on P-256", id="another curve"),
        pytest.param(
            {"tls_request": _flipped(GOOD.tls_request())}, "not signed by its own key|no PKCS",
            id="a TLS key that the machine does not hold",
        ),
        pytest.param({"signing_proof": b""}, "does not hold", id="no signing proof"),
        pytest.param({"signing_proof": b"x" * 5000}, "more than 4096", id="large signing proof"),
        pytest.param(
            {"signing_proof": Signer(OTHER.signing_key).sign("enrol", GOOD.tls_request())},
            "does not hold", id="another's signing proof",
        ),
        pytest.param(
            {"signing_proof": Signer(GOOD.signing_key).sign("state", GOOD.tls_request())},
            "does not hold", id="a proof of another type",
        ),
        pytest.param(
            {"signing_proof": Signer(GOOD.signing_key).sign("enrol", OTHER.tls_request())},
            "for another request", id="a proof for another request",
        ),
    ],
)  # fmt: skip
def test_a_machine_that_proves_nothing(fleet: Fleet, change: dict[str, str], message: str) -> None:
    token = fleet.authority.create_token("north").text
    request = replace(GOOD.request(token, "node-1"), **change)
    with pytest.raises(EnrolRefused, match=message):
        fleet.authority.redeem(request)
    fleet.authority.redeem(GOOD.request(token, "node-1"))
