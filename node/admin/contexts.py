"""The operator's contexts: which mesh, who can be reached where, and which folder holds the keys.

They live in `~/.config/meshctl/config.toml`, or the file that MESHCTL_CONFIG names. A context has
several addresses: a master's, and those of nodes, which answer when no master can be reached.

    current = "shops"

    [contexts.shops]
    mesh = "shops"
    keys = "/home/ann/shops/operator"

    [[contexts.shops.addresses]]
    id = "master-1"
    role = "master"
    site = ""
    address = "hq.example.com:7400"
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mesh.heads.identity import Identity, IdentityRefused, Role, check_name
from node.admin.failures import Failure, bad_input

CONFIG_BYTES_MAX = 1024 * 1024
"""Of the file of contexts; written by `meshctl` and by hand, some hundred bytes each."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a daemon of the mesh takes admin calls: HOST:PORT, and who must be there."""

    id: str
    role: Role
    site: str
    address: str

    def identity(self, mesh: str) -> Identity:
        return Identity(mesh, self.role, self.id, self.site)


@dataclass(frozen=True, slots=True)
class Context:
    name: str
    mesh: str
    keys: Path
    addresses: tuple[Address, ...]

    def ordered(self) -> list[Address]:
        """Masters first: they know most."""
        return sorted(self.addresses, key=lambda one: (one.role != "master", one.id))


@dataclass(frozen=True, slots=True)
class Contexts:
    current: str = ""
    contexts: Mapping[str, Context] = field(default_factory=dict)

    def with_context(self, context: Context) -> "Contexts":
        """These contexts and `context`, which becomes the current one."""
        return Contexts(context.name, {**self.contexts, context.name: context})

    def pick(self, name: str) -> Context:
        """The context of that name, or the current one for "". Raises Failure if there is none."""
        wanted = name or self.current
        if wanted in self.contexts:
            return self.contexts[wanted]
        if not self.contexts:
            raise bad_input(
                f"no context yet in {config_path()}: make a mesh with `meshctl init`, or set "
                "MESHCTL_CONFIG to the file of an existing one"
            )
        known = ", ".join(sorted(self.contexts))
        raise bad_input(f"no context {wanted!r} in {config_path()}; there are: {known}")


def config_path() -> Path:
    """The file of contexts: MESHCTL_CONFIG, else `~/.config/meshctl/config.toml`."""
    named = os.environ.get("MESHCTL_CONFIG")
    return Path(named) if named else Path.home() / ".config" / "meshctl" / "config.toml"


def load(path: Path) -> Contexts:
    """The contexts in `path`; none if there is no such file. Raises Failure if it is damaged."""
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise bad_input(f"{path} has more than {CONFIG_BYTES_MAX} bytes: it is no config")
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Contexts()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise bad_input(f"{path}: {error}; mend the file, or move it away") from None
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from None
    return _contexts(path, document)


def save(path: Path, contexts: Contexts) -> None:
    """Writes `path` anew, readable by its owner alone. Raises Failure if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, to_toml(contexts).encode())
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)


def to_toml(contexts: Contexts) -> str:
    """The text of the file of contexts."""
    lines = [f"current = {_quoted(contexts.current)}"]
    for name, context in sorted(contexts.contexts.items()):
        lines += ["", f"[contexts.{_quoted(name)}]"]
        lines += [f"mesh = {_quoted(context.mesh)}", f"keys = {_quoted(str(context.keys))}"]
        for one in context.addresses:
            lines += ["", f"[[contexts.{_quoted(name)}.addresses]]"]
            for key in ("id", "role", "site", "address"):
                lines.append(f"{key} = {_quoted(getattr(one, key))}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # JSON's escapes are all TOML's too, but TOML also wants DEL escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _contexts(path: Path, document: dict[str, Any]) -> Contexts:
    try:
        contexts = {
            name: _context(name, entry) for name, entry in document.get("contexts", {}).items()
        }
        return Contexts(str(document.get("current", "")), contexts)
    except (KeyError, TypeError, AttributeError, IdentityRefused) as error:
        detail = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise bad_input(f"{path}: {detail}; mend the file, or move it away") from None


def _context(name: str, entry: dict[str, Any]) -> Context:
    mesh = check_name("mesh", entry["mesh"])
    addresses = tuple(_address(mesh, one) for one in entry.get("addresses", []))
    return Context(name, mesh, Path(entry["keys"]), addresses)


def _address(mesh: str, entry: dict[str, Any]) -> Address:
    one = Address(entry["id"], entry["role"], entry.get("site", ""), str(entry["address"]))
    one.identity(mesh)
    return one


def added(context: Context, more: tuple[Address, ...]) -> Context:
    """`context` with `more` addresses; one of the same role and ID is replaced."""
    known = {(one.role, one.id): one for one in context.addresses}
    known.update({(one.role, one.id): one for one in more})
    return replace(context, addresses=tuple(known[key] for key in sorted(known)))
