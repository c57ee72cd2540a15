"""What two peers compare of acknowledgements: bounded, and the same at both ends."""

import pytest

from mesh.exchange.digests import (
    ACKNOWLEDGEMENTS_COMPARED,
    BOOTS_COMPARED,
    acknowledgements_apart,
    compared,
    describe,
    newest_logs,
)
from mesh.exchange.frames import FRAME_BYTES_MAX, encode, parse_frame
from mesh.journals.acknowledgements import acknowledge
from mesh.journals.keys import KINDS, LogKey
from mesh.journals.limits import NUMBER_MAX
from mesh.journals.logs import Logs
from mesh.registers.store import NODES_MAX
from protos.documents_pb2 import Boot
from protos.peer_pb2 import Digests, HeadDigest, LogDigest, RegisterDigest
from tests.sim import identities

SIGNER = identities.signer("acks")


def key(node: str, boot: int, kind: str = "record") -> LogKey:
    return LogKey(node, boot, b"12345678", kind)


def acknowledged(*keys: LogKey) -> Logs:
    logs = Logs({})
    for one in keys:
        logs.acknowledge(acknowledge(one, 7, "master-1", SIGNER), [SIGNER.public_key], 0)
    return logs


def said(*keys: LogKey) -> list[LogDigest]:
    return [LogDigest(log=one.name(), sequence=7) for one in keys]


def test_six_weeks_of_daily_boots_of_fifty_nodes_fit_one_frame() -> None:
    nodes = {f"south-{n}" for n in range(50)}
    logs = acknowledged(*(key(n, b + 1, k) for n in nodes for b in range(100) for k in KINDS))
    ours = compared(logs, nodes)
    data = encode(digests=describe(HeadDigest(), HeadDigest(), None, ours))
    assert len(data) <= FRAME_BYTES_MAX
    told = parse_frame(data).digests.acknowledged
    assert len(told) == 50 * BOOTS_COMPARED * 2
    assert {one.log.boot.counter for one in told} == set(range(101 - BOOTS_COMPARED, 101))
    assert acknowledgements_apart(told, ours, nodes) == ([], [])
    lacking, wanted = acknowledgements_apart([], ours, nodes)
    assert (len(lacking), wanted) == (50 * BOOTS_COMPARED * 2, [])


def test_the_largest_site_with_the_longest_names_fits_one_frame() -> None:
    nodes = {f"{n:063}" for n in range(NODES_MAX)}
    keys = [
        LogKey(node, NUMBER_MAX - boot, b"12345678", kind)
        for node in nodes
        for boot in range(BOOTS_COMPARED)
        for kind in KINDS
    ]
    newest = newest_logs(keys, nodes)
    assert len(nodes) * 2 <= len(newest) <= ACKNOWLEDGEMENTS_COMPARED
    boot = Boot(counter=NUMBER_MAX, nonce=b"12345678")
    head = HeadDigest(trust_generation=NUMBER_MAX, counter=NUMBER_MAX, digest=b"d" * 32)
    frame = Digests(
        trust=head,
        state=head,
        registers=[RegisterDigest(node=n, boot=boot, version=NUMBER_MAX) for n in nodes],
        acknowledged=[LogDigest(log=k.name(), sequence=NUMBER_MAX) for k in newest],
    )
    assert parse_frame(encode(digests=frame)).digests == frame


@pytest.mark.parametrize(
    ("here", "there", "sent", "asked"),
    [
        pytest.param(range(1, 9), range(1, 9), 0, [], id="equal"),
        pytest.param(range(1, 9), range(1, 5), 4, [], id="the other lacks"),
        pytest.param(range(1, 5), range(1, 7), 0, [5, 6], id="lacking here"),
        pytest.param(range(1, 41), range(9, 41), 0, [], id="old ones are not sent"),
        pytest.param(range(30, 41), range(1, 41), 0, list(range(25, 30)), id="nor asked for"),
        pytest.param(range(1, 17), range(60, 76), 0, list(range(60, 76)), id="all of it is old"),
    ],
)
def test_only_the_newest_boots_are_compared(
    here: range, there: range, sent: int, asked: list[int]
) -> None:
    logs = acknowledged(*(key("n1", boot) for boot in here), key("stranger", 99))
    theirs = said(*(key("n1", boot) for boot in there), key("stranger", 100))
    lacking, wanted = acknowledgements_apart(theirs, compared(logs, {"n1"}), {"n1"})
    assert len(lacking) == sent
    assert sorted(one.counter for one in wanted) == asked


def test_ends_that_differ_in_old_boots_alone_compare_the_same() -> None:
    more = acknowledged(*(key("n1", boot) for boot in range(1, 41)))
    fewer = acknowledged(*(key("n1", boot) for boot in range(20, 41)))
    assert [k for k, _, _ in compared(more, {"n1"})] == [k for k, _, _ in compared(fewer, {"n1"})]
