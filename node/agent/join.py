"""`meshd node join`: how a machine becomes a node, once.

The keys are made here and never leave. The trust root is fetched and compared with the token's pin
before the token's secret is sent, over TLS with that root alone. The folder `keys` is written
whole, or not at all.

The keys are on disk before they are sent (`keys.new`): where the master's answer is lost, the same
machine repeats the same command, and gets the certificate that was issued to it.
"""

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.addresses import AddressRefused, split_address
from mesh.heads.certificates import check_certificate, pem
from mesh.heads.identity import Identity, check_name
from mesh.heads.outcome import HeadRefused
from mesh.heads.tls_requests import make_tls_request
from mesh.heads.tokens import Token, parse_token
from mesh.heads.trust import open_trust, pin
from mesh.signed import Signer
from node.disk.key_files import private_pem, write_folder_whole
from node.net.enrol_client import FetchedTrust, enrol, fetch_trust
from node.net.failures import DialFailed
from protos.enrolment_pb2 import EnrolReply, EnrolRequest

ENROL_KIND = "enrol"
TIMEOUT_S = 15.0


PENDING = "keys.new"
"""The folder of keys that a master may know already, in the data folder until it has answered."""


class JoinRefused(ValueError):
    """The machine was not enrolled: why, and what to do. At most fresh keys were written, which the
    next join takes."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A machine's private keys."""

    tls: ec.EllipticCurvePrivateKey
    signing: Ed25519PrivateKey

    def files(self) -> dict[str, bytes]:
        return {
            "tls-key.pem": private_pem(self.tls),
            "signing-key.pem": private_pem(self.signing),
        }


async def join(master: str, token_text: str, data: Path, node: str = "") -> Identity:
    """Enrols this machine at the master (HOST:PORT of its enrolment port).

    `node` is the ID to ask for; empty: this machine's name. Raises JoinRefused, TokenRefused,
    IdentityRefused, DialFailed.
    """
    token = parse_token(token_text)
    name = check_name("the node ID", node or socket.gethostname().split(".")[0].lower())
    check_free(data)
    fetched = await _fetched_trust(master)
    root_key, trust = fetched.root_key, fetched.envelope
    _check_pin(token, root_key, master)
    try:
        body = open_trust(root_key, trust)
    except HeadRefused as refused:
        raise JoinRefused(
            f"{master} shows a trust head that its root did not sign: {refused}"
        ) from None
    if fetched.master.mesh != body.mesh or fetched.master.name not in body.masters:
        raise JoinRefused(f"{master} is {fetched.master.uri}, which the trust root does not name")
    authorities = list(body.authorities)
    keys, written = pending_keys(data)
    try:
        request = _request(token, name, keys)
        reply = await enrol(master, fetched.master, authorities, request, TIMEOUT_S)
    except DialFailed as failed:
        if failed.kind == "unreachable":
            raise _not_again(
                failed, "It may have admitted this machine all the same: join again with the same "
                "token and folder"
            ) from None  # fmt: skip
        if written is not None:
            shutil.rmtree(written)
        raise
    identity = _checked(reply, authorities, body.mesh, Signer(keys.signing))
    write_folder_whole(data / "keys", _files(keys, reply, fetched, authorities, master))
    shutil.rmtree(data / PENDING)
    return identity


async def _fetched_trust(master: str) -> FetchedTrust:
    try:
        split_address(master)
    except AddressRefused as refused:
        raise JoinRefused(f"--master: {refused}") from None
    try:
        return await fetch_trust(master, TIMEOUT_S)
    except DialFailed as failed:
        if failed.kind == "unreachable":
            raise _not_again(failed, "Is the master running, and the network up? The token was not "
                             "used: join again with the same token") from None  # fmt: skip
        raise


def _not_again(failed: DialFailed, what_next: str) -> DialFailed:
    """Nobody tries again by itself here, as a daemon does."""
    return DialFailed(
        "unreachable", f"{failed.detail.removesuffix('; it is tried again')}. {what_next}"
    )


def check_free(data: Path) -> None:
    if data.exists() and not data.is_dir():
        raise JoinRefused(f"{data} is no folder: name another with --data")
    if (data / "keys").exists():
        raise JoinRefused(
            f"{data} already holds a node's keys: this machine is enrolled. To enrol it anew, stop "
            "the daemon, have the master revoke it, and give another folder with --data"
        )


def pending_keys(data: Path) -> tuple[Keys, Path | None]:
    """The keys of a join whose answer did not arrive, or fresh ones, and what was made for them."""
    try:
        tls, signing = (
            serialization.load_pem_private_key((data / PENDING / name).read_bytes(), password=None)
            for name in ("tls-key.pem", "signing-key.pem")
        )
        if isinstance(tls, ec.EllipticCurvePrivateKey) and isinstance(signing, Ed25519PrivateKey):
            return Keys(tls, signing), None
    except (OSError, ValueError):
        pass  # there are none, or none that are whole
    keys = Keys(ec.generate_private_key(ec.SECP256R1()), Ed25519PrivateKey.generate())
    made = data / PENDING if data.exists() else data
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.rmtree(data / PENDING, ignore_errors=True)
    write_folder_whole(data / PENDING, keys.files())
    return keys, made


def _check_pin(token: Token, root_key: bytes, master: str) -> None:
    if pin(root_key) != token.pin:
        raise JoinRefused(
            f"{master} is not of the mesh that the token is for: its trust root is not the one "
            "that the token names. The secret was not sent. Check the address, and who is there"
        )


def _request(token: Token, node: str, keys: Keys) -> EnrolRequest:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, node)])
    der = make_tls_request(keys.tls, subject)
    signer = Signer(keys.signing)
    return EnrolRequest(
        token_id=token.id,
        secret=token.secret,
        node=node,
        tls_request=der,
        signing_key=signer.public_key,
        signing_proof=signer.sign(ENROL_KIND, der),
    )


def _checked(reply: EnrolReply, authorities: list[bytes], mesh: str, signer: Signer) -> Identity:
    certified = check_certificate(reply.certificate, authorities, mesh)
    if certified.identity.role != "node" or certified.signing_key != signer.public_key:
        raise JoinRefused("the master issued a certificate that is not for this node's keys")
    return certified.identity


def _files(
    keys: Keys,
    reply: EnrolReply,
    fetched: FetchedTrust,
    authorities: list[bytes],
    master: str,
) -> dict[str, bytes]:
    known = list(reply.masters) or [f"{fetched.master.name}@{_peer_address(master)}"]
    return {
        **keys.files(),
        "tls.pem": pem(reply.certificate),
        "authorities.pem": b"".join(pem(der) for der in authorities),
        "root.public": fetched.root_key,
        "trust": fetched.envelope,
        "masters": "\n".join(known).encode(),
    }


def _peer_address(enrolment_address: str) -> str:
    """A master's peer port is 7400 by default, its enrolment port is given."""
    return f"{enrolment_address.rpartition(':')[0]}:7400"
