"""The worker's limits, each with unit, reason and worst case."""

FRAME_BYTES_MAX = 1 << 20
"""1 MiB: a frame holds names, shapes and small tensors; larger ones lie in the shared memory."""

INLINE_BYTES_MAX = 64 << 10
"""64 KiB of values in one frame: below it a copy costs less than a look into the shared memory."""

MANIFEST_BYTES_MAX = 256 << 10
"""256 KiB: a manifest travels in one control frame of that size; a longer one is none."""

GOLDEN_RUNS_MIN = 5
"""Runs over the golden inputs from which the median latency is taken: fewer are mostly noise."""

LATENCY_ROUNDS_MAX = 3
"""Rounds in which a model may show that it is fast enough: other work on the machine only ever
adds to a latency, so the best round tells most about the model."""

TENSOR_ALIGNMENT_BYTES = 64
"""Tensors begin at cache lines in the shared memory, so that OpenVINO may use them in place."""
