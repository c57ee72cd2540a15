"""One swarm past its settling time, and what it said in short."""

from collections.abc import Iterable

from mesh.blobs import bitmaps
from mesh.blobs.instructions import FetchChunks, Instruction, TellClaim
from mesh.blobs.manifest import Artifact
from mesh.blobs.swarm import Swarm
from protos.peer_pb2 import Holdings

ME, MASTER = "n1", "master"
SETTLED = 2000
CLAIM_WAIT = 50


def swarm_with(*neighbours: str, wan: bool = True, sources: tuple[str, ...] = (MASTER,)) -> Swarm:
    """A swarm past its settling time, linked to neighbours that all have a WAN path."""
    swarm = Swarm(ME)
    everybody = {ME, *neighbours}
    assert swarm.members(everybody, everybody if wan else {ME}, 0) == []
    assert swarm.wan_sources(sources, 0) == []
    for peer in neighbours:
        swarm.peer_up(peer, 0)
    return swarm


def holds(artifact: Artifact, chunks: Iterable[int]) -> Holdings:
    count = len(artifact.chunks)
    bitmap = bitmaps.to_bytes(bitmaps.of(chunks), count)
    return Holdings(artifact=artifact.digest, bitmap=bitmap)


def whole(artifact: Artifact) -> Holdings:
    return Holdings(artifact=artifact.digest, complete=True)


def fetches(instructions: list[Instruction], wan: bool) -> dict[str, list[int]]:
    asked: dict[str, list[int]] = {}
    for instruction in instructions:
        if isinstance(instruction, FetchChunks) and instruction.wan == wan:
            asked.setdefault(instruction.source, []).extend(instruction.chunks)
    return {source: sorted(chunks) for source, chunks in asked.items()}


def claims(instructions: list[Instruction]) -> list[tuple[list[int], int]]:
    told = [i.claim for i in instructions if isinstance(i, TellClaim)]
    return [(list(claim.chunks), claim.lease_ms) for claim in told]


def run(swarm: Swarm, start_ms: int, end_ms: int) -> list[tuple[int, Instruction]]:
    """Ticks when due, carrying nothing out."""
    said: list[tuple[int, Instruction]] = []
    now_ms = start_ms
    while now_ms <= end_ms:
        said += [(now_ms, instruction) for instruction in swarm.tick(now_ms)]
        due = swarm.next_tick_ms(now_ms)
        if due is None:
            break
        now_ms = max(due, now_ms + 1)
    return said
