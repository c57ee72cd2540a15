"""Peers that are stopped when a test ends."""

from collections.abc import AsyncIterator, Callable

import pytest

from mesh.heads.identity import Identity
from tests.node.net.peers import Peer, peer


@pytest.fixture
async def make_peer() -> AsyncIterator[Callable[[Identity], Peer]]:
    """Makes peers of the test mesh."""
    made: list[Peer] = []

    def make(identity: Identity) -> Peer:
        made.append(peer(identity))
        return made[-1]

    yield make
    for one in reversed(made):
        await one.stop()
