"""New versions: a bad one that both sites refuse, and a good one that replaces the old one."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.admin.demo.golden import GoldenRequest
from node.admin.demo.lab import Lab
from node.admin.demo.layout import (
    BAD_VERSION,
    GOOD_VERSION,
    MASTER,
    MODEL,
    MODEL_VERSION,
    REPLICAS_LATER,
    SERVICES,
    SITES,
    version_yaml,
)
from node.admin.demo.narrator import Narrator, counts, cut
from node.admin.demo.waiting import require, wait_for
from node.admin.documents import Document

Step = tuple[str, Callable[[], None]]
REFUSE_TIMEOUT_S = 40.0
ROLL_OUT_TIMEOUT_S = 60.0
MAKE_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 15.0
TRIED_ON_MAX = 2
EVENTS_READ = 2_000
ALARM_CHARACTERS = 150
"""Of an alarm, for a line of the story."""


@dataclass
class Rollout:
    """What happens to versions after the outage. Each method is a step."""

    lab: Lab
    say: Narrator
    golden: GoldenRequest

    def steps(self) -> tuple[Step, ...]:
        """The steps' titles and what they do."""
        return (
            ("A bad version: refused by both sites, while the old one serves", self.bad),
            ("A good version: node by node", self.good),
        )

    def bad(self) -> None:
        began = self._release(BAD_VERSION, self._broken())
        at_once: set[tuple[str, ...]] = set()

        def refusals() -> tuple[list[Document] | None, object]:
            at_once.add(self._trying())
            return self._refusals()

        alarms = wait_for("both sites refuse the bad version", refusals, REFUSE_TIMEOUT_S)
        took = round(time.monotonic() - began, 2)
        text = f"the gate refuses {BAD_VERSION} in both sites {took} s after `apply`"
        self.say.measured("bad_version_refused_s", took, text)
        for alarm in alarms:
            message = cut(alarm["message"], ALARM_CHARACTERS)
            self.say.tell(f"alarm at the master: {alarm['site']}: {message}")
        tried = {site: len(self._tried_on(site)) for site in SITES}
        nodes = counts({site: len(names) for site, names in SITES.items()})
        text = f"nodes that tried it: {counts(tried)}; of all nodes: {nodes}"
        self.say.measured("bad_version_tried_on", max(tried.values()), text)
        require(min(tried.values()) >= 1 and max(tried.values()) <= TRIED_ON_MAX, f"tried: {tried}")
        _require_one_at_a_time(at_once)
        wait_for("the old version serves everywhere", lambda: self._all_run(MODEL_VERSION), 10.0)
        self._check_answers()
        self.say.tell(f"{MODEL_VERSION} serves every request, from every node")
        shown = self.lab.meshctl("rollout", "status", SERVICES["south"])
        require("refused" in shown, f"meshctl rollout status does not say so: {shown}")

    def good(self) -> None:
        began = self._release(GOOD_VERSION, self.lab.layout.model_folder)
        at_once: set[tuple[str, ...]] = set()

        def look() -> tuple[bool | None, object]:
            at_once.add(self._trying())
            return self._all_run(GOOD_VERSION)

        wait_for(f"{GOOD_VERSION} serves everywhere", look, ROLL_OUT_TIMEOUT_S)
        took = round(time.monotonic() - began, 2)
        text = f"{GOOD_VERSION} serves on every node {took} s after `apply`, node by node"
        self.say.measured("good_version_rolled_out_s", took, text)
        _require_one_at_a_time(at_once)
        self._check_answers()
        require(not self._refused_alarms(), f"alarms stay: {self._refused_alarms()}")
        self.say.tell("the alarms are cleared; every node answers, and right")

    def _release(self, version: str, folder: Path) -> float:
        """Pushes and applies a version; the monotonic time just before `apply`."""
        golden = str(self.lab.layout.model_folder / "golden")
        self.lab.meshctl("model", "push", str(folder), "--name", MODEL, "--version", version,
                         "--golden", golden)  # fmt: skip
        began = time.monotonic()
        yaml = version_yaml(version).encode()
        self.lab.meshctl("apply", "-f", "-", "-o", "json", stdin=yaml)
        self.say.tell(f"meshctl model push and apply: {MODEL}@{version} for both sites")
        return began

    def _broken(self) -> Path:
        """The model with broken weights: it loads, and its answers are wrong."""
        layout = self.lab.layout
        command = [sys.executable, str(layout.model_folder / "make_bad.py")]
        command += ["--model", str(layout.model_folder), "--out", str(layout.folder / "bad")]
        code, out, err = self.lab.processes.run(command, MAKE_TIMEOUT_S)
        require(code == 0, f"make_bad.py ended with {code}: {err}")
        return Path(out.strip().splitlines()[-1])

    def _refusals(self) -> tuple[list[Document] | None, object]:
        """The alarms, once the master holds one of each site, with the evidence."""
        alarms = self._refused_alarms()
        told = [one for one in alarms if BAD_VERSION in one.get("message", "")]
        sites = {one["site"] for one in told if "golden" in one["message"]}
        return (told if sites == set(SITES) else None), (alarms, self._rollouts())

    def _refused_alarms(self) -> list[Document]:
        return self.lab.ask(MASTER, "alarms", name="Refused") or []

    def _rollouts(self) -> list[Document]:
        return self.lab.ask(MASTER, "rollouts") or []

    def _all_run(self, version: str) -> tuple[bool | None, object]:
        """Whether this version alone serves, in as many replicas as asked for, or, where load has
        raised the count, more."""
        found = self._rollouts()
        runs = {(d["site"], d["node"]): (d["runs"], d["phases"], d["stage"]) for d in found}
        wrong = [key for key, (served, _, _) in runs.items() if served not in ([version], [])]
        whole = not wrong and all(
            sum(_serving(d, version) for d in found if d["site"] == site) >= count
            for site, count in REPLICAS_LATER.items()
        )
        return (True if whole else None), runs

    def _trying(self) -> tuple[str, ...]:
        """The nodes that try a version now."""
        return tuple(sorted(d["node"] for d in self._rollouts() if d.get("stage") == "trying"))

    def _tried_on(self, site: str) -> set[str]:
        """The nodes whose journals say that they loaded the bad version."""
        configs = {d["config"] for d in self._rollouts() if d["wants"] == BAD_VERSION}
        return {
            name
            for name in SITES[site]
            for event in self.lab.ask(name, "events", name=name, limit=EVENTS_READ) or []
            if event.get("event") == "workload.loading"
            and event.get("fields", {}).get("config") in configs
        }

    def _check_answers(self) -> None:
        """Every node answers, and right; one that is busy is asked again."""
        asked = {node.name: node for node in self.lab.layout.nodes.values()}

        def look() -> tuple[bool | None, object]:
            wrong = {
                name: self.golden.wrong(SERVICES[node.site], node.inference)
                for name, node in asked.items()
            }
            for name, text in wrong.items():
                if not text:
                    del asked[name]
            return (None if asked else True), {name: text for name, text in wrong.items() if text}

        wait_for("every node answers as the golden request asks", look, ANSWER_TIMEOUT_S)


def _require_one_at_a_time(at_once: set[tuple[str, ...]]) -> None:
    """That of each site at most one node was seen trying a version. Raises StepFailed."""
    for site, names in SITES.items():
        most = max(len(set(one) & set(names)) for one in at_once)
        require(most <= 1, f"{most} nodes of {site} changed at once: {sorted(at_once)}")


def _serving(rollout: Document, version: str) -> int:
    return sum(1 for phase in rollout["phases"] if phase == f"{version} serving")
