"""`meshd`: the daemons, and the one command that makes a machine a node."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from node.agent.allocator import give_back_large_buffers
from node.agent.config import Config, ConfigError, load_config
from node.agent.log import set_up_log

DATA = Path("/var/lib/meshd")
EXIT_BAD_INPUT, EXIT_UNREACHABLE, EXIT_REFUSED, EXIT_FAILED = 2, 3, 4, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one of meshd's commands; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        config = load_config(options.config, os.environ)
    except ConfigError as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    set_up_log(config.log.level)
    # gRPC's own handlers for fork would only log: nothing here ever forks after gRPC started.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    command: Callable[[argparse.Namespace, Config], int] = options.run
    return command(options, config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("meshd", description="The daemons of the edge mesh.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _command(commands, "master", "run the authority's peer", _master)
    node = _command(commands, "node", "run the agent of this machine", _node)
    node.description = (
        "Run the agent of this machine. SIGTERM ends the agent alone: the runtime and its workers "
        "serve on, the neighbours wait for 30 s, and the next agent adopts what runs. To end that "
        "too: meshd runtime --stop."
    )
    runtime = _command(
        commands, "runtime", "run the inference runtime (the agent starts it)", _runtime
    )
    runtime.add_argument(
        "--stop",
        action="store_true",
        help="end the runtime of the data folder, with its workers and pipelines: stop the agent "
        "first, which starts it again",
    )
    inner = node.add_subparsers(metavar="join | request")
    join = _command(inner, "join", "enrol this machine, once", _join)
    join.add_argument("--master", default="", help="HOST:PORT of a master's enrolment port")
    join.add_argument("--token", default="", help="from `meshctl token create --site SITE`")
    join.add_argument("--id", default="", help="this node's ID (default: the machine's name)")
    join.add_argument(
        "--admission",
        type=Path,
        help="instead of master and token: the file from `meshctl admit`, for the request of this "
        "machine",
    )
    there = _command(inner, "moved", "say that this machine is the node from now on", _moved)
    there.description = (
        "Say that this data folder was brought to this machine on purpose, and that no other has "
        "it any more. The agent must be stopped. Without it a folder that comes from another "
        "machine takes no part in the leases of exclusive pipelines."
    )
    request = _command(inner, "request", "print what a site's operator admits by", _request)
    request.add_argument("--site", required=True, help="the site that this machine is to be in")
    request.add_argument("--id", default="", help="this node's ID (default: the machine's name)")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    run: Callable[[argparse.Namespace, Config], int],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument("--config", type=Path, default=None, help="configuration (TOML)")
    command.add_argument("--data", type=Path, default=DATA, help="data folder")
    command.set_defaults(run=run)
    return command


def _complain(text: str, code: int) -> int:
    print(f"meshd: {text}", file=sys.stderr)
    return code


# ---- commands ----


def _master(options: argparse.Namespace, config: Config) -> int:
    # Imported here: a node needs neither SQLite nor pydantic, and starts the faster.
    from node.agent.master_daemon import MasterDaemon
    from node.disk.authority_folder import FolderRefused as KeysRefused
    from node.disk.authority_keys import MasterKeys
    from node.disk.errors import DiskError
    from node.disk.folder import DataFolder, FolderRefused
    from node.master.store import StoreRefused

    try:
        keys = MasterKeys.load(options.data)
        with DataFolder(options.data) as folder:
            folder.claim(keys.mesh, keys.identity.name)
            return _serve(lambda stop: MasterDaemon(config, folder, keys).run(stop))
    except (KeysRefused, FolderRefused, ConfigError) as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    except (StoreRefused, DiskError, OSError) as error:
        return _complain(str(error), EXIT_FAILED)


def _node(options: argparse.Namespace, config: Config) -> int:
    from node.agent.node_daemon import NodeDaemon
    from node.disk.authority_folder import FolderRefused as KeysRefused
    from node.disk.authority_keys import NodeKeys
    from node.disk.errors import DiskError
    from node.disk.folder import DataFolder, FolderRefused

    try:
        keys = NodeKeys.load(options.data)
        with DataFolder(options.data) as folder:
            folder.claim(keys.mesh, keys.identity.name)
            return _serve(lambda stop: NodeDaemon(config, folder, keys).run(stop))
    except KeysRefused as error:
        return _complain(f"{error}; to enrol this machine: meshd node join", EXIT_BAD_INPUT)
    except (FolderRefused, ConfigError) as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    except (DiskError, OSError) as error:
        return _complain(str(error), EXIT_FAILED)


def _join(options: argparse.Namespace, config: Config) -> int:
    from mesh.heads.identity import IdentityRefused
    from mesh.heads.tokens import TokenRefused
    from node.agent.join import JoinRefused, join
    from node.net.failures import DialFailed

    if options.admission is not None:
        return _join_admitted(options)
    if not (options.master and options.token):
        return _complain("name a master and a token, or an admission", EXIT_BAD_INPUT)
    try:
        identity = uvloop.run(join(options.master, options.token, options.data, options.id))
    except (JoinRefused, TokenRefused, IdentityRefused) as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    except DialFailed as error:
        return _complain(
            str(error), EXIT_UNREACHABLE if error.kind == "unreachable" else EXIT_REFUSED
        )
    except OSError as error:
        return _complain(str(error), EXIT_FAILED)
    print(f"{identity.name} is a node of the site {identity.site} in the mesh {identity.mesh}.")
    print(f"Start it: meshd node --data {options.data}")
    return 0


def _join_admitted(options: argparse.Namespace) -> int:
    from mesh.heads.identity import IdentityRefused
    from mesh.heads.snapshot import SnapshotRefused
    from node.agent.join import JoinRefused
    from node.agent.join_admitted import join_admitted
    from node.disk.errors import DiskError
    from node.disk.folder import FolderRefused

    try:
        joined = join_admitted(options.admission, options.data)
    except (JoinRefused, IdentityRefused, SnapshotRefused, FolderRefused) as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    except (DiskError, OSError) as error:
        return _complain(str(error), EXIT_FAILED)
    identity = joined.identity
    print(f"{identity.name} is a node of the site {identity.site} in the mesh {identity.mesh}.")
    print(f"Its trust root has the pin {joined.pin}: compare it with that of another node.")
    print(f"Start it: meshd node --data {options.data}")
    return 0


def _request(options: argparse.Namespace, config: Config) -> int:
    from mesh.heads.identity import IdentityRefused
    from node.agent.join import JoinRefused
    from node.agent.join_admitted import ask

    try:
        print(ask(options.site, options.data, options.id))
    except (JoinRefused, IdentityRefused) as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    except OSError as error:
        return _complain(str(error), EXIT_FAILED)
    return 0


def _moved(options: argparse.Namespace, config: Config) -> int:
    from node.agent.machine_marks import MACHINE, marks, written
    from node.disk.authority_folder import FolderRefused as KeysRefused
    from node.disk.authority_keys import NodeKeys
    from node.disk.errors import DiskError
    from node.disk.folder import DataFolder, FolderRefused

    try:
        keys = NodeKeys.load(options.data)
        with DataFolder(options.data) as folder:
            folder.documents.put(MACHINE, written(marks()))
    except (KeysRefused, FolderRefused) as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    except (DiskError, OSError) as error:
        return _complain(str(error), EXIT_FAILED)
    print(f"This machine is {keys.identity.name} from now on.")
    return 0


def _runtime(options: argparse.Namespace, config: Config) -> int:
    from node.agent.runtime_client import runtime_socket
    from node.disk.authority_keys import NodeKeys
    from node.runtime.config import ConfigRefused, RuntimeConfig, TlsPaths
    from node.runtime.daemon import run
    from node.runtime.servers import CannotListen

    if options.stop:
        return _stop_runtime(options.data)
    try:
        identity = NodeKeys.load(options.data).identity
        keys = options.data / "keys"
        runtime = RuntimeConfig(
            socket_path=runtime_socket(options.data),
            data_dir=options.data,
            node=identity.name,
            mesh=identity.mesh,
            site=identity.site,
            inference_address=config.inference.listen,
            peer_inference_address=config.inference.peer_listen,
            tls=TlsPaths(keys / "tls-key.pem", keys / "tls.pem", keys / "authorities.pem"),
        )
    except (ConfigRefused, ValueError) as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    try:
        uvloop.run(run(runtime))
    except CannotListen as error:
        return _complain(str(error), EXIT_FAILED)
    return 0


def _stop_runtime(data: Path) -> int:
    from node.agent.runtime_client import StopFailed, runtime_socket, stop_runtime

    try:
        ended = stop_runtime(runtime_socket(data))
    except StopFailed as error:
        return _complain(str(error), EXIT_FAILED)
    print("The runtime has ended, with all that it ran." if ended else "No runtime runs here.")
    return 0


def _serve(daemon: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Runs a daemon until SIGTERM or SIGINT."""

    async def until_told() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await daemon(stop)

    give_back_large_buffers()
    uvloop.run(until_told())
    return 0


if __name__ == "__main__":
    sys.exit(main())
