"""From `meshctl apply` to everyone's knowledge, and what artifacts cost on the WAN."""

import random
import time
from collections.abc import Sequence

from node.admin.demo.layout import COMPANION_BYTES
from tests.bench import looks
from tests.bench.figures import Asked, Figure, Series
from tests.bench.mesh import (
    FIVE,
    MODEL,
    MODEL_VERSION,
    SITES,
    Mesh,
    model_yaml,
    site_yaml,
    until_all,
)
from tests.bench.runs import Runs

DATA = "store-map"
KNOWN_S = Asked(2)
WAN_RATIO = Asked(1.05)


def measure(mesh: Mesh, runs: Runs) -> list[Figure]:
    """Applies changes that move nothing, then pushes artifacts that every node keeps."""
    series = Series()
    for turn in range(runs.applies):
        counter = mesh.apply(site_yaml(FIVE, turn))
        _known(mesh, counter, series)
    for names in SITES.values():
        series.add("wan-model", _ratio(mesh, names, MODEL, MODEL_VERSION))
    for turn in range(runs.artifacts):
        _push(mesh, f"1.0.{turn}", turn, series)
    return _figures(series)


def _known(mesh: Mesh, counter: int, series: Series) -> None:
    began = time.monotonic()

    def knows(name: str) -> bool:
        return looks.applied(mesh, name) >= counter

    series.add("known", until_all("the state is known", SITES[FIVE], knows, began))


def _push(mesh: Mesh, version: str, seed: int, series: Series) -> None:
    """One artifact, to both sites at once; bytes that no other artifact has."""
    path = mesh.layout.folder / f"{DATA}-{version}.dat"
    path.write_bytes(random.Random(seed).randbytes(COMPANION_BYTES))
    mesh.meshctl("model", "push", str(path), "--name", DATA, "--version", version)
    path.unlink()
    carried = looks.carried(mesh, FIVE)
    mesh.apply(model_yaml(DATA, version))
    began = time.monotonic()

    def held(name: str) -> bool:
        return bool(looks.artifact(mesh, name, DATA, version).get("complete"))

    series.add("spread", until_all("the artifact is held", SITES[FIVE], held, began))
    series.add("wan-relay", (looks.carried(mesh, FIVE) - carried) / COMPANION_BYTES)
    for names in SITES.values():
        until_all("the artifact is held", names, held, began)
        series.add("wan-data", _ratio(mesh, names, DATA, version))


def _ratio(mesh: Mesh, names: Sequence[str], artifact: str, version: str) -> float:
    """Chunk payload that a site got over the WAN, over the bytes of the manifest."""
    found = [looks.artifact(mesh, name, artifact, version) for name in names]
    return sum(int(one["wan_bytes"]) for one in found) / int(found[0]["bytes"])


def _figures(series: Series) -> list[Figure]:
    wan = "chunk payload over the WAN / bytes of the manifest, of each site and artifact"
    return [
        series.figure(
            "known", "`meshctl apply` to all nodes of a site knowing", "s",
            "site of five: from `meshctl` ending until every node says that it has applied it",
            KNOWN_S,
        ),
        series.figure("wan-model", "WAN ratio of the model", "", wan, WAN_RATIO),
        series.figure("wan-data", "WAN ratio of a 32 MiB artifact", "", wan, WAN_RATIO),
        series.figure(
            "wan-relay", "the same at the relay, everything counted", "",
            "TCP payload that the relay of the site of five carried meanwhile / 32 MiB",
        ),
        series.figure(
            "spread", "32 MiB from the master to all nodes of a site", "s",
            "site of five, while a site of one fetches it as well: from `meshctl` ending",
        ),
    ]  # fmt: skip
