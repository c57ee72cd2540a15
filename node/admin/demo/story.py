"""The whole story, step by step, and how it begins and ends."""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import node
from node.admin.demo.lab import Lab
from node.admin.demo.layout import SERVICES, SITES, make_layout
from node.admin.demo.narrator import Narrator
from node.admin.demo.opening import Opening
from node.admin.demo.outage import Outage
from node.admin.demo.processes import Processes
from node.admin.demo.rollout import Rollout
from node.admin.demo.scaling import UnderLoad
from node.admin.failures import Failure, bad_input
from node.admin.output import console

EXAMPLE = Path("docs") / "examples" / "face-detector"


@dataclass(frozen=True, slots=True)
class Wish:
    """How the user wants it: end at once or stay up, a report, a folder to keep."""

    stay: bool
    report: Path | None
    keep: Path | None
    model: Path | None


@dataclass(slots=True)
class Workspace:
    """The demo's folder. It stays as evidence if a step failed."""

    path: Path
    removed: bool = False


class Ended(BaseException):
    """SIGTERM or Ctrl-C: stop everything in order. No step has failed, so no step may catch it."""


def run(wish: Wish) -> bool:
    """Tells the story; whether every step held. Raises Failure if it cannot even begin, or is ended
    before its end."""
    model = _model_folder(wish.model)
    narrator = Narrator(console())
    with _workspace(wish.keep) as space, _signals():
        layout = make_layout(space.path, model)
        lab = Lab(layout, Processes(space.path, {"MESHCTL_CONFIG": str(layout.config)}))
        ok = ended = False
        _tell_machine(narrator)
        try:
            ok = _told(lab, narrator)
            space.removed = ok and wish.keep is None
            narrator.summary()
            if wish.report is not None:
                narrator.write(wish.report, ok)
            if ok and wish.stay:
                _stay(lab, narrator)
        except Ended:
            ended = not ok
            narrator.console.print("\nstopping ...")
        finally:
            lab.close()
        if not space.removed:
            narrator.remark(f"data and logs stay in {space.path}")
    if ended:
        raise Failure("ended before the story was told")
    return ok


def _told(lab: Lab, narrator: Narrator) -> bool:
    """Steps until one fails; its evidence has been told."""
    opening = Opening(lab, narrator)
    outage = Outage(lab, narrator, opening.golden)
    under_load = UnderLoad(lab, narrator)
    rollout = Rollout(lab, narrator, opening.golden)

    def heal_node() -> None:
        killed = outage.kill_node()
        outage.start_cold(killed)

    steps = (
        ("Enrol: a trust root, a master, five nodes with keys of their own", opening.enrol),
        ("Find each other: neighbours, and one way to the master for each site", opening.find),
        ("Push a model, apply what should be", opening.push),
        ("Work: answers from any node, a video through the pipeline", opening.work),
        ("Work under load: one replica more, and one less again", under_load.scale),
        ("Cut the WAN", outage.cut),
        ("No master: a worker is killed", outage.kill_worker),
        ("No master: a whole node is killed, then started from cold", heal_node),
        ("No master: the site can be read from any node", outage.read_anywhere),
        ("No master: an operator at the site changes something", outage.change_locally),
        ("Meanwhile at the master: a change", outage.change),
        ("The WAN is back", outage.reconnect),
        *rollout.steps(),
        ("Account for every record", outage.account),
        ("Account for every request", outage.tally),
    )
    try:
        for title, work in steps:
            narrator.step(title, work)
    except Exception:
        return False
    return True


def _tell_machine(narrator: Narrator) -> None:
    """Every figure depends on it; one that is busy with other things gives worse ones."""
    cores, load = os.cpu_count() or 1, round(os.getloadavg()[0], 1)
    narrator.figures["machine"] = {"cores": cores, "load_before": load}
    text = f"A master and {sum(map(len, SITES.values()))} nodes on this machine of {cores} cores"
    narrator.console.print(text)
    if load > cores / 2:
        warning = f"it is busy with other things (load {load}): figures will be worse"
        narrator.console.print(warning, style="yellow")


def _stay(lab: Lab, narrator: Narrator) -> None:
    layout = lab.layout
    first = next(iter(layout.nodes.values()))
    photograph = layout.model_folder / "photograph.jpg"
    narrator.console.print("\nIt goes on. In another terminal, try:\n", style="bold")
    for line in (
        f"export MESHCTL_CONFIG={layout.config}",
        "meshctl status",
        "meshctl get nodes",
        "meshctl get workloads",
        "meshctl outages",
        "meshctl events --watch",
        f"meshctl status --address {first.peer} --identity {first.name}",
        f"meshctl infer {SERVICES[first.site]} --at {first.inference} --image {photograph}",
    ):
        narrator.console.print(f"  {line}", soft_wrap=True, markup=False)
    narrator.console.print("\nCtrl-C stops everything.")
    threading.Event().wait()


def _model_folder(given: Path | None) -> Path:
    folder = given or Path(node.__file__).resolve().parent.parent / EXAMPLE
    if not (folder / "golden" / "golden.json").is_file():
        raise bad_input(f"{folder} is not the example's folder: give --model DIR of a checkout")
    return folder.resolve()


@contextmanager
def _workspace(keep: Path | None) -> Iterator[Workspace]:
    """A new folder: the one to keep, or one that is removed if every step held."""
    if keep is None:
        space = Workspace(Path(tempfile.mkdtemp(prefix="meshctl-demo-")).resolve())
    else:
        if keep.exists() and any(keep.iterdir()):
            raise bad_input(f"{keep} is not empty: give a new folder to --keep")
        keep.mkdir(parents=True, exist_ok=True)
        space = Workspace(keep.resolve())
    yield space
    if space.removed:
        shutil.rmtree(space.path, ignore_errors=True)


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and SIGINT become Ended, so that nothing is left running."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
