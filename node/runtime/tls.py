"""mTLS on the inference port between nodes: what this end shows, and how to dial out.

Files are read, and authorities asked for, at each handshake, so that new ones need no restart.
"""

import grpc
import grpc.aio

from mesh.addresses import refusal, target
from mesh.heads.certificates import pem
from node.runtime.authorities import Authorities
from node.runtime.config import TlsPaths
from node.runtime.guests import Guests
from node.runtime.limits import MESSAGE_BYTES_MAX

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # A frozen neighbour is noticed within 5 s only with all three.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


class TlsDialler:
    """Opens mTLS channels to neighbours, each expected under one DNS name.

    `own` is the address at which this node's own mTLS port is to listen.
    """

    def __init__(self, paths: TlsPaths, authorities: Authorities, own: str) -> None:
        self._paths = paths
        self._authorities = authorities
        self._own = own

    def refusal(self, address: str) -> str:
        """Why nobody is dialled at `address`, which another node may have written; "" if it may be,
        see `mesh.addresses.refusal`."""
        return refusal(address, self._own)

    def dial(self, address: str, dns_name: str, shows: bytes) -> grpc.aio.Channel:
        """A channel to the neighbour at `address`; it connects when it is first used. Where `shows`
        is not empty, the neighbour must show that certificate (DER) and no other. Raises
        AddressRefused, IdentityRefused."""
        key, certificate = self._paths.key.read_bytes(), self._paths.certificate.read_bytes()
        trusted = pem(shows) if shows else self._authorities.pem
        credentials = grpc.ssl_channel_credentials(trusted, key, certificate)
        options = [*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", dns_name)]
        return grpc.aio.secure_channel(target(address), credentials, options=options)


class NoDialler:
    """For a node without an identity: it has no neighbours."""

    def refusal(self, address: str) -> str:
        """Nobody is dialled."""
        return f"{address!r} is not dialled: this node has not joined a mesh"

    def dial(self, address: str, dns_name: str, shows: bytes) -> grpc.aio.Channel:
        """Raises FileNotFoundError: without an identity nobody is dialled."""
        raise FileNotFoundError(self.refusal(address))


def server_credentials(
    paths: TlsPaths, authorities: Authorities, guests: Guests
) -> grpc.ServerCredentials:
    """Credentials that ask every client for a certificate. Raises OSError if a file is missing."""

    def configuration() -> grpc.ServerCertificateConfiguration:
        shown = [(paths.key.read_bytes(), paths.certificate.read_bytes())]
        trusted = authorities.pem + guests.pem
        return grpc.ssl_server_certificate_configuration(shown, trusted)

    return grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, require_client_authentication=True
    )
