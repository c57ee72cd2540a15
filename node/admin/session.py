"""What every command of `meshctl` shares: the options of all, the context, and who to call.

Reading goes to the address that the user gave, or else to the first of the context's addresses
that answers, masters first: during an outage that is a node, and `meshctl` says so. Changing goes
to masters alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mesh.heads.identity import Identity, IdentityRefused
from node.admin import contexts
from node.admin.client import Client
from node.admin.contexts import Address, Context
from node.admin.dialling import Target, identify
from node.admin.failures import Failure, bad_input, unreachable
from node.admin.output import FORMATS, note
from node.disk.authority_folder import FolderRefused
from node.disk.authority_keys import OperatorKeys


@dataclass(frozen=True, slots=True)
class Options:
    """The options that every command takes; "" where not given."""

    context: str = ""
    address: str = ""
    identity: str = ""
    output: str = ""

    def over(self, outer: "Options") -> "Options":
        """These, and where one is not given, what was given before the command's name."""
        return Options(
            self.context or outer.context,
            self.address or outer.address,
            self.identity or outer.identity,
            self.output or outer.output,
        )

    def checked(self) -> "Options":
        """These options. Raises Failure for a format that there is not, or that would not count."""
        if self.identity and not self.address:
            raise bad_input("--identity says who must be at --address: give --address too")
        if self.output and self.output not in FORMATS:
            raise bad_input(f"--output {self.output!r}: give one of {', '.join(FORMATS)}")
        return self


class Session:
    """One run of `meshctl`. Nothing is read and nobody is called before it is needed."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @cached_property
    def context(self) -> Context:
        return contexts.load(contexts.config_path()).pick(self.options.context)

    @cached_property
    def keys(self) -> OperatorKeys:
        """The operator's keys of the context. Raises Failure if they are not as they should be."""
        try:
            keys = OperatorKeys.load(self.context.keys)
        except FolderRefused as error:
            raise bad_input(str(error)) from None
        if keys.mesh != self.context.mesh:
            raise bad_input(
                f"the context {self.context.name} is of the mesh {self.context.mesh}, but its keys "
                f"in {self.context.keys} are of {keys.mesh}: mend {contexts.config_path()}"
            )
        return keys

    def client(self) -> Client:
        """A client of whoever answers. Raises Failure if nobody does."""
        if self.options.address:
            return Client(self._explicit(), self.keys.tls)
        return self._first(self.context.ordered())

    def master(self) -> Client:
        """A client of a master. Raises Failure if none answers."""
        if self.options.address:
            return Client(self._explicit(), self.keys.tls)
        masters = [one for one in self.context.ordered() if one.role == "master"]
        if not masters:
            raise bad_input("the context has no master's address: give --address HOST:PORT")
        return self._first(masters)

    def _explicit(self) -> Target:
        """The address that the user gave, and who must be there: as said, else as shown there."""
        address = self.options.address
        if not self.options.identity:
            found = identify(address, self.context.mesh, self.keys.tls)
            return Target(found, address)
        return Target(self._named(self.options.identity), address)

    def _named(self, name: str) -> Identity:
        """The identity of an ID: one that the context knows, else NAME, node/NAME or master/NAME.

        A bare name that the context does not know is a node's. (Its site plays no part in TLS.)
        """
        for known in self.context.addresses:
            if known.id == name:
                return known.identity(self.context.mesh)
        role, slash, bare = name.rpartition("/")
        try:
            if slash and role == "master":
                return Identity(self.context.mesh, "master", bare)
            if not slash or role == "node":
                return Identity(self.context.mesh, "node", bare, "unknown")
        except IdentityRefused as error:
            raise bad_input(f"--identity: {error}") from None
        raise bad_input(f"--identity {name!r}: give an ID, node/ID or master/ID")

    def _first(self, addresses: Sequence[Address]) -> Client:
        """The first that answers, telling on stderr who did not."""
        failures: list[Failure] = []
        for one in addresses:
            try:
                target = Target(one.identity(self.context.mesh), one.address)
                client = Client(target, self.keys.tls)
            except Failure as failure:
                failures.append(failure)
                continue
            if failures:
                note(f"{failures[0]}\nshowing what {target} knows")
            return client
        reasons = "\n".join(str(failure) for failure in failures)
        if len(failures) == 1:
            raise failures[0]
        raise unreachable(reasons or "the context has no address: give --address HOST:PORT")
