"""Until when a pipeline's process may act: renewals, the end, one that was stopped meanwhile."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from node.vision.limits import SPEC_BYTES_MAX
from node.vision.term import EXIT_OVER, Lines, Term, boot_ms

HOUR_MS = 3_600_000


class Ended(Exception):
    """Stands for the end of the process."""


def end() -> None:
    raise Ended


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for one in ends:
        os.close(one)


def renewal(deadline_ms: object) -> bytes:
    return json.dumps({"deadline_ms": deadline_ms}).encode() + b"\n"


def test_the_first_line_is_waited_for_and_the_rest_taken_as_it_is_there(
    pipe: tuple[int, int],
) -> None:
    lines = Lines(pipe[0])
    os.write(pipe[1], b"first\nsecond\nthi")
    assert lines.first() == b"first"
    assert lines.more() == [b"second"]
    os.write(pipe[1], b"rd\n")
    assert lines.more() == [b"third"]
    assert lines.more() == []


def test_an_input_that_ends_or_is_no_line_is_given_as_it_is() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"cut")
    os.close(writing)
    lines = Lines(reading)
    assert (lines.first(), lines.more()) == (b"cut", [])
    os.close(reading)
    child = subprocess.Popen(["head", "-c", str(2 * SPEC_BYTES_MAX), "/dev/zero"],
                             stdout=subprocess.PIPE)  # fmt: skip
    assert child.stdout is not None
    assert len(Lines(child.stdout.fileno()).first()) > SPEC_BYTES_MAX
    child.stdout.close()
    child.wait()


def test_without_a_deadline_it_never_ends(pipe: tuple[int, int]) -> None:
    Term(0, Lines(pipe[0]), end).check()


def test_it_goes_on_until_its_deadline_and_not_beyond(pipe: tuple[int, int]) -> None:
    Term(boot_ms() + HOUR_MS, Lines(pipe[0]), end).check()
    with pytest.raises(Ended):
        Term(boot_ms(), Lines(pipe[0]), end).check()


def test_a_renewal_that_waits_counts_for_one_that_was_stopped(pipe: tuple[int, int]) -> None:
    term = Term(boot_ms() - 1, Lines(pipe[0]), end)
    os.write(pipe[1], renewal(boot_ms() + HOUR_MS))
    term.check()
    term.check()


@pytest.mark.parametrize("line", [renewal(1), renewal("soon"), renewal(True), b"[]\n", b"\xff\n"])
def test_what_is_no_later_deadline_renews_nothing(pipe: tuple[int, int], line: bytes) -> None:
    os.write(pipe[1], line)
    with pytest.raises(Ended):
        Term(boot_ms() - 1, Lines(pipe[0]), end).check()


def test_a_process_ends_by_itself_while_it_is_busy_elsewhere() -> None:
    program = (
        "import select, sys\n"
        "from node.vision.term import Lines, Term, boot_ms, end_now\n"
        "Term(boot_ms() + 100, Lines(0), end_now).watch()\n"
        "select.select([], [], [], 60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    try:
        assert child.wait(30) == EXIT_OVER
    finally:
        child.kill()
        child.communicate()
