"""Boxes that were admitted at the site, and revoked keys: who is let in, also after a restart."""

from pathlib import Path

import grpc.aio
import pytest

from mesh.heads.certificates import der_from_pem
from mesh.heads.identity import Identity, IdentityRefused
from node.runtime.guests import Guests
from protos.documents_pb2 import SERVING
from protos.runtime_pb2 import RuntimeSpec
from tests.node.runtime.harness import phases, runtime_here
from tests.node.runtime.identities import Authority, Holder
from tests.node.runtime.test_neighbours import ANY, ask_as, route
from tests.node.runtime.test_peer_guard import apply, der, with_roots
from tests.node.worker.models import Built


def shown(holder: Holder) -> bytes:
    return der_from_pem(holder.paths.certificate.read_bytes())


async def test_a_box_that_was_admitted_is_let_in_and_no_other_of_its_authority(
    tmp_path: Path,
) -> None:
    mesh, site = Authority(tmp_path / "mesh"), Authority(tmp_path / "site")
    server = mesh.node("n1")
    box, stranger = (with_roots(site.node(name), mesh) for name in ("n2", "n3"))
    async with runtime_here(tmp_path / "1", server.paths, ANY) as runtime:
        assert await ask_as(box, runtime, server) == "UNAVAILABLE"
        await apply(runtime, delegated=[der(site)], admitted_tls_keys=[box.tls_key])
        assert await ask_as(box, runtime, server) == "OK"
        assert await ask_as(stranger, runtime, server) == "PERMISSION_DENIED"
    async with runtime_here(tmp_path / "1", server.paths, ANY) as runtime:  # no agent speaks
        assert await ask_as(box, runtime, server) == "OK"
        assert await ask_as(stranger, runtime, server) == "PERMISSION_DENIED"


async def test_who_was_revoked_stays_out_of_a_runtime_that_starts_without_its_agent(
    tmp_path: Path,
) -> None:
    mesh = Authority(tmp_path / "mesh")
    server, thief = mesh.node("n1"), mesh.node("n2")
    async with runtime_here(tmp_path / "1", server.paths, ANY) as runtime:
        await runtime.control.Admit(RuntimeSpec(revoked_tls_keys=[thief.tls_key]), timeout=5)
        assert await ask_as(thief, runtime, server) == "PERMISSION_DENIED"
    async with runtime_here(tmp_path / "1", server.paths, ANY) as runtime:
        assert await ask_as(thief, runtime, server) == "PERMISSION_DENIED"
        await runtime.control.Admit(RuntimeSpec(), timeout=5)
        assert await ask_as(thief, runtime, server) == "OK"


async def test_whom_to_admit_is_said_without_a_word_of_what_runs(
    tmp_path: Path, model: Built
) -> None:
    server = Authority(tmp_path / "mesh").node("n1")
    async with runtime_here(tmp_path / "1", server.paths, ANY) as runtime:
        await runtime.apply(model.spec)
        await runtime.until(lambda state: phases(state) == [SERVING])
        await runtime.control.Admit(RuntimeSpec(revoked_tls_keys=[b"k" * 32]), timeout=5)
        assert await runtime.infer(1.0) == 2.0


async def test_a_box_serves_its_neighbours_which_expect_its_certificate_and_no_other(
    tmp_path: Path, model: Built
) -> None:
    mesh, site = Authority(tmp_path / "mesh"), Authority(tmp_path / "site")
    here, box = mesh.node("n1"), with_roots(site.node("n2"), mesh)
    posing = Authority(tmp_path / "other").node("n2")
    async with (
        runtime_here(tmp_path / "1", here.paths, ANY) as first,
        runtime_here(tmp_path / "2", box.paths, ANY) as second,
    ):
        await second.apply(model.spec)
        await second.until(lambda state: phases(state) == [SERVING])
        to_box = route(second, box)
        to_box.certificate = shown(posing)
        await first.apply(routes=[to_box])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await first.infer(1.0, within_s=2.0)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        to_box.certificate = shown(box)
        await first.apply(routes=[to_box])
        assert await first.infer(1.0) == 2.0


def test_what_cannot_be_read_is_nothing_and_what_cannot_be_kept_holds_all_the_same(
    tmp_path: Path,
) -> None:
    site = Authority(tmp_path / "site")
    box = site.node("n2")
    spec = RuntimeSpec(
        delegated=[der(site)], admitted_tls_keys=[box.tls_key], revoked_tls_keys=[b"k" * 32]
    )
    (tmp_path / "kept").write_bytes(b"\xff rubbish")
    assert list(Guests(tmp_path / "kept", "test", "north").revoked) == []
    guests = Guests(tmp_path / "no such folder" / "kept", "test", "north")
    guests.replace(spec)
    guests.replace(spec)
    assert list(guests.revoked) == [b"k" * 32]
    assert guests.check(shown(box)).tls_key == box.tls_key
    with pytest.raises(IdentityRefused, match="no box of this key"):
        guests.check(shown(site.node("n4")))
    for identity in (
        Identity("test", "operator", "boss"),
        Identity("test", "node", "n2", "south"),
    ):
        posing = site.issue(identity)
        guests.replace(RuntimeSpec(delegated=[der(site)], admitted_tls_keys=[posing.tls_key]))
        with pytest.raises(IdentityRefused, match="nodes of 'north' alone"):
            guests.check(shown(posing))
    foreign = Authority(tmp_path / "foreign")
    guests.replace(RuntimeSpec(delegated=[der(foreign)], admitted_tls_keys=[box.tls_key]))
    with pytest.raises(IdentityRefused, match="no authority"):
        guests.check(shown(box))
