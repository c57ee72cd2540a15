"""Compilation: what the sites get, and that the same input always makes the same bytes."""

import itertools

import pytest

from mesh.desired.collection import Release, Resources
from mesh.desired.compile import Inputs, compile_all, compile_site
from mesh.desired.parse import parse
from mesh.desired.problems import ResourcesRefused
from mesh.heads.branches import open_released, open_revocations, open_site_branch
from mesh.heads.limits import FORMER_MAX
from protos.documents_pb2 import FormerEntry, Revocation
from tests.mesh.desired.example import DIGEST, EXAMPLE, RELEASED, entry, resources

ROSTERS = {"north": [entry("node-b"), entry("node-a")], "south": [entry("node-c")]}


def test_a_sites_branch_says_what_the_example_says() -> None:
    branch = compile_site("north", resources(), RELEASED, ROSTERS["north"], {("north", "faces"): 3})
    assert [one.node for one in branch.roster] == ["node-a", "node-b"]
    assert dict(branch.labels) == {"region": "eu"}
    (model,) = branch.plan.models
    assert (model.name, model.version, model.artifact) == ("face-detector", "1.2.0", DIGEST)
    assert (model.max_latency_ms, model.soak_ms, model.staged) == (50, 30_000, False)
    (service,) = branch.plan.services
    assert (service.name, service.model, service.model_version) == (
        "faces",
        "face-detector",
        "1.2.0",
    )
    assert (service.replicas_min, service.replicas_max, service.cores) == (2, 3, 1)
    assert (service.memory_bytes, service.queue_delay_ms) == (512 * 1024**2, 20)
    assert (service.down_after_ms, service.spares, service.restarts) == (60_000, 1, 3)
    assert (service.device, service.max_latency_ms, service.soak_ms) == ("CPU", 50, 30_000)
    assert service.artifact == DIGEST
    (pipeline,) = branch.plan.pipelines
    assert (pipeline.source, pipeline.service, pipeline.every_ms) == (
        "entrance-camera",
        "faces",
        200,
    )
    assert (pipeline.exclusive, pipeline.run_on_split, pipeline.restarts) == (True, True, 0)
    assert (pipeline.journal_on_change, pipeline.journal_summary_every_ms) == (True, 10_000)
    assert list(branch.plan.autonomy.allow) == ["pin", "restart", "rollback", "scale"]
    assert branch.plan.autonomy.until_ms == 90 * 86_400_000


def test_a_site_without_a_resource_of_its_own_has_the_defaults() -> None:
    branch = compile_site("south", resources(), RELEASED, ROSTERS["south"])
    assert [one.name for one in branch.plan.services] == ["faces"]
    assert not branch.plan.pipelines
    assert list(branch.plan.autonomy.allow) == ["restart"]
    assert not branch.labels


def test_every_branch_is_one_that_a_node_accepts() -> None:
    revocation = Revocation(
        subject="spiffe://acme/site/north/node/x", tls_key=DIGEST, reason="stolen", unix_ms=5
    )
    inputs = Inputs(resources(), RELEASED, ROSTERS, {}, [revocation])
    blobs = compile_all(inputs)
    assert sorted(blobs) == ["released", "revocations", "site/north", "site/south"]
    assert open_site_branch(blobs["site/north"], "north").plan.site == "north"
    assert [one.reason for one in open_revocations(blobs["revocations"]).entries] == ["stolen"]
    (artifact,) = open_released(blobs["released"]).artifacts
    assert (artifact.name, artifact.version, artifact.digest) == ("face-detector", "1.2.0", DIGEST)


def test_the_order_of_the_input_does_not_matter() -> None:
    parts = [one.resource for one in parse(EXAMPLE)]
    made = {
        tuple(compile_all(Inputs(Resources.of(order), RELEASED, ROSTERS)).items())
        for order in itertools.permutations(parts)
    }
    backwards = {site: ROSTERS[site][::-1] for site in reversed(ROSTERS)}
    made.add(tuple(compile_all(Inputs(Resources.of(parts), RELEASED, backwards)).items()))
    assert len(made) == 1


def test_a_selector_finds_sites_by_label() -> None:
    text = EXAMPLE.replace("[north, south]", "{matchLabels: {region: eu}}")
    blobs = compile_all(Inputs(resources(text), RELEASED, ROSTERS))
    assert open_site_branch(blobs["site/north"], "north").plan.services
    assert not open_site_branch(blobs["site/south"], "south").plan.services


STAGED = """\
apiVersion: mesh/v1
kind: Model
metadata: {name: bulk}
spec: {version: v1, stage: {sites: [south]}}
"""


def test_a_staged_artifact_goes_to_its_sites_alone_and_needs_no_service() -> None:
    released = {**RELEASED, ("bulk", "v1"): Release(DIGEST, "data")}
    blobs = compile_all(Inputs(resources(EXAMPLE + "---\n" + STAGED), released, ROSTERS))
    south = open_site_branch(blobs["site/south"], "south").plan.models
    assert [(one.name, one.staged) for one in south] == [("bulk", True), ("face-detector", False)]
    north = open_site_branch(blobs["site/north"], "north").plan.models
    assert [one.name for one in north] == ["face-detector"]


def test_a_model_that_is_staged_and_served_is_there_once() -> None:
    text = EXAMPLE.replace("1.2.0, gate:", "1.2.0, stage: {sites: [north]}, gate:")
    (model,) = compile_site("north", resources(text), RELEASED, []).plan.models
    assert model.staged


def test_a_mesh_without_anything_has_its_two_branches() -> None:
    assert sorted(compile_all(Inputs())) == ["released", "revocations"]


def test_a_site_that_is_only_spoken_of_has_a_branch_too() -> None:
    blobs = compile_all(Inputs(resources(), RELEASED))
    assert not open_site_branch(blobs["site/south"], "south").roster


def _many_services(count: int) -> Resources:
    document = """
apiVersion: mesh/v1
kind: Service
metadata: {{name: s{0}}}
spec: {{sites: [north], model: face-detector@1.2.0}}
"""
    text = "---".join(document.format(index) for index in range(count))
    return resources(EXAMPLE).with_all(one.resource for one in parse(text))


@pytest.mark.parametrize(("many", "rosters_from"), [(FORMER_MAX, 0), (FORMER_MAX + 3, 4)])
def test_the_last_that_a_site_lost_are_told_and_from_which_state_on_that_is_all(
    many: int, rosters_from: int
) -> None:
    former = [FormerEntry(node=f"n{i}", tls_key=DIGEST, until=i + 2) for i in range(many)]
    inputs = Inputs(resources(), RELEASED, ROSTERS, former={"north": former[::-1]})
    blobs = compile_all(inputs)
    branch = open_site_branch(blobs["site/north"], "north")
    assert list(branch.former) == former[-FORMER_MAX:]
    assert branch.rosters_from == rosters_from
    assert not open_site_branch(blobs["site/south"], "south").former


def test_more_than_a_site_can_carry_is_refused() -> None:
    with pytest.raises(ResourcesRefused, match=r"site/north: plan\.services\.size"):
        compile_all(Inputs(_many_services(256), RELEASED, ROSTERS))


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(
            Inputs(released={(f"m{i}", "v"): Release(DIGEST) for i in range(5000)}),
            id="too many released artifacts",
        ),
        pytest.param(
            Inputs(revocations=[Revocation(subject="x", tls_key=DIGEST)]), id="bad revocation"
        ),
    ],
)
def test_what_nobody_would_accept_is_not_compiled(inputs: Inputs) -> None:
    with pytest.raises(ResourcesRefused):
        compile_all(inputs)
