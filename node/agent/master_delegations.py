"""Delegations as a master answers for them: making and ending them, and what a box begins with."""

from mesh.heads.snapshot import branches_of
from node.admin.backend import DelegationMade, NotFound
from node.agent.master_parts import MasterPart
from node.agent.site_documents import Document, delegation_documents
from node.net.identity import current_call
from protos.documents_pb2 import Branch, SiteSnapshot


class MasterDelegations(MasterPart):
    """The part of a master's backend that is about boxes."""

    def delegations(self) -> list[Document]:
        """The delegations that stand."""
        by_site = self._p.authority.content.delegations_by_site()
        used = {one.id: [use.number for use in one.uses] for s in by_site.values() for one in s}
        return [
            document
            for site in sorted(by_site)
            for document in delegation_documents(site, by_site[site], used)
        ]

    async def delegate(
        self, site: str, count: int, valid_ms: int, authority: bytes
    ) -> DelegationMade:
        """Lets the operator who calls admit boxes at a site."""
        operator = current_call().caller.identity.name
        asked = (site, count, valid_ms, authority, operator)
        change = self._p.authority.delegating
        done = await self._change(change, lambda d: d.delegate(*asked))
        return DelegationMade(done.record.id, done.record.until_unix_ms, done.counter)

    async def end_delegation(self, name: str, reason: str) -> DelegationMade:
        """Ends a delegation."""
        done = await self._change(self._p.authority.delegating, lambda d: d.end(name, reason))
        return DelegationMade(name, done.record.until_unix_ms, done.counter)

    async def snapshot(self, site: str) -> SiteSnapshot:
        """What a box of the site begins with."""
        authority = self._p.authority
        if site not in authority.content.known_sites():
            raise NotFound(f"there is no site {site!r}; list them: meshctl get sites")
        state, found = self._state_of(site)
        bodies = [record.body for record in self._p.peer.registers_of(site).records()]
        nodes = authority.content.nodes.values()
        return SiteSnapshot(
            root_key=authority.trust.root_key,
            trust=authority.trust.envelope,
            state=state,
            branches=[branch for branch, _ in found],
            blobs=[blob for _, blob in found],
            masters=[f"{self._p.name}@{self._p.address()}"],
            neighbours=[f"{one.node}@{one.peer_address}" for one in bodies if one.peer_address],
            admitted=[one.certificate for one in nodes if one.delegation and one.site == site],
        )

    def _state_of(self, site: str) -> tuple[bytes, list[tuple[Branch, bytes]]]:
        """The state of now, and the branches of it that a node of the site needs."""
        authority = self._p.authority
        while True:
            state = authority.state()
            found = [authority.branch(name) for name in branches_of(site)]
            if authority.state() == state:  # else another was signed meanwhile
                return state, [pair for pair in found if pair is not None]
