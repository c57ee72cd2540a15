"""The two heads on their way: what is fetched, applied, kept, relayed and refused."""

import pytest

from mesh.events import Contact, Instruction, Notice, SaveBlob, SaveDocument, Send, SendBlobs
from mesh.exchange.heads_flow import BRANCHES_ASKED_MAX, EVIDENCE_MAX, HeadsFlow
from mesh.hashing import sha256
from mesh.heads.state import State
from mesh.heads.tree import Tree
from mesh.heads.trust import Trust
from protos.documents_pb2 import Branch, StateBody
from protos.peer_pb2 import Documents, Frame, Want
from tests.sim import identities

NAMES = ("revocations", "site/south")


class Said:
    """A state as the authority signs it."""

    def __init__(
        self, counter: int, content: str = "x", trust: int = 1, reader: int = 1, **more: str
    ) -> None:
        texts = {"revocations": "", "site/south": content, "site/north": "n", **more}
        self.blobs = {name: text.encode() for name, text in texts.items()}
        self.tree = Tree({name: sha256(blob) for name, blob in self.blobs.items()})
        body = StateBody(
            mesh=identities.MESH,
            trust_generation=trust,
            counter=counter,
            root=self.tree.root,
            leaves=self.tree.count,
            signed_unix_ms=1,
            min_reader=reader,
        )
        self.counter = counter
        self.envelope = identities.signer("state").sign("state", body.SerializeToString())

    def branches(self, *names: str) -> Documents:
        found = [self.tree.branch(name) for name in names or NAMES]
        return Documents(branches=found, branches_counter=self.counter)


def flow(
    names: tuple[str, ...] = NAMES, state: State | None = None, said: Said | None = None
) -> HeadsFlow:
    trust = Trust(identities.signer("root").public_key, identities.trust_envelope())
    branches = {name: said.tree.branch(name) for name in NAMES} if said else {}
    blobs = {sha256(said.blobs[name]): said.blobs[name] for name in NAMES} if said else {}
    return HeadsFlow(trust, state or State(), names, branches, blobs)


def applied(said: Said) -> HeadsFlow:
    """A flow in which a state is in force."""
    heads = flow()
    assert heads.take_state(said.envelope, "n1")
    heads.take_branches(said.branches(), "n1")
    for name in NAMES:
        heads.take_blob(said.blobs[name], "n1")
    assert heads.state.applied is not None
    return heads


def asker(role: str = "node", site: str = "south") -> Contact:
    return Contact("n1", role, site, b"t" * 32, b"s" * 32)


def wants(instructions: list[Instruction]) -> list[Want]:
    frames = [Frame.FromString(i.data) for i in instructions if isinstance(i, Send)]
    return [frame.want for frame in frames if frame.WhichOneof("kind") == "want"]


def notices(instructions: list[Instruction]) -> list[str]:
    return [i.what for i in instructions if isinstance(i, Notice)]


def documents(instructions: list[Instruction]) -> list[str]:
    return [i.name for i in instructions if isinstance(i, SaveDocument)]


def test_a_state_is_persisted_fetched_whole_then_applied() -> None:
    heads, said = flow(), Said(1)
    first = heads.take_state(said.envelope, "n1")
    assert documents(first) == ["state-seen"]
    assert list(wants(first)[0].branches) == list(NAMES)
    second = heads.take_branches(said.branches(), "n1")
    assert len(wants(second)[0].blobs) == 2
    third = heads.take_blob(said.blobs["site/south"], "n1")
    assert third == [SaveBlob(said.blobs["site/south"], "branch from n1")]
    assert heads.state.applied is None
    last = heads.take_blob(said.blobs["revocations"], "n1")
    assert documents(last) == ["branches", "state-applied"]
    assert notices(last) == ["state"]
    assert heads.contents() == {name: said.blobs[name] for name in NAMES}
    assert heads.resume(["n1"]) == []
    assert heads.take_branches(said.branches(), "n1") == []
    assert heads.take_blob(said.blobs["revocations"], "n1") == []


def test_what_did_not_change_is_not_fetched_again() -> None:
    heads, said = applied(Said(1)), Said(2, north="changed")
    heads.take_state(said.envelope, "n1")
    assert notices(heads.take_branches(said.branches(), "n1")) == ["state"]


def test_branches_of_another_state_and_blobs_nobody_asked_for_are_ignored() -> None:
    heads, said = flow(), Said(2)
    heads.take_state(said.envelope, "n1")
    assert heads.take_branches(Said(1).branches(), "n1") == []
    assert heads.take_blob(b"whatever", "n1") == []


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param(Branch(name="site/south", digest=b"d" * 32, index=1), id="no proof"),
        pytest.param(Said(2).tree.branch("site/north"), id="not asked for"),
        pytest.param(Branch(), id="empty"),
    ],
)
def test_one_bad_branch_does_not_stop_the_others(poison: Branch) -> None:
    heads, said = flow(), Said(2)
    heads.take_state(said.envelope, "n1")
    message = said.branches()
    message.branches.insert(0, poison)
    taken = heads.take_branches(message, "n1")
    assert notices(taken) == ["refused"]
    assert len(wants(taken)[0].blobs) == 2


def test_branches_that_come_again_beget_no_question() -> None:
    heads, said = flow(), Said(1)
    heads.take_state(said.envelope, "n1")
    assert wants(heads.take_branches(said.branches("revocations"), "n1")) == []
    assert len(wants(heads.take_branches(said.branches("site/south"), "n1"))) == 1
    assert heads.take_branches(said.branches(), "n1") == []


def test_a_state_for_newer_readers_is_kept_relayed_and_never_fetched() -> None:
    heads, newer = applied(Said(1)), Said(2, reader=99)
    taken = heads.take_state(newer.envelope, "n1")
    assert documents(taken) == ["state-seen"]
    assert notices(taken) == ["too-new"]
    assert heads.too_new
    assert wants(taken) == []
    assert heads.resume(["n1"]) == []
    assert heads.take_branches(newer.branches(), "n1") == []
    assert heads.state.applied.counter == 1  # type: ignore[union-attr]
    assert heads.documents(trust=False, state=True) == [("state", newer.envelope)]
    assert heads.digests()[1].counter == 2
    restarted = flow(state=State(newer.envelope, Said(1).envelope), said=Said(1))
    assert restarted.too_new
    assert restarted.resume(["n1"]) == []
    assert restarted.contents()["site/south"] == b"x"
    heads.take_state(Said(3).envelope, "n1")
    assert not heads.too_new
    assert len(wants(heads.resume(["n1"]))) == 1


def test_a_claimed_trust_generation_is_asked_for_once_a_peer_and_generation() -> None:
    heads = flow()
    liar = Said(1, trust=7).envelope
    assert [want.trust for want in wants(heads.take_state(liar, "n1"))] == [True]
    assert heads.take_state(liar, "n1") == []
    assert len(wants(heads.take_state(liar, "n2"))) == 1
    assert len(wants(heads.take_state(Said(1, trust=8).envelope, "n1"))) == 1
    assert heads.take_trust(identities.trust_envelope(2), "n2")[1:] == [
        Notice("trust", "2", "from n2")
    ]
    assert heads.take_trust(identities.trust_envelope(2), "n2") == []


def test_the_same_number_with_other_content_keeps_the_first_and_both_as_evidence() -> None:
    first, other = Said(1), Said(1, content="other")
    heads = applied(first)
    taken = heads.take_state(other.envelope, "n1")
    evidence = next(i for i in taken if isinstance(i, Notice))
    assert (evidence.data.kept, evidence.data.other) == (first.envelope, other.envelope)
    assert [(i.name, i.data) for i in taken if isinstance(i, SaveDocument)] == [
        ("equivocation-state", other.envelope)
    ]
    assert documents(heads.take_state(other.envelope, "n2")) == []
    for number in range(EVIDENCE_MAX):
        last = heads.take_state(Said(1, content=f"more {number}").envelope, "n1")
    assert documents(last) == []
    assert notices(last) == ["equivocation"]
    assert heads.contents()["site/south"] == b"x"


@pytest.mark.parametrize(
    "envelope",
    [
        pytest.param(b"rubbish", id="no envelope"),
        pytest.param(identities.signer("acks").sign("state", b""), id="by a key that may not"),
    ],
)
def test_a_bad_head_is_told_with_who_sent_it(envelope: bytes) -> None:
    heads = flow()
    for taken in (heads.take_state(envelope, "liar"), heads.take_trust(envelope, "liar")):
        assert [i.subject for i in taken if isinstance(i, Notice)] == ["liar"]


def test_an_older_state_is_not_taken_and_not_answered() -> None:
    heads = applied(Said(2))
    assert heads.take_state(Said(1).envelope, "n1") == []
    assert heads.digests()[1].counter == 2


def test_a_crash_between_branches_and_head_leaves_the_newer_state_whole() -> None:
    old, new = Said(1), Said(2, content="new")
    heads = flow(state=State(new.envelope, old.envelope), said=new)
    assert heads.state.applied.counter == 2  # type: ignore[union-attr]
    behind = flow(state=State(new.envelope, old.envelope), said=old)
    assert behind.state.applied.counter == 1  # type: ignore[union-attr]
    assert len(wants(behind.resume(["n1"]))) == 1
    nothing = flow(state=State(new.envelope))
    assert nothing.state.applied is None
    torn = flow(state=State(new.envelope, old.envelope), said=new)
    torn.blobs.clear()
    assert torn.contents() == {}


def test_a_master_fetches_nothing_and_hears_that_it_is_behind() -> None:
    master = flow(names=())
    taken = master.take_state(Said(5).envelope, "n1")
    assert notices(taken) == ["state-ahead"]
    assert master.resume(["n1"]) == []


def test_only_the_head_seen_last_can_be_installed() -> None:
    with pytest.raises(AssertionError):
        flow(names=()).install(Said(1).envelope, {}, {}, "own")


def test_what_is_asked_for_is_bounded_and_each_thing_sent_once() -> None:
    said = Said(1)
    heads = applied(said)
    asked = Want(state_counter=1, branches=["site/south"] * 4000 + ["site/nowhere"])
    (sent,) = heads.serve(asked, asker())
    assert isinstance(sent, Send)
    assert len(Frame.FromString(sent.data).documents.branches) == 1
    (blobs,) = heads.serve(Want(blobs=[b"%d" % n for n in range(1000)] * 2), asker())
    assert isinstance(blobs, SendBlobs)
    assert len(blobs.digests) <= BRANCHES_ASKED_MAX
    assert heads.serve(Want(state_counter=2, branches=["site/south"]), asker()) == []


@pytest.mark.parametrize(
    ("who", "names"),
    [
        pytest.param(asker(), ["revocations", "site/south"], id="a node of the site"),
        pytest.param(asker(site="north"), ["revocations", "site/north"], id="of another"),
        pytest.param(asker(site=""), ["revocations"], id="of none"),
        pytest.param(
            asker("master", ""), ["revocations", "site/north", "site/south"], id="a master"
        ),
    ],
)
def test_a_node_gets_its_own_sites_branch_and_the_common_ones(
    who: Contact, names: list[str]
) -> None:
    said = Said(1)
    master, manifest = flow(names=()), b"m" * 32
    master.state.accept(said.envelope, master.trust)
    every = {name: said.tree.branch(name) for name in said.blobs}
    master.install(said.envelope, every, {}, "own")
    asked = Want(state_counter=1, branches=sorted(every))
    asked.blobs.extend([*(branch.digest for branch in every.values()), manifest])
    sent, blobs = master.serve(asked, who)
    assert isinstance(sent, Send)
    found = Frame.FromString(sent.data).documents.branches
    assert [branch.name for branch in found] == names
    assert isinstance(blobs, SendBlobs)
    assert set(blobs.digests) == {manifest, *(every[name].digest for name in names)}
