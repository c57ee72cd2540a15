"""The node's identity between nodes: its mTLS port, its way out, whom it trusts and lets in."""

import grpc

from node.runtime.authorities import Authorities
from node.runtime.config import RuntimeConfig, TlsPaths
from node.runtime.guests import Guests
from node.runtime.peer_guard import PeerGuard
from node.runtime.tls import TlsDialler, server_credentials
from protos.runtime_pb2 import RuntimeSpec


class Peers:
    """What a runtime with an identity has for its neighbours. `address` is to be listened at."""

    def __init__(self, config: RuntimeConfig, tls: TlsPaths, address: str) -> None:
        """Raises OSError or ValueError if a file of the identity is missing or damaged."""
        self.address = address
        self._tls = tls
        self._authorities = Authorities(tls.authorities, config.authorities)
        self._guests = Guests(config.guests, config.mesh, config.site)
        self.guard = PeerGuard(
            config.mesh, config.site, lambda: self._authorities.ders, self._guests.check
        )
        self.guard.revoke(self._guests.revoked)
        self.dialler = TlsDialler(tls, self._authorities, address)

    def credentials(self) -> grpc.ServerCredentials:
        """Of the port."""
        return server_credentials(self._tls, self._authorities, self._guests)

    def follow(self, spec: RuntimeSpec) -> bool:
        """Trusts and refuses whom the agent says; whether other authorities are trusted now, so
        that what is open with neighbours is to be dialled anew."""
        news = self._authorities.replace(spec.authorities)
        self._guests.replace(spec)
        self.guard.revoke(self._guests.revoked)
        return news
