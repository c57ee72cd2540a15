"""An Admin server over mutual TLS with a backend in memory, and `meshctl` run against it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner, Result

from mesh.blobs.manifest import Artifact, open_manifest
from mesh.hashing import sha256
from mesh.heads.certificates import issue, pem
from mesh.heads.identity import Identity
from node.admin import contexts
from node.admin.backend import (
    Applied,
    BadInput,
    Change,
    Cordoned,
    NewToken,
    NotFound,
    NotHere,
    Pushed,
    Refused,
    Restarted,
    Revoked,
    Steered,
)
from node.admin.contexts import Address, Context
from node.admin.documents import Document
from node.admin.main import app
from node.admin.server import AdminServicer
from node.disk.authority_folder import MeshPaths, initialise
from node.disk.authority_keys import MasterKeys, OperatorKeys, TlsFiles
from protos.admin_pb2_grpc import add_AdminServicer_to_server

MESH = "shops"


@dataclass
class MemoryBackend:
    """A master that keeps everything in memory; with `is_node`, a node."""

    release_keys: Sequence[bytes] = ()
    is_node: bool = False
    documents: dict[str, list[Document]] = field(default_factory=dict)
    applied: list[bytes] = field(default_factory=list)
    artifacts: dict[bytes, Artifact] = field(default_factory=dict)
    chunks: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    released: list[bytes] = field(default_factory=list)
    revoked: dict[str, str] = field(default_factory=dict)
    held_back: list[tuple[str, bool, bool, str]] = field(default_factory=list)
    steered: list[tuple[str, ...]] = field(default_factory=list)
    asked: list[tuple[str, str, str, int]] = field(default_factory=list)
    watched: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def get(self, kind: str, name: str, site: str, limit: int) -> list[Document]:
        self.asked.append((kind, name, site, limit))
        return self.documents.get(kind, [])[:limit]

    async def watch(
        self, kind: str, name: str, site: str, limit: int
    ) -> AsyncIterator[list[Document]]:
        yield await self.get(kind, name, site, limit)
        self.watched.set()
        await self.changed.wait()
        yield await self.get(kind, name, site, limit)
        raise Refused("watched long enough")

    async def apply(self, yaml: bytes, source: str, dry_run: bool) -> Applied:
        self._only_master("apply")
        if b"unknown-model" in yaml:
            raise BadInput(f"{source}:6:10: spec.model: no model unknown-model; push it first")
        if not dry_run:
            self.applied.append(yaml)
        warnings = (
            [f"{source}: no node is enrolled in site 'moon' yet"] if b"warned" in yaml else []
        )
        return Applied([Change("Service", "faces", "created")], 7, warnings)

    async def delete(self, kind: str, name: str) -> Applied:
        self._only_master("delete")
        if name != "faces":
            raise NotFound(f"no {kind} {name!r}; `meshctl get resources` shows what there is")
        return Applied([Change(kind, name, "deleted")], 8)

    async def create_token(self, site: str, valid_s: int) -> NewToken:
        if site == "moon":
            raise Refused("no tokens for the site moon; it was closed")
        return NewToken(f"M1.id.{site}.pin", 1_700_000_000_000 + valid_s * 1000)

    async def push_manifest(self, manifest: bytes) -> Pushed:
        artifact = open_manifest(manifest, self.release_keys)
        self.artifacts[artifact.digest] = artifact
        return Pushed(artifact.digest, await self.missing(artifact.digest))

    async def push_chunk(self, artifact: bytes, chunk: int, data: bytes) -> None:
        if artifact not in self.artifacts:
            raise NotFound("push its manifest first")
        if sha256(data) != self.artifacts[artifact].chunks[chunk].digest:
            raise BadInput(f"chunk {chunk} is not what the manifest says")
        self.chunks[artifact, chunk] = data

    async def missing(self, artifact: bytes) -> Sequence[int]:
        known = self.artifacts.get(artifact)
        chunks = known.chunks if known else ()
        return [one.index for one in chunks if (artifact, one.index) not in self.chunks]

    async def release(self, artifact: bytes) -> int:
        self.released.append(artifact)
        return 9

    async def revoke(self, node: str, reason: str) -> Revoked:
        already = self.revoked.get(node, "")
        self.revoked[node] = already or reason
        return Revoked(10, already)

    async def restart(self, workload: str, site: str, reason: str) -> Restarted:
        if workload == "bug":
            raise ZeroDivisionError
        return Restarted(2, 0) if self.is_node else Restarted(0, 11)

    async def rollout(self, service: str, site: str, action: str, reason: str) -> Steered:
        self._only_master(f"{action} rollouts")
        return self._steered("rollout", service, site, action, reason)

    async def pin(self, service: str, site: str, version: str, reason: str) -> Steered:
        self._only_master("pin versions")
        return self._steered("pin", service, site, version, reason)

    def _steered(self, *asked: str) -> Steered:
        """Service `faces` is for north and south; what was asked before changes nothing."""
        if asked[1] != "faces":
            raise NotFound(f"there is no service {asked[1]!r}; list them: meshctl get services")
        sites = [] if asked in self.steered else [asked[2]] if asked[2] else ["north", "south"]
        self.steered.append(asked)
        return Steered(sites, 12, "m@1.0.0")

    async def cordon(self, node: str, cordoned: bool, draining: bool, reason: str) -> Cordoned:
        self.held_back.append((node, cordoned, draining, reason))
        if node == "nobody":
            raise NotFound(f"there is no node {node!r}; list them: meshctl get nodes")
        return Cordoned(2, 0 if self.is_node else 12)

    def _only_master(self, what: str) -> None:
        if self.is_node:
            raise NotHere(f"only a master can {what}; use a master's address")


@dataclass
class World:
    """A mesh's folders, the file of contexts, and the identities that servers may show."""

    folder: Path
    paths: MeshPaths
    config: Path
    operator: OperatorKeys
    master: MasterKeys

    @classmethod
    def make(cls, folder: Path, mesh: str = MESH) -> "World":
        paths = initialise(folder / mesh, mesh, "master-1", "ann")
        operator, master = OperatorKeys.load(paths.operator), MasterKeys.load(paths.master)
        return cls(folder, paths, folder / "config.toml", operator, master)

    def node_tls(self, name: str, site: str = "north") -> TlsFiles:
        key = ec.generate_private_key(ec.SECP256R1())
        signing = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        identity = Identity(self.master.mesh, "node", name, site)
        authority = (self.master.authority_key, self.master.authority_der)
        der = issue(*authority, identity, key.public_key(), signing, 77)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return TlsFiles(private, pem(der), self.master.tls.authorities_pem)

    def backend(self, is_node: bool = False) -> MemoryBackend:
        return MemoryBackend([self.operator.release_signer.public_key], is_node)

    def know(self, *addresses: Address) -> None:
        """Writes the context."""
        context = Context(self.master.mesh, self.master.mesh, self.paths.operator, addresses)
        contexts.save(self.config, contexts.Contexts().with_context(context))

    async def run(self, *arguments: str, stdin: bytes | None = None) -> Result:
        """`meshctl ARGUMENTS`, in a thread, so that the servers here can answer."""
        env = {"MESHCTL_CONFIG": str(self.config), "COLUMNS": "100"}
        return await asyncio.to_thread(
            CliRunner().invoke, app, list(arguments), input=stdin, env=env
        )


@asynccontextmanager
async def serving(
    backend: MemoryBackend, tls: TlsFiles, at: str = "127.0.0.1:0"
) -> AsyncIterator[str]:
    """An Admin server; gives its address."""
    server = grpc.aio.server()
    add_AdminServicer_to_server(AdminServicer(backend), server)
    pair = [(tls.key_pem, tls.certificate_pem)]
    credentials = grpc.ssl_server_credentials(pair, tls.authorities_pem, True)
    port = server.add_secure_port(at, credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def master_at(address: str) -> Address:
    return Address("master-1", "master", "", address)


def node_at(address: str, name: str = "north-a") -> Address:
    return Address(name, "node", "north", address)
