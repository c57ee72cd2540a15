"""The stories of a site, compared with their transcripts line by line."""

import difflib

import pytest

from tests.sim.transcripts.__main__ import FOLDER, UPDATE, main
from tests.sim.transcripts.stories import STORIES, transcript


@pytest.mark.parametrize("name", STORIES)
def test_a_story_goes_as_its_transcript_says(name: str) -> None:
    path = FOLDER / f"{name}.txt"
    kept = path.read_text() if path.exists() else ""
    told = transcript(name)
    lines = difflib.unified_diff(
        kept.splitlines(), told.splitlines(), f"{name}.txt", "as it goes now", lineterm="", n=1
    )
    difference = "\n".join(lines)
    assert told == kept, f"{difference}\n\nif it should go so: {UPDATE} {name}"


def test_every_transcript_is_of_a_story() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(STORIES)


def test_one_is_printed_and_an_unknown_one_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["split-of-two"]) == 0
    assert capsys.readouterr().out.strip() == (FOLDER / "split-of-two.txt").read_text().strip()
    with pytest.raises(SystemExit):
        main(["split-of-three"])
    assert "no such story: split-of-three; there are split-of-two," in capsys.readouterr().err
