"""All links of this process, and the service that accepts them."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from mesh.heads.identity import Identity
from node.net.identity import Context, PeerCheck, current_call, refusal
from node.net.links import Link
from node.net.server import Service
from node.net.settings import LINKS_PER_PEER_MAX
from node.net.streams import AcceptedStream

PEER_SERVICE = "mesh.v1.Peer"


class LinkTable:
    """The open links. With one peer there are at most LINKS_PER_PEER_MAX: the oldest goes."""

    def __init__(self) -> None:
        self._links: dict[Link, None] = {}  # in the order in which they were opened

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links))

    def __len__(self) -> int:
        return len(self._links)

    def add(self, link: Link) -> None:
        """Keeps an eye on `link` until `discard`."""
        theirs = [
            one for one in self._links if one.is_open and one.peer.identity == link.peer.identity
        ]
        if len(theirs) >= LINKS_PER_PEER_MAX:
            theirs[0].close("the peer opened another link")
        self._links[link] = None

    def discard(self, link: Link) -> None:
        """Forgets a link that has ended."""
        self._links.pop(link, None)

    def close_unwelcome(self, check: PeerCheck) -> int:
        """Ends the links with peers that are not welcome any more; how many.

        To be called when trust or revocations have changed.
        """
        ended = 0
        for link in self:
            if why := refusal(link.peer, check):
                link.close(why, grpc.StatusCode.PERMISSION_DENIED)
                ended += 1
        return ended

    def close_all(self, reason: str) -> None:
        """Ends all links."""
        for link in self:
            link.close(reason)


class LinkServicer:
    """Accepts links. `on_link` is called for each, and has to start a task that reads it.

    `own` says whose site a peer is compared with: neighbours of a site send heartbeats.
    """

    def __init__(self, own: Identity, table: LinkTable, on_link: Callable[[Link], None]) -> None:
        self._own = own
        self._table = table
        self._on_link = on_link

    @property
    def service(self) -> Service:
        """To be given to a Server."""
        return PEER_SERVICE, self._add_to

    def _add_to(self, server: grpc.aio.Server) -> None:
        # No (de)serialisers: frames stay bytes.
        method = grpc.stream_stream_rpc_method_handler(self._link)
        handler = grpc.method_handlers_generic_handler(PEER_SERVICE, {"Link": method})
        server.add_generic_rpc_handlers((handler,))

    async def _link(self, _frames: Any, context: Context) -> None:
        peer = current_call().caller
        link = Link(
            peer, AcceptedStream(context), dialled=False, wan=is_wan(self._own, peer.identity)
        )
        self._table.add(link)
        try:
            self._on_link(link)
            await link.run()
        finally:
            link.close("the stream was cut off")
            self._table.discard(link)


def is_wan(own: Identity, peer: Identity) -> bool:
    """Whether a link between these two crosses the WAN: only nodes of one site are on one LAN."""
    return not (own.role == peer.role == "node" and own.site == peer.site)
