"""Small files in the data folder for other programs: where this daemon listens."""

import json
import os
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)


def ready_path(data: Path) -> Path:
    """The file that says where a daemon listens; it is there while the daemon serves."""
    return data / "run" / "ready.json"


def write_ready(data: Path, document: dict[str, Any]) -> None:
    """Says that the daemon serves, and where. Replaced at once, so a reader never sees half."""
    path = ready_path(data)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    partial = path.with_suffix(".new")
    partial.write_text(json.dumps(document, sort_keys=True) + "\n")
    os.replace(partial, path)


def try_write_ready(data: Path, document: dict[str, Any]) -> bool:
    """As `write_ready`; False, and a line in the log, while the disk refuses."""
    try:
        write_ready(data, document)
    except OSError as error:
        log.warning("nobody can be told where the daemon listens", error=str(error))
        return False
    return True


def remove_ready(data: Path) -> None:
    """The daemon does not serve (yet, or any more)."""
    ready_path(data).unlink(missing_ok=True)
