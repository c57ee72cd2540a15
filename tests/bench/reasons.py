"""Why a figure that was asked for is not reached, by its key. Shown only when it is not."""

_MEMORY = (
    "an agent is 57 MiB once it has imported all that it uses (gRPC, cryptography, zeroconf, "
    "uvloop); the rest is TLS and HTTP/2 state of its links and what the C library keeps"
)

REASONS = {
    "agent-rss": _MEMORY,
    "both-rss": _MEMORY,
    "agent-cpu": (
        "an agent wakes about 45 times a second, and a wake-up costs 0.2 to 0.5 ms because the "
        "caches are cold: 6.7 ticks of the core are 0.3 to 0.4 % of a core, the event loop and "
        "gRPC's part of 8 probe messages 0.5 %, gRPC's own threads 0.3 to 0.8 %"
    ),
    "start": (
        "the agent's imports and then those of the runtime that it starts are a second of CPU time "
        "together; a machine that is busy with something else takes the longer"
    ),
    "restore-five": (
        "the wait between two attempts to reach the master is drawn from 0 to retry_max, so that a "
        "fleet does not come back all at once; retry_max is a key of the configuration"
    ),
    "core-5": (
        "a quiet site's events are mostly ticks (130 us on average: once a second all decisions "
        "are made anew) and registers (240 us: an Ed25519 check each); a probe costs 22 us, its "
        "answer 12 us"
    ),
}
