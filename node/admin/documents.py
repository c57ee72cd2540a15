"""The JSON documents that `Get` and `Watch` give: the contract between daemons and `meshctl`.

Rules. Keys are stable: one may be added, none is renamed or given another meaning. A daemon leaves
out a key that it cannot know yet (so everything here may be absent), and never sends null. A
`meshctl` shows what it knows and passes everything else on under `-o json`.

Units. A time is a whole number of milliseconds since 1970 UTC on the wall clock of the node that
wrote it, and for people only. A duration is in seconds and ends in `_s`. Sizes are in bytes. A
digest is lower-case hex.

Kinds and what they give, one document each:

| kind | document | one for |
| --- | --- | --- |
| `status` | Status | the daemon asked (exactly one) |
| `nodes` | Node | each node known here: a master's fleet, a node's site |
| `sites` | Site | each site |
| `workloads` | Replica | each replica and pipeline known here; pending ones with node "" |
| `rollouts` | Rollout | each service on each node that runs it, or refused its present version |
| `explanations` | Explanation | each workload planned for the site (nodes) |
| `loads` | ServiceLoad | each service on each live node that serves it |
| `changes` | LocalChange | each local change that counts; at a master, as sites told last |
| `models`, `services`, `pipelines`, `resources` | Resource | each resource; at a node, its plan's |
| `artifacts` | Artifact | each artifact wanted or held here; at a master, released or pushed |
| `events` | Event | each journal entry on this daemon's disk, oldest first |
| `alarms` | Alarm | each active alarm known here |
| `outages` | Outage | each outage, the latest last; at a node, of its site |
| `tokens` | Token | each join token not used up yet (masters) |

`name` picks one document (a node's ID, a resource's name, a model's name, an artifact's name or
NAME@VERSION, an alarm's kind, a workload's or a rollout's service's name; for events the node),
`site` those of one site.
"""

from typing import Any, TypedDict

Document = dict[str, Any]

KINDS = (
    "status",
    "nodes",
    "sites",
    "workloads",
    "rollouts",
    "explanations",
    "loads",
    "changes",
    "models",
    "services",
    "pipelines",
    "resources",
    "artifacts",
    "events",
    "alarms",
    "outages",
    "tokens",
    "delegations",
)


class Standing(TypedDict, total=False):
    """How a node stands to a workload."""

    node: str
    place: int  # in the ranking of those that may run it, from 1; 0: it may not
    runs: int  # replicas that it should run
    serves: int
    spare: bool
    why: str


class Lease(TypedDict, total=False):
    """The lease of an exclusive pipeline with `onSplit: stop`, as one node knows it."""

    holder: str  # "" if nobody is known to hold it
    why_nobody: str  # then why, as far as that node knows
    acknowledged: list[str]
    acknowledgements: int  # how many; a full register does not say who
    roster: int  # nodes of the roster of which it needs a quorum
    roster_state: int  # the counter of the state that brought that roster
    earlier_rosters: list[dict[str, int]]  # `nodes`, `until` (state): a quorum of each too
    seconds_left: float  # unless it is renewed; -1 where that node cannot tell
    here: str  # why that node takes no part in leases; "" if it does


class Explanation(TypedDict, total=False):
    """What was decided about a workload, from which facts, as one node sees it."""

    workload: str
    kind: str
    site: str
    seen_by: str
    state: int  # the counter of the state in force
    wanted: dict[str, Any]  # replicas, min, max, kept_by; of a pipeline: replicas, source, service
    version: dict[str, str]  # of a service: planned, wanted (changed here), here, why, refused
    pending: str
    lease: Lease  # of a pipeline that needs one
    changes: list[dict[str, Any]]  # the local changes of it that count
    nodes: list[Standing]


class ServiceLoad(TypedDict, total=False):
    """How busy a service is on a node, in the last two seconds that it told of."""

    service: str
    site: str
    node: str
    serving: int  # replicas
    requests_per_second: int
    queue_delay_ms: int
    in_flight: int


class LocalChange(TypedDict, total=False):
    """What an operator at a site changed there."""

    workload: str
    site: str
    field: str
    value: str
    made: int
    until: int
    operator: str
    reason: str
    base_counter: int  # the state that it was made under
    counter: int
    change: str  # digest


class Wan(TypedDict, total=False):
    """The way to a master. At a master itself: up, since its start."""

    up: bool
    since: int  # when `up` last changed
    via_gateway: str  # the node of the site that talks to the master; "" if none does
    why_not: str  # why this node has no way of its own, where it has none and looked


class Heads(TypedDict, total=False):
    """The state as this daemon has it. At a master `seen` and `applied` are what it signed."""

    trust_generation: int
    seen: int  # counter of the highest state head accepted
    applied: int  # counter of the one whose whole branch is applied
    synced: bool  # applied is seen, and no exchange with a reachable peer is outstanding
    signed: int  # time in the head that is applied


class Peer(TypedDict, total=False):
    """A link that is open now."""

    id: str
    role: str  # node, master
    site: str  # "" for a master
    address: str  # host:port; "" where the peer dialled us
    wan: bool
    since: int
    round_trip_ms: float


class WanBytes(TypedDict, total=False):
    """Payload over links that leave the site, since this daemon's start."""

    sent: int
    received: int
    chunks_received: int  # of `received`: chunk payload


class Memory(TypedDict, total=False):
    agent_bytes: int  # resident
    runtime_bytes: int
    workers_bytes: int


class Journal(TypedDict, total=False):
    """The own journal, of this boot and those before."""

    records: int  # written in this boot
    unacknowledged: int  # entries on this disk that no master has acknowledged, copies included
    dropped: int  # data entries dropped under the quota, ever
    copy_holder: str  # the neighbour that keeps copies; "" if none


class Replica(TypedDict, total=False):
    """One replica of a service, or one pipeline."""

    site: str
    node: str  # "" while it is pending or asleep
    workload: str
    kind: str  # service, pipeline
    index: int  # among this node's replicas of the service
    phase: str
    """fetching, loading, serving (a pipeline: running), draining, failed, refused, quarantined (any
    other node comes first), asleep, pending"""
    model: str
    version: str
    pid: int  # known to the node itself only
    started: int  # when this process started; known to the node itself only
    restarts: int  # since the agent's boot; known to the node itself only
    reason: str
    config: str  # digest of what it was told to run
    heard: str  # at a master: now; last known, of a node that is not known to live


class Rollout(TypedDict, total=False):
    """How far a node is with the present configuration of a service."""

    site: str
    node: str
    service: str
    runs: list[str]  # versions that serve there
    wants: str  # the version in the plan
    config: str  # digest of what the plan asks for
    stage: str  # old, trying, passed, refused
    phases: list[str]  # of each replica: "VERSION PHASE"
    soaked: bool  # whatever serves there has served for as long as its gate asks
    paused: bool  # an operator holds the rollout in this site; absent if not
    pinned: bool  # `wants` is pinned in this site; absent if not
    why: str  # evidence of a refusal; at the node itself, why it is or is not its turn


class Artifact(TypedDict, total=False):
    artifact: str  # digest of the signed manifest
    name: str
    version: str
    kind: str  # model, data
    bytes: int
    chunks: int
    held: int  # chunks on this disk
    complete: bool
    released: bool
    wan_bytes: int  # chunk payload that this daemon got from outside its site
    lan_bytes: int  # chunk payload that it got from neighbours
    nodes: int  # of the fleet at a master, live ones of its site at a node, that hold it whole
    why: str  # at a node: what it holds it for, or when it goes; "" where it holds nothing of it


class Status(TypedDict, total=False):
    role: str  # node, master
    node: str  # its ID
    site: str  # "" at a master
    mesh: str
    version: str  # of the software
    boot: int
    started: int
    uptime_s: float
    pid: int
    wan: Wan
    state: Heads
    peers: list[Peer]
    replicas: list[Replica]  # of this node, services only
    pipelines: list[Replica]  # of this node
    asleep: list[str]  # services of its site that have no replica because nobody asks for them
    artifacts: list[Artifact]
    journal: Journal
    alarms: int  # active ones known here
    wan_bytes: WanBytes
    cordon: str  # as in Node, of a node
    mdns: str  # "working", "off" or "unavailable: REASON"
    memory: Memory


class Node(TypedDict, total=False):
    """A node as the daemon asked sees it."""

    node: str
    site: str
    live: str  # live, suspect, dead, revoked, unknown (a master that hears nothing of it)
    revoked: str  # the reason; absent or "" if not revoked
    boot: int
    address: str  # peer and admin address
    inference_address: str
    cordon: str  # cordoned, draining, drained; absent where the node takes work
    admitted: str  # by whom, if it was at its site, by a delegation
    gateway: bool
    wan: bool
    replicas: int
    seen: int
    applied: int
    in_force: int  # the state that it goes by: below `applied` where it refused that one
    labels: dict[str, str]
    heard: int  # when this daemon last had a sign of it, directly or by others


class Site(TypedDict, total=False):
    site: str
    nodes: int  # on the roster
    live: int
    wan: str  # up, down, unknown
    since: int  # when `wan` last changed
    gateway: str
    applied: int  # the lowest state counter that a live node of the site has applied, if any lives
    seen: int
    out_of_sync: list[str]  # live nodes that do not go by the newest state known here yet
    alarms: int
    labels: dict[str, str]
    wan_bytes: int


class Resource(TypedDict, total=False):
    """A resource as it is desired, and what is known of how it goes."""

    kind: str  # Model, Service, Pipeline, Site
    name: str
    generation: int  # the state counter that changed it last
    version: str  # of a model
    sites: list[str]
    desired: int  # replicas, in all sites, with local changes
    planned: int  # of a service that was scaled at a site: how many the plan asks for in all
    local: dict[str, int]  # then by site, how many it has there
    serving: int  # replicas; of a pipeline: the nodes that run it, one in each site
    paused: list[str]  # of a service: the sites where its rollout is held; absent if none
    pinned: dict[str, str]  # of a service: by site, the model@version kept; absent if none
    asleep: list[str]  # of a service that may sleep: the sites where nobody asks for it
    versions: list[dict[str, Any]]  # of a service, at a master: told to run, oldest first
    lease: Lease  # of a pipeline that needs one, at a node
    lease_holders: dict[str, str]  # of a pipeline, at a master: by site, who says that it holds it
    spec: dict[str, Any]  # as applied


class Event(TypedDict, total=False):
    time: int
    node: str  # a master: what operators asked of it, in numbers of its own, of no boot
    site: str
    sites: list[str]  # of a master's event: where it changed something
    boot: int
    nonce: str  # of the boot, hex
    sequence: int  # from 1 in each (node, boot, kind)
    kind: str  # record, data
    event: str  # replica.started, wan.down, ...
    subject: str
    cause: str
    fields: dict[str, str]


class Alarm(TypedDict, total=False):
    site: str
    node: str
    kind: str
    subject: str
    severity: str  # warning, critical
    since: int
    count: int  # how often it was set, over restarts of that node's agent as well
    heard: str  # now; last known, of a node that is not reached
    message: str  # with the way out


class Outage(TypedDict, total=False):
    """A time in which a site reached no master, and what happened in it."""

    site: str
    began: int
    ended: int  # absent while it lasts
    duration_s: float
    events: list[Event]  # what the site did, oldest first


class Delegation(TypedDict, total=False):
    """Who may admit boxes at a site while no master is reached."""

    id: str
    site: str
    count: int
    used: list[int]  # numbers of boxes that this daemon knows of
    until: int  # from then on nobody new is admitted
    operator: str
    ended: bool  # by hand: it stands for the boxes that the master has


class Token(TypedDict, total=False):
    id: str
    site: str
    expires: int
    used_by: str
