"""The agent's end of the runtime's socket, where there is no runtime, or one that does not live."""

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

from mesh.core.messages import RuntimeReported, Trouble
from node.agent import runtime_client
from node.agent.runtime_client import RuntimeClient, runtime_command, runtime_socket, stop_runtime
from node.disk.files import Disk
from tests.node.agent.stores import make_stores
from tests.node.agent.waiting import until

DYING = "import sys; print('first'); print('meshd: cannot listen on 127.0.0.1:7410'); sys.exit(1)"


def client(folder: Path, program: str, fed: list[Any]) -> RuntimeClient:
    """An agent's end, whose runtime is this program."""
    (folder / "run").mkdir(exist_ok=True)
    return RuntimeClient(
        runtime_socket(folder),
        [sys.executable, "-c", program],
        folder / "run" / "runtime.log",
        make_stores(folder, Disk()).blobs,
        {},
        fed.append,
        lambda item: None,
        lambda: frozenset(),
    )


async def test_a_runtime_that_ends_is_told_with_its_last_words_once(tmp_path: Path) -> None:
    fed: list[Any] = []
    made = client(tmp_path, DYING, fed)
    assert await made.restart("faces") == 0
    task = asyncio.create_task(made.run())
    await until(lambda: any(isinstance(one, Trouble) for one in fed))
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert RuntimeReported(None) in fed
    troubles = [one for one in fed if isinstance(one, Trouble)]
    assert troubles == [
        Trouble("Runtime", "runtime", "meshd: cannot listen on 127.0.0.1:7410", "critical")
    ]


async def test_a_runtime_that_says_nothing_is_told_by_its_code(tmp_path: Path) -> None:
    fed: list[Any] = []
    task = asyncio.create_task(client(tmp_path, "import sys; sys.exit(7)", fed).run())
    await until(lambda: any(isinstance(one, Trouble) for one in fed))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert Trouble("Runtime", "runtime", "exit code 7", "critical") in fed


def test_the_runtimes_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    log = tmp_path / "runtime.log"
    assert runtime_client._fresh_log(log) == log
    log.write_bytes(bytes(runtime_client.LOG_BYTES_MAX + 1))
    runtime_client._fresh_log(log)
    assert not log.exists()
    assert (tmp_path / "runtime.old").exists()


def test_there_is_nothing_to_stop(tmp_path: Path) -> None:
    path = tmp_path / "runtime.sock"
    assert stop_runtime(path) is False
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    assert stop_runtime(path) is False


def test_how_a_runtime_is_started(tmp_path: Path) -> None:
    plain = runtime_command(None, tmp_path)
    assert plain[1:] == ["-m", "node.agent.main", "runtime", "--data", str(tmp_path)]
    config = tmp_path / "meshd.toml"
    assert runtime_command(config, tmp_path) == [*plain, "--config", str(config)]
