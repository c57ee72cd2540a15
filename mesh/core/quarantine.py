"""Quarantine: what crashes on this node again and again is better run by another one.

A replica that ended `CRASHES_MAX` times within `WITHIN_MS`, or as often in a row without having
served between, is quarantined here, in its present configuration. A runtime that goes away is an
end of all that ran, so that one which comes and goes does not take work and lose it for ever. The
node's register says what is quarantined, and placement asks every other node first. Here it is
tried on, with the runtime's back-off, until it serves there; where no other node has room, it
stays. It ends with another configuration, when an operator restarts the service, or after
`LASTS_MS`: what was wrong with this machine may be over by then, and if it is not, it costs
`CRASHES_MAX` crashes.

It is kept over a restart of the agent, and so are the crashes that were counted by then.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from mesh.events import Instruction, WriteJournal
from mesh.site.configs import service_config
from mesh.site.local import ReplicaKey
from protos.documents_pb2 import Phase, ReplicaState, ServicePlan
from protos.runtime_pb2 import ReplicaStatus, RuntimeState
from protos.troubles_pb2 import KeptCrashes, KeptQuarantine, KeptTroubles

CRASHES_MAX = 5
"""More than a version on trial may cost before its node refuses it (node/runtime/limits.py: three
crashes, two loads that took too long), so that what is refused is not quarantined as well. With the
runtime's back-off a worker that dies at once has died five times after about 10 s."""
WITHIN_MS = 10 * 60_000
"""A worker that dies every two minutes drops requests for ever; one a day is an accident. Of what
never served that is no measure: to hang while it loads may take a model an hour each time."""
LASTS_MS = 30 * 60_000
REASON_CHARACTERS_MAX = 160
NOTHING = KeptTroubles()
GONE = "the runtime went away"
DOWN = (Phase.FAILED, Phase.REFUSED)
"""Phases in which a replica has no worker."""

Subject = tuple[str, str]
"""A service's name and the digest of its configuration."""


@dataclass(frozen=True, slots=True)
class _Held:
    until_ms: int
    reason: str


class Quarantine:
    """What this node should run only if no other can."""

    def __init__(self, kept: KeptTroubles = NOTHING, now_ms: int = 0) -> None:
        self._ends: dict[ReplicaKey, int] = {}
        self._crashes: dict[ReplicaKey, deque[int]] = {}
        self._in_vain: Counter[ReplicaKey] = Counter()
        """Ends in a row with no serving between them."""
        self._held: dict[Subject, _Held] = {}
        self._alive: set[ReplicaKey] = set()
        self._lost_ms = now_ms if kept.crashes else now_ms - WITHIN_MS
        """When the runtime went away last, or the agent began that knows of crashes. The next one
        begins with nothing: what it does not name yet is not forgotten."""
        for held in kept.quarantined:
            left_ms = min(max(0, held.until_ms - kept.ended_ms), LASTS_MS)
            subject = (held.workload, held.config)
            self._held[subject] = _Held(now_ms + left_ms, held.reason[:REASON_CHARACTERS_MAX])
        for one in kept.crashes:
            key = ReplicaKey(one.workload, one.index, one.config)
            ages = (max(0, kept.ended_ms - at) for at in one.at_ms)
            times = sorted(now_ms - age for age in ages if age <= WITHIN_MS)
            self._crashes[key] = deque(times, maxlen=CRASHES_MAX)
            self._in_vain[key] = min(one.in_vain, CRASHES_MAX - 1)

    def kept(self, ended_ms: int) -> tuple[list[KeptQuarantine], list[KeptCrashes]]:
        """What is kept over a restart, of an agent that ends at `ended_ms`: what is quarantined,
        and the crashes of what is not yet, without those that are long ago by then."""
        held = [
            KeptQuarantine(
                workload=workload, config=config, reason=one.reason, until_ms=one.until_ms
            )
            for (workload, config), one in sorted(self._held.items())
        ]
        crashes = []
        for key in sorted(self._crashes.keys() | self._in_vain.keys()):
            times = self._crashes.get(key, ())
            crashes.append(
                KeptCrashes(
                    workload=key.workload,
                    index=key.index,
                    config=key.config,
                    at_ms=[at for at in times if ended_ms - at <= WITHIN_MS],
                    in_vain=self._in_vain[key],
                )
            )
        return held, [one for one in crashes if one.at_ms or one.in_vain]

    def heard(self, state: RuntimeState | None, now_ms: int) -> list[Instruction]:
        """The runtime said what runs, or is gone."""
        if state is None:
            return self._lost(now_ms)
        statuses = state.replicas
        ends = {_key(status): _ends(status) for status in statuses}
        reasons = {_key(status): status.state.reason for status in statuses}
        done: list[Instruction] = []
        for key in ends:
            for _ in range(self._ends.get(key, ends[key]), ends[key]):
                done += self._crashed(key, reasons[key], now_ms)
        serving = {_key(one) for one in statuses if one.state.phase == Phase.SERVING}
        self._ends = ends
        self._alive = {_key(one) for one in statuses if one.state.phase not in DOWN}
        was_lost = now_ms - self._lost_ms < WITHIN_MS
        known = ends.keys() | self._crashes.keys() if was_lost else set(ends)
        self._crashes = {key: times for key, times in self._crashes.items() if key in known}
        kept = {key: n for key, n in self._in_vain.items() if key in known and key not in serving}
        self._in_vain = Counter(kept)
        return done

    def _lost(self, now_ms: int) -> list[Instruction]:
        """The runtime is gone, and with it the workers of all that ran."""
        lost, self._alive, self._ends = self._alive, set(), {}
        self._lost_ms = now_ms if lost else self._lost_ms
        return [entry for key in sorted(lost) for entry in self._crashed(key, GONE, now_ms)]

    def _crashed(self, key: ReplicaKey, reason: str, now_ms: int) -> list[Instruction]:
        times = self._crashes.setdefault(key, deque(maxlen=CRASHES_MAX))
        times.append(now_ms)
        self._in_vain[key] += 1
        often = len(times) == CRASHES_MAX and now_ms - times[0] <= WITHIN_MS
        if not often and self._in_vain[key] < CRASHES_MAX:
            return []
        times.clear()
        del self._in_vain[key]
        subject = (key.workload, key.config)
        known = subject in self._held
        self._held[subject] = _Held(now_ms + LASTS_MS, reason[:REASON_CHARACTERS_MAX])
        fields = {"config": key.config, "crashes": str(CRASHES_MAX)}
        entry = WriteJournal("record", "workload.quarantined", key.workload, reason, fields)
        return [] if known else [entry]

    @property
    def subjects(self) -> frozenset[Subject]:
        """What is quarantined here."""
        return frozenset(self._held)

    def alarms(self) -> dict[str, str]:
        """The services that are quarantined here, with the reason and the way out."""
        return {
            workload: f"{CRASHES_MAX} crashes within {WITHIN_MS // 60_000} min, or in a row before "
            f"it served, so any other node comes first for {LASTS_MS // 60_000} min: "
            f"{held.reason or 'its worker ended'}; "
            f"give it another version or more memory, or `meshctl restart {workload}` here"
            for (workload, _), held in sorted(self._held.items())
        }

    def told(self, states: Iterable[ReplicaState]) -> list[ReplicaState]:
        """What the node's register says of its replicas, with what is quarantined; of what runs
        here no more that too, as something that waits."""
        marked, gone = [], dict(self._held)
        for state in states:
            subject = (state.workload, state.config)
            marked.append(_marked(state) if subject in self._held else state)
            gone.pop(subject, None)
        return marked + [
            ReplicaState(
                workload=workload,
                config=config,
                phase=Phase.FETCHING,
                reason=held.reason,
                quarantined=True,
            )
            for (workload, config), held in sorted(gone.items())
        ]

    def look(self, services: Iterable[ServicePlan], now_ms: int) -> list[Instruction]:
        """Ends what is over by now, and what is none of the `services`, as they are configured."""
        wanted = {(service.name, service_config(service)) for service in services}
        over = dict.fromkeys(self._held.keys() - wanted, "it is configured otherwise")
        over |= dict.fromkeys(self._due(now_ms), "its time is over")
        return [entry for subject in sorted(over) for entry in self._end(subject, over[subject])]

    def restarted(self, workload: str) -> list[Instruction]:
        """An operator restarts the service here: it is given another chance."""
        mine = sorted(subject for subject in self._held if subject[0] == workload)
        self._crashes = {key: at for key, at in self._crashes.items() if key.workload != workload}
        vain = {key: n for key, n in self._in_vain.items() if key.workload != workload}
        self._in_vain = Counter(vain)
        return [entry for one in mine for entry in self._end(one, "an operator restarted it")]

    def is_due(self, now_ms: int) -> bool:
        """Whether the time of something is over."""
        return bool(self._due(now_ms))

    def _due(self, now_ms: int) -> list[Subject]:
        return [subject for subject, held in self._held.items() if held.until_ms <= now_ms]

    def _end(self, subject: Subject, why: str) -> list[Instruction]:
        del self._held[subject]
        fields = {"config": subject[1]}
        return [WriteJournal("record", "workload.unquarantined", subject[0], why, fields)]


def _marked(state: ReplicaState) -> ReplicaState:
    marked = ReplicaState(quarantined=True)
    marked.MergeFrom(state)
    return marked


def _key(status: ReplicaStatus) -> ReplicaKey:
    return ReplicaKey(status.state.workload, status.state.index, status.state.config)


def _ends(status: ReplicaStatus) -> int:
    """How many of the replica's workers have ended by themselves: those that were followed by
    another, and the last one."""
    return status.restarts + (status.state.phase == Phase.FAILED)
