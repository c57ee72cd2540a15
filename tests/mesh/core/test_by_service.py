"""What registers say, by service: always of now, and put together once for each change."""

from mesh.core.by_service import ByService
from mesh.registers.store import NodeKeys, Registers
from mesh.site.configs import service_config
from protos.documents_pb2 import Boot, Phase, ServicePlan, StableRegister
from tests.sim import identities

BOOT = Boot(counter=1, nonce=b"12345678")
FACES = ServicePlan(name="faces", model_version="1")


def keys(node: str) -> NodeKeys:
    return NodeKeys(node, "south", identities.signer(node).public_key, b"")


def publish(registers: Registers, node: str, version: int) -> None:
    """A register of the node that grows with its version."""
    body = StableRegister(node=node, site="south", boot=BOOT, version=version)
    body.counts.add(workload="faces", replicas=version)
    for index in range(version):
        body.replicas.add(workload="faces", index=index, phase=Phase.SERVING)
    body.replicas.add(workload="faces", index=0, config="old", phase=Phase.SERVING)
    body.replicas.add(workload="faces", index=9, phase=Phase.LOADING)
    body.replicas.add(workload="doors", phase=Phase.LOADING)
    if version == 2:
        body.wanted.append("doors")
        body.verdicts.add(workload="faces", config="bad")
        body.last_good.append(FACES)
    registers.publish(body, identities.signer(node), keys(node))


def test_what_is_said_of_each_service() -> None:
    registers = Registers("south", lambda der: keys(der.decode()))
    said = ByService(registers)
    for name in ("faces", "doors"):
        assert (said.counts(name), said.serving(name), said.wanted_at(name)) == ({}, {}, [])
    publish(registers, "b", 1)
    publish(registers, "a", 2)
    assert said.counts("faces") == {"a": 2, "b": 1}
    assert said.serving("faces") == {"a": 2, "b": 1}, "two configurations of one place are one"
    assert said.serving("doors") == {}
    assert said.wanted_at("doors") == ["a"]
    good = service_config(FACES)
    tried = [said.is_tried(*one) for one in (("faces", "bad"), ("faces", good), ("doors", good))]
    assert tried == [True, True, False]


def test_a_register_that_is_another_or_gone_is_seen_at_once() -> None:
    registers = Registers("south", lambda der: keys(der.decode()))
    said = ByService(registers)
    publish(registers, "a", 2)
    assert said.wanted_at("doors") == ["a"]
    publish(registers, "a", 3)
    assert said.counts("faces") == {"a": 3}
    assert said.wanted_at("doors") == []
    before = said.serving("faces")
    assert said.serving("faces") is before, "nothing is put together anew where nothing changed"
    registers.forget(["a"])
    assert said.serving("faces") == {}
