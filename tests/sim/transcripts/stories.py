"""The stories whose transcripts are compared: each is a short script over a simulated site.

The first line of a story's docstring is the title of its transcript.
"""

from collections.abc import Callable

from mesh.core.messages import ChangeMade
from mesh.hashing import sha256
from protos.documents_pb2 import Autonomy
from tests.sim.operators import HOUR_MS, local_change
from tests.sim.site import face_detector
from tests.sim.transcripts.telling import Told
from tests.sim.transcripts.twins import COPY, TwinWorld, copy_of

SOAK_MS = 2_000


def split_of_two() -> Told:
    """A site of two is split during an outage, runs everything in both halves, and merges."""
    told = Told(nodes=2, replicas=2)
    told.cut_wan()
    told.run(8)
    told.does("the cable between south-1 and south-2 is cut")
    told.world.cut_off("south-1", "south-2")
    told.run(12)
    told.does("the cable is mended")
    told.world.mend("south-1", "south-2")
    told.run(10)
    told.mend_wan()
    told.run(10)
    return told


def split_of_five() -> Told:
    """A site of five is split in two and three; the gateway's side keeps the WAN."""
    told = Told(nodes=5, replicas=3)
    gateway = told.site.gateway().name
    others = [node.name for node in told.site.nodes if node.name != gateway]
    one, other = [gateway, others[0]], others[1:]
    told.does(f"{' and '.join(one)} are cut off from {', '.join(other)}, and these from the WAN")
    lost = [(a, b) for a in (*one, told.site.master.name) for b in other]
    for a, b in lost:
        told.world.cut_off(a, b)
    told.run(12)
    told.does("all cables are mended")
    for a, b in lost:
        told.world.mend(a, b)
    told.run(15)
    return told


def bad_version_in_an_outage() -> Told:
    """A version that fails its golden check is rolled out, and the WAN goes meanwhile."""
    told = Told(nodes=3, replicas=3, soak_ms=SOAK_MS)
    told.world.faulty["2.0.0"] = "golden"
    told.does("the master signs faces 2.0.0, whose answers are wrong")
    told.publish(version="2.0.0")
    artifact = sha256(face_detector("2.0.0")[0])
    told.world.run_until(
        lambda: all(node.disk.whole(artifact) for node in told.site.nodes), 10_000, "all hold it"
    )
    told.cut_wan()
    told.run(25)
    told.mend_wan()
    told.run(10)
    return told


def gateway_lost() -> Told:
    """The gateway loses its power, and another node takes its place."""
    told = Told(nodes=3, replicas=2)
    gateway = told.site.gateway()
    told.does(f"{gateway.name}, the gateway, loses its power")
    gateway.power_off()
    told.run(10)
    told.does(f"{told.site.gateway().name} holds the link to the master")
    told.run(5)
    told.does(f"{gateway.name} has power again")
    gateway.boot()
    told.run(15)
    told.does(f"{told.site.gateway().name} holds the link to the master")
    return told


def local_change_outlives_an_outage() -> Told:
    """An operator scales a service during an outage; it holds over deaths and the reconnection."""
    allowed = Autonomy(allow=["scale"], until_ms=HOUR_MS)
    told = Told(nodes=3, replicas=1, most=3, autonomy=allowed)
    told.cut_wan()
    told.run(8)
    node = told.site.nodes[0]
    told.does("ann, at south-1: scale faces to 2 for a minute, a queue at the door")
    until = node.core.unix_ms() + 60_000
    node.feed(ChangeMade(local_change(node, value="2", until_unix_ms=until)))
    told.run(10)
    told.does("south-1 loses its power")
    node.power_off()
    told.run(10)
    told.does("south-1 has power again")
    node.boot()
    told.run(5)
    told.mend_wan()
    told.run(60)
    return told


def clone() -> Told:
    """Two machines with one disk: both are told, neither gets new work, and a person ends it."""
    told = Told(nodes=3, replicas=2, world=TwinWorld())
    original = told.site.nodes[1]
    told.does("south-2 is switched off, and its disk copied into another machine")
    original.power_off()
    copy = copy_of(original, told.transcript)
    told.run(8)
    told.does(f"both are switched on: south-2, and {COPY}")
    original.boot()
    copy.boot()
    told.run(9)
    told.does("the master asks for three replicas")
    told.publish(replicas=3)
    told.run(6)
    told.does(f"a person switches {COPY} off, and starts south-2 again")
    copy.power_off()
    original.power_off()
    original.boot()
    told.run(15)
    return told


STORIES: dict[str, Callable[[], Told]] = {
    story.__name__.replace("_", "-"): story
    for story in (
        split_of_two,
        split_of_five,
        bad_version_in_an_outage,
        gateway_lost,
        local_change_outlives_an_outage,
        clone,
    )
}


def transcript(name: str) -> str:
    """Plays a story; its transcript as text."""
    story = STORIES[name]
    told = story()
    told.ends()
    assert story.__doc__
    return told.transcript.text(story.__doc__)
