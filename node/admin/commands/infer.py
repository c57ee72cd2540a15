"""`meshctl infer`: one picture, or the golden requests, against a node's inference port."""

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import grpc
import typer

from node.admin.command import command
from node.admin.dialling import Target, identify, open_channel, split_address
from node.admin.documents import Document
from node.admin.failures import Failure, bad_input
from node.admin.model_folder import Source, add_golden
from node.admin.output import Column, print_documents, print_one, say
from node.admin.session import Session

if TYPE_CHECKING:
    from node.admin.inference import Answer, InferenceClient

INFERENCE_ADDRESS = "127.0.0.1:7410"
"""The inference port of the node on this machine."""

THRESHOLD = 0.5
"""Of a detection's score where neither the user nor the model says."""

TIMEOUT_S_MAX = 3600.0
"""Longer than any model takes to load and answer."""

BOXES = (
    Column("X", "x"),
    Column("Y", "y"),
    Column("WIDTH", "width"),
    Column("HEIGHT", "height"),
    Column("SCORE", "score"),
)
OUTPUTS = (
    Column("OUTPUT", "name"),
    Column("TYPE", "datatype"),
    Column("SHAPE", "shape"),
    Column("LOWEST", "lowest"),
    Column("HIGHEST", "highest"),
)
CASES = (
    Column("CASE", "case"),
    Column("RIGHT", "right", lambda right: "yes" if right else "no"),
    Column("VERSION", "version"),
    Column("TOOK", "took_ms", lambda took: f"{took:.1f} ms"),
)


def register(app: typer.Typer) -> None:
    command(app)(infer)


def infer(
    session: Session,
    service: Annotated[str, typer.Argument(help="The service's name.")],
    at: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="A node's inference port.")
    ] = INFERENCE_ADDRESS,
    image: Annotated[Path | None, typer.Option(help="A picture to look at.")] = None,
    golden: Annotated[
        Path | None, typer.Option(help="Folder of golden.json: send all, compare the answers.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Of detections; the model's own if not given.", min=0.0, max=1.0),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(help="Deadline of each request, in seconds.", min=0.001, max=TIMEOUT_S_MAX),
    ] = 2.0,
) -> None:
    """Asks a service: any node of its site answers for it."""
    from node.admin.inference import InferenceClient  # OpenCV takes 0.2 s to import

    if (image is None) == (golden is None):
        raise bad_input("give one of --image FILE and --golden DIR")
    with _channel(session, at) as channel:
        client = InferenceClient(channel, at, timeout)
        if golden is not None:
            _golden(session, client, service, golden)
        elif image is not None:
            _image(session, client, service, image, threshold)


def _channel(session: Session, at: str) -> grpc.Channel:
    """Clear on loopback, as the port is there; mutual TLS elsewhere."""
    host, _ = split_address(at)
    if host == "localhost" or _is_loopback(host):
        return grpc.insecure_channel(at, [("grpc.enable_http_proxy", 0)])
    found = identify(at, session.context.mesh, session.keys.tls)
    return open_channel(Target(found, at), session.keys.tls)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _image(
    session: Session,
    client: "InferenceClient",
    service: str,
    image: Path,
    threshold: float | None,
) -> None:
    from node.admin.inference import detections, picture_input

    metadata = client.metadata(service)
    if len(metadata.inputs) != 1:
        raise bad_input(f"{service} takes {len(metadata.inputs)} inputs, not one picture")
    tensor, scale = picture_input(image, metadata.inputs[0])
    answer = client.infer(service, [tensor])
    document: Document = {
        "service": service,
        "version": answer.version,
        "took_ms": round(answer.took_ms, 2),
        "outputs": _summaries(answer),
    }
    if {"boxes", "scores"} <= answer.outputs.keys():
        lowest = threshold
        if lowest is None:
            lowest = float(metadata.properties.get("threshold", THRESHOLD))
        found = detections(answer.outputs["boxes"], answer.outputs["scores"], lowest)
        document["detections"] = [_box(row, scale) for row in found.tolist()]
    print_one(document, session.options.output, _tell)


def _tell(document: Document) -> None:
    found = document.get("detections")
    what = "" if found is None else f": {len(found)} found"
    version = f" {document['version']}" if document["version"] else ""
    say(f"{document['service']}{version} answered in {document['took_ms']} ms{what}")
    if found is None:
        print_documents(document["outputs"], OUTPUTS, "", "no outputs")
    elif found:
        print_documents(found, BOXES, "", "")


def _golden(session: Session, client: "InferenceClient", service: str, folder: Path) -> None:
    source = Source("model", [])
    add_golden(source, folder)
    rows = [_case(client, service, source, number) for number in range(len(source.golden))]
    print_documents(rows, CASES, session.options.output, "")
    wrong = [str(row["case"]) for row in rows if not row["right"]]
    if wrong:
        raise Failure(f"{service} answered wrong in case {', '.join(wrong)}")


def _case(client: "InferenceClient", service: str, source: Source, number: int) -> Document:
    from node.admin.inference import Input, raw_tensor, same

    case = source.golden[number]
    files = [one.path for one in source.files]
    inputs = [
        Input(one.name, one.datatype, raw_tensor(files[one.file], one.datatype, one.shape))
        for one in case.inputs
    ]
    answer = client.infer(service, inputs)
    expected = {
        one.name: raw_tensor(files[one.file], one.datatype, one.shape) for one in case.outputs
    }
    right = all(
        name in answer.outputs
        and same(answer.outputs[name], golden, source.tolerance_absolute, source.tolerance_relative)
        for name, golden in expected.items()
    )
    took_ms = round(answer.took_ms, 2)
    return {"case": number, "right": right, "version": answer.version, "took_ms": took_ms}


def _box(row: Sequence[float], scale: float) -> Document:
    names = ("x", "y", "width", "height")
    box: Document = {name: round(value / scale) for name, value in zip(names, row, strict=False)}
    return {**box, "score": round(row[4], 3)}


def _summaries(answer: "Answer") -> list[Document]:
    return [
        {
            "name": name,
            "datatype": str(tensor.dtype),
            "shape": list(tensor.shape),
            "lowest": tensor.min().item() if tensor.size else None,
            "highest": tensor.max().item() if tensor.size else None,
        }
        for name, tensor in answer.outputs.items()
    ]
