"""Registers of a site: which wins, which is refused and why, and that nothing changes then."""

from dataclasses import replace

import pytest

from mesh.registers.store import (
    ITEMS_MAX,
    LOAD_BYTES_MAX,
    NODES_MAX,
    SERVICES_MAX,
    STABLE_BYTES_MAX,
    Clone,
    NodeKeys,
    Outcome,
    RegisterRefused,
    Registers,
)
from mesh.signed import Signer
from protos.documents_pb2 import (
    Boot,
    LoadRegister,
    ReplicaState,
    ServiceCount,
    ServiceLoad,
    ServicePlan,
    ServiceVerdict,
    StableRegister,
    Suspicion,
)
from tests.sim import identities

SITE = "south"
BOOT = Boot(counter=3, nonce=b"12345678")


def check(der: bytes) -> NodeKeys:
    """A certificate of these tests is the node's name, and a word if it is of other keys; `revoked`
    is refused."""
    name = der.decode().partition(" ")[0]
    if name == "revoked":
        raise ValueError("it is revoked")
    site = "north" if name == "stranger" else SITE
    return NodeKeys(name, site, signer(der.decode()).public_key, b"t" * 32)


def signer(name: str) -> Signer:
    return identities.signer(f"store {name}")


def body(node: str = "a", version: int = 1, **fields: object) -> StableRegister:
    values = {"site": SITE, "boot": BOOT, "certificate": node.encode(), **fields}
    return StableRegister(node=node, version=version, **values)  # type: ignore[arg-type]


def signed(register: StableRegister, by: str = "") -> bytes:
    return signer(by or register.node).sign("register", register.SerializeToString())


def load(node: str = "a", version: int = 1, boot: Boot = BOOT, services: int = 1) -> bytes:
    items = [ServiceLoad()] * services
    register = LoadRegister(node=node, boot=boot, version=version, services=items)
    return signer(node).sign("load", register.SerializeToString())


@pytest.fixture
def registers() -> Registers:
    held = Registers(SITE, check)
    held.accept(signed(body(version=5)))
    return held


@pytest.mark.parametrize(
    ("register", "outcome"),
    [
        pytest.param(body(version=6), Outcome.ACCEPTED, id="a higher version"),
        pytest.param(body(version=5), Outcome.KNOWN, id="the same again"),
        pytest.param(body(version=4), Outcome.OLDER, id="a lower version"),
        pytest.param(
            body(version=5, wan=True), Outcome.OLDER, id="the same version, other content"
        ),
        pytest.param(
            body(version=1, boot=Boot(counter=4, nonce=b"87654321")),
            Outcome.ACCEPTED,
            id="a later boot",
        ),
        pytest.param(
            body(version=99, boot=Boot(counter=2, nonce=b"87654321")),
            Outcome.OLDER,
            id="an earlier boot",
        ),
        pytest.param(body("b"), Outcome.ACCEPTED, id="of a node never heard of"),
    ],
)
def test_the_higher_boot_and_version_wins(
    registers: Registers, register: StableRegister, outcome: Outcome
) -> None:
    got, record = registers.accept(signed(register))
    assert got is outcome
    held = registers.get(register.node)
    assert (held == record) == (outcome in (Outcome.ACCEPTED, Outcome.KNOWN))


def test_the_same_boot_with_another_nonce_is_a_clone_and_the_first_stays(
    registers: Registers,
) -> None:
    other = Boot(counter=3, nonce=b"87654321")
    outcome, _ = registers.accept(signed(body(version=9, boot=other)))
    assert outcome == Clone("a", BOOT, other)
    assert registers.get("a").body.version == 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("counter", "outcome"), [(2, Outcome.OLDER), (3, Outcome.ACCEPTED), (4, Outcome.ACCEPTED)]
)
def test_an_id_that_another_machine_had_makes_no_clone_and_says_nothing_of_the_own_disk(
    registers: Registers, counter: int, outcome: Outcome
) -> None:
    boot = Boot(counter=counter, nonce=b"87654321")
    other = signed(body(version=9, boot=boot, certificate=b"a before"), by="a before")
    assert registers.accept(other, protected="a")[0] is Outcome.OLDER
    assert registers.accept(other)[0] is outcome


def test_the_own_register_is_judged_and_never_replaced(registers: Registers) -> None:
    outcome, _ = registers.accept(signed(body(version=6)), protected="a")
    assert outcome is Outcome.ACCEPTED
    assert registers.get("a").body.version == 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        pytest.param(b"x" * (STABLE_BYTES_MAX + 1), "above the limit", id="too large"),
        pytest.param(b"\xff", "no register", id="no envelope"),
        pytest.param(signer("a").sign("load", b""), "wrong type", id="a load register"),
        pytest.param(signer("a").sign("register", b"\xff"), "no register", id="no body in it"),
        pytest.param(signed(body("b"), by="a"), "unknown key", id="signed by another node"),
        pytest.param(
            signed(body("b", certificate=b"a"), by="a"), "certificate of 'a'", id="of another node"
        ),
        pytest.param(signed(body("revoked")), "revoked", id="of a revoked node"),
        pytest.param(
            signed(body("stranger", site="north")), "this site is 'south'", id="of another site"
        ),
        pytest.param(signed(body("b", site="north")), "'north'", id="that names another site"),
        pytest.param(
            signed(body("b", sources=["s"] * (ITEMS_MAX + 1))), "sources", id="too many entries"
        ),
        pytest.param(
            signed(body("b", replicas=[ReplicaState()] * 7_000)), "7000 replicas", id="replicas"
        ),
        pytest.param(
            signed(body("b", verdicts=[ServiceVerdict()] * (ITEMS_MAX + 1))),
            "257 verdicts",
            id="verdicts about everything",
        ),
        pytest.param(
            signed(body("b", counts=[ServiceCount()] * (SERVICES_MAX + 1))), "counts", id="counts"
        ),
        pytest.param(
            signed(body("b", last_good=[ServicePlan()] * (SERVICES_MAX + 1))),
            "last good versions",
            id="last good versions",
        ),
        pytest.param(
            signed(body("b", inherited_good=[ServicePlan()] * (SERVICES_MAX + 1))),
            "inherited good versions",
            id="inherited good versions",
        ),
        pytest.param(
            signed(body("b", local_changes=[b""] * (ITEMS_MAX + 1))), "local changes", id="changes"
        ),
        pytest.param(
            signed(body("b", wanted=[""] * (SERVICES_MAX + 1))), "wanted services", id="wanted"
        ),
        pytest.param(signed(body("b", boot=Boot(counter=1))), "nonce", id="no nonce"),
        pytest.param(
            signed(body("b", peer_address="unix:/run/x")), "give HOST:PORT", id="a socket for peers"
        ),
        pytest.param(
            signed(body("b", inference_address="dns:///x:1")), "give HOST:PORT", id="a scheme"
        ),
        pytest.param(
            signed(body("b", boot=Boot(counter=0, nonce=b"12345678"))),
            "boot counter",
            id="no counter",
        ),
    ],
)
def test_refused_and_nothing_changes(registers: Registers, envelope: bytes, words: str) -> None:
    before = registers.digests()
    with pytest.raises(RegisterRefused, match=words):
        registers.accept(envelope)
    assert registers.digests() == before


def test_a_site_has_a_limit() -> None:
    registers = Registers(SITE, check)
    for number in range(NODES_MAX):
        registers.accept(signed(body(f"n{number}")))
    with pytest.raises(RegisterRefused, match="256 nodes already"):
        registers.accept(signed(body("one-more")))
    assert registers.accept(signed(body("n0", version=2)))[0] is Outcome.ACCEPTED


def test_own_registers_are_published_within_the_limit(registers: Registers) -> None:
    keys = check(b"a")
    record = registers.publish(body(version=6), signer("a"), keys)
    assert registers.records() == [record]
    with pytest.raises(RegisterRefused, match="own register"):
        registers.publish(body(version=7, peer_address="x" * STABLE_BYTES_MAX), signer("a"), keys)
    assert registers.get("a") == record


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        pytest.param(b"x" * (LOAD_BYTES_MAX + 1), "above the limit", id="too large"),
        pytest.param(b"\xff", "no load register", id="no envelope"),
        pytest.param(load("b"), "its boot", id="of an unknown node"),
        pytest.param(
            load(boot=Boot(counter=4, nonce=b"12345678")), "its boot", id="of an unknown boot"
        ),
        pytest.param(
            signer("b").sign("load", LoadRegister(node="a", boot=BOOT).SerializeToString()),
            "unknown key",
            id="signed by another node",
        ),
        pytest.param(load(services=ITEMS_MAX + 1), "more than", id="too many services"),
    ],
)
def test_loads_refused(registers: Registers, envelope: bytes, words: str) -> None:
    with pytest.raises(RegisterRefused, match=words):
        registers.accept_load(envelope, 0)
    assert registers.load("a") is None


def test_the_higher_load_wins(registers: Registers) -> None:
    assert registers.accept_load(load(version=2), 0) is Outcome.ACCEPTED
    assert registers.accept_load(load(version=1), 0) is Outcome.OLDER
    assert registers.load("a").version == 2  # type: ignore[union-attr]


def test_a_load_is_heard_anew_where_somebody_says_the_last_one_again(registers: Registers) -> None:
    assert registers.load_heard_ms("a") is None
    registers.accept_load(load(version=2), 5)
    assert registers.load_heard_ms("a") == 5
    registers.accept_load(load(version=1), 6)
    assert registers.load_heard_ms("a") == 5, "an older one is not the last"
    assert registers.accept_load(load(version=2), 7) is Outcome.KNOWN
    assert registers.load_heard_ms("a") == 7


def test_the_load_of_an_earlier_boot_is_none(registers: Registers) -> None:
    registers.accept_load(load(), 0)
    assert registers.load("a") is not None
    assert registers.load_envelope("a") == load()
    registers.accept(signed(body(boot=Boot(counter=BOOT.counter + 1, nonce=b"12345678"))))
    assert registers.load("a") is None
    assert registers.load_envelope("a") is None


def test_own_loads(registers: Registers) -> None:
    body_ = LoadRegister(node="a", boot=BOOT, version=1)
    envelope = registers.publish_load(body_, signer("a"))
    assert registers.load("a") == body_
    other = Registers(SITE, check)
    other.accept(signed(body()))
    assert other.accept_load(envelope, 0) is Outcome.ACCEPTED


def test_forgotten_nodes_come_back_only_through_the_full_check(registers: Registers) -> None:
    registers.forget(["a", "unknown"])
    assert registers.records() == []
    assert registers.accept(signed(body(version=5)))[0] is Outcome.ACCEPTED


def test_a_certificate_that_holds_no_more_takes_its_register_along() -> None:
    refused: set[bytes] = set()

    def checked(der: bytes) -> NodeKeys:
        if der in refused:
            raise ValueError("revoked meanwhile")
        return check(der) if der != b"b2" else replace(check(b"b"), tls_key=b"u" * 32)

    registers = Registers(SITE, checked)
    registers.accept(signed(body("a")))
    registers.accept(signed(body("b")))
    assert registers.recheck() == []
    refused.add(b"a")
    assert registers.accept(signed(body("a", version=2)))[0] is Outcome.ACCEPTED
    assert registers.recheck() == ["a"]
    with pytest.raises(RegisterRefused, match="revoked meanwhile"):
        registers.accept(signed(body("a", version=3)))
    renewed = signed(body("b", version=2, certificate=b"b2"))
    assert registers.accept(renewed)[1].keys.tls_key == b"u" * 32


def test_who_says_what_is_known_without_a_look_at_all_registers() -> None:
    registers = Registers(SITE, check)

    def said() -> tuple[list[str], list[str], list[str]]:
        sets = (registers.with_wan, registers.draining, registers.accusing)
        return tuple(sorted(one) for one in sets)  # type: ignore[return-value]

    seen = [registers.generation]
    for register in (
        body("a", wan=True, suspicions=[Suspicion(node="b", boot=BOOT, version=1)]),
        body("b", wan=True, draining=True),
        body("a", version=2, wan=True),
    ):
        registers.accept(signed(register))
        seen.append(registers.generation)
    assert said() == (["a", "b"], ["b"], [])
    with_wan = registers.with_wan
    registers.accept(signed(body("a", version=3, wan=True)))
    assert registers.with_wan is with_wan
    registers.accept(signed(body("a", version=4, draining=True)))
    assert said() == (["b"], ["a", "b"], [])
    registers.forget(["b"])
    seen.append(registers.generation)
    assert said() == ([], ["a"], [])
    assert seen == sorted(set(seen))
    registers.accept(signed(body("a", version=4)))
    assert said() == ([], ["a"], [])
