"""What a node refuses, because only the authority may say it: each with the way to a master."""

from collections.abc import Sequence
from typing import NoReturn

from node.admin.backend import Applied, DelegationMade, NewToken, NotHere, Pushed, Revoked, Steered


class MastersAlone:
    """The half of a Backend (node/admin/backend.py) that a node has not; all raise NotHere."""

    async def apply(self, yaml: bytes, source: str, dry_run: bool) -> Applied:
        _refuse("apply")

    async def delete(self, kind: str, name: str) -> Applied:
        _refuse("delete")

    async def create_token(self, site: str, valid_s: int) -> NewToken:
        _refuse("make tokens")

    async def push_manifest(self, manifest: bytes) -> Pushed:
        _refuse("take models")

    async def push_chunk(self, artifact: bytes, chunk: int, data: bytes) -> None:
        _refuse("take models")

    async def missing(self, artifact: bytes) -> Sequence[int]:
        _refuse("take models")

    async def release(self, artifact: bytes) -> int:
        _refuse("release models")

    async def revoke(self, node: str, reason: str) -> Revoked:
        _refuse("revoke")

    async def delegate(
        self, site: str, count: int, valid_ms: int, authority: bytes
    ) -> DelegationMade:
        _refuse("delegate the admission of boxes")

    async def end_delegation(self, name: str, reason: str) -> DelegationMade:
        _refuse("end delegations")

    async def rollout(self, service: str, site: str, action: str, reason: str) -> Steered:
        _refuse(f"{action} rollouts")

    async def pin(self, service: str, site: str, version: str, reason: str) -> Steered:
        _refuse("pin versions" if version else "unpin versions")


def _refuse(what: str) -> NoReturn:
    raise NotHere(f"only a master can {what}; use a master's address (meshctl --address HOST:7400)")
