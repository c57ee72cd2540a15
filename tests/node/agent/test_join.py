"""Joining where the master's answer is lost: the machine asks again, and its ID is not burnt."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog

from node.agent.join import PENDING, join
from node.agent.main import main
from node.disk.authority_folder import initialise
from node.disk.authority_keys import NodeKeys
from node.master.enrolment import EnrolmentServicer
from node.net.credentials import TlsMaterial
from node.net.failures import DialFailed
from node.net.policy import Policy
from node.net.server import Server
from protos.enrolment_pb2 import EnrolReply, EnrolRequest
from protos.enrolment_pb2_grpc import add_EnrolmentServicer_to_server
from tests.node.master.fleet import Fleet


class Forgetful(EnrolmentServicer):
    """An enrolment service whose first answer is lost on its way."""

    lost = 0
    code = grpc.StatusCode.UNAVAILABLE

    async def Enrol(self, request: EnrolRequest, context: Any) -> EnrolReply:  # noqa: N802
        reply = await super().Enrol(request, context)
        if not self.lost:
            self.lost += 1
            await context.abort(self.code, "the line is dead")
        return reply


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(initialise(tmp_path / "mesh", "acme", "master-1", "ada"), tmp_path)


@pytest.fixture(params=["UNAVAILABLE", "CANCELLED", "UNKNOWN", "INTERNAL"])
async def address(fleet: Fleet, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The enrolment port of a master whose first answer is lost."""
    tls, server = fleet.keys.tls, Server()
    material = TlsMaterial(tls.key_pem, tls.certificate_pem, tls.authorities_pem)
    servicer = Forgetful(fleet.authority)
    servicer.code = grpc.StatusCode[request.param]
    add = ("mesh.v1.Enrolment", lambda s: add_EnrolmentServicer_to_server(servicer, s))
    yield await server.start("127.0.0.1:0", material, [add], Policy.enrolment())
    await server.stop(0)


async def test_a_lost_answer_is_asked_for_again(fleet: Fleet, address: str, tmp_path: Path) -> None:
    token, data = fleet.authority.create_token("north").text, tmp_path / "node"
    with pytest.raises(DialFailed, match="join again with the same token") as lost:
        await join(address, token, data, "node-1")
    assert lost.value.kind == "unreachable"
    given = fleet.authority.content.nodes["node-1"].certificate
    with pytest.raises(DialFailed, match="was used by node-1"):
        await join(address, token, tmp_path / "thief", "node-1")
    assert not (tmp_path / "thief").exists()
    with pytest.raises(DialFailed, match="was used by node-1"):
        await join(address, token, data, "node-2")
    identity = await join(address, token, data, "node-1")
    assert identity.name == "node-1"
    assert NodeKeys.load(data).certified.der == given
    assert [entry.name for entry in data.iterdir()] == ["keys"]


async def test_kept_keys_that_are_damaged_are_made_anew(
    fleet: Fleet, address: str, tmp_path: Path
) -> None:
    data = tmp_path / "node"
    with pytest.raises(DialFailed):
        await join(address, fleet.authority.create_token("north").text, data, "node-1")
    (data / PENDING / "tls-key.pem").write_bytes(b"")
    identity = await join(address, fleet.authority.create_token("north").text, data, "node-2")
    assert identity.name == "node-2"


def _meshd(*arguments: object) -> int:
    """Its exit code. The log that it sets up is of a stderr that ends with the test."""
    try:
        return main([str(one) for one in arguments])
    finally:
        structlog.reset_defaults()


def _token(fleet: Fleet) -> str:
    return fleet.authority.create_token("north").text


def test_a_file_in_the_place_of_a_folder_or_of_an_admission_is_bad_input(
    fleet: Fleet, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    there, data = tmp_path / "file", tmp_path / "node"
    joins = ("node", "join", "--master", "127.0.0.1:1", "--token", _token(fleet))
    assert _meshd(*joins, "--data", there) == 2
    assert _meshd("node", "request", "--site", "north", "--data", there) == 2
    assert _meshd("node", "join", "--admission", there, "--data", there) == 2
    assert capfd.readouterr().err.count(f"{there} is no folder: name another with --data") == 3
    assert _meshd("node", "join", "--admission", tmp_path / "none", "--data", data) == 2
    assert "none: No such file or directory; name the file" in capfd.readouterr().err


def test_who_joins_once_is_not_told_that_it_is_tried_again(
    fleet: Fleet, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    joins = ("node", "join", "--token", _token(fleet), "--data", tmp_path / "node", "--master")
    assert _meshd(*joins, "127.0.0.1:1") == 3
    said = capfd.readouterr().err
    assert "Connection refused" in said
    assert "tried again" not in said
    assert "join again with the same token" in said
    assert _meshd(*joins, "headquarters") == 2
    assert "give HOST:PORT" in capfd.readouterr().err
