"""Every limit of heads, identities and tokens, in one place: unit, reason, worst case."""

NAME_MAX = 63
"""Characters of a name: a DNS label has no more (RFC 1035, 2.3.4)."""

URI_MAX = 256
"""Characters of an identity's URI. The longest has 3 names, 189 characters, and 22 between them."""

CERTIFICATE_MAX_BYTES = 2048
"""Of a certificate in DER. With the longest names ours have under 1,200; worst case for a hostile
one: 2 KiB are parsed, under 1 ms."""

PEM_MAX_BYTES = 2 * CERTIFICATE_MAX_BYTES
"""Base64 makes four of three, and PEM adds lines around: less than twice."""

KEY_BYTES = 32
"""Of a raw Ed25519 public key."""

DIGEST_BYTES = 32
"""Of a SHA-256."""

NUMBER_MAX = 2**63 - 1
"""Of counters, generations and times: what a database's signed integer holds."""

TRUST_MAX_BYTES = 64 * 1024
"""Of a trust head's envelope. One with 4 authorities and 100 keys has 12 KiB; two fit a frame."""

AUTHORITIES_MAX = 8
"""Of a trust head: each certificate that is checked may cost a signature check for each, 0.1 ms."""

KEYS_MAX = 256
"""Of a trust head: masters, release signers and site operators, 100 bytes each."""

MASTERS_MAX = 16
"""Of a trust head. More than one etcd cluster's worth."""

STATE_MAX_BYTES = 4 * 1024
"""Of a state head's envelope, which has 300 bytes; the rest is room for more signatures."""

LEAVES_MAX = 1 << 20
"""Branches of a state: one a site and a few more. A proof has 20 digests then, 0.7 KiB."""

BRANCH_NAME_MAX_BYTES = 128
"""`site/` and a name has 68."""

PROOF_MAX_BYTES = 1024
"""Of an encoded branch with its proof. The design promises no more."""

BLOB_MAX_BYTES = 192 * 1024
"""Of a branch's blob: it travels in a control frame of 256 KiB. Worst case: 96 Ki empty
sub-messages, 5 MB of memory, for as long as one check lasts."""

ROSTER_MAX = 256
"""Nodes of a site."""

FORMER_MAX = 64
"""Nodes of a site that are in its roster no more, as its branch tells them, 110 bytes each: more
are not replaced while a part of a site hears of nothing. Of older ones a state tells nothing."""

WORKLOADS_MAX = 256
"""Models, services, or pipelines of a site, of each."""

REPLICAS_MAX = 256
"""Of a service at a site, and of its spares: as many as a site has nodes."""

CORES_MAX = 1024
"""Of one replica."""

MEMORY_BYTES_MAX = 1 << 44
"""Of one replica: 16 TiB."""

DURATION_MS_MAX = 24 * 3600 * 1000
"""Of a gate, a soak, a period: a day."""

AUTONOMY_MS_MAX = 400 * 24 * 3600 * 1000
"""How long into an outage a site may change things: a year and some."""

DELEGATIONS_MAX = 16
"""Of a site, ended ones whose boxes are still enrolled among them: each certificate that is checked
may cost a signature check for each, 0.1 ms, once. 2.5 KiB each at worst, of a branch's blob."""

DELEGATED_MAX = 16
"""Boxes of one delegation: more than anybody replaces in one outage. A node keeps 16 times 16
certificates at worst, 0.5 MiB."""

LABELS_MAX = 32
"""Labels of a site or a selector, 128 bytes each."""

LABEL_MAX = 63
"""Characters of a label's key or value."""

VERSION_MAX = 64
"""Characters of a model's version."""

REASON_MAX = 256
"""Characters of a revocation's reason."""

REVOCATIONS_MAX = 4096
"""Entries. The blob's size allows about 1,300 of 150 bytes; the bound is for tiny ones."""

RELEASED_MAX = 4096
"""Artifacts. The blob's size allows about 2,400 of 80 bytes; the bound is for tiny ones."""

TOKEN_MAX = 256
"""Characters of a join token; ours have under 120."""

SECRET_MIN_BITS = 128
"""Of a join token: guessing it over the network is hopeless, so its hash needs no stretching."""

SECRET_MAX = 128
"""Characters of a join token's secret."""
