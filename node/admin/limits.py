"""Every limit of the Admin service, with its unit, its reason and its worst case."""

from mesh.heads.limits import REASON_MAX

DOCUMENTS_DEFAULT = 1_000
"""Documents in one reply if the caller says nothing."""

DOCUMENTS_MAX = 10_000
"""Documents in one reply whatever the caller says."""

REPLY_BYTES_MAX = 3 * 1024 * 1024
"""Of one reply's documents; gRPC's clients take 4 MiB by default."""

YAML_BYTES_MAX = 240 * 1024
"""Of one `apply`: within the 256 KiB that a server takes in a message. About 1,000 documents."""

MANIFEST_BYTES_MAX = 192 * 1024
"""As for every blob that must fit into one message between peers."""

PART_BYTES_MAX = 192 * 1024
"""Of one message of PushChunks; a chunk of 1 MiB comes in six."""

CHUNK_BYTES_MAX = 1024 * 1024
"""Of a chunk put together from its parts: what one stream of PushChunks can hold in memory."""

NAME_CHARACTERS_MAX = 256
"""Of a name, a kind, a site or a file's name. Our own names are DNS labels, 63 at most."""

REASON_CHARACTERS_MAX = REASON_MAX
"""Of a reason, as in signed state: it ends up there and in journals."""

TOKEN_VALID_S_MAX = 7 * 24 * 3600
"""A join token is a secret that lies about; a week is for a box that is sent by post."""

WARNINGS_MAX = 100
WARNING_CHARACTERS_MAX = 500
"""Of what is told of one input: a person reads no more."""

DIGEST_BYTES = 32
"""SHA-256."""

DETAIL_BYTES_MAX = 4_000
"""Of a refusal's text: it travels in a header, and gRPC refuses headers above 8 KiB."""
