"""Exclusive pipelines with `onSplit: run` in simulated sites: both parts run them, and say so."""

from protos.documents_pb2 import JournalBatch, JournalEntry, PipelinePlan
from protos.signed_pb2 import Envelope
from tests.mesh.core.test_leases_in_a_site import DOOR, SOON_MS, join, part, runners
from tests.sim.nodes import SimNode
from tests.sim.site import Site


def test_what_prefers_to_run_runs_in_both_parts_and_the_overlap_is_told_and_ends() -> None:
    site = Site(2)
    for node in site.nodes:
        node.sources = ("camera",)
    site.boot()
    plan = PipelinePlan()
    plan.CopyFrom(DOOR)
    plan.run_on_split = True
    other = PipelinePlan(name="window", source="camera", service="faces", every_ms=100)
    site.publish(replicas=1, pipelines=(plan, other))
    site.world.run_until(lambda: len(runners(site)) == 1, SOON_MS, "the door runs")
    site.cut_wan()
    part(site, {site.nodes[0].name})
    site.world.run_until(lambda: len(runners(site)) == 2, SOON_MS, "both halves run it")
    join(site)
    site.world.run_until(lambda: len(runners(site)) == 1, SOON_MS, "one runs it")
    site.world.run(5_000)
    for node in site.nodes:
        kinds = [e.event for e in journal(node) if e.fields.get("kind") == "Overlap"]
        assert kinds == ["alarm.set", "alarm.cleared"]


def journal(node: SimNode) -> list[JournalEntry]:
    """The records of a node, in order."""
    batches = [
        b
        for k, log in node.disk.logs.items()
        if k.kind == "record" and k.node == node.name
        for b in log
    ]
    return [
        entry
        for batch in batches
        for entry in JournalBatch.FromString(Envelope.FromString(batch.envelope).payload).entries
    ]
