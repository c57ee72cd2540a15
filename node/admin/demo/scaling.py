"""A service under load: one replica more while its queue is long, and one less again after it."""

import json
import time
from dataclasses import dataclass

from node.admin.demo import views
from node.admin.demo.lab import Lab
from node.admin.demo.layout import REPLICAS_BUSY, SCALED_SITE, SERVICES, SITES, service_yaml
from node.admin.demo.narrator import Narrator
from node.admin.demo.pressure import Pressure
from node.admin.demo.waiting import require, wait_for
from node.admin.load_golden import read_golden

UP_TIMEOUT_S = 45.0
DOWN_TIMEOUT_S = 45.0


@dataclass
class UnderLoad:
    """The step of the story that scales a service up and down."""

    lab: Lab
    say: Narrator

    def scale(self) -> None:
        usual, most = REPLICAS_BUSY
        watcher = SITES[SCALED_SITE][0]
        self._apply(most)
        pressure = self._pressure(watcher)
        began = time.monotonic()
        pressure.start()
        try:
            # Until it is decided: a model that loads takes cores, which other callers need then.
            self._wait_wanted(watcher, most)
        finally:
            ended = time.monotonic()
            pressure.end()
        self._wait_count(watcher, most, UP_TIMEOUT_S)
        took = round(time.monotonic() - began, 2)
        decided = round(ended - began, 2)
        text = f"up to {pressure.most_callers} callers at once: one more after {decided} s"
        self.say.measured("scaled_up_s", took, f"{text}, {most} replicas serve after {took} s")
        self._wait_count(watcher, usual, DOWN_TIMEOUT_S)
        took = round(time.monotonic() - ended, 2)
        self._require_wanted(watcher, usual)
        text = f"they have gone: {usual} replicas again after {took} s"
        self.say.measured("scaled_down_s", took, text)
        failures = dict(pressure.failures)
        require(not failures, f"of {pressure.answered} requests under load failed: {failures}")
        self.say.tell(f"of {pressure.answered} requests of theirs none failed")
        self._apply(usual)

    def _apply(self, most: int) -> None:
        yaml = service_yaml(SCALED_SITE, REPLICAS_BUSY[0], most=most)
        applied = json.loads(
            self.lab.meshctl("apply", "-f", "-", "-o", "json", stdin=yaml.encode())
        )
        counter = int(applied["counter"])

        def look() -> tuple[bool | None, object]:
            late = views.behind(self.lab, SITES[SCALED_SITE], counter)
            return (None if late else True), f"not applied by {late}"

        wait_for("the site knows its bounds", look, UP_TIMEOUT_S)

    def _pressure(self, watcher: str) -> Pressure:
        serving = views.replicas_on(self.lab, watcher, SCALED_SITE)
        golden = read_golden(self.lab.layout.model_folder / "golden", outputs=["scores"])
        addresses = [self.lab.layout.nodes[name].inference for name in sorted(serving)]
        body = golden.request(SERVICES[SCALED_SITE])
        return Pressure(addresses, body, golden.fault)

    def _wait_wanted(self, watcher: str, count: int) -> None:
        """Until the site has decided on so many."""

        def look() -> tuple[bool | None, object]:
            found = self.lab.ask(watcher, "explanations", name=SERVICES[SCALED_SITE]) or [{}]
            wanted = found[0].get("wanted", {})
            decided = wanted.get("replicas") == count
            return (True if decided else None), (wanted, self.lab.ask(watcher, "loads"))

        wait_for(f"{SCALED_SITE} wants {count} replicas", look, UP_TIMEOUT_S)

    def _wait_count(self, watcher: str, count: int, timeout_s: float) -> None:
        def look() -> tuple[bool | None, object]:
            found = views.replicas_on(self.lab, watcher, SCALED_SITE)
            whole = sum(found.values()) == count
            return (True if whole else None), (found, self.lab.ask(watcher, "loads"))

        wait_for(f"{count} replicas serve in {SCALED_SITE}", look, timeout_s)

    def _require_wanted(self, watcher: str, count: int) -> None:
        """What `meshctl explain` says of the count, for people."""
        node = self.lab.layout.nodes[watcher]
        out = self.lab.meshctl("explain", SERVICES[SCALED_SITE], "-o", "json", *self.lab.at(node))
        wanted = json.loads(out)["wanted"]
        require(wanted["replicas"] == count, f"meshctl explain says {wanted}, not {count}")
