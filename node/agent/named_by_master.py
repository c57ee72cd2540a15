"""Which small blobs a master needs: apart from what nodes need, whose agents load no master."""

from collections.abc import Mapping

from node.master.authority import Authority


class NamedByMaster:
    """The branches of the state of now, and the manifests of all releases: worked out once for each
    state, and without the proofs of the branches, which would cost more than all else."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._state: Mapping[bytes, bytes] | None = None
        self._named: frozenset[bytes] = frozenset()

    def __call__(self) -> frozenset[bytes]:
        state = self._authority.blobs
        if state is not self._state:  # a release is another state too
            releases = self._authority.content.releases.values()
            self._named = frozenset(state) | {release.digest for release in releases}
            self._state = state
        return self._named
