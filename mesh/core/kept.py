"""What a node's core finds on its disk: the documents that it wrote itself, by their names."""

from collections.abc import Callable
from dataclasses import dataclass

from mesh.core.changes import LOCAL_CHANGES
from mesh.core.cordon import CORDON
from mesh.core.in_force import IN_FORCE
from mesh.core.ran import RAN
from mesh.core.rollouts import ROLLOUTS
from mesh.core.rosters import ROSTERS
from mesh.core.troubles import TROUBLES


@dataclass(frozen=True, slots=True)
class Kept:
    """Each as its own module writes it; empty where there is none."""

    ran: bytes
    rollouts: bytes
    cordon: bytes
    changes: bytes
    rosters: bytes
    troubles: bytes
    in_force: bytes


def read_kept(document: Callable[[str], bytes | None]) -> Kept:
    """All of them; `document` gives one by its name."""
    names = (RAN, ROLLOUTS, CORDON, LOCAL_CHANGES, ROSTERS, TROUBLES, IN_FORCE)
    return Kept(*(document(name) or b"" for name in names))
