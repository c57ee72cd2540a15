"""Every limit of manifests and chunks, with its unit, its reason and its worst case."""

ENVELOPE_BYTES_MAX = 192 * 1024
"""Bytes of a signed manifest. It travels in a control frame (256 KiB) beside other documents.
Worst case for a forged one: parsed by nobody, one SHA-256 of 192 KiB."""

CHUNKS_MAX = 5120
"""Chunks of an artifact. Each costs 34 bytes of the envelope: 170 KiB of its 192 KiB. With the
largest chunks that is an artifact of 5 GiB, and a bitmap of 640 bytes."""

CHUNK_BYTES_MIN = 64 * 1024
"""Bytes. Below this the message's own cost (some 100 bytes and a hash call) begins to count."""

CHUNK_BYTES_MAX = 1024 * 1024
"""Bytes. The largest message of bulk data: 256 KiB to 1 MiB is gRPC's plateau, and what one
corrupt chunk, or a duplicate over the WAN, costs."""

CHUNKS_AIMED_AT = 256
"""Chunks of a large artifact: one duplicate over the WAN is 0.4 % of it."""

FILES_MAX = 64
"""Files of an artifact, golden tensors included."""

GOLDENS_MAX = 16
"""Golden requests of a model: each is run before it serves."""

TENSORS_MAX = 32
"""Inputs, or outputs, of one golden request."""

DIMENSIONS_MAX = 8
"""Dimensions of a golden tensor's shape."""

TENSOR_NAME_BYTES_MAX = 256
"""Bytes of a tensor's name. Models name tensors after layers; real ones stay below 200."""

MEMORY_BYTES_MAX = 1 << 40
"""Bytes that a model may claim: 1 TiB, above any machine of a site, so that sums stay sane."""

LOAD_MS_MAX = 3_600_000
"""Milliseconds that a model may claim for loading: an hour, for the largest on the smallest box."""
