"""`meshd node join`: how a machine becomes a node, once.

The keys are made here and never leave. The trust root is fetched and compared with the token's pin
before the token's secret is sent, over TLS with that root alone. The data folder is written whole,
or not at all.
"""

import os
import shutil
import socket
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.heads.certificates import check_certificate, pem
from mesh.heads.identity import Identity, check_name
from mesh.heads.outcome import HeadRefused
from mesh.heads.tokens import Token, parse_token
from mesh.heads.trust import open_trust, pin
from mesh.signed import Signer
from node.net.enrol_client import FetchedTrust, enrol, fetch_trust
from protos.enrolment_pb2 import EnrolReply, EnrolRequest

ENROL_KIND = "enrol"
TIMEOUT_S = 15.0


class JoinRefused(ValueError):
    """The machine was not enrolled: why, and what to do. Nothing was written."""


async def join(master: str, token_text: str, data: Path, node: str = "") -> Identity:
    """Enrols this machine at the master (HOST:PORT of its enrolment port).

    `node` is the ID to ask for; empty: this machine's name. Raises JoinRefused, TokenRefused,
    IdentityRefused, DialFailed.
    """
    token = parse_token(token_text)
    name = check_name("the node ID", node or socket.gethostname().split(".")[0].lower())
    _check_free(data)
    fetched = await fetch_trust(master, TIMEOUT_S)
    root_key, trust = fetched.root_key, fetched.envelope
    _check_pin(token, root_key, master)
    try:
        body = open_trust(root_key, trust)
    except HeadRefused as refused:
        raise JoinRefused(
            f"{master} shows a trust head that its root did not sign: {refused}"
        ) from None
    tls_key, signing_key = ec.generate_private_key(ec.SECP256R1()), Ed25519PrivateKey.generate()
    request = _request(token, name, tls_key, signing_key)
    if fetched.master.mesh != body.mesh or fetched.master.name not in body.masters:
        raise JoinRefused(f"{master} is {fetched.master.uri}, which the trust root does not name")
    reply = await enrol(master, fetched.master, list(body.authorities), request, TIMEOUT_S)
    identity = _checked(reply, list(body.authorities), body.mesh, Signer(signing_key))
    _write(data, _files(tls_key, signing_key, reply, fetched, list(body.authorities), master))
    return identity


def _check_free(data: Path) -> None:
    if (data / "keys").exists():
        raise JoinRefused(
            f"{data} already holds a node's keys: this machine is enrolled. To enrol it anew, stop "
            "the daemon, have the master revoke it, and give another folder with --data"
        )


def _check_pin(token: Token, root_key: bytes, master: str) -> None:
    if pin(root_key) != token.pin:
        raise JoinRefused(
            f"{master} is not of the mesh that the token is for: its trust root is not the one "
            "that the token names. The secret was not sent. Check the address, and who is there"
        )


def _request(
    token: Token, node: str, tls_key: ec.EllipticCurvePrivateKey, signing_key: Ed25519PrivateKey
) -> EnrolRequest:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, node)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.sign(tls_key, hashes.SHA256())
    der = request.public_bytes(serialization.Encoding.DER)
    signer = Signer(signing_key)
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
    tls_key: ec.EllipticCurvePrivateKey,
    signing_key: Ed25519PrivateKey,
    reply: EnrolReply,
    fetched: FetchedTrust,
    authorities: list[bytes],
    master: str,
) -> dict[str, bytes]:
    known = list(reply.masters) or [f"{fetched.master.name}@{_peer_address(master)}"]
    return {
        "tls-key.pem": _private_pem(tls_key),
        "signing-key.pem": _private_pem(signing_key),
        "tls.pem": pem(reply.certificate),
        "authorities.pem": b"".join(pem(der) for der in authorities),
        "root.public": fetched.root_key,
        "trust": fetched.envelope,
        "masters": "\n".join(known).encode(),
    }


def _peer_address(enrolment_address: str) -> str:
    """A master's peer port is 7400 by default, its enrolment port is given."""
    return f"{enrolment_address.rpartition(':')[0]}:7400"


def _private_pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(data: Path, files: dict[str, bytes]) -> None:
    """Writes `data/keys` whole: in a folder beside, synced, then renamed."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = data / f".keys.{os.getpid()}.new"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    for name, content in sorted(files.items()):
        handle = os.open(partial / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    _sync(partial)
    os.rename(partial, data / "keys")
    _sync(data)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
