"""Heads: what the authority says, and who may say it.

`trust` says which keys may say what; `state` is everything else, as the root of a Merkle tree whose
branches are blobs. Identities, certificates and join tokens stand beside them, because the trust
head is what makes them good.
"""
