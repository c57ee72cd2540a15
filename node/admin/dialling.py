"""How `meshctl` reaches a daemon: mutual TLS 1.3, and only the identity that it expects.

gRPC checks a server's DNS name and nothing else, so that name carries identity and role. Where the
user gives an address without saying who is there, `meshctl` looks at the certificate first, checks
that the mesh issued it, and then expects exactly that identity.
"""

import queue
import socket
import ssl
import tempfile
import time
from dataclasses import dataclass

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mesh.heads.certificates import check_certificate, read_certificate
from mesh.heads.identity import Identity, IdentityRefused
from node.admin.failures import Failure, refused, unreachable
from node.disk.authority_keys import TlsFiles

DIAL_TIMEOUT_S = 4.0
"""For TCP and TLS to be up. A distant site takes under 2 s; more means that nobody answers."""

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
"""Of a reply: a server sends at most 3 MiB of documents."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address, and who must be there."""

    identity: Identity
    address: str

    def __str__(self) -> str:
        return f"{self.identity.role} {self.identity.name} at {self.address}"


def split_address(address: str) -> tuple[str, int]:
    """Host and port of HOST:PORT or [IPV6]:PORT. Raises Failure."""
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise Failure(f"{address!r} is no address: give HOST:PORT, as 10.0.0.5:7400", 2)
    return host.removeprefix("[").removesuffix("]"), int(port)


def identify(address: str, mesh: str, tls: TlsFiles) -> Identity:
    """Who the certificate at `address` says is there, issued by an authority of the mesh.

    Raises Failure: unreachable, or refused where the certificate is of another mesh.
    """
    try:
        with (
            socket.create_connection(split_address(address), DIAL_TIMEOUT_S) as raw,
            _context(tls).wrap_socket(raw) as connection,
        ):
            certificate = connection.getpeercert(binary_form=True) or b""
        identity = _who(certificate, mesh, tls)
    except ssl.SSLCertVerificationError as error:
        text = f"{address} shows a certificate that no authority of the mesh {mesh} issued"
        raise refused(f"{text} ({error.verify_message}); is it the right address?") from None
    except IdentityRefused as error:
        raise refused(f"{address}: {error}") from None
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise unreachable(f"{address}: {reason}; is the daemon there running?") from None
    if identity.mesh != mesh:
        raise refused(f"{address} is {identity.uri}, not of the mesh {mesh}")
    return identity


def _who(certificate: bytes, mesh: str, tls: TlsFiles) -> Identity:
    """Who it names. One that a delegated authority issued counts for a node alone, so that whoever
    admits boxes cannot pose as a master. Raises IdentityRefused."""
    identity = read_certificate(certificate).identity
    if identity.role != "node" and identity.mesh == mesh:
        roots = x509.load_pem_x509_certificates(tls.authorities_pem)
        check_certificate(certificate, [one.public_bytes(Encoding.DER) for one in roots], mesh)
    return identity


def open_channel(target: Target, tls: TlsFiles) -> grpc.Channel:
    """A channel that is connected to `target`. Raises Failure with the reason."""
    split_address(target.address)
    mutual = grpc.ssl_channel_credentials(
        root_certificates=_roots(target.identity, tls),
        private_key=tls.key_pem,
        certificate_chain=tls.certificate_pem,
    )
    options = [
        ("grpc.ssl_target_name_override", target.identity.dns_name),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    ]
    channel = grpc.secure_channel(target.address, mutual, options)
    if not _connects(channel):
        channel.close()
        raise _why(target, tls)
    return channel


def _roots(expected: Identity, tls: TlsFiles) -> bytes:
    return tls.authorities_pem + (tls.delegated_pem if expected.role == "node" else b"")


def _connects(channel: grpc.Channel) -> bool:
    """Whether the first attempt to connect succeeds in time. (gRPC itself would go on trying.)"""
    states: queue.SimpleQueue[grpc.ChannelConnectivity] = queue.SimpleQueue()
    report = states.put
    channel.subscribe(report, try_to_connect=True)
    until = time.monotonic() + DIAL_TIMEOUT_S
    try:
        while (left := until - time.monotonic()) > 0:
            state = states.get(timeout=left)
            if state is grpc.ChannelConnectivity.READY:
                return True
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                return False
    except queue.Empty:
        return False
    finally:
        channel.unsubscribe(report)
    return False


def _why(target: Target, tls: TlsFiles) -> Failure:
    """gRPC says UNAVAILABLE for everything; a second look with ssl tells the reasons apart."""
    try:
        found = identify(target.address, target.identity.mesh, tls)
    except Failure as failure:
        return failure
    if found.dns_name != target.identity.dns_name:
        who = f"{found.role} {found.name}"
        return refused(f"expected {target}, but {who} is there; nothing was sent to it")
    return unreachable(f"{target} does not answer; it refuses this identity, or is overloaded")


def _context(tls: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the identity is what is being asked for
    context.load_verify_locations(cadata=(tls.authorities_pem + tls.delegated_pem).decode())
    context.set_alpn_protocols(["h2"])
    # The ssl module takes a certificate from files only.
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(tls.certificate_pem + b"\n" + tls.key_pem)
        pair.flush()
        context.load_cert_chain(pair.name)
    return context
