"""Which versions a service was told to run, oldest first, and which one it goes back to.

A version is what the resource's `model` says, NAME@VERSION; what else a resource says (how many
replicas, where) is no version. Going back is a new entry, so that going back twice returns.
"""

from dataclasses import dataclass

VERSIONS_MAX = 32
"""Kept of one service, the newest; about 250 bytes each, 1.3 KB with the longest reason."""


@dataclass(frozen=True, slots=True)
class Version:
    """An entry: from the state `counter` on, the resource said `model`.

    `unix_ms`, for people, is 0 where nobody noted it. `undone`: by going back, and not by apply.
    """

    model: str
    counter: int
    unix_ms: int = 0
    undone: bool = False
    reason: str = ""


History = tuple[Version, ...]


def with_version(history: History, version: Version) -> History:
    """The history with one more entry; the same one where it says that model already."""
    if history and history[-1].model == version.model:
        return history
    return (*history, version)[-VERSIONS_MAX:]


def version_before(history: History) -> Version | None:
    """The entry before the present one; None if there is none."""
    return history[-2] if len(history) > 1 else None
