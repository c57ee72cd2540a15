"""Models: push and ls. What is pushed is signed here, with the operator's release key."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from mesh.blobs.limits import LOAD_MS_MAX, MEMORY_BYTES_MAX
from mesh.desired.units import UnitRefused, format_size, parse_size
from node.admin import push
from node.admin.client import Client
from node.admin.columns import COLUMNS
from node.admin.command import command
from node.admin.commands.look import EMPTY
from node.admin.durations import duration_ms
from node.admin.failures import bad_input
from node.admin.model_folder import Source, add_golden, find, names
from node.admin.output import console, note, print_documents, print_one, say, size
from node.admin.session import Session


def register(app: typer.Typer) -> None:
    models = typer.Typer(help="Models and other artifacts.", no_args_is_help=True)
    command(models, "push")(push_model)
    command(models, "ls")(list_models)
    app.add_typer(models, name="model")


def push_model(
    session: Session,
    path: Annotated[
        Path, typer.Argument(help="A model (.xml, .onnx, .tflite, .pdmodel), its folder, or data.")
    ],
    name: Annotated[str, typer.Option(help="The name that resources use.")],
    version: Annotated[str, typer.Option(help="Its version: a released one never changes.")],
    golden: Annotated[
        Path | None,
        typer.Option(help="Folder of golden.json; found beside the model if not given."),
    ] = None,
    memory: Annotated[
        str, typer.Option(help="What a process that loads and runs it may use.")
    ] = "1GiB",
    load_time: Annotated[str, typer.Option(help="From start to serving, at most.")] = "60s",
) -> None:
    """Signs a model, sends the master what it lacks of it, and releases it to the mesh."""
    label = _label(name, version, memory, load_time)
    source = find(path)
    if golden is not None:
        add_golden(source, golden)
    with session.master() as client:
        client.must_be_master("take models")
        with _progress() as shown:
            done = _push(session, client, source, label, shown)
    document = {
        "name": name,
        "version": version,
        "artifact": done.artifact.digest.hex(),
        "bytes": done.artifact.total_bytes,
        "chunks": len(done.artifact.chunks),
        "sent_bytes": done.sent_bytes,
        "golden": len(source.golden),
        "counter": done.counter,
    }
    print_one(document, session.options.output, lambda _: _tell(source, done, label))


def list_models(session: Session) -> None:
    """Lists the artifacts that a master has, or that a node wants or holds."""
    with session.client() as client:
        found = client.get("artifacts")
    print_documents(found, COLUMNS["artifacts"], session.options.output, EMPTY["artifacts"])


def _push(
    session: Session, client: Client, source: Source, label: push.Label, shown: Progress
) -> push.Pushed:
    hashing = shown.add_task("hash", total=push.total_bytes(source))
    artifact = push.build(
        source, label, session.keys.release_signer, lambda done: shown.advance(hashing, done)
    )
    reply = client.push_manifest(artifact.envelope)
    chunks = [artifact.chunks[one] for one in reply.missing if one < len(artifact.chunks)]
    missing_bytes = sum(chunk.length for chunk in chunks)
    sending = shown.add_task("send", total=missing_bytes)
    push.send(client, source, artifact, reply.missing, lambda done: shown.advance(sending, done))
    return push.Pushed(artifact, missing_bytes, client.release(artifact.digest).counter)


def _label(name: str, version: str, memory: str, load_time: str) -> push.Label:
    try:
        memory_bytes = parse_size(memory)
    except UnitRefused as error:
        raise bad_input(f"--memory: {error}; {error.suggestion}") from None
    if not 0 < memory_bytes <= MEMORY_BYTES_MAX:
        raise bad_input(f"--memory {memory!r}: give 1B to {format_size(MEMORY_BYTES_MAX)}")
    load_ms = duration_ms("--load-time", load_time, 1, LOAD_MS_MAX)
    return push.Label(name, version, memory_bytes, load_ms)


def _tell(source: Source, done: push.Pushed, label: push.Label) -> None:
    artifact = done.artifact
    goldens = f", {len(source.golden)} golden requests" if source.golden else ""
    say(
        f"released [bold]{label.name}@{label.version}[/]: {size(artifact.total_bytes)} in "
        f"{len(artifact.chunks)} chunks{goldens}; sent {size(done.sent_bytes)}"
    )
    say(f"artifact {artifact.digest.hex()}, state {done.counter}")
    if source.kind == "model" and not source.golden:
        note("without golden requests a wrong model is noticed only if it does not load")
    if source.left_out:
        note(f"pushed {names(source.files)}; left out: {', '.join(source.left_out)}")


def _progress() -> Progress:
    """Bars on a terminal's stderr; nothing elsewhere."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        console=console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
