"""TLS credentials of both ends: P-256 certificates, mutual, TLS 1.3 between our own peers.

A server asks its `current` material at each handshake, so that a renewed certificate or a changed
set of authorities needs no restart. A client trusts exactly one certificate, the one that it has
looked at and checked: so it knows the peer's keys, which gRPC's Python client cannot tell.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from mesh.heads.certificates import pem


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """What this end shows and trusts: PEM bytes of its key, certificate and authorities."""

    key_pem: bytes
    certificate_pem: bytes
    authorities_pem: bytes


def server_credentials(current: Callable[[], TlsMaterial]) -> grpc.ServerCredentials:
    """Mutual TLS: every client has to show a certificate that an authority issued."""
    return _server_credentials(current, mutual=True)


def enrolment_server_credentials(current: Callable[[], TlsMaterial]) -> grpc.ServerCredentials:
    """TLS for those who have no certificate yet: only the server shows one."""
    return _server_credentials(current, mutual=False)


def client_credentials(material: TlsMaterial, peer_der: bytes) -> grpc.ChannelCredentials:
    """Mutual TLS with the one peer whose certificate is `peer_der`."""
    return grpc.ssl_channel_credentials(
        root_certificates=pem(peer_der),
        private_key=material.key_pem,
        certificate_chain=material.certificate_pem,
    )


def _server_credentials(
    current: Callable[[], TlsMaterial], *, mutual: bool
) -> grpc.ServerCredentials:
    shown = current()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        # Called on gRPC's own threads; None keeps what is there.
        nonlocal shown
        material = current()
        if material == shown:
            return None
        shown = material
        return _configuration(material, mutual)

    fetch: Any = changed  # the type stubs do not know that None is allowed
    return grpc.dynamic_ssl_server_credentials(
        _configuration(shown, mutual), fetch, require_client_authentication=mutual
    )


def _configuration(material: TlsMaterial, mutual: bool) -> grpc.ServerCertificateConfiguration:
    pair = (material.key_pem, material.certificate_pem)
    return grpc.ssl_server_certificate_configuration(
        [pair], root_certificates=material.authorities_pem if mutual else None
    )
