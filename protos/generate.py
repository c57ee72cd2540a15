"""Generates the Python code of the contracts beside them; `--check` says whether it is current."""

import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
WITH_SERVICES = ("peer", "enrolment", "admin", "inference", "runtime")


def generate(target: Path) -> None:
    """Writes the generated code of all contracts under `target/protos`.

    Raises RuntimeError if protoc refuses a contract; it has said why on stderr.
    """
    wellknown = Path(grpc_tools.__file__).parent / "_proto"
    for proto in sorted(HERE.glob("*.proto")):
        outputs = [f"--python_out={target}", f"--pyi_out={target}"]
        if proto.stem in WITH_SERVICES:
            outputs.append(f"--grpc_python_out={target}")
        arguments = ["protoc", f"-I{HERE.parent}", f"-I{wellknown}", *outputs]
        if protoc.main([*arguments, f"protos/{proto.name}"]) != 0:
            raise RuntimeError(f"protoc refused {proto.name}")


def stale() -> list[str]:
    """The names of generated files that differ from what the contracts give today."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        made = {path.name: path.read_bytes() for path in (Path(folder) / "protos").iterdir()}
    kept = {path.name: path.read_bytes() for path in HERE.glob("*_pb2*")}
    return sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))


def main() -> int:
    if "--check" not in sys.argv[1:]:
        generate(HERE.parent)
        return 0
    outdated = stale()
    for name in outdated:
        print(f"protos/{name} is not current: run `make protos`", file=sys.stderr)
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())
