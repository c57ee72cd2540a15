"""Who is at the other end: the certificate says who, the signed state says whether.

TLS lets in whoever holds a certificate of an authority. That is not enough: mesh, shape and
revocation are checked here again, on each call, because a TLS session outlives the news.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import grpc

from mesh.heads.certificates import (
    Certified,
    UnknownIssuer,
    check_certificate,
    der_from_pem,
)
from mesh.heads.identity import IdentityRefused, Role
from node.net.settings import PEERS_REMEMBERED

Context = grpc.aio.ServicerContext[Any, Any]


class PeerRevoked(IdentityRefused):
    """The certificate is good, and the signed state says that its key is no longer welcome."""


@dataclass(frozen=True)
class PeerCheck:
    """Says who a certificate belongs to, and whether that one is welcome now.

    `authorities` gives the DER certificates that the trust head names at the moment; `is_revoked`
    gives the reason for which a TLS key (its digest) was revoked, or None; `box` judges the
    certificate (DER) of a box that an operator at a site admitted, and is not asked of others.
    """

    mesh: str
    authorities: Callable[[], Sequence[bytes]]
    is_revoked: Callable[[bytes], str | None]
    box: Callable[[bytes], Certified] | None = None
    _known: dict[bytes, tuple[tuple[bytes, ...], Certified]] = field(default_factory=dict)

    def check(self, der: bytes) -> Certified:
        """Who the certificate names. Raises IdentityRefused (PeerRevoked), which say the reason."""
        certified = self._certified(der)
        reason = self.is_revoked(certified.tls_key)
        if reason is None:
            return certified
        raise PeerRevoked(
            f"{certified.identity.uri} was revoked: {reason or 'no reason was given'}. "
            "If the machine is yours, wipe its data folder and enrol it again"
        )

    def _certified(self, der: bytes) -> Certified:
        authorities = tuple(self.authorities())
        known = self._known.get(der)
        if known is not None and known[0] == authorities:
            return known[1]
        try:
            certified = check_certificate(der, authorities, self.mesh)
        except UnknownIssuer:
            if self.box is None:
                raise
            return self.box(der)  # by rules that change with the state: not remembered here
        if len(self._known) >= PEERS_REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[der] = (authorities, certified)
        return certified


def leaf_pem(auth_context: Mapping[str, Iterable[bytes]]) -> bytes:
    """The caller's certificate as TLS saw it. Raises IdentityRefused if there is none."""
    shown = list(auth_context.get("x509_pem_cert", ()))
    if len(shown) != 1:
        raise IdentityRefused(
            "the caller showed no certificate: enrol this machine, or call with mutual TLS"
        )
    return shown[0]


def caller(context: Context, check: PeerCheck) -> Certified:
    """Who calls. Raises IdentityRefused: no certificate, a bad one, another mesh's, or revoked."""
    return check.check(der_from_pem(leaf_pem(context.auth_context())))


def require(caller: Certified, roles: frozenset[Role], method: str) -> None:
    """Raises IdentityRefused unless the caller has one of `roles`."""
    if caller.identity.role in roles:
        return
    allowed = " or ".join(sorted(roles)) or "nobody"
    raise IdentityRefused(
        f"{caller.identity.uri} may not call {method}: only {allowed} may; "
        "use a context with an identity of that role"
    )


def refusal(peer: Certified, check: PeerCheck) -> str | None:
    """Why a peer that was welcome once is not any more; None if it is."""
    try:
        check.check(peer.der)
    except IdentityRefused as refused:
        return str(refused)
    return None


@dataclass(frozen=True, slots=True)
class CurrentCall:
    """The call that the running task serves: its caller, and whether he is still welcome."""

    caller: Certified
    check: PeerCheck

    def refusal(self) -> str | None:
        """Why the caller is not welcome any more; None if he is."""
        return refusal(self.caller, self.check)


_current: ContextVar[CurrentCall] = ContextVar("current_call")


def current_call() -> CurrentCall:
    """The call that this task serves. Raises LookupError outside of a guarded call."""
    return _current.get()


def calling_operator() -> str:
    """The name of the operator whose call this task serves; "" where it serves none."""
    call = _current.get(None)
    is_operator = call is not None and call.caller.identity.role == "operator"
    return call.caller.identity.name if call is not None and is_operator else ""


def begin_call(caller: Certified, check: PeerCheck) -> CurrentCall:
    """Notes who calls, for the handler that runs in this task."""
    call = CurrentCall(caller, check)
    _current.set(call)
    return call
