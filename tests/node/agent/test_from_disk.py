"""What a node takes from its disk at the start: whole, older, damaged, of another state."""

from pathlib import Path

import pytest

from mesh.hashing import sha256
from mesh.heads.tree import Tree
from mesh.heads.trust import Trust
from node.agent.from_disk import FromDisk
from node.agent.stores import Stores
from node.disk.files import Disk
from protos.documents_pb2 import (
    KeptInForce,
    ModelPlan,
    Plan,
    Released,
    Revocations,
    ServicePlan,
    SiteBranch,
    StableRegister,
    StateBody,
)
from protos.peer_pb2 import Documents
from tests.node.agent.stores import make_stores
from tests.node.agent.test_artifacts import ARTIFACT
from tests.sim import identities

TRUST = Trust(identities.signer("root").public_key, identities.trust_envelope())

MODEL = ModelPlan(name="m", version="1.0.0", artifact=ARTIFACT.digest, staged=True)


class State:
    """A state of the authority, with the branches of the site."""

    def __init__(self, counter: int, version: str = "1.0.0", site: str = "north") -> None:
        model = ModelPlan(name="m", version=version, artifact=ARTIFACT.digest, staged=True)
        branch = SiteBranch(site=site, plan=Plan(site=site, models=[model]))
        messages = {"site/north": branch, "revocations": Revocations(), "released": Released()}
        self.blobs = {name: m.SerializeToString() for name, m in messages.items()}
        tree = Tree({name: sha256(blob) for name, blob in self.blobs.items()})
        self.branches = Documents(branches=[tree.branch(name) for name in sorted(messages)])
        body = StateBody(
            mesh=identities.MESH,
            trust_generation=1,
            counter=counter,
            root=tree.root,
            leaves=tree.count,
            signed_unix_ms=1,
            min_reader=1,
        )
        self.envelope = identities.signer("state").sign("state", body.SerializeToString())

    def save(self, stores: Stores) -> None:
        """As a node saves it that has applied it."""
        stores.documents.put("state-seen", self.envelope)
        for blob in self.blobs.values():
            stores.blobs.put(blob)
        stores.documents.put("branches", self.branches.SerializeToString())
        stores.documents.put("state-applied", self.envelope)


def damage(folder: Path, pattern: str) -> None:
    """Flips a bit in the middle of each of these files."""
    found = list(folder.rglob(pattern))
    assert found
    for path in found:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return make_stores(tmp_path, Disk())


def test_an_empty_disk_is_no_damage(stores: Stores) -> None:
    disk = FromDisk(stores, "north")
    flow = disk.heads(TRUST)
    assert flow.state.seen is None
    assert disk.manifests(flow) == []
    assert disk.damaged == []


def test_what_was_applied_is_in_force_with_its_manifests(stores: Stores) -> None:
    State(5).save(stores)
    stores.blobs.put(ARTIFACT.envelope)
    disk = FromDisk(stores, "north")
    flow = disk.heads(TRUST)
    assert flow.state.applied is not None
    assert flow.state.applied.counter == 5
    assert sorted(flow.contents()) == ["released", "revocations", "site/north"]
    assert disk.manifests(flow) == [ARTIFACT.envelope]
    assert disk.damaged == []


@pytest.mark.parametrize("what", ["a blob", "the branches"])
def test_a_plan_that_is_damaged_is_seen_and_not_in_force(
    stores: Stores, tmp_path: Path, what: str
) -> None:
    state = State(5)
    state.save(stores)
    site = sha256(state.blobs["site/north"]).hex()
    damage(tmp_path, site if what == "a blob" else "branches.*")
    disk = FromDisk(stores, "north")
    flow = disk.heads(TRUST)
    assert flow.state.applied is None
    assert flow.state.floor == (1, 5)  # the floor against older states stays
    assert "the plan in force is damaged: it is fetched again from a peer" in disk.damaged
    assert flow.resume(["p"])  # and it is asked for
    assert disk.manifests(flow) == []


def test_the_plan_that_was_in_force_stays_so_where_the_one_applied_after_it_is_refused(
    stores: Stores,
) -> None:
    good = SiteBranch(site="north", plan=Plan(site="north", models=[MODEL]))
    kept = KeptInForce(counter=4, branch=good.SerializeToString())
    stores.documents.put("in-force", kept.SerializeToString())
    State(5, site="another").save(stores)
    stores.blobs.put(ARTIFACT.envelope)
    disk = FromDisk(stores, "north")
    flow = disk.heads(TRUST)
    assert flow.state.applied is not None
    assert disk.branch(flow) == good
    assert disk.manifests(flow) == [ARTIFACT.envelope]


def test_a_damaged_word_about_what_is_applied_is_mended_by_its_branches(
    stores: Stores, tmp_path: Path
) -> None:
    State(5).save(stores)
    damage(tmp_path, "state-applied.*")
    disk = FromDisk(stores, "north")
    flow = disk.heads(TRUST)
    assert flow.state.applied is not None
    assert "'state-applied' and the copy before it are damaged" in disk.damaged[0]


def test_a_copy_from_before_is_used_and_said(stores: Stores, tmp_path: Path) -> None:
    State(5).save(stores)
    State(6, "1.0.1").save(stores)
    damage(tmp_path, "state-applied.doc")
    disk = FromDisk(stores, "north")
    flow = disk.heads(TRUST)
    # The older word does not fit the branches; these prove that the newer state is whole.
    assert flow.state.applied is not None
    assert flow.state.applied.counter == 6
    assert disk.damaged == ["the document 'state-applied' is damaged: the copy before it is used"]


def test_what_is_damaged_and_read_again_is_said_once(stores: Stores, tmp_path: Path) -> None:
    for counter in (4, 5):
        stores.documents.put("in-force", KeptInForce(counter=counter).SerializeToString())
    damage(tmp_path, "in-force.doc")
    disk = FromDisk(stores, "north")
    flow = disk.heads(TRUST)
    assert disk.branch(flow) == SiteBranch()
    assert disk.manifests(flow) == []
    assert disk.damaged == ["the document 'in-force' is damaged: the copy before it is used"]


def test_a_state_that_is_none_is_said_and_not_taken(stores: Stores) -> None:
    stores.documents.put("state-seen", b"\xff" * 40)
    disk = FromDisk(stores, "north")
    assert disk.heads(TRUST).state.seen is None
    assert "cannot be read" in disk.damaged[0]


def test_a_plan_that_cannot_be_read_names_no_manifests(stores: Stores) -> None:
    State(5).save(stores)
    disk = FromDisk(stores, "north")
    flow = disk.heads(TRUST)
    assert FromDisk(stores, "south").manifests(flow) == []
    digest = flow.branches["site/north"].digest
    flow.blobs[digest] = b"\xff"
    assert disk.manifests(flow) == []


def test_the_manifests_of_what_ran_last_and_of_the_last_good_version_are_there_at_once(
    stores: Stores,
) -> None:
    stores.blobs.put(ARTIFACT.envelope)
    good = ServicePlan(name="faces", artifact=ARTIFACT.digest)
    kept = {"ran": Plan(services=[good]), "rollouts": StableRegister(last_good=[good])}
    for name, document in kept.items():
        stores.documents.put(name, document.SerializeToString())
        disk = FromDisk(stores, "north")
        assert disk.manifests(disk.heads(TRUST)) == [ARTIFACT.envelope]
        stores.documents.put(name, b"")
