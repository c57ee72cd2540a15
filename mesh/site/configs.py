"""Configurations: the digest of what needs a new worker when it changes."""

import functools
import hashlib

from protos.documents_pb2 import ServicePlan

CONFIGS_KEPT = 1024
"""Digests of services remembered, about 0.5 KB each: they are asked for at each decision."""


def service_config(service: ServicePlan) -> str:
    """Digest of everything about a service that needs a new worker when it changes (16 hex)."""
    return _config_of(service.SerializeToString(deterministic=True))


@functools.lru_cache(maxsize=CONFIGS_KEPT)
def _config_of(whole: bytes) -> str:
    service = ServicePlan.FromString(whole)
    parts = ServicePlan(
        model=service.model,
        model_version=service.model_version,
        artifact=service.artifact,
        cores=service.cores,
        memory_bytes=service.memory_bytes,
        restarts=service.restarts,
        device=service.device,
        max_latency_ms=service.max_latency_ms,
        soak_ms=service.soak_ms,
    )
    return hashlib.sha256(parts.SerializeToString(deterministic=True)).hexdigest()[:16]
