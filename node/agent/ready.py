"""Saying where a node's daemon listens: run/ready.json in its data folder."""

import asyncio
import os
from pathlib import Path
from typing import Any

from mesh.core.node import NodeCore
from node.agent.folder_files import try_write_ready

LOOK_S = 1.0
"""Between two looks at whether an address has changed."""
START_LOOK_S = 0.05
"""The same before the runtime has told them: whoever started the daemon waits for the file."""


async def tell_ready(folder: Path, core: NodeCore, started_ms: int) -> None:
    """Says it once the runtime listens, and again when an address changes. Cancel to end."""
    told: dict[str, Any] = {}
    while True:
        document = {
            "pid": os.getpid(),
            "peer_address": core.facts.peer_address,
            "inference_address": core.runtime.state.inference_address,
            "started_unix_ms": started_ms,
        }
        news = document != told and document["inference_address"]
        if news and try_write_ready(folder, document):
            told = document
        await asyncio.sleep(LOOK_S if told or document["inference_address"] else START_LOOK_S)
