"""The loads that a node asks its neighbours for: whose, when, and of whom."""

import pytest

from mesh.core.far_loads import ASKED, CONFIRMED_MS, FarLoads, is_confirmed
from mesh.core.loads import LOAD_EVERY_MS
from mesh.events import Instruction, Send
from mesh.exchange.frames import encode
from mesh.registers.store import NodeKeys, Registers
from protos.documents_pb2 import Boot, LoadRegister, Phase, ReplicaState, StableRegister
from protos.peer_pb2 import Want
from tests.sim import identities

NEAR = {"near-1", "near-2", "near-3", "near-4"}
LIVE = {"me", "far", "other", *NEAR}


def keys(node: str) -> NodeKeys:
    return NodeKeys(node, "south", identities.signer(node).public_key, b"")


@pytest.fixture
def registers() -> Registers:
    registers = Registers("south", lambda der: keys(der.decode()))
    serving = {"me": "faces", "far": "faces", "near-1": "faces", "other": "doors"}
    for node, service in serving.items():
        replicas = [
            ReplicaState(workload=service, phase=Phase.SERVING),
            ReplicaState(workload="signs", phase=Phase.LOADING),
        ]
        boot = Boot(counter=1, nonce=b"12345678")
        body = StableRegister(node=node, site="south", boot=boot, version=1, replicas=replicas)
        registers.publish(body, identities.signer(node), keys(node))
    return registers


def asked(instructions: list[Instruction]) -> list[str]:
    """Who is asked for the load of `far`."""
    question = encode(want=Want(loads=["far"]))
    assert all(isinstance(i, Send) and i.data == question for i in instructions)
    return [i.peer for i in instructions if isinstance(i, Send)]


def test_asked_is_for_who_serves_a_kept_service_without_a_link(registers: Registers) -> None:
    loads = FarLoads("me", registers, 0)
    assert loads.ask({"faces"}, LIVE, NEAR, LOAD_EVERY_MS - 1) == []
    assert len(asked(loads.ask({"faces"}, LIVE, NEAR, LOAD_EVERY_MS))) == ASKED
    assert loads.ask({"faces"}, LIVE, NEAR, LOAD_EVERY_MS + 1) == [], "as often as loads change"


@pytest.mark.parametrize(
    ("kept", "live", "linked"),
    [
        pytest.param(set(), LIVE, NEAR, id="no count is kept here"),
        pytest.param({"signs"}, LIVE, NEAR, id="nobody serves it yet"),
        pytest.param({"faces"}, LIVE - {"far"}, NEAR, id="the dead are not asked for"),
        pytest.param({"faces"}, LIVE, NEAR | {"far"}, id="its load comes by itself"),
        pytest.param({"faces"}, LIVE, set(), id="there is nobody to ask"),
    ],
)
def test_nothing_is_asked(
    registers: Registers, kept: set[str], live: set[str], linked: set[str]
) -> None:
    assert FarLoads("me", registers, 0).ask(kept, live, linked, LOAD_EVERY_MS) == []


def test_all_neighbours_have_their_turn(registers: Registers) -> None:
    loads, found = FarLoads("me", registers, 0), set()
    for number in range(1, 20):
        found |= set(asked(loads.ask({"faces"}, LIVE, NEAR, number * LOAD_EVERY_MS)))
    assert found == NEAR


def test_a_load_is_of_now_for_as_long_as_somebody_says_it_again(registers: Registers) -> None:
    assert not is_confirmed(registers, "far", 0), "it has said nothing"
    boot = Boot(counter=1, nonce=b"12345678")
    said = LoadRegister(node="far", boot=boot, version=1).SerializeToString()
    envelope = identities.signer("far").sign("load", said)
    for now_ms in (0, CONFIRMED_MS):
        registers.accept_load(envelope, now_ms)
        assert is_confirmed(registers, "far", now_ms + CONFIRMED_MS - 1)
        assert not is_confirmed(registers, "far", now_ms + CONFIRMED_MS)
