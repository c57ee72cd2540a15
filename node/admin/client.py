"""The Admin service's client: one method a call, each with a deadline, Failure when it fails."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

import grpc

from mesh.heads.identity import Identity
from node.admin.dialling import Target, open_channel
from node.admin.documents import Document
from node.admin.failures import Failure, from_rpc, refused
from node.disk.authority_keys import TlsFiles
from protos import admin_pb2 as pb
from protos.admin_pb2_grpc import AdminStub
from protos.documents_pb2 import SiteSnapshot

CALL_TIMEOUT_S = 15.0
"""Of a call that reads or changes a little."""
RESTART_TIMEOUT_S = 65.0
"""A node restarts one replica after another, each of which loads its model."""

PUSH_TIMEOUT_S = 3_600.0
"""Of one stream of chunks: 5 GiB, the largest artifact, at 12 Mbit/s. Broken off, it goes on."""

WATCH_TIMEOUT_S = 24 * 3_600.0
"""Of a watch: whoever still looks tomorrow starts it again."""


class Client:
    """Calls one daemon. Use it as a context manager; it is closed at the end."""

    def __init__(self, target: Target, tls: TlsFiles) -> None:
        self.target = target
        self._channel = open_channel(target, tls)
        self._stub: Any = AdminStub(self._channel)

    @property
    def identity(self) -> Identity:
        return self.target.identity

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def get(self, kind: str, name: str = "", site: str = "", limit: int = 0) -> list[Document]:
        request = pb.GetRequest(kind=kind, name=name, site=site, limit=limit)
        return _documents(self._call("Get", request))

    def watch(
        self, kind: str, name: str = "", site: str = "", limit: int = 0
    ) -> Iterator[list[Document]]:
        request = pb.GetRequest(kind=kind, name=name, site=site, limit=limit)
        try:
            for reply in self._stub.Watch(request, timeout=WATCH_TIMEOUT_S):
                yield _documents(reply)
        except grpc.RpcError as error:
            raise from_rpc(error, str(self.target)) from None

    def apply(self, yaml: bytes, source: str, dry_run: bool) -> pb.ApplyReply:
        self.must_be_master("apply")
        request = pb.ApplyRequest(yaml=yaml, source=source, dry_run=dry_run)
        return cast(pb.ApplyReply, self._call("Apply", request))

    def delete(self, kind: str, name: str) -> pb.DeleteReply:
        self.must_be_master("delete")
        return cast(pb.DeleteReply, self._call("Delete", pb.DeleteRequest(kind=kind, name=name)))

    def create_token(self, site: str, valid_s: int) -> pb.CreateTokenReply:
        self.must_be_master("make tokens")
        request = pb.CreateTokenRequest(site=site, valid_s=valid_s)
        return cast(pb.CreateTokenReply, self._call("CreateToken", request))

    def push_manifest(self, manifest: bytes) -> pb.PushManifestReply:
        self.must_be_master("take models")
        request = pb.PushManifestRequest(manifest=manifest)
        return cast(pb.PushManifestReply, self._call("PushManifest", request))

    def push_chunks(self, parts: Iterable[pb.PushChunk]) -> pb.PushChunksReply:
        # gRPC reads `parts` in a thread of its own and says CANCELLED if that raises: keep why.
        raised: list[Failure] = []
        try:
            reply = self._stub.PushChunks(_noting(parts, raised), timeout=PUSH_TIMEOUT_S)
        except grpc.RpcError as error:
            raise (raised[0] if raised else from_rpc(error, str(self.target))) from None
        return cast(pb.PushChunksReply, reply)

    def release(self, artifact: bytes) -> pb.ReleaseReply:
        self.must_be_master("release")
        return cast(pb.ReleaseReply, self._call("Release", pb.ReleaseRequest(artifact=artifact)))

    def revoke(self, node: str, reason: str) -> pb.RevokeReply:
        self.must_be_master("revoke")
        return cast(
            pb.RevokeReply, self._call("Revoke", pb.RevokeRequest(node=node, reason=reason))
        )

    def restart(self, workload: str, site: str, reason: str) -> pb.RestartReply:
        request = pb.RestartRequest(workload=workload, site=site, reason=reason)
        return cast(pb.RestartReply, self._call("Restart", request, RESTART_TIMEOUT_S))

    def rollout(self, service: str, site: str, action: str, reason: str) -> pb.SteerReply:
        self.must_be_master(f"{action} rollouts")
        request = pb.RolloutRequest(workload=service, site=site, action=action, reason=reason)
        return cast(pb.SteerReply, self._call("Rollout", request))

    def pin(self, service: str, site: str, version: str, reason: str) -> pb.SteerReply:
        """`version` "": unpin."""
        self.must_be_master("pin versions" if version else "unpin versions")
        request = pb.PinRequest(workload=service, site=site, version=version, reason=reason)
        return cast(pb.SteerReply, self._call("Pin", request))

    def draft_change(
        self, workload: str, field: str, value: str, valid_s: int, reason: str
    ) -> bytes:
        """The LocalChange to sign."""
        request = pb.DraftChangeRequest(
            workload=workload, field=field, value=value, valid_s=valid_s, reason=reason
        )
        return cast(pb.DraftChangeReply, self._call("DraftChange", request)).change

    def change(self, envelope: bytes) -> bytes:
        """The digest of the change that counts now."""
        return cast(
            pb.ChangeReply, self._call("Change", pb.ChangeRequest(envelope=envelope))
        ).digest

    def cordon(self, node: str, cordoned: bool, draining: bool, reason: str) -> pb.CordonReply:
        request = pb.CordonRequest(node=node, cordoned=cordoned, draining=draining, reason=reason)
        return cast(pb.CordonReply, self._call("Cordon", request))

    def delegate(self, site: str, count: int, valid_ms: int, authority: bytes) -> pb.DelegateReply:
        self.must_be_master("delegate")
        request = pb.DelegateRequest(site=site, count=count, valid_ms=valid_ms, authority=authority)
        return cast(pb.DelegateReply, self._call("Delegate", request))

    def end_delegation(self, name: str, reason: str) -> pb.DelegateReply:
        self.must_be_master("end delegations")
        request = pb.EndDelegationRequest(id=name, reason=reason)
        return cast(pb.DelegateReply, self._call("EndDelegation", request))

    def snapshot(self, site: str) -> SiteSnapshot:
        """What a box of the site begins with. Nothing in it is checked."""
        reply = self._call("GetSnapshot", pb.GetSnapshotRequest(site=site))
        return cast(pb.GetSnapshotReply, reply).snapshot

    def must_be_master(self, what: str) -> None:
        """Nobody but a master is even asked: a node could claim to have done it."""
        if self.identity.role != "master":
            raise refused(f"{self.target} is a node; only a master can {what}: use its address")

    def _call(self, name: str, request: object, timeout_s: float | None = None) -> object:
        try:
            return getattr(self._stub, name)(request, timeout=timeout_s or CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            raise from_rpc(error, str(self.target)) from None


def _noting(parts: Iterable[pb.PushChunk], raised: list[Failure]) -> Iterator[pb.PushChunk]:
    try:
        yield from parts
    except Failure as failure:
        raised.append(failure)
        raise


def _documents(reply: object) -> list[Document]:
    return [json.loads(text) for text in cast(pb.GetReply, reply).documents]
