"""What peers may send and nobody takes: each kind, that the rest goes on, and nothing is lost."""

import pytest

from mesh.events import (
    AcknowledgementsSigned,
    BatchLost,
    DialFailed,
    Drop,
    Instruction,
    LinkDown,
    LinkUp,
    Notice,
    Received,
    Send,
    SendBatches,
)
from mesh.exchange.frames import ENTRIES_MAX, encode, pack
from mesh.journals.acknowledgements import acknowledge
from mesh.journals.batches import BatchWriter
from mesh.journals.entries import make_entry
from mesh.journals.keys import LogKey
from mesh.peer import Peer
from protos.documents_pb2 import Boot, LoadRegister, StableRegister, StateBody
from protos.peer_pb2 import (
    Claim,
    Documents,
    Fingerprint,
    Frame,
    Hello,
    JournalBatches,
    JournalOffer,
    JournalWant,
    LogDigest,
    Probe,
    ProbeAnswer,
    Want,
)
from tests.sim import identities
from tests.sim.nodes import SimNode
from tests.sim.site import Site
from tests.sim.world import contact_of

BOOT = Boot(counter=1, nonce=b"12345678")
OTHER = "south-9"


def register(node: str = OTHER, site: str = "south", by: str = "", version: int = 1) -> bytes:
    identity = identities.node_identity(site, node)
    body = StableRegister(
        node=node,
        site=site,
        boot=BOOT,
        version=version,
        certificate=identities.certificate(identity).der,
    )
    return identities.signer(by or identity.uri).sign("register", body.SerializeToString())


def head(counter: int, mesh: str = identities.MESH, by: str = "state", root: bytes = b"r") -> bytes:
    body = StateBody(mesh=mesh, trust_generation=1, counter=counter, root=root * 32, leaves=3)
    return identities.signer(by).sign("state", body.SerializeToString())


def forged_acknowledgement() -> bytes:
    key = LogKey(OTHER, 1, b"12345678", "record")
    return acknowledge(key, 5, identities.MASTER, identities.signer("thief"))


def load(boot: Boot) -> bytes:
    uri = identities.node_identity("south", OTHER).uri
    body = LoadRegister(node=OTHER, boot=boot, version=1)
    return identities.signer(uri).sign("load", body.SerializeToString())


@pytest.fixture
def site() -> Site:
    site = Site(nodes=2).settle()
    site.world.run(3_000)
    return site


def hear(node: SimNode, frame: bytes, peer: str = "") -> list[Instruction]:
    peer = peer or node.core.peer.neighbours()[0]
    return node.core.peer.handle(Received(peer, frame), node.world.now_ms)


def reasons(instructions: list[Instruction]) -> list[str]:
    kinds = ("refused", "equivocation")
    return [
        f"{i.what} {i.cause}" for i in instructions if isinstance(i, Notice) and i.what in kinds
    ]


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        pytest.param(
            Documents(registers=[register(site="north")]), "this site is", id="of another site"
        ),
        pytest.param(Documents(registers=[register(by="thief")]), "unknown key", id="stolen name"),
        pytest.param(Documents(registers=[b"rubbish"]), "no register", id="no register"),
        pytest.param(
            Documents(loads=[load(Boot(counter=9, nonce=b"12345678"))]),
            "its boot",
            id="unknown boot",
        ),
        pytest.param(Documents(state=[head(5, by="thief")]), "unknown key", id="state: bad key"),
        pytest.param(
            Documents(state=[head(5, mesh="other")]), "other mesh", id="state: of another mesh"
        ),
        pytest.param(Documents(state=[head(1)]), "equivocation", id="state: other content"),
        pytest.param(Documents(trust=[head(5)]), "wrong type", id="trust: another type"),
    ],
)
def test_one_poisoned_entry_is_told_and_does_not_stop_the_others(
    site: Site, documents: Documents, words: str
) -> None:
    node = site.nodes[0]
    documents.registers.append(register())
    taken = hear(node, encode(documents=documents))
    assert words in reasons(taken)[0]
    assert not any(isinstance(i, Drop) for i in taken)
    assert node.core.membership.registers.get(OTHER) is not None
    assert node.core.peer.heads.state.applied.counter == 1


def test_forged_and_older_things_change_nothing_at_all(site: Site) -> None:
    node = site.nodes[0]
    site.publish(replicas=2)
    site.world.run(2_000)
    documents = Documents(acknowledgements=[forged_acknowledgement()], state=[head(1, root=b"o")])
    before = node.core.peer.logs.acknowledgements()
    assert hear(node, encode(documents=documents)) == []
    assert node.core.peer.logs.acknowledgements() == before
    assert node.core.peer.heads.state.applied.counter == 2


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(encode(want=Want(registers=["x"] * (ENTRIES_MAX + 1))), id="too many entries"),
        pytest.param(b"\xff\xff", id="no frame"),
        pytest.param(b"\0" * 300_000, id="too large"),
        pytest.param(encode(hello=Hello(protocol=0)), id="a protocol nobody speaks any more"),
    ],
)
def test_a_link_is_closed_for_faults_of_the_protocol_alone(site: Site, frame: bytes) -> None:
    assert any(isinstance(i, Drop) for i in hear(site.nodes[0], frame))


def test_refused_heads_and_registers_make_no_two_peers_compare_for_ever(site: Site) -> None:
    gateway = site.gateway()
    rubbish = Documents(state=[head(1)], registers=[register(site="north")])
    hear(gateway, encode(documents=rubbish), identities.MASTER)
    assert not gateway.core.peer.links[identities.MASTER].dirty


def test_a_flood_of_refused_inputs_costs_few_journal_entries(site: Site) -> None:
    node = site.nodes[0]
    before = sum(len(s) for s in node.disk.sequences("data").values())
    frame = encode(documents=Documents(registers=[b"rubbish"] * 1000))
    for _ in range(20):
        node.feed(Received(node.core.peer.neighbours()[0], frame))
        site.world.run(1_000)
    entries = sum(len(s) for s in node.disk.sequences("data").values())
    assert before <= entries <= before + 4


def test_frames_of_strangers_and_of_newer_releases_are_ignored(site: Site) -> None:
    node = site.nodes[0]
    assert hear(node, encode(hello=Hello(protocol=1)), "stranger") == []
    assert hear(node, b"\xa2\x06\x00") == []
    assert (
        hear(node, b"\xa2\x06\x00", node.core.peer.masters()[0] if _is_gateway(node) else "") == []
    )


def _is_gateway(node: SimNode) -> bool:
    return bool(node.core.peer.masters())


def test_a_master_takes_no_probes_swarm_or_loads_and_answers_journals(site: Site) -> None:
    gateway = site.gateway()
    master: Peer = site.master.core
    now = site.world.now_ms
    for frame in (
        encode(probe=Probe(number=1)),
        encode(claim=Claim()),
        encode(documents=Documents(loads=[load(BOOT)])),
        encode(journal_batches=JournalBatches()),
        encode(journal_want=JournalWant()),
        encode(journal_offer=JournalOffer()),
    ):
        assert master.handle(Received(gateway.name, frame), now) == []
    assert master.handle(DialFailed("x", "y"), now) == []
    assert master.gateway() is None
    assert master.publish(StableRegister(), now) == []
    assert master.sites() == ["south"]


def test_a_bare_peer_between_masters_takes_nothing_of_a_site(site: Site) -> None:
    master: Peer = site.master.core
    master.handle(LinkUp(contact_of("master-2", ""), False), 0)
    assert master.handle(Received("master-2", encode(probe=Probe(number=1))), 0) == []


def test_a_master_whose_state_is_not_the_highest_is_told_above_what_to_sign(site: Site) -> None:
    master: Peer = site.master.core
    gateway = site.gateway()
    higher = head(7)
    notices = master.handle(
        Received(gateway.name, encode(documents=Documents(state=[higher]))), site.world.now_ms
    )
    assert ("state-ahead", "7") in [(i.what, i.subject) for i in notices if isinstance(i, Notice)]
    (notice,) = master.install_state(head(3), Documents())
    assert isinstance(notice, Notice)
    assert (notice.what, notice.subject) == ("state-ahead", "7")


def test_offers_of_others_are_left_unless_this_node_keeps_their_copies() -> None:
    site = Site(nodes=3)
    site.boot()
    site.world.run(8_000)
    writer = site.nodes[0]
    holder = writer.core.copy_holder()
    other = next(n for n in site.nodes if n.name not in (writer.name, holder))
    key = LogKey(writer.name, 1, b"12345678", "record")
    offer = encode(journal_offer=JournalOffer(logs=[LogDigest(log=key.name(), sequence=3)]))
    for link in list(other.core.peer.masters()):
        other.feed(LinkDown(link, "cut"))
    assert hear(other, offer, writer.name) == []
    asked = hear(site.node(holder), offer, writer.name)
    assert [Frame.FromString(i.data).WhichOneof("kind") for i in asked if isinstance(i, Send)] == [
        "journal_want"
    ]


def test_a_batch_that_the_disk_refused_may_come_again(site: Site) -> None:
    node = site.nodes[0]
    key = LogKey(OTHER, 1, b"12345678", "record")
    assert node.core.peer.handle(BatchLost(key, "full"), site.world.now_ms) == []


def test_a_link_that_was_not_there_can_go_down(site: Site) -> None:
    peer = site.nodes[0].core.peer
    assert [i.what for i in peer.handle(LinkDown("x", "y"), 0) if isinstance(i, Notice)] == ["link"]


def test_own_acknowledgements_of_a_master_go_to_its_sites_once(site: Site) -> None:
    master: Peer = site.master.core
    key = LogKey(OTHER, 1, b"12345678", "record")
    signed = acknowledge(key, 5, identities.MASTER, identities.signer("acks"))
    event = AcknowledgementsSigned((signed,))
    sent = master.handle(event, site.world.now_ms)
    assert [i.peer for i in sent if isinstance(i, Send)] == sorted(master.links)
    assert master.handle(event, site.world.now_ms) == []


def test_relays_go_round_links_that_are_cut() -> None:
    site = Site(nodes=8)
    site.boot()
    site.world.run(4_000)
    one, other = site.nodes[0], site.nodes[5]
    site.world.cut_off(one.name, other.name)
    site.world.run(1_000)
    one.feed(Received(one.core.peer.neighbours()[0], encode(fingerprint=Fingerprint(value=b"x"))))
    one.core.alarms.set("Test", "t", "news", "warning", 1)
    one.core.stale = "news"
    site.world.run(500)
    register_ = other.core.membership.registers.get(one.name)
    assert "Test" in {alarm.kind for alarm in register_.body.alarms}


def test_answers_to_probes_that_nobody_sent_are_nothing(site: Site) -> None:
    node = site.nodes[0]
    answer = ProbeAnswer(number=12345, alive=True, target="nobody")
    assert hear(node, encode(probe_answer=answer)) == []
    assert hear(node, pack([("loads", load(BOOT))])[0])  # its register is not known yet


def test_what_nobody_has_is_not_sent(site: Site) -> None:
    node, other = site.nodes
    assert node.core.membership.registers.load(other.name) is None
    assert hear(node, encode(want=Want(registers=["nobody"], loads=["nobody", other.name]))) == []


def test_a_load_is_sent_once_however_often_one_frame_asks_for_it(site: Site) -> None:
    node, other = site.nodes
    other.under_load(50)
    site.world.run(3_000)
    (answer,) = hear(node, encode(want=Want(loads=[other.name] * 100)))
    assert isinstance(answer, Send)
    (envelope,) = Frame.FromString(answer.data).documents.loads
    assert envelope == node.core.membership.registers.load_envelope(other.name)


def test_the_load_of_a_node_without_a_link_is_not_sent_for_it_may_be_old() -> None:
    site = Site(3).settle()
    other = site.node(site.serves()[0])
    node, asker = (one for one in site.nodes if one is not other)
    other.under_load(50)
    site.world.run(3_000)
    question = encode(want=Want(loads=[other.name]))
    assert hear(node, question, asker.name)
    site.world.cut_off(node.name, other.name)
    site.world.run(3_000)
    assert node.core.membership.registers.load(other.name) is not None
    assert hear(node, question, asker.name) == []


def test_a_journal_of_a_node_that_is_in_no_register_and_no_roster_is_refused(site: Site) -> None:
    node = site.nodes[0]
    key = LogKey("nobody", 1, b"12345678", "record")
    writer = BatchWriter(key, identities.signer("nobody"))
    entry = make_entry("e", "s", "c", {}, unix_ms=1, monotonic_ms=1)
    batches = JournalBatches(batches=[writer.batch([entry]).envelope])
    assert "journal" in reasons(hear(node, encode(journal_batches=batches)))[0]


def test_a_node_that_nobody_knows_leaves_no_last_words(site: Site) -> None:
    share = site.nodes[0].core.share
    share.died("nobody")
    assert share.placement is site.nodes[0].core.placement


def test_a_node_links_with_no_node_of_another_site(site: Site) -> None:
    peer = site.nodes[0].core.peer
    (drop,) = peer.handle(LinkUp(contact_of("north-1", "north"), False), site.world.now_ms)
    assert isinstance(drop, Drop)
    assert "'north'" in drop.cause
    assert "'south'" in drop.cause
    assert "north-1" not in peer.links


def test_a_master_gives_a_node_journals_of_its_own_site_alone(site: Site) -> None:
    master: Peer = site.master.core
    now = site.world.now_ms
    (held, *_) = [key for key, _, _ in master.logs.acknowledgements() if master.logs.held(key)]
    want = encode(journal_want=JournalWant(logs=[LogDigest(log=held.name(), sequence=0)]))
    for name, where, found in (("north-1", "north", 0), ("south-7", "south", 1), ("m2", "", 1)):
        master.handle(LinkUp(contact_of(name, where), True), now)
        sent = master.handle(Received(name, want), now)
        assert len([i for i in sent if isinstance(i, SendBatches) and i.peer == name]) == found
