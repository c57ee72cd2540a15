"""Who becomes a node: join tokens, and what a machine must show to use one.

The rules: a token is good once, for a time, for one site; the machine that used it may ask again,
where the answer was lost, and gets what it was given; of a token's secret only a hash is kept, and
nobody learns anything about a token before the secret was right; an ID belongs to the keys that it
was enrolled with until it is revoked, so that a second machine of that ID is refused and the first
one kept; no two nodes share a key. The token is used up in the same commit that admits the node.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from mesh.desired.problems import ResourcesRefused
from mesh.heads.certificates import issue
from mesh.heads.identity import Identity, IdentityRefused, check_name
from mesh.heads.limits import ROSTER_MAX
from mesh.heads.tokens import RANDOMNESS_BYTES, hash_secret, make_token, secret_matches
from mesh.heads.trust import pin
from node.disk.authority_folder import SERIAL_BITS
from node.disk.authority_keys import MasterKeys
from node.master.content import put_node
from node.master.errors import EnrolRefused, MasterRefused
from node.master.events import EventBook, Told
from node.master.publisher import Publisher
from node.master.records import AlarmRecord, NodeRecord, TokenRecord
from node.master.requests import EnrolmentRequest, ProvenKeys, check_proofs
from node.master.store import Expected, Store, Write

TOKENS = "token"
ALARMS = "alarm"
"""The names of the store's tables."""
TOKEN_MADE = "token.made"
ENROLLED = "node.enrolled"
"""The events."""
TOKEN_VALID_S = 600
"""Unless something else is asked for: time to walk to the machine."""
TOKEN_VALID_S_MAX = 7 * 86_400
"""A week: a box that is sent by post."""
TOKEN_KEPT_MS = 86_400_000
"""A token that was used up or has expired is told apart from an unknown one for this long."""
TOKENS_MAX = 10_000
"""Kept at once: 2 MB of the store."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token's text, which is shown once and kept nowhere, and when it expires."""

    text: str
    expires_unix_ms: int


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a machine gets that became a node."""

    certificate: bytes
    mesh: str
    site: str
    node: str


class Admission:
    """Makes tokens and redeems them. Its methods are for one thread at a time."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        book: EventBook,
        keys: MasterKeys,
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._book = book
        self._keys = keys
        self._clock = clock
        self._pin = pin(keys.root_key)

    def create_token(self, site: str, valid_s: int = 0) -> NewToken:
        """A token for one machine of `site`; `valid_s` 0: ten minutes. Raises MasterRefused."""
        try:
            check_name("site", site)
        except IdentityRefused as refused:
            raise MasterRefused(str(refused)) from None
        if not 0 <= valid_s <= TOKEN_VALID_S_MAX:
            raise MasterRefused(f"a token is valid for at most {TOKEN_VALID_S_MAX} seconds")
        now_ms = self._clock()
        writes, kept = self._forget_old(now_ms)
        if kept >= TOKENS_MAX:
            raise MasterRefused(f"there are {kept} tokens; wait until some have expired")
        token = make_token(secrets.token_bytes(RANDOMNESS_BYTES), self._pin)
        expires = now_ms + 1000 * (valid_s or TOKEN_VALID_S)
        record = TokenRecord(
            token.id, hash_secret(token.secret), site, expires, operator=self._book.asking()
        )
        writes += [Write(TOKENS, token.id, record.encode())]
        told = Told(TOKEN_MADE, token.id, "for one machine", [site], {"until": str(expires)})
        fresh = Expected(TOKENS, token.id, None)
        self._store.commit([*writes, *self._book.writes(told)], [fresh])
        return NewToken(token.format(), expires)

    def tokens(self) -> list[TokenRecord]:
        """The tokens that can still be used."""
        now_ms = self._clock()
        records = [TokenRecord.decode(data) for _, data in self._store.scan(TOKENS)]
        return [one for one in records if not one.used_by and one.expires_unix_ms > now_ms]

    def redeem(self, request: EnrolmentRequest) -> Enrolled:
        """Admits a machine, or tells one again that was admitted by this token. Raises
        EnrolRefused."""
        token = self._known_token(request)
        again = f"make another: meshctl token create --site {token.site}"
        if token.used_by:
            return self._admitted_before(request, token, again)
        if token.expires_unix_ms <= self._clock():
            raise EnrolRefused(f"the token has expired; {again}")
        keys = check_proofs(request)
        present = self._check_free(request.node, token.site, keys)
        identity = Identity(self._keys.mesh, "node", request.node, token.site)
        certificate = issue(
            self._keys.authority_key,
            self._keys.authority_der,
            identity,
            keys.tls_public_key,
            keys.signing_key,
            secrets.randbits(SERIAL_BITS) | 1,
        )
        record = NodeRecord(
            request.node,
            token.site,
            certificate,
            keys.tls_key,
            keys.signing_key,
            self._clock(),
            cordoned=present is not None and present.cordoned,
            draining=present is not None and present.draining,
            since=present.since if present else self._publisher.next_counter,
        )
        self._admit(record, token)
        return Enrolled(certificate, identity.mesh, identity.site, identity.name)

    def _admitted_before(
        self, request: EnrolmentRequest, token: TokenRecord, again: str
    ) -> Enrolled:
        """What the machine was given that used the token; nobody else is given anything."""
        node = self._publisher.content.nodes.get(token.used_by)
        if request.node == token.used_by and node is not None and not node.revoked:
            keys = check_proofs(request)
            if (node.tls_key, node.signing_key) == (keys.tls_key, keys.signing_key):
                return Enrolled(node.certificate, self._keys.mesh, node.site, node.node)
        raise EnrolRefused(f"the token was used by {token.used_by}, and is good once; {again}")

    def _known_token(self, request: EnrolmentRequest) -> TokenRecord:
        data = self._store.get(TOKENS, request.token_id)
        token = TokenRecord.decode(data) if data else None
        # The hash is compared even where there is no token, so that both take the same time.
        kept = token.secret_hash if token else bytes(32)
        if not secret_matches(kept, request.secret) or token is None:
            raise EnrolRefused(
                "this master has no such token, or the secret is wrong; make another: "
                "meshctl token create --site SITE"
            )
        return token

    def _check_free(self, node: str, site: str, keys: ProvenKeys) -> NodeRecord | None:
        """The machine's own record, if it is a node already. Raises EnrolRefused."""
        content = self._publisher.content
        if node in self._publisher.trust.masters:  # peers and journals are told apart by their IDs
            raise EnrolRefused(f"{node!r} is the ID of a master; give another with --id")
        for one in content.revocations.values():
            if keys.tls_key == one.tls_key or keys.signing_key == one.signing_key:
                raise EnrolRefused(
                    f"these keys were revoked ({one.reason}); "
                    "join with an empty data folder, which makes new keys"
                )
        for record in content.nodes.values():
            if record.node != node and (
                record.tls_key == keys.tls_key or record.signing_key == keys.signing_key
            ):
                raise EnrolRefused(
                    f"these keys are those of node {record.node!r}: its data folder was copied; "
                    "join with an empty data folder"
                )
        present = content.nodes.get(node)
        if present is not None and not present.revoked:
            self._check_same(present, site, keys)
            return present
        if len(content.rosters().get(site, ())) >= ROSTER_MAX:
            raise EnrolRefused(f"site {site!r} has {ROSTER_MAX} nodes, which is the most")
        return None

    def _check_same(self, present: NodeRecord, site: str, keys: ProvenKeys) -> None:
        node = present.node
        if (present.tls_key, present.signing_key) != (keys.tls_key, keys.signing_key):
            self._alarm(present)
            raise EnrolRefused(
                f"node {node!r} of site {present.site!r} is enrolled with other keys and is kept; "
                f"join under another ID, or, if it is gone for good: meshctl node revoke {node}"
            )
        if present.site != site:
            raise EnrolRefused(
                f"the token is for site {site!r}, node {node!r} belongs to {present.site!r}; "
                f"make another: meshctl token create --site {present.site}"
            )

    def _alarm(self, present: NodeRecord) -> None:
        alarm = AlarmRecord(
            kind="Clone",
            subject=present.node,
            site=present.site,
            message=f"another machine tried to join as {present.node}, with other keys, and was "
            "refused; find it, or revoke the node that is enrolled if that one is the stranger",
            severity="warning",
            since_unix_ms=self._clock(),
        )
        self._store.commit([Write(ALARMS, f"{alarm.kind}/{alarm.subject}", alarm.encode())])

    def _admit(self, record: NodeRecord, token: TokenRecord) -> None:
        content = self._publisher.content
        after = replace(content, nodes={**content.nodes, record.node: record})
        used = replace(token, used_by=record.node)
        by = f"it joined with the token {token.id}"
        told = Told(ENROLLED, record.node, by, [record.site], operator=token.operator)
        writes = [put_node(record), Write(TOKENS, token.id, used.encode())]
        writes += self._book.writes(told)
        try:
            draft = self._publisher.draft(after)
        except ResourcesRefused as refused:
            raise EnrolRefused(f"the site has no room for another node: {refused}") from None
        self._publisher.commit(draft, writes)

    def _forget_old(self, now_ms: int) -> tuple[list[Write], int]:
        """What removes tokens that are long over, and how many stay."""
        records = [TokenRecord.decode(data) for _, data in self._store.scan(TOKENS)]
        over = [one for one in records if one.expires_unix_ms + TOKEN_KEPT_MS <= now_ms]
        return [Write(TOKENS, one.id, None) for one in over], len(records) - len(over)
