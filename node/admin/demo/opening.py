"""The first half of the story: enrol, find each other, push and apply, work."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from node.admin.demo import views
from node.admin.demo.golden import FACE, IOU_MIN, GoldenRequest, overlap
from node.admin.demo.lab import Lab, Talker, in_parallel
from node.admin.demo.layout import (
    COMPANION,
    COMPANION_BYTES,
    COMPANION_VERSION,
    MASTER,
    MESH,
    MODEL,
    MODEL_VERSION,
    PIPELINE,
    SERVICES,
    SITES,
    all_yaml,
    multicast_works,
)
from node.admin.demo.narrator import Narrator, cut
from node.admin.demo.processes import connections_to
from node.admin.demo.waiting import require, wait_for
from node.admin.output import size

FIND_TIMEOUT_S = 20.0
FETCH_TIMEOUT_S = 60.0
SERVE_TIMEOUT_S = 60.0
DETECTION_TIMEOUT_S = 20.0
WAN_RATIO_MAX = 1.05


class Opening:
    """Steps 1 to 4. Each method is a step."""

    def __init__(self, lab: Lab, narrator: Narrator) -> None:
        self.lab, self.say = lab, narrator
        self.golden = GoldenRequest(lab.layout.model_folder / "golden")

    def enrol(self) -> None:
        lab, layout = self.lab, self.lab.layout
        lab.meshctl("init", str(layout.mesh_folder), "--mesh", MESH, "--master", MASTER,
                    "--operator", "admin", "--address", layout.master_peer)  # fmt: skip
        self.say.tell("meshctl init: trust root, the master's and the operator's keys")
        lab.start_master()
        lab.start_relays()
        self.say.tell("a master, and one relay for each site: the only way to the master")
        seeds = not multicast_works()
        tokens: dict[str, str] = {}
        for node in layout.nodes.values():
            lab.write_node(node, seeds)

        def enrol_one(name: str) -> None:
            node = layout.nodes[name]
            out = lab.meshctl("token", "create", "--site", node.site)
            tokens[name] = out.strip()
            code, _, err = lab.join(node, tokens[name])
            require(code == 0, f"{name} could not join ({code}): {err}")

        in_parallel(enrol_one, layout.nodes)
        lab.know_nodes()
        self.say.tell(f"{len(tokens)} nodes made their own keys and joined with one-use tokens")
        self._try_used_token(tokens)

    def _try_used_token(self, tokens: dict[str, str]) -> None:
        first = next(iter(self.lab.layout.nodes.values()))
        stranger = replace(first, name="stranger", data=self.lab.layout.folder / "stranger")
        code, _, err = self.lab.join(stranger, tokens[first.name])
        require(code != 0, "a token was used twice")
        self.say.tell(f"a used token is refused: {cut(err.strip().splitlines()[-1], 120)}")

    def find(self) -> None:
        lab = self.lab
        began = time.monotonic()
        in_parallel(lab.start_node, lab.layout.nodes.values())
        for node in lab.layout.nodes.values():
            lab.wait_ready(node.name, node.data)

        def look() -> tuple[bool | None, object]:
            seen = views.neighbours_seen(lab, views.all_nodes())
            whole = all(seen[name] == len(names) for names in SITES.values() for name in names)
            return (True if whole else None), seen

        wait_for("each node sees its site", look, FIND_TIMEOUT_S)
        took = time.monotonic() - began
        self.say.tell(f"every node sees all of its site {took:.1f} s after the first was started")
        self._wait_for_master()
        past = connections_to(lab.layout.master_peer, node_folders(lab))
        require(not past, f"a node reaches the master past its relay: {past}")
        self.say.tell("every node knows a way to the master, and it is its site's relay")
        for name in ("north-a", "south-a"):
            status = lab.status(name) or {}
            self.say.tell(f"{name}: mDNS {status.get('mdns', '?')}")

    def _wait_for_master(self) -> None:
        def look() -> tuple[bool | None, object]:
            seen = views.wan_up(self.lab, views.all_nodes())
            return (True if all(seen.values()) else None), seen

        wait_for("every node knows a way to the master", look, FIND_TIMEOUT_S)

    def push(self) -> None:
        lab, layout = self.lab, self.lab.layout
        model = lab.meshctl("model", "push", str(layout.model_folder), "--name", MODEL,
                            "--version", MODEL_VERSION, "-o", "json")  # fmt: skip
        companion = layout.folder / "store-map.dat"
        write_companion(companion)
        data = lab.meshctl("model", "push", str(companion), "--name", COMPANION,
                           "--version", COMPANION_VERSION, "-o", "json")  # fmt: skip
        for text in (model, data):
            one = json.loads(text)
            pushed = f"{one['name']}@{one['version']}: {size(one['bytes'])}, {one['chunks']} chunks"
            self.say.tell(f"meshctl model push {pushed}, {one['golden']} golden requests")
        file = layout.folder / "mesh.yaml"
        file.write_text(all_yaml())
        began = time.monotonic()
        applied = json.loads(lab.meshctl("apply", "-f", str(file), "-o", "json"))
        acknowledged = time.monotonic()
        counter = int(applied["counter"])
        self.say.tell(f"meshctl apply: {len(applied['changes'])} resources, state {counter}")
        self._wait_known(counter, acknowledged)
        self._wait_fetched()
        self._wait_serving(began)
        self._check_wan()

    def _wait_known(self, counter: int, since: float) -> None:
        def look() -> tuple[bool | None, object]:
            late = views.behind(self.lab, views.all_nodes(), counter)
            return (None if late else True), f"not applied by {late}"

        wait_for("all nodes apply the state", look, FETCH_TIMEOUT_S, 0.1)
        took = round(time.monotonic() - since, 2)
        self.say.measured("apply_to_known_s", took, f"all nodes have applied it after {took} s")

    def _wait_fetched(self) -> None:
        """Shows how the artifacts arrive, each site on a bar of its own."""
        wanted = 0

        def look() -> tuple[bool | None, object]:
            nonlocal wanted
            for site, names in SITES.items():
                known = views.artifacts(self.lab, names[0])
                wanted = max(wanted, sum(one["bytes"] for one in known.values()))
                done = views.held_bytes(self.lab, names)
                bars.update(tasks[site], completed=done, total=wanted * len(names) or None)
            missing = views.incomplete(self.lab, views.all_nodes())
            return (None if missing else True), f"not whole on {missing}"

        with Progress(
            TextColumn("    {task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            console=self.say.console,
            disable=not self.say.console.is_terminal,
            transient=True,
        ) as bars:
            tasks = {site: bars.add_task(site, total=None) for site in SITES}
            wait_for("all nodes hold both artifacts", look, FETCH_TIMEOUT_S)

    def _wait_serving(self, since: float) -> None:
        def look() -> tuple[bool | None, object]:
            seen = {
                site: views.replicas_on(self.lab, names[0], site) for site, names in SITES.items()
            }
            whole = all(sum(found.values()) >= 2 for found in seen.values())
            return (True if whole else None), seen

        wait_for("two replicas serve in each site", look, SERVE_TIMEOUT_S)
        took = round(time.monotonic() - since, 2)
        text = f"two replicas serve in each site {took} s after `apply`, golden outputs checked"
        self.say.measured("apply_to_serving_s", took, text)

    def _check_wan(self) -> None:
        ratios = {site: round(views.wan_ratio(self.lab, site), 4) for site in SITES}
        self.say.figures["wan_ratio"] = ratios
        for site, ratio in ratios.items():
            counters = self.lab.relays[site].ask("counters")["ports"]
            carried = sum(one["from_target_bytes"] + one["to_target_bytes"] for one in counters)
            text = f"{site}: chunks over the WAN are {ratio:.3f} of the manifests' bytes"
            self.say.tell(f"{text}; its relay has carried {size(carried)} in all")
            require(0.99 <= ratio <= WAN_RATIO_MAX, f"{site} fetched {ratio} over the WAN")

    def work(self) -> None:
        lab, layout = self.lab, self.lab.layout
        photograph = str(layout.model_folder / "photograph.jpg")

        def ask(name: str) -> None:
            node = layout.nodes[name]
            service = SERVICES[node.site]
            out = lab.meshctl("infer", service, "--at", node.inference, "--image", photograph,
                              "-o", "json")  # fmt: skip
            check_face(name, out)
            require(self.golden.right(service, node.inference), f"{name}: golden answer is wrong")

        in_parallel(ask, layout.nodes)
        self.say.tell("meshctl infer: each node finds the face, and nothing else, and is golden")
        self.start_loads()
        self.say.tell("an independent client asks every node 20 times a second from now on")
        self._wait_for_detection()

    def start_loads(self) -> None:
        """One client for each site, because each site has its own service."""
        for site, service in SERVICES.items():
            nodes = {node.name: node.inference for node in self.lab.layout.of_site(site)}
            golden = str(self.lab.layout.model_folder / "golden")
            spec = {"service": service, "golden": golden, "outputs": ["scores"], "nodes": nodes}
            path = self.lab.layout.folder / f"load-{site}.json"
            path.write_text(json.dumps(spec))
            self.lab.loads[site] = Talker(self.lab.processes, f"load-{site}", load_command(path))

    def _wait_for_detection(self) -> None:
        def look() -> tuple[str | None, object]:
            for name in SITES["north"]:
                events = self.lab.ask(name, "events", name=name, limit=200) or []
                for event in events:
                    if event.get("event") == "detection.changed":
                        return f"{name}, {event.get('fields', {}).get('count', '?')} face", ""
            pipelines = [self.lab.status(name) or {} for name in SITES["north"]]
            return None, [one.get("pipelines") for one in pipelines]

        found = wait_for(f"{PIPELINE} sees a face", look, DETECTION_TIMEOUT_S)
        self.say.tell(f"the pipeline reads the video and journals what it sees: {found}")


def node_folders(lab: Lab) -> list[Path]:
    return [node.data for node in lab.layout.nodes.values()]


def load_command(spec: Path) -> list[str]:
    return [sys.executable, "-m", "node.admin.load", "--spec", str(spec)]


def write_companion(path: Path) -> None:
    """32 MiB that do not compress and are the same in each run."""
    block = bytes((one * 7 + one // 256) % 251 for one in range(64 * 1024))
    with path.open("wb") as file:
        for number in range(COMPANION_BYTES // len(block)):
            file.write(number.to_bytes(8, "big") + block[8:])


def check_face(name: str, out: str) -> None:
    """Raises StepFailed unless the answer is the photograph's face and nothing else."""
    found = json.loads(out).get("detections", [])
    require(len(found) == 1, f"{name} found {len(found)} faces: {found}")
    box = (found[0]["x"], found[0]["y"], found[0]["width"], found[0]["height"])
    share = overlap(FACE, box)
    require(share >= IOU_MIN, f"{name} found a face at {box}, overlap {share:.2f}")
