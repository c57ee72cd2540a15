"""The authority: what it takes, what it refuses, and that it never signs two things as one."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mesh.blobs.manifest import ManifestRefused, seal
from mesh.desired.problems import ResourcesRefused
from mesh.hashing import sha256
from mesh.heads.branches import open_released, open_revocations, open_site_branch
from mesh.heads.outcome import Accepted, Known
from mesh.heads.state import State
from mesh.heads.tree import check_branch
from mesh.signed import Signer, verify
from node.disk.authority_folder import MeshPaths
from node.master.authority import Authority, Change
from node.master.errors import Busy, MasterRefused, NotFound
from node.master.revoking import Revoked
from node.master.store import SqliteStore
from protos.documents_pb2 import Manifest, Plan, StateBody, TrustBody
from tests.node.master.fleet import START_MS, Fleet

MODEL = b"""\
apiVersion: mesh/v1
kind: Model
metadata: {name: face-detector}
spec: {version: 1.2.0}
"""
SERVICE = b"""\
apiVersion: mesh/v1
kind: Service
metadata: {name: faces}
spec: {sites: [north, south], model: face-detector@1.2.0}
"""
PIPELINE = b"""\
apiVersion: mesh/v1
kind: Pipeline
metadata: {name: entrance}
spec: {sites: [north], source: camera, service: faces}
"""
ALL = b"---\n".join([PIPELINE, SERVICE, MODEL])


def body(authority: Authority) -> StateBody:
    keys = authority.trust.keys("state")
    return StateBody.FromString(verify(authority.state(), "state", keys).payload)


def plan(authority: Authority, site: str) -> Plan:
    """The site's plan, fetched and checked as a node does."""
    found = authority.branch(f"site/{site}")
    assert found is not None
    head = body(authority)
    digest = check_branch(found[0], head.root, head.leaves)
    assert digest == sha256(found[1])
    assert authority.blob(digest) == found[1]
    return open_site_branch(found[1], site).plan


def test_a_new_mesh_has_a_state_that_a_node_accepts(fleet: Fleet) -> None:
    state = State()
    assert isinstance(state.accept(fleet.authority.state(), fleet.authority.trust), Accepted)
    head = body(fleet.authority)
    assert (head.mesh, head.counter, head.trust_generation) == ("acme", 1, 1)
    assert head.signed_unix_ms == fleet.authority.signed_unix_ms == START_MS


def test_a_restart_signs_the_same_bytes_again(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    fleet.authority.apply(ALL)
    before = fleet.authority.state()
    fleet.clock.now_ms += 1000
    fleet.reopen()
    assert fleet.authority.state() == before
    assert [one.name for one in plan(fleet.authority, "north").services] == ["faces"]


def test_apply_reaches_the_plans(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    counter = fleet.authority.counter
    applied = fleet.authority.apply(ALL)
    assert applied.changes == (
        Change("Pipeline", "entrance", "created"),
        Change("Service", "faces", "created"),
        Change("Model", "face-detector", "created"),
    )
    assert applied.counter == fleet.authority.counter == counter + 1
    assert [one.name for one in plan(fleet.authority, "north").pipelines] == ["entrance"]
    assert not plan(fleet.authority, "south").pipelines
    assert fleet.authority.content.generations["Service", "faces"] == counter + 1


def test_sites_without_a_node_are_a_warning(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    fleet.join("node-1", "north")
    warnings = [one.text() for one in fleet.authority.apply(ALL).warnings]
    assert warnings == [
        "9:15: spec.sites: no node is enrolled in site 'south' yet; "
        "enrol one: meshctl token create --site south"
    ]


def test_what_already_holds_changes_nothing(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    fleet.authority.apply(ALL)
    before = fleet.authority.state()
    same = SERVICE.replace(b"[north, south]", b"[ north,south ]") + b"# a comment\n"
    again = fleet.authority.apply(same)
    assert again.changes == (Change("Service", "faces", "unchanged"),)
    assert fleet.authority.state() == before


def test_a_change_that_no_plan_shows_keeps_the_counter(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    counter = fleet.authority.apply(ALL).counter
    changed = SERVICE.replace(b"{name: faces}", b"{name: faces, labels: {owner: ada}}")
    applied = fleet.authority.apply(changed)
    assert applied.changes == (Change("Service", "faces", "configured"),)
    assert applied.counter == counter
    fleet.reopen()
    assert fleet.authority.content.resources.by_key["Service", "faces"].metadata.labels == {
        "owner": "ada"
    }


def test_a_dry_run_does_nothing(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    before = fleet.authority.state()
    applied = fleet.authority.apply(ALL, dry_run=True)
    assert applied.counter == fleet.authority.counter + 1
    assert fleet.authority.state() == before
    assert not fleet.authority.content.resources.by_key


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        pytest.param(ALL, "3[^\n]*has not been pushed", id="a model that was not pushed"),
        pytest.param(MODEL + b"---\nkind: Pod\n", "containers and VMs", id="one bad document"),
        pytest.param(b"kind: \xff\n", "1:1: this is not UTF-8", id="not UTF-8"),
    ],
)
def test_all_or_nothing(fleet: Fleet, yaml: bytes, message: str) -> None:
    before = fleet.authority.state()
    with pytest.raises(ResourcesRefused, match=message):
        fleet.authority.apply(yaml)
    assert fleet.authority.state() == before
    assert not fleet.authority.content.resources.by_key


def test_delete(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    counter = fleet.authority.apply(ALL).counter
    deleted = fleet.authority.delete("pipelines", "entrance")
    assert deleted.changes == (Change("Pipeline", "entrance", "deleted"),)
    assert deleted.counter == counter + 1
    assert not plan(fleet.authority, "north").pipelines
    fleet.reopen()
    assert ("Pipeline", "entrance") not in fleet.authority.content.resources.by_key


def test_what_others_need_is_not_deleted(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    fleet.authority.apply(ALL)
    with pytest.raises(MasterRefused, match="needed by Service 'faces'; delete that first"):
        fleet.authority.delete("model", "face-detector")
    with pytest.raises(NotFound, match="there is no Service 'plates'"):
        fleet.authority.delete("service", "plates")
    with pytest.raises(NotFound, match="there is no Pod 'x'"):
        fleet.authority.delete("Pod", "x")


def test_release(fleet: Fleet) -> None:
    envelope = fleet.manifest("bulk", "v1")
    counter = fleet.authority.release(envelope)
    assert fleet.authority.release(envelope) == counter
    found = fleet.authority.branch("released")
    assert found is not None
    (artifact,) = open_released(found[1]).artifacts
    assert (artifact.name, artifact.version, artifact.digest) == ("bulk", "v1", sha256(envelope))
    fleet.reopen()
    assert fleet.authority.blob(sha256(envelope)) == envelope
    assert fleet.authority.content.releases["bulk", "v1"].total_bytes == 1


def test_a_version_never_changes_its_content(fleet: Fleet) -> None:
    fleet.authority.release(fleet.manifest("bulk", "v1"))
    with pytest.raises(MasterRefused, match="a version never changes"):
        fleet.authority.release(fleet.manifest("bulk", "v1", data=b"other"))


def test_only_a_release_key_releases(fleet: Fleet) -> None:
    manifest = Manifest.FromString(
        verify(
            fleet.manifest("bulk", "v1"), "manifest", fleet.authority.trust.keys("release")
        ).payload
    )
    forged = seal(manifest, fleet.keys.state_signer)
    with pytest.raises(ManifestRefused, match="unknown key"):
        fleet.authority.release(forged)


def test_revoke(fleet: Fleet) -> None:
    fleet.join("node-1", "north")
    fleet.join("node-2", "north")
    done = fleet.authority.revoke("node-1", "stolen")
    assert done.already == ""
    assert fleet.authority.revoke("node-1", "again") == Revoked(done.counter, "stolen")
    branch = fleet.authority.branch("site/north")
    assert branch is not None
    assert [one.node for one in open_site_branch(branch[1], "north").roster] == ["node-2"]
    revocations = fleet.authority.branch("revocations")
    assert revocations is not None
    (entry,) = open_revocations(revocations[1]).entries
    assert (entry.subject, entry.reason) == ("spiffe://acme/site/north/node/node-1", "stolen")
    assert entry.tls_key == fleet.authority.content.nodes["node-1"].tls_key
    event = fleet.authority.events()[-1]
    assert (event.event, event.subject) == ("node.revoked", "node-1")
    assert (event.cause, event.sites) == ("stolen", ["north"])


def test_a_site_whose_last_node_is_revoked_keeps_its_branch(fleet: Fleet) -> None:
    fleet.join("node-1", "north")
    fleet.authority.revoke("node-1", "")
    fleet.reopen()
    branch = fleet.authority.branch("site/north")
    assert branch is not None
    assert not open_site_branch(branch[1], "north").roster


def test_bad_revocations(fleet: Fleet) -> None:
    with pytest.raises(NotFound, match="there is no node 'node-9'"):
        fleet.authority.revoke("node-9", "stolen")
    with pytest.raises(MasterRefused, match="printable"):
        fleet.authority.revoke("node-9", "\x1b[31m")


def test_restart_raises_the_plans_counter(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    fleet.authority.apply(ALL)
    fleet.authority.restart("faces", "south")
    counter = fleet.authority.restart("faces")
    assert counter == fleet.authority.counter
    assert plan(fleet.authority, "north").services[0].restarts == 1
    assert plan(fleet.authority, "south").services[0].restarts == 2
    fleet.reopen()
    fleet.authority.restart("entrance")
    assert plan(fleet.authority, "south").services[0].restarts == 2
    assert plan(fleet.authority, "north").pipelines[0].restarts == 1


def test_what_does_not_run_is_not_restarted(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    fleet.authority.apply(ALL)
    with pytest.raises(NotFound, match="no workload 'plates'"):
        fleet.authority.restart("plates")
    with pytest.raises(NotFound, match="no workload 'entrance' in site 'south'"):
        fleet.authority.restart("entrance", "south")


def test_a_master_from_yesterdays_backup_continues_above_what_its_peers_have(
    fleet: Fleet,
) -> None:
    fleet.release("face-detector", "1.2.0")
    fleet.store.close()
    yesterday = fleet.path.read_bytes()
    fleet.open()
    fleet.authority.apply(ALL)
    node = State()
    node.accept(fleet.authority.state(), fleet.authority.trust)
    seen = body(fleet.authority)
    digest = fleet.authority._publisher.published.digest

    fleet.store.close()
    fleet.path.write_bytes(yesterday)
    fleet.open()
    fleet.authority.release(fleet.manifest("bulk", "v1"))
    assert fleet.authority.counter == seen.counter
    assert fleet.authority.raise_above(seen.counter, digest) == seen.counter + 1
    assert isinstance(node.accept(fleet.authority.state(), fleet.authority.trust), Accepted)


def test_a_head_that_is_ours_or_older_raises_nothing(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    state = fleet.authority.state()
    published = fleet.authority._publisher.published
    assert fleet.authority.raise_above(published.counter - 1, b"x" * 32) == published.counter
    assert fleet.authority.raise_above(published.counter, published.digest) == published.counter
    assert fleet.authority.raise_above(published.counter) == published.counter
    assert fleet.authority.state() == state
    assert fleet.authority.raise_above(500) == 501


def test_the_highest_counter_of_all_needs_a_new_trust_generation(fleet: Fleet) -> None:
    with pytest.raises(MasterRefused, match="new trust generation"):
        fleet.authority.raise_above(2**63 - 1)


def test_of_two_masters_on_one_store_one_has_to_try_again(fleet: Fleet) -> None:
    other = Authority(SqliteStore(fleet.path, "acme"), fleet.keys, fleet.clock, str)
    fleet.release("face-detector", "1.2.0")
    with pytest.raises(Busy):
        other.release(fleet.manifest("bulk", "v1"))
    assert other.state() == fleet.authority.state()
    other.release(fleet.manifest("bulk", "v1"))
    assert ("face-detector", "1.2.0") in other.content.releases
    node = State()
    node.accept(fleet.authority.state(), fleet.authority.trust)
    assert isinstance(node.accept(other.state(), other.trust), Accepted)


def test_a_node_that_knows_the_state_learns_nothing_new_after_a_restart(fleet: Fleet) -> None:
    node = State()
    node.accept(fleet.authority.state(), fleet.authority.trust)
    fleet.reopen()
    assert isinstance(node.accept(fleet.authority.state(), fleet.authority.trust), Known)


def test_a_new_trust_generation_is_signed_into_a_state_of_its_own(
    fleet: Fleet, paths: MeshPaths
) -> None:
    fleet.release("bulk", "v1", "data")
    counter = fleet.authority.counter
    root_key = load_pem_private_key((paths.root / "root-key.pem").read_bytes(), None)
    assert isinstance(root_key, Ed25519PrivateKey)
    trust = TrustBody.FromString(
        verify(fleet.keys.trust_envelope, "trust", [fleet.keys.root_key]).payload
    )
    trust.generation = 2
    envelope = Signer(root_key).sign("trust", trust.SerializeToString(deterministic=True))
    fleet.keys = replace(fleet.keys, trust_envelope=envelope)
    fleet.reopen()
    head = body(fleet.authority)
    assert (head.trust_generation, head.counter) == (2, counter + 1)
    fleet.reopen()
    assert body(fleet.authority) == head


def test_unknown_branches_and_blobs_are_none(fleet: Fleet) -> None:
    assert fleet.authority.branch("site/nowhere") is None
    assert fleet.authority.blob(bytes(32)) is None
