"""What the documentation says of the code holds: names of tests, parameters, links."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.core.alarms import MORE
from node.agent.config import SECTIONS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ALGORITHM = ROOT / "docs" / "ALGORITHM.md"
TEST_NAME = re.compile(r"`(test_\w+)`")
SECTION = re.compile(r"\*\*\[(\w+)\]\*\*")
KEY = re.compile(r"^\| `(\w+)` \| `([^`]*)` \|")
PARAMETER = re.compile(r"^\| `(mesh[.\w]+)` \| ([\d.]+) \|", re.MULTILINE)
ALARM = re.compile(r"^\| `(\w+)` \| (\w+) \| ", re.MULTILINE)
KIND = re.compile(r"[A-Z][A-Za-z]+")
LINK = re.compile(r"\]\(([^)#\s]*)(#[-\w]*)?\)")
CODE_BLOCK = re.compile(r"```.*?```", re.DOTALL)


def known_tests() -> set[str]:
    sources = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for source in sources for name in re.findall(r"def (test_\w+)", source)}


def value_of(parameter: str) -> Any:
    parts = parameter.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise LookupError(parameter)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", page.read_text()), re.MULTILINE)
    plain = (re.sub(r"[^-\w ]", "", heading.lower()).replace(" ", "-") for heading in headings)
    return {f"#{heading}" for heading in plain}


def broken_links(page: Path) -> Iterator[str]:
    for target, anchor in LINK.findall(CODE_BLOCK.sub("", page.read_text())):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists():
            yield target
        elif anchor and anchor not in anchors(file):
            yield target + anchor


def documented_keys() -> Iterator[tuple[str, str, Any]]:
    section = ""
    for line in (ROOT / "docs" / "configuration.md").read_text().splitlines():
        if found := SECTION.search(line):
            section = found.group(1)
        elif found := KEY.match(line):
            default = tomllib.loads(f"value = {found.group(2)}")["value"]
            yield section, found.group(1), default


def test_every_key_of_the_configuration_is_documented_with_its_default() -> None:
    of_the_code = {
        (name, key, str(default))
        for name, section in SECTIONS.items()
        for key, default in vars(section()).items()
    }
    assert {(name, key, str(default)) for name, key, default in documented_keys()} == of_the_code


def alarm_kinds(path: Path) -> Iterator[str]:
    """The kinds of alarms that a source names where it sets one."""
    for node in ast.walk(ast.parse(path.read_text())):
        first: list[ast.expr] = []
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in ("set", "_set", "Trouble"):
                first = node.args[:1]
            elif called in ("AlarmState", "AlarmRecord"):
                first = [keyword.value for keyword in node.keywords if keyword.arg == "kind"]
        elif isinstance(node, ast.Tuple) and path.stem in ("conditions", "conflicts"):
            first = node.elts[:1]
        for one in first:
            if isinstance(one, ast.Constant) and KIND.fullmatch(str(one.value)):
                yield str(one.value)


def test_every_kind_of_alarm_is_documented_with_its_severity_and_way_out() -> None:
    page = (ROOT / "docs" / "alarms.md").read_text()
    sources = [*(ROOT / "mesh" / "core").glob("*.py"), *(ROOT / "node").rglob("*.py")]
    of_the_code = {kind for path in sources for kind in alarm_kinds(path)} | {MORE}
    documented = dict(ALARM.findall(page))
    assert set(documented) == of_the_code
    assert set(documented.values()) == {"critical", "warning"}
    rows = [line.split(" | ") for line in page.splitlines() if ALARM.match(line)]
    assert all(len(row) == 6 and all(cell.strip() for cell in row[:5]) for row in rows)
    assert sorted(set(TEST_NAME.findall(page)) - known_tests()) == []


def test_every_promise_names_tests_that_exist() -> None:
    named = set(TEST_NAME.findall(ALGORITHM.read_text()))
    assert named
    assert sorted(named - known_tests()) == []


def test_the_parameters_are_those_of_the_code() -> None:
    stated = PARAMETER.findall(ALGORITHM.read_text())
    assert stated
    wrong = [(name, value, value_of(name)) for name, value in stated
             if value_of(name) != float(value)]  # fmt: skip
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []
