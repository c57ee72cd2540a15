"""The runtime's limits, each with unit, reason and worst case."""

# ---- sizes -------------------------------------------------------------------------------

MESSAGE_BYTES_MAX = 64 << 20
"""64 MiB of one inference request or answer: a batch of five 4K pictures as FP32 would fit."""

SHARED_BYTES = 2 * MESSAGE_BYTES_MAX
"""128 MiB of shared memory a worker: half for the request, half for the answer. Pages cost memory
only once they were written, so the worst case arises only for who sends the largest messages."""

INLINE_BYTES_MAX = 64 << 10
"""64 KiB of tensor values in a frame to a worker; the rest goes through the shared memory."""

FRAME_BYTES_MAX = 1 << 20
"""1 MiB of a frame from a worker: names, shapes, small tensors."""

TENSOR_ALIGNMENT_BYTES = 64
"""Tensors begin at cache lines in the shared memory, so that OpenVINO may use them in place."""

TENSORS_MAX = 64
"""Tensors of one request: more than any served model has inputs."""

DIMENSIONS_MAX = 16
"""Dimensions of one tensor: OpenVINO's own models stay below 8."""

CONTROL_BYTES_MAX = 4 << 20
"""4 MiB of one message from the agent: about 10,000 replicas, routes and models."""

PIPELINE_LINE_BYTES_MAX = 64 << 10
"""64 KiB of one line that a pipeline prints."""

# ---- memory of children ------------------------------------------------------------------

WORKER_RESERVE_BYTES = 192 << 20
"""Added to a replica's memory limit to make the cap on its process. Measured with OpenVINO 2026.4:
a worker with the smallest model has 147 MiB of data segment (interpreter, NumPy, OpenVINO, plugin,
stacks), of which 34 MiB are resident. The cap is RLIMIT_DATA: RLIMIT_AS would count the 485 MiB of
address space that the libraries map without using. Worst case: the limit and 192 MiB resident."""

REPLICA_MEMORY_BYTES_DEFAULT = 1 << 30
"""1 GiB for a replica whose plan states no memory."""

PIPELINE_MEMORY_BYTES = 1 << 30
"""1 GiB of data segment for a pipeline: OpenCV's decoder with 4K frames needs about a third."""

# ---- time --------------------------------------------------------------------------------

LOAD_S_DEFAULT = 60.0
"""Seconds from a worker's start to serving, where the manifest states none."""

LOAD_S_MAX = 3600.0
"""An hour: the longest that a manifest may ask for."""

LOAD_CRASHES_MAX = 3
"""Workers in a row that may die while they load a version on trial, before it is refused: once may
be an accident, and each costs a back-off."""

LOAD_TIMEOUTS_MAX = 2
"""A model that did not load in time this often in a row is refused: the machine may have been
busy once, but a model bomb must not burn a core for ever."""

STALL_S_MIN = 5.0
"""Seconds without an answer after which a worker hangs, whatever its model's usual latency."""

STALL_LATENCIES = 20
"""A worker hangs once an inference takes so many times the slowest golden one."""

STALL_GRACE_S = 0.25
"""After a limit has passed, seconds to read what may have arrived meanwhile: if the runtime itself
stood still, the worker is not to blame."""

PING_EVERY_S = 2.0
"""Seconds between questions to an idle worker whether it still answers."""

DRAIN_S_MAX = 10.0
"""Seconds for the inference at hand when a replica is taken away."""

TERMINATE_S_MAX = 2.0
"""Seconds between SIGTERM and SIGKILL."""

GRACE_S = 1.0
"""Seconds for calls at hand when the runtime ends: their workers have been drained before."""

PIPELINE_STALL_S = 20.0
"""Seconds without a line from a pipeline after which it hangs: it prints progress at least every
15 s, also while its source cannot be opened."""

HEALTHY_AFTER_S = 5.0
"""A process that served so long was healthy: the next start comes at once."""

BACKOFF_S_MIN = 0.5
BACKOFF_S_MAX = 30.0
"""Back-off between starts: 0.5 s doubling to 30 s, so a crash loop costs 2 % of a core."""

BACKOFF_JITTER = 0.25
"""Share of the back-off drawn at random, so that replicas do not start in step."""

SOON_S = 5.0
"""A replica whose back-off is at most so many seconds is worth waiting for, until the deadline."""

# ---- requests ----------------------------------------------------------------------------

CONCURRENT_CALLS_MAX = 256
"""Calls at once on one inference port. Beyond: RESOURCE_EXHAUSTED by gRPC."""

QUEUE_LENGTH_MAX = 192
"""Requests that wait for one service: nine nodes that each send 20 a second, for a second, and room
for other calls. What would wait in vain is refused long before."""

QUEUE_BYTES_MAX = 256 << 20
"""256 MiB of requests that wait for one service: four of the largest."""

DEADLINE_S_DEFAULT = 10.0
"""Seconds for a request whose caller states no deadline."""

DEADLINE_S_MAX = 300.0
"""Seconds that a request may be worked on, whatever its caller states."""

WAKE_ANSWER_S = 0.1
"""Seconds kept of a deadline to say that a service which slept is not up in time: an answer that
comes after the deadline tells nobody anything."""

WAKE_SHOWN_S = 1.0
"""Seconds that the agent is shown a waiting request at least: one with little patience wakes the
service as well, for whoever comes next."""

WORKER_DEATHS_MAX = 2
"""Workers that may die over one request before it is given up: it may be the cause."""

AVOID_S = 2.0
"""Seconds for which a neighbour that did not answer comes last."""

CHANNELS_MAX = 64
"""Channels to neighbours: a site of 50 nodes, and some that were replaced."""

ROUTE_SHARE = 0.5
"""Share of the time left that one neighbour may use while there is another to ask."""

# ---- events ------------------------------------------------------------------------------

JOURNAL_BACKLOG_MAX = 4096
"""Journal items kept while no agent listens, and for each that listens slowly: at 200 bytes each,
0.8 MB. Beyond it the oldest are dropped and counted."""

WATCHERS_MAX = 8
"""Watchers of the runtime: the agent, its successor, and people who look."""

LOAD_EVERY_S = 2.0
"""Loads are told at most so often: they change all the time."""
