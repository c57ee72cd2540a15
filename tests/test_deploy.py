"""The units that put daemons onto machines: what they start is what meshd has."""

import configparser
from pathlib import Path

import pytest

from node.agent.machine_marks import BOARD, HANDED_OVER
from node.agent.main import _parser

UNITS = Path(__file__).parent.parent / "deploy" / "systemd"


def unit(name: str) -> configparser.ConfigParser:
    read = configparser.ConfigParser(interpolation=None, strict=False)
    read.optionxform = str  # type: ignore[assignment,method-assign]  # keys as they are written
    read.read(UNITS / name)
    return read


@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.iterdir()))
def test_what_a_unit_starts_is_a_command_of_meshd_on_its_own_folder(name: str) -> None:
    service = unit(name)["Service"]
    program, *arguments = service["ExecStart"].split()
    options = _parser().parse_args(arguments)
    assert Path(program).name == "meshd"
    assert str(options.data) == f"/var/lib/{service['StateDirectory']}"
    assert unit(name)["Unit"]["ConditionPathExists"] == f"{options.data}/keys"


@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.iterdir()))
def test_a_unit_waits_for_no_network_and_gives_up_never(name: str) -> None:
    text = (UNITS / name).read_text()
    assert not any("network-online" in line for line in text.splitlines() if line[:1] != "#")
    assert unit(name)["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit(name)["Service"]["Restart"] == "always"


def test_a_restart_of_the_agent_leaves_its_runtime() -> None:
    assert unit("meshd-node.service")["Service"]["KillMode"] == "process"


def test_the_units_user_is_handed_the_boards_uuid_and_a_machine_without_one_starts() -> None:
    service = unit("meshd-node.service")["Service"]
    command, *_, source, target = service["ExecStartPre"].split()
    assert (source, target) == (f"/{BOARD}", f"/{HANDED_OVER}")
    assert command.startswith("-+"), "as root, and whatever becomes of it"
    assert f"-g {service['User']} " in service["ExecStartPre"]
