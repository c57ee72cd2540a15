"""Whether a data folder is on its own machine."""

from pathlib import Path
from typing import Any

import pytest

from node.agent.machine_marks import HANDED_OVER, MACHINE, marks, moved, tell, written


def machine(root: Path, board: str = "", serial: str = "", cards: tuple[str, ...] = ()) -> Path:
    """A machine's files."""
    files = {"sys/class/dmi/id/product_uuid": board, "proc/device-tree/serial-number": serial}
    for path, text in files.items():
        if text:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text + "\n")
    for number, address in enumerate(cards):
        (root / f"sys/class/net/eth{number}/device").mkdir(parents=True)
        (root / f"sys/class/net/eth{number}/address").write_text(address + "\n")
    return root


def test_marks_are_digests_of_what_is_the_machines_own(tmp_path: Path) -> None:
    made_up = ["02:00:00:00:00:01", "da:a1:19:00:00:01", "00:00:00:00:00:00"]
    root = machine(tmp_path, "1-2-3", "abc\0", ("00:1b:21:00:00:01", *made_up))
    bridge = root / "sys/class/net/docker0"
    bridge.mkdir()
    (bridge / "address").write_text("02:42:00:00:00:01\n")
    found = marks(root)
    assert sorted(found) == ["board", "cards", "serial"]
    assert [len(one) for one in found.values()] == [1, 1, 1]
    assert "1-2-3" not in str(found)


def test_a_board_that_is_for_root_alone_is_the_same_mark_where_the_unit_hands_it_over(
    tmp_path: Path,
) -> None:
    as_root = marks(machine(tmp_path / "root", "ABC-1"))
    (tmp_path / "user/run").mkdir(parents=True)
    (tmp_path / "user" / HANDED_OVER).write_text("ABC-1\n")
    assert marks(tmp_path / "user") == as_root
    (tmp_path / "root/run").mkdir()
    (tmp_path / "root" / HANDED_OVER).write_text("of another time\n")
    assert marks(tmp_path / "root") == as_root


@pytest.mark.parametrize("text", ["", "\n", "\0"])
def test_an_empty_mark_that_is_handed_over_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / HANDED_OVER).write_text(text)
    assert marks(tmp_path) == {}


@pytest.mark.parametrize(
    ("before", "now", "differs"),
    [
        pytest.param({"board": "x"}, {"board": "y"}, "board", id="another board"),
        pytest.param({"cards": ("a", "b")}, {"cards": ("b",)}, "", id="a card less"),
        pytest.param({"board": "x", "cards": ("a",)}, {"board": "x", "cards": ("b",)}, "",
            id="another card"),
        pytest.param({"board": "x", "cards": ("a",)}, {"board": "y", "cards": ("b",)},
            "board and cards", id="another machine"),
        pytest.param({"board": "x"}, {"cards": ("a",)}, "", id="nothing in common"),
        pytest.param({}, {"board": "x"}, "", id="no marks before"),
        pytest.param({"cards": ("a",)}, {"cards": ("b",)}, "", id="the only card is another"),
        pytest.param({"board": "x", "cards": ("a",)}, {"cards": ("b",)}, "",
            id="the board is for root alone"),
    ],
)  # fmt: skip
def test_a_folder_was_moved_if_no_mark_that_both_have_agrees(
    tmp_path: Path, before: dict[str, Any], now: dict[str, Any], differs: str
) -> None:
    kept = written(marks(machine(tmp_path / "before", **before)))
    found = moved(kept, marks(machine(tmp_path / "now", **now)))
    assert found == (f"{differs} of that machine and of this one differ" if differs else "")


def test_a_folder_that_never_had_marks_was_not_moved() -> None:
    assert moved(None, {"board": ["x"]}) == ""


def test_what_was_moved_is_an_alarm_with_the_way_out_and_its_marks_stay() -> None:
    fed: list[Any] = []
    saved: list[str] = []
    tell("board differs", "a", fed.append, lambda name, _: saved.append(name))
    assert (fed[0].kind, fed[0].subject, fed[0].severity) == ("Clone", "a", "critical")
    assert "meshd node moved" in fed[0].message
    assert saved == []
    tell("", "a", fed.append, lambda name, _: saved.append(name))
    assert (len(fed), saved) == (1, [MACHINE])
