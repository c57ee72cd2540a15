"""The kinds of resources, and what each field means when it is left out.

A resource says what should be; nothing in it can run, fetch or open anything by itself. Every
number has bounds that one site survives: a valid resource that is harmful is refused here, before
anybody signs it.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from mesh.desired.fields import (
    DAY_MS,
    SITES_MAX,
    Device,
    Labels,
    ModelReference,
    Name,
    Section,
    Version,
    duration,
    number,
    refusal,
    size,
)

API_VERSION = "mesh/v1"
REPLICAS_MAX = 256
"""Of one service in one site: as many as a site may have nodes."""
CORES_MAX = 256
"""Of one replica: more than one machine of the field has."""
MEMORY_BYTES_MIN = 16 * 1024**2
"""Below this no worker starts; most likely the unit is wrong."""
MEMORY_BYTES_MAX = 1024 * 1024**3
SPARES_MAX = 16
"""Nodes beside the replicas' own that keep a model staged."""
EVERY_MS_MIN = 10
"""Between two pictures of a pipeline: what its process takes at least (node/vision/limits.py)."""
AUTONOMY_MS_MAX = 400 * DAY_MS
"""Longer than any outage that the mesh is made for: a year, and a month to come back."""


class Metadata(Section):
    """`name` is unique among resources of a kind. `labels` are for selectors; default none."""

    name: Name
    labels: Labels = {}


class SiteSelector(Section):
    """The sites whose `Site` resource carries all of these labels."""

    match_labels: Labels = Field(min_length=1)


def _sites_form(value: object) -> str:
    return "selector" if isinstance(value, dict | SiteSelector) else "names"


def _different(names: list[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise refusal(f"{twice[0]!r} is here twice", "remove one of them")
    return names


SiteNames = Annotated[
    list[Name], Field(min_length=1, max_length=SITES_MAX), AfterValidator(_different)
]
Sites = Annotated[
    Annotated[SiteNames, Tag("names")] | Annotated[SiteSelector, Tag("selector")],
    Discriminator(_sites_form),
]
"""Where something runs: a list of names, or `{matchLabels: {...}}`."""


class Gate(Section):
    """What a new version must show before it takes over.

    `maxLatency`: the slowest golden answer allowed; default 0, no bound. `soak`: how long it serves
    on one node without an error before the next node follows; default 30s.
    """

    max_latency: Annotated[int, duration(0, DAY_MS)] = 0
    soak: Annotated[int, duration(0, DAY_MS)] = 30_000


class Stage(Section):
    """Every node of these sites keeps the artifact, whether a service needs it or not."""

    sites: Sites


class ModelSpec(Section):
    """A version of a model, or of any other artifact that was pushed under the resource's name.

    `stage` is left out by default: the artifact goes where services need it.
    """

    version: Version
    gate: Gate = Gate()
    stage: Stage | None = None


class Replicas(Section):
    """How many workers in each site: `min`, default 1, and up to `max`, default `min`.

    `min: 0` lets the service sleep: it has no worker while nobody asks for it, and the first
    request wakes it and waits. It needs a `max`. All nodes of its sites must know of sleep.
    """

    min: int = Field(default=1, ge=0, le=REPLICAS_MAX)
    max: int | None = Field(default=None, ge=1, le=REPLICAS_MAX)

    @model_validator(mode="after")
    def _ordered(self) -> "Replicas":
        if self.max is None and self.min == 0:
            advice = "write max: 1 or more, to let it sleep until it is asked for, or min: 1"
            raise refusal("min 0 without a max would never run", advice)
        if self.most < self.min:
            raise refusal(f"max ({self.max}) is less than min ({self.min})", "raise max")
        return self

    @property
    def most(self) -> int:
        """`max`, or what it is where it was left out."""
        return self.min if self.max is None else self.max


class Share(Section):
    """What one replica may use of its node: `cores`, default 1; `memory`, default 512MiB."""

    cores: int = Field(default=1, ge=1, le=CORES_MAX)
    memory: Annotated[int, size(MEMORY_BYTES_MIN, MEMORY_BYTES_MAX)] = 512 * 1024**2


class Scaling(Section):
    """When replicas are added and removed.

    `queueDelay`: requests waiting longer than this ask for another replica; default 20ms.
    `downAfter`: how long the load must be low before one is removed; default 60s.
    """

    queue_delay: Annotated[int, duration(1, DAY_MS)] = 20
    down_after: Annotated[int, duration(1000, DAY_MS)] = 60_000


class Placement(Section):
    """Only nodes that carry all of `matchLabels`; default: every node of the site."""

    match_labels: Labels = {}


class ServiceSpec(Section):
    """A model that is served in sites.

    `replicas` default to one; `spares` more nodes keep the model ready, default 1; `device` is
    where OpenVINO runs it, default CPU.
    """

    sites: Sites
    model: ModelReference
    replicas: Replicas = Replicas()
    resources: Share = Share()
    scaling: Scaling = Scaling()
    placement: Placement = Placement()
    spares: int = Field(default=1, ge=0, le=SPARES_MAX)
    device: Device = "CPU"

    @property
    def model_name(self) -> str:
        """The part before the @."""
        return self.model.partition("@")[0]

    @property
    def model_version(self) -> str:
        """The part after the @."""
        return self.model.partition("@")[2]


class Journal(Section):
    """What a pipeline writes down: each change (`onChange`, default true), and a count every
    `summaryEvery` (default 10s; 0s: none)."""

    on_change: bool = True
    summary_every: Annotated[int, duration(0, DAY_MS)] = 10_000


class PipelineSpec(Section):
    """Pictures from a source, through a service, into the journal.

    `source` names a section of the node's own configuration. `every`: one picture in this time,
    default 200ms. `exclusive` (default false): at most one in a site; `onSplit` says what an
    exclusive one does where the site is split: `stop` (default; at most one runs) or `run` (at
    least one runs). `threshold`: detections below it do not count, from 0 to 1; default 0, the
    model's own.
    """

    sites: Sites
    source: Name
    service: Name
    every: Annotated[int, duration(EVERY_MS_MIN, DAY_MS)] = 200
    journal: Journal = Journal()
    exclusive: bool = False
    on_split: Literal["stop", "run"] = "stop"
    threshold: Annotated[float, BeforeValidator(number), Field(ge=0, le=1)] = 0.0


class Autonomy(Section):
    """What an operator at the site may change without the master, and how long into an outage.

    `allow` defaults to [restart], `until` to 30d.
    """

    allow: list[Literal["scale", "pin", "restart", "rollback"]] = ["restart"]
    until: Annotated[int, duration(0, AUTONOMY_MS_MAX)] = 30 * DAY_MS


class SiteSpec(Section):
    """What the authority says about a site itself."""

    autonomy: Autonomy = Autonomy()


class Model(Section):
    """A model version, or any other artifact, that the mesh may use."""

    api_version: Literal["mesh/v1"]
    kind: Literal["Model"]
    metadata: Metadata
    spec: ModelSpec


class Service(Section):
    """A model that sites serve under the service's name."""

    api_version: Literal["mesh/v1"]
    kind: Literal["Service"]
    metadata: Metadata
    spec: ServiceSpec


class Pipeline(Section):
    """A source that is watched through a service."""

    api_version: Literal["mesh/v1"]
    kind: Literal["Pipeline"]
    metadata: Metadata
    spec: PipelineSpec


class Site(Section):
    """A site's labels and its autonomy. A site without one has no labels and the defaults."""

    api_version: Literal["mesh/v1"]
    kind: Literal["Site"]
    metadata: Metadata
    spec: SiteSpec = SiteSpec()


Resource = Model | Service | Pipeline | Site
KINDS: dict[str, type[Model] | type[Service] | type[Pipeline] | type[Site]] = {
    "Model": Model,
    "Service": Service,
    "Pipeline": Pipeline,
    "Site": Site,
}
"""In the order in which lists show them: what others need comes first."""
