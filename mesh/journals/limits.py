"""Every limit of journals, in one place: unit, reason, worst case."""

ENVELOPE_BYTES_MAX = 192 * 1024
"""A signed batch fits a control frame of 256 KiB with room for its neighbours in the message."""

PAYLOAD_BYTES_MAX = ENVELOPE_BYTES_MAX - 1024
"""What a writer fills: the envelope adds a type and at most four signatures, 0.6 KiB."""

ENTRIES_MAX = 256
"""Of one batch. A site's burst is a few dozen; 256 empty entries parse to 40 KiB."""

EVENT_CHARACTERS_MAX = 64
SUBJECT_CHARACTERS_MAX = 256
CAUSE_CHARACTERS_MAX = 512
FIELDS_MAX = 16
FIELD_NAME_CHARACTERS_MAX = 64
FIELD_VALUE_CHARACTERS_MAX = 1024
"""Of one entry. Worst case of all six, at 4 bytes a character: 73 KB, so two fit any batch."""

NUMBER_MAX = 2**63 - 1
"""Of counters, sequences and times: what a database's signed integer holds."""

NONCE_BYTES = 8
"""Of a boot: tells two holders of one disk apart."""

ACKNOWLEDGEMENT_BYTES_MAX = 1024
"""A log's name, a sequence, a master's ID and a signature need 0.4 KiB."""

LOGS_PER_NODE_MAX = 1000
"""A node with its own key could invent boots for ever. Worst case 0.8 MB a node, 40 MB a site of
50 such nodes. An honest node makes two logs a boot."""

COPY_BYTES_A_NODE_MAX = 64 * 1024 * 1024
"""Of one other node's records on this disk. An honest node writes about 1 MB a day."""

COPY_BYTES_MAX = 512 * 1024 * 1024
"""Of all others' records: a gateway's share of a site of 50 nodes in an outage of ten days, and
eight hostile nodes at their own limit."""

MARK_BYTES = 256 * 1024
"""How finely the bytes of a log are known: 256 pairs of numbers for a node at its limit."""

KEPT_AFTER_ACKNOWLEDGEMENT_MS = 7 * 24 * 3600 * 1000
"""How long acknowledged entries stay: for people at the site, and for a master that was restored
from a copy up to a week old."""

CHECKPOINT_EVERY_MS = 24 * 3600 * 1000
"""How finely the seven days are counted. Eight pairs of numbers a log."""
