"""The limits of one pipeline process, each with its unit, its reason and its worst case."""

SPEC_BYTES_MAX = 64 * 1024
"""Of the line that configures the process; a real one has 400 bytes."""

EVERY_MS_MIN = 10
"""100 frames a second: more is no use to a service, and would keep a core from everything else."""

PIXELS_MAX = 3840 * 2160
"""Of one frame: 4K. Worst case 25 MB for a frame in BGR, and about 16 in a decoder's hands."""

OPEN_TIMEOUT_MS = 5_000
"""A camera on the LAN opens within one second."""

READ_TIMEOUT_MS = 5_000
"""The longest wait for one frame of a stream before the source counts as failed."""

INFER_TIMEOUT_S = 2.0
"""One call to the service; late answers about a moving picture are of no use."""

ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""Of one answer of the service: 800,000 windows of a detector."""

CANDIDATES_MAX = 500
"""Windows above the threshold that are merged, the best first. Merging compares each with each:
worst case, when none overlap, 500 rounds in 0.1 s. A face gives a detector some dozens."""

INPUT_SIDE_MAX = 4_096
"""Width and height in pixels of a model's input. Worst case 201 MB as three floats a pixel, which
still fits in the cap."""

CHANGE_FRAMES = 2
"""A number of detections counts once so many frames in a row agree: one frame's flicker is none."""

RETRY_MS_MIN, RETRY_MS_MAX = 500, 30_000
"""A source that cannot be opened is tried again after these, doubling."""

PROGRESS_EVERY_MS = 1_000
"""How often a living process says so."""

SILENT_MS_MAX = 15_000
"""For the supervisor: an open (5 s), a first frame (5 s) and two calls (2 s each) may pass
between two lines of progress; nothing takes longer unless it hangs."""

TROUBLE_EVERY_MS = 10_000
"""At most one `pipeline.error` in this time, so that a flapping camera does not fill a journal
that drops nothing. Worst case 8,640 records a day, and as many recoveries."""

REASON_CHARACTERS_MAX = 200
"""Of a reason in a journal: others write parts of it."""
