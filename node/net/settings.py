"""Every limit and every gRPC option of the network, in one place: unit, reason, worst case.

Options were chosen by measurement: what a frozen peer, idle sockets and hostile messages do to a
server was tried, and each option below ends one such case.
"""

Options = list[tuple[str, int | str]]

# ---- sizes, in bytes ----

FRAME_BYTES_MAX = 256 * 1024
"""Of one control frame, and of one request. 4 MiB of empty sub-messages would cost 96 MiB of
memory once parsed; 256 KiB of them cost 6."""

MESSAGE_ROOM_BYTES = 16 * 1024
"""Around a payload of the largest size: field headers, indices, digests."""

REQUEST_BYTES_MAX = FRAME_BYTES_MAX + MESSAGE_ROOM_BYTES
"""Of one message that a server takes. gRPC refuses a larger one before it is read whole."""

CHUNK_BYTES_MAX = 1024 * 1024
"""Of one chunk. Larger messages are slower (half the speed at 16 MiB) and block the loop."""

CHUNK_MESSAGE_BYTES_MAX = CHUNK_BYTES_MAX + MESSAGE_ROOM_BYTES
"""Of one message of a bulk stream."""

OUTGOING_BYTES_MAX = 4 * 1024 * 1024
"""Waiting to be sent on one link. A peer that is this far behind is better off starting afresh;
worst case for 256 links: 1 GiB, when every peer of the largest site is stuck at once."""

INCOMING_BYTES_MAX = 512 * 1024
"""Received on one link and not yet handled; then the peer has to wait (HTTP/2 flow control)."""

# ---- counts ----

CHUNKS_MAX = 64
"""Of one bulk request."""

BULK_STREAMS_PER_PEER_MAX = 4
"""Served at once to one peer: each holds a chunk in memory and a thread while it reads."""

BULK_STREAMS_MAX = 16
"""Served at once to all: 16 MiB of chunks in memory."""

BULK_FETCHES_MAX = 16
"""Open at once to all peers; the core asks for fewer."""

BULK_CHANNELS_MAX = 64
"""Kept open to peers, 0.2 MB each with TLS. The least recently used idle one makes room."""

LINKS_PER_PEER_MAX = 4
"""Open at once with one peer. Two are usual when both dial; a fifth closes the oldest."""

CALLS_PER_PEER_MAX = 64
"""In flight at once from one peer, over all of its connections."""

STREAMS_PER_CONNECTION_MAX = 32
"""Calls in flight on one connection."""

CALLS_MAX = 16_384
"""In flight at once from all: a master of 10,000 sites holds one link each."""

PEERS_REMEMBERED = 4_096
"""Callers whose certificate and budget are kept; 2 KiB each. Beyond it the oldest is forgotten."""

ADDRESSES_REMEMBERED = 1_024
"""Of peers that were reached, with their certificates: 2 KiB each."""

# ---- rates ----

CALLS_PER_S = 500.0
"""New calls from one peer. The busiest is a neighbour that fetches chunk by chunk."""

CALLS_BURST = 1_000.0
"""New calls from one peer at once."""

STRANGER_CALLS_PER_S = 10.0
"""New calls to the enrolment port from one address."""

STRANGER_CALLS_BURST = 400.0
"""At once: a site of 200 boxes that enrol together from behind one address make two calls each."""

FRAMES_PER_S = 1_000.0
"""Taken from one link; a core handles 20,000 events a second. Beyond it the peer has to wait."""

FRAMES_BURST = 4_000.0
"""Taken at once: what a return after a long outage brings."""

FRAME_BYTES_PER_S = 8.0 * 1024 * 1024
"""Taken from one link; journals of an outage arrive at this rate."""

FRAME_BYTES_BURST = 32.0 * 1024 * 1024
"""Taken at once."""

# ---- times ----

DIAL_TIMEOUT_S = 2.0
"""For one attempt to reach a peer. Peers are dialled for ever, so a short one costs nothing."""

CALL_TIMEOUT_S = 10.0
"""For a call of enrolment: the master writes to its disk before it answers."""

HEARTBEAT_S = 2.0
"""Between two empty frames on a silent link inside a site: 60 B/s of one link, packets and all."""

FIRST_FRAME_BEATS_MAX = 2
"""Heartbeats' turns in which the first frame has to come: who says nothing holds a link for
nothing."""

SILENT_BEATS_MAX = 3
"""Heartbeats missed before a link ends: a frozen process is noticed in 6 to 8 s. Beats are
counted by our own timer, so that a stall of this process counts as one, however long it was."""

BULK_STREAM_S_MAX = 120.0
"""For one bulk stream: 64 MiB at 0.5 MiB/s. A reader that stops reading loses its place then."""

BULK_IDLE_S = 60.0
"""After which a bulk channel that nobody uses is closed."""

HANDSHAKE_TIMEOUT_MS = 5_000
"""For a TLS handshake. Without it 1,500 idle sockets lock a server for 110 s, with it for 2."""

KEEPALIVE_TIME_MS = 10_000
KEEPALIVE_TIMEOUT_MS = 5_000
PING_TIMEOUT_MS = 5_000
"""Without it gRPC notices a frozen peer after 60 s, whatever the keepalive says."""

PING_INTERVAL_MIN_MS = 5_000
"""Between two pings that a server tolerates: half of what our own peers send."""

RECONNECT_FIRST_MS = 500
RECONNECT_MAX_MS = 10_000


def server_options() -> Options:
    """Options of every server: bounded handshakes, messages and streams; no shared port."""
    return [
        ("grpc.so_reuseport", 0),  # a port in use is an error, not a shared port
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
        ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MIN_MS),
        ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MS),
    ]


def control_options(dns_name: str, wan: bool, timeout_s: float) -> Options:
    """Options of a channel for control frames and small calls to the peer named `dns_name`."""
    return _channel_options(dns_name, wan, timeout_s, REQUEST_BYTES_MAX)


def bulk_options(dns_name: str, wan: bool) -> Options:
    """Options of a channel for chunks, so that bulk never stands in the way of control."""
    return _channel_options(dns_name, wan, DIAL_TIMEOUT_S, CHUNK_MESSAGE_BYTES_MAX)


def _channel_options(dns_name: str, wan: bool, timeout_s: float, message: int) -> Options:
    options: Options = [
        ("grpc.ssl_target_name_override", dns_name),
        ("grpc.use_local_subchannel_pool", 1),  # a connection of its own
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", message),
        ("grpc.min_reconnect_backoff_ms", int(timeout_s * 1000)),  # one attempt: TCP and TLS
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_FIRST_MS),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MAX_MS),
    ]
    if not wan:  # on the WAN the exchange itself is the keepalive
        options += [
            ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MS),
        ]
    return options
