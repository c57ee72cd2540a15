"""What the documentation says of the code holds: names of tests, parameters, links."""

import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.agent.config import SECTIONS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ALGORITHM = ROOT / "docs" / "ALGORITHM.md"
TEST_NAME = re.compile(r"`(test_\w+)`")
SECTION = re.compile(r"\*\*\[(\w+)\]\*\*")
KEY = re.compile(r"^\| `(\w+)` \| `([^`]*)` \|")
PARAMETER = re.compile(r"^\| `(mesh[.\w]+)` \| ([\d.]+) \|", re.MULTILINE)
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
