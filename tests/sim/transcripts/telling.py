"""A transcript: what happened in a simulated site, a line an event, as text that people read.

A line has the seconds since the story began, who it is told of, the event, its subject, and why.
What nodes tell is what they write to their journals; `WORLD` is what the story does to them. Left
out is what says nothing to a reader or changes with the code: process IDs, digests, the names of
configurations.
"""

from collections.abc import Mapping
from typing import Any

from mesh.hashing import sha256
from tests.sim.nodes import SimNode
from tests.sim.site import Site, face_detector
from tests.sim.world import World

SHOWN = ("before", "replicas", "version", "runs", "field", "value", "counter")
"""Fields of an entry that are told, in this order."""
VERSIONS = ("1.0.0", "2.0.0")
BEGINS_MS = 25_000
"""After the first boots: the site has come to rest, and ticks stand where they always do."""
LATENCY_MS = 2
"""Of every message: what is told depends on no number that is drawn for each."""


class Transcript:
    """The lines of one story, in the order in which they happened."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._began_ms: int | None = None
        self._lines: list[str] = []
        self._artifacts = {
            sha256(face_detector(version)[0]).hex()[:16]: f"face-detector@{version}"
            for version in VERSIONS
        }

    def begin(self) -> None:
        """The story begins now; what led to it is not told."""
        self._began_ms = self._world.now_ms

    def tell(self, who: str, what: str) -> None:
        """Adds a line, if the story has begun."""
        if self._began_ms is not None:
            at_s = (self._world.now_ms - self._began_ms) / 1000
            self._lines.append(f"{at_s:7.2f}  {who:<7}  {what}".rstrip())

    def wrote(self, who: str, entry: Any) -> None:
        """A node writes this to its journal."""
        if entry.subject[:16] in self._artifacts:
            subject, why = self._artifacts[entry.subject[:16]], entry.cause
        else:
            subject, why = entry.subject, _why(entry.cause, entry.fields)
        if "kind" in entry.fields:  # of an alarm
            subject = f"{entry.fields['kind']} {subject}"
        self.tell(who, f"{entry.event:<23}  {subject:<19}  {why}")

    def text(self, title: str) -> str:
        """All of it, under a title."""
        return "\n".join([title, "", *self._lines, ""])


def _why(cause: str, fields: Mapping[str, str]) -> str:
    told = " ".join(f"{name}={fields[name]}" for name in SHOWN if name in fields)
    return "; ".join(part for part in (told, cause) if part)


class ToldNode(SimNode):
    """A node whose journal is told."""

    transcript: Transcript

    def do_WriteJournal(self, i: Any) -> None:  # noqa: N802
        self.transcript.wrote(self.name, i)
        super().do_WriteJournal(i)


class Told:
    """A site whose story is told. `replicas` of the service `faces` serve when it begins."""

    def __init__(self, nodes: int, replicas: int, world: World | None = None, **plan: Any) -> None:
        self.site = Site(nodes, kind=ToldNode, world=world)
        self.world = self.site.world
        self.world.latency_ms = (LATENCY_MS, LATENCY_MS)
        self.transcript = Transcript(self.world)
        for node in self.site.nodes:
            node.transcript = self.transcript  # type: ignore[attr-defined]
        self._plan = {"replicas": replicas, **plan}
        self.site.boot()
        self.world.run(2_000)
        self.site.publish(**self._plan)
        self.world.run_until(lambda: self.site.serving() == replicas, 15_000, "replicas serve")
        self.world.run(BEGINS_MS - self.world.now_ms)
        self.transcript.begin()
        self.does(f"at rest: faces 1.0.0 serves on {_listed(self.site.serves())}")

    def does(self, what: str) -> None:
        """Tells what the world does to the site."""
        self.transcript.tell("WORLD", what)

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        self.world.run(int(seconds * 1000))

    def cut_wan(self) -> None:
        """No node reaches the master any more."""
        self.does("the WAN is cut")
        self.site.cut_wan()

    def mend_wan(self) -> None:
        """All may reach the master again."""
        self.does("the WAN is back")
        self.site.mend_wan()

    def publish(self, **plan: Any) -> None:
        """The master signs the plan with these changes."""
        self._plan.update(plan)
        self.site.publish(**self._plan)

    def ends(self) -> None:
        """Tells what serves at the end."""
        versions = sorted({v for found in self.site.versions().values() for v in found})
        where = _listed(self.site.serves())
        self.does(f"at rest: faces {' and '.join(versions)} serves on {where}")


def _listed(names: list[str]) -> str:
    return ", ".join(names)
