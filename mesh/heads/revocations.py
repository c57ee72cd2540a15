"""Who is revoked: asked on every call, because a TLS session outlives the news.

A revocation names a key, so that a machine that is enrolled again with new keys is no longer
meant. The caller keeps the last good `Revoked` when a newer blob is refused or missing: unknown is
not absent.
"""

from collections.abc import Mapping

from mesh.heads.branches import open_revocations

NO_REASON = "no reason was given"


class Revoked:
    """The revocations in a blob of the state's tree, and the nodes of the site whose place another
    has taken (`replaced`: TLS keys and why); without any, nobody is revoked.

    Raises BranchRefused if the blob is not what it should be.
    """

    def __init__(self, blob: bytes = b"", replaced: Mapping[bytes, str] | None = None) -> None:
        entries = open_revocations(blob).entries
        said = {entry.tls_key: entry.reason or NO_REASON for entry in entries}
        self._reasons = {**(replaced or {}), **said}

    def is_revoked(self, tls_key: bytes) -> str | None:
        """Why the certificate with this key (SHA-256 of its SubjectPublicKeyInfo) is revoked.

        None if it is not. Never empty.
        """
        return self._reasons.get(tls_key)

    @property
    def tls_keys(self) -> frozenset[bytes]:
        """All revoked keys: whose open links are to be cut."""
        return frozenset(self._reasons)
