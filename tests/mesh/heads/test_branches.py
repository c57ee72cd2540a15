"""Branches: within their limits whole, or refused whole, naming the place."""

import contextlib
import math
from collections.abc import Callable

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.heads.branches import (
    BranchRefused,
    open_released,
    open_revocations,
    open_site_branch,
    site_branch_name,
)
from protos.documents_pb2 import (
    Autonomy,
    FormerEntry,
    ModelPlan,
    PipelinePlan,
    Plan,
    Released,
    ReleasedArtifact,
    Revocation,
    Revocations,
    RosterEntry,
    ServicePlan,
    SiteBranch,
)

DAY_MS = 24 * 3600 * 1000


def entry(node: str, number: int) -> RosterEntry:
    key = number.to_bytes(32, "big")
    return RosterEntry(node=node, signing_key=key, tls_key=key)


def former(node: str, number: int) -> FormerEntry:
    return FormerEntry(node=node, tls_key=number.to_bytes(32, "big"), since=3, until=7)


def service(name: str = "faces") -> ServicePlan:
    return ServicePlan(
        name=name,
        model="face-detector",
        model_version="1.2.0",
        artifact=bytes(32),
        replicas_min=2,
        replicas_max=3,
        cores=1,
        memory_bytes=512 << 20,
        queue_delay_ms=20,
        down_after_ms=60_000,
        spares=1,
        restarts=4,
        match_labels={"disk/kind": "ssd", "gpu": ""},
        device="GPU.1",
        soak_ms=30_000,
    )


def pipeline(name: str = "entrance") -> PipelinePlan:
    return PipelinePlan(
        name=name,
        source="entrance-camera",
        service="faces",
        every_ms=200,
        journal_on_change=True,
        journal_summary_every_ms=10_000,
        exclusive=True,
        run_on_split=True,
        threshold=0.5,
    )


def model(version: str = "1.2.0") -> ModelPlan:
    return ModelPlan(name="face-detector", version=version, artifact=bytes(32), staged=True)


def site_branch() -> SiteBranch:
    return SiteBranch(
        site="north",
        roster=[entry("a1", 1), entry("a2", 2)],
        former=[former("a1", 9)],
        rosters_from=2,
        labels={"region": "eu"},
        plan=Plan(
            site="north",
            models=[model("1.2.0"), model("1.2.1-rc.1+b5")],
            services=[service("faces"), service("plates")],
            pipelines=[pipeline("entrance"), pipeline("exit")],
            autonomy=Autonomy(allow=["scale", "restart"], until_ms=90 * DAY_MS),
        ),
    )


def opened(branch: SiteBranch) -> SiteBranch:
    return open_site_branch(branch.SerializeToString(deterministic=True), "north")


def test_a_good_branch_is_read_as_it_was_written() -> None:
    assert opened(site_branch()) == site_branch()


def test_a_site_may_have_no_nodes_and_no_plan_yet() -> None:
    assert opened(SiteBranch(site="north")) == SiteBranch(site="north")


def test_a_plan_may_scale_to_zero_and_leave_the_device_open() -> None:
    branch = site_branch()
    branch.plan.services[0].replicas_min = 0
    branch.plan.services[0].device = ""
    assert opened(branch) == branch


def test_a_full_roster_fits() -> None:
    roster = [entry(f"n{i:03}", i) for i in range(256)]
    assert len(opened(SiteBranch(site="north", roster=roster)).roster) == 256


def test_a_sites_branch_is_named_after_it() -> None:
    assert site_branch_name("north") == "site/north"


def put(path: str, value: object) -> Callable[[SiteBranch], None]:
    """Sets the field at a path such as `plan.services.0.cores`."""

    def spoil(branch: SiteBranch) -> None:
        target: object = branch
        *way, last = path.split(".")
        for step in way:
            target = target[int(step)] if step.isdigit() else getattr(target, step)  # type: ignore[index]
        setattr(target, last, value)

    return spoil


def more(path: str, make: Callable[[int], Message], count: int) -> Callable[[SiteBranch], None]:
    """Adds `count` messages to a repeated field."""

    def spoil(branch: SiteBranch) -> None:
        target: object = branch
        for step in path.split("."):
            target = getattr(target, step)
        target.extend([make(i) for i in range(count)])  # type: ignore[attr-defined]

    return spoil


def swap_roster(branch: SiteBranch) -> None:
    first, second = branch.roster
    branch.roster.extend([second, first])
    del branch.roster[:2]


def many_labels(branch: SiteBranch) -> None:
    branch.labels.update({f"k{i}": "v" for i in range(33)})


BAD_BRANCHES = [
    pytest.param(put("site", "south"), "site is 'south'", id="another site's branch"),
    pytest.param(put("plan.site", "south"), "plan.site is 'south'", id="another site's plan"),
    pytest.param(swap_roster, "roster is not sorted", id="a roster out of order"),
    pytest.param(put("roster.1.node", "a1"), "not sorted, or", id="a node twice"),
    pytest.param(put("roster.1.node", "A2"), "roster.node is wrong", id="a bad node's name"),
    pytest.param(put("roster.0.signing_key", b"x"), "a1.signing_key has 1", id="a short key"),
    pytest.param(put("roster.0.tls_key", b""), "a1.tls_key has 0", id="no TLS key"),
    pytest.param(put("roster.0.since", 2**63), "a1.since", id="a node from never on"),
    pytest.param(put("former.0.node", "A2"), "former.node is wrong", id="a former node's name"),
    pytest.param(put("former.0.tls_key", b"x"), "a1.tls_key has 1", id="a former node's key"),
    pytest.param(put("former.0.until", 2**63), "former.a1.until", id="a node until never"),
    pytest.param(put("continued", 2**63), "continued", id="above a counter that there is not"),
    pytest.param(put("former.0.since", 7), "former.a1.since", id="a node that was in no state"),
    pytest.param(put("rosters_from", 2**63), "rosters_from", id="rosters from never on"),
    pytest.param(
        more("former", lambda i: former(f"n{i:03}", i), 64), "former.size", id="65 former nodes"
    ),
    pytest.param(
        put("roster.1.signing_key", (1).to_bytes(32, "big")),
        "signing keys",
        id="one key, two nodes",
    ),
    pytest.param(
        put("roster.1.tls_key", (1).to_bytes(32, "big")), "TLS keys", id="one TLS key, two nodes"
    ),
    pytest.param(
        more("roster", lambda i: entry(f"n{i:03}", i + 9), 255), "roster.size", id="257 nodes"
    ),
    pytest.param(many_labels, "labels.size is 34", id="34 labels"),
    pytest.param(lambda b: b.labels.update({"a;b": "c"}), "no label", id="shell text in a label"),
    pytest.param(lambda b: b.labels.update({"a": "x" * 64}), "no label", id="a long label"),
    pytest.param(lambda b: b.labels.update({"": "x"}), "without a key", id="a label without a key"),
    pytest.param(
        more("plan.models", lambda i: model(f"2.{i}"), 256), "models.size", id="258 models"
    ),
    pytest.param(
        more("plan.services", lambda i: service(f"s{i}"), 256), "services.size", id="258 services"
    ),
    pytest.param(
        more("plan.pipelines", lambda i: pipeline(f"p{i}"), 256), "pipelines.size", id="258 pipes"
    ),
    pytest.param(put("plan.models.1.version", "1.2.0"), "plan.models has", id="a model twice"),
    pytest.param(put("plan.models.0.name", "../x"), "models.name is wrong", id="a path for a name"),
    pytest.param(put("plan.models.0.version", "1/2"), "no version", id="a path for a version"),
    pytest.param(put("plan.models.0.version", ""), "no version", id="no version"),
    pytest.param(put("plan.models.0.artifact", b""), "artifact has 0", id="a model of no artifact"),
    pytest.param(
        put("plan.models.0.soak_ms", DAY_MS + 1), "face-detector.soak_ms", id="a soak of days"
    ),
    pytest.param(
        put("plan.models.0.max_latency_ms", 2**32 - 1), "max_latency_ms", id="a latency of days"
    ),
    pytest.param(put("plan.services.1.name", "faces"), "plan.services has", id="a service twice"),
    pytest.param(put("plan.services.0.name", ""), "services.name", id="a service without a name"),
    pytest.param(
        put("plan.services.0.model", "http://x"), "faces.model is", id="a URL for a model"
    ),
    pytest.param(put("plan.services.0.model_version", "$(x)"), "no version", id="a command"),
    pytest.param(put("plan.services.0.artifact", b"x"), "faces.artifact has 1", id="no artifact"),
    pytest.param(
        put("plan.services.0.replicas_max", 10**6), "replicas_max is 1000000", id="10^6 replicas"
    ),
    pytest.param(put("plan.services.0.replicas_max", 0), "replicas_max is 0", id="none at most"),
    pytest.param(
        put("plan.services.0.replicas_min", 4), "replicas_min is 4", id="more at least than at most"
    ),
    pytest.param(put("plan.services.0.spares", 257), "faces.spares", id="257 spares"),
    pytest.param(put("plan.services.0.cores", 2000), "faces.cores", id="2000 cores"),
    pytest.param(put("plan.services.0.memory_bytes", 2**63), "memory_bytes", id="8 EiB"),
    pytest.param(put("plan.services.0.queue_delay_ms", 2**31), "queue_delay", id="a long queue"),
    pytest.param(put("plan.services.0.down_after_ms", 2**31), "down_after", id="down after days"),
    pytest.param(put("plan.services.0.max_latency_ms", 2**31), "max_latency", id="a gate of days"),
    pytest.param(put("plan.services.0.soak_ms", 2**31), "faces.soak_ms", id="a service's soak"),
    pytest.param(put("plan.services.0.restarts", 2**64 - 1), "restarts", id="restarts wrapped"),
    pytest.param(put("plan.services.0.device", "/dev/x"), "no device", id="a path for a device"),
    pytest.param(
        lambda b: b.plan.services[0].match_labels.update({"a b": "c"}), "match_labels", id="a space"
    ),
    pytest.param(put("plan.pipelines.1.name", "entrance"), "pipelines has", id="a pipeline twice"),
    pytest.param(put("plan.pipelines.0.name", "E"), "pipelines.name", id="a bad pipeline's name"),
    pytest.param(
        put("plan.pipelines.0.source", "rtsp://x"), "entrance.source", id="a URL for a source"
    ),
    pytest.param(put("plan.pipelines.0.service", ""), "entrance.service", id="no service"),
    pytest.param(put("plan.pipelines.0.every_ms", 0), "every_ms is 0", id="a busy loop"),
    pytest.param(
        put("plan.pipelines.0.journal_summary_every_ms", 2**31), "summary", id="a summary of days"
    ),
    pytest.param(put("plan.pipelines.0.restarts", 2**63), "entrance.restarts", id="its restarts"),
    pytest.param(put("plan.pipelines.0.threshold", -0.1), "threshold", id="a negative score"),
    pytest.param(put("plan.pipelines.0.threshold", math.nan), "threshold", id="no number"),
    pytest.param(put("plan.pipelines.0.threshold", math.inf), "threshold", id="an endless score"),
    pytest.param(
        lambda b: b.plan.autonomy.allow.append("shutdown"), "no known change", id="a new liberty"
    ),
    pytest.param(
        lambda b: b.plan.autonomy.allow.extend(["scale"] * 5), "allow.size", id="liberties"
    ),
    pytest.param(put("plan.autonomy.until_ms", 2**60), "until_ms", id="autonomy for ages"),
]


@pytest.mark.parametrize(("spoil", "says"), BAD_BRANCHES)
def test_a_branch_beyond_a_limit_is_refused_whole_and_names_the_place(
    spoil: Callable[[SiteBranch], object], says: str
) -> None:
    branch = site_branch()
    spoil(branch)
    with pytest.raises(BranchRefused, match=says) as refused:
        opened(branch)
    assert "the last good state stays in force" in str(refused.value)
    assert len(str(refused.value)) < 600


NOISE = [
    pytest.param(b"\xff" * 20, "is no", id="noise"),
    pytest.param(bytes(192 * 1024 + 1), "are allowed", id="too large"),
]


@pytest.mark.parametrize(("data", "says"), NOISE)
def test_what_is_no_branch_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(BranchRefused, match=says):
        open_site_branch(data, "north")
    with pytest.raises(BranchRefused, match=says):
        open_revocations(data)
    with pytest.raises(BranchRefused, match=says):
        open_released(data)


def revocation(subject: str, key: int = 1, reason: str = "stolen", at: int = 0) -> Revocation:
    return Revocation(subject=subject, tls_key=key.to_bytes(32, "big"), reason=reason, unix_ms=at)


A1 = "spiffe://acme/site/north/node/a1"
A2 = "spiffe://acme/site/north/node/a2"


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([], id="none"),
        pytest.param([revocation(A1), revocation(A2, 2, reason="")], id="two nodes"),
        pytest.param([revocation(A1, 1), revocation(A1, 2)], id="one node's old and new keys"),
    ],
)
def test_good_revocations_are_read_as_they_were_written(entries: list[Revocation]) -> None:
    branch = Revocations(entries=entries)
    assert open_revocations(branch.SerializeToString()) == branch


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        pytest.param([revocation(A2), revocation(A1)], "not sorted", id="out of order"),
        pytest.param([revocation(A1), revocation(A1)], "twice", id="one twice"),
        pytest.param([revocation("a1")], "subject is wrong", id="no identity"),
        pytest.param([Revocation(subject=A1)], "revoked key", id="no key"),
        pytest.param([revocation(A1, reason="x" * 257)], "reason", id="a long reason"),
        pytest.param([revocation(A1, reason="\x1b[2J")], "printed", id="a terminal's code"),
        pytest.param([revocation(A1, at=2**63)], "the time", id="a time beyond all time"),
        pytest.param([Revocation()] * 4097, "revocations.size", id="4097"),
    ],
)
def test_bad_revocations_are_refused(entries: list[Revocation], says: str) -> None:
    with pytest.raises(BranchRefused, match=says):
        open_revocations(Revocations(entries=entries).SerializeToString())


def artifact(name: str, version: str = "1.0", digest: bytes = bytes(32)) -> ReleasedArtifact:
    return ReleasedArtifact(name=name, version=version, digest=digest)


def test_good_releases_are_read_as_they_were_written() -> None:
    branch = Released(artifacts=[artifact("a"), artifact("a", "1.1"), artifact("b")])
    assert open_released(branch.SerializeToString()) == branch


@pytest.mark.parametrize(
    ("artifacts", "says"),
    [
        pytest.param([artifact("b"), artifact("a")], "not sorted", id="out of order"),
        pytest.param(
            [artifact("a"), artifact("a", digest=b"\x01" * 32)], "twice", id="two digests"
        ),
        pytest.param([artifact("a/b")], "released.name", id="a path for a name"),
        pytest.param([artifact("a", "")], "no version", id="no version"),
        pytest.param([artifact("a", digest=b"")], "released.a.digest", id="no digest"),
        pytest.param([ReleasedArtifact()] * 4097, "released.size", id="4097"),
    ],
)
def test_bad_releases_are_refused(artifacts: list[ReleasedArtifact], says: str) -> None:
    with pytest.raises(BranchRefused, match=says):
        open_released(Released(artifacts=artifacts).SerializeToString())


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_bytes_raise_anything_but_a_refusal(data: st.DataObject) -> None:
    good = site_branch().SerializeToString(deterministic=True)
    position = data.draw(st.integers(0, len(good) - 1))
    replacement = data.draw(st.binary(max_size=6))
    mutated = good[:position] + replacement + good[position + len(replacement) :]
    for opening in (open_revocations, open_released, lambda b: open_site_branch(b, "north")):
        with contextlib.suppress(BranchRefused):
            opening(mutated)
