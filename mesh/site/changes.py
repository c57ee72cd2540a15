"""Local changes: what an operator at the site changed, within what the plan allows.

The plan's `autonomy` says which fields a site may change and for how long. A change is signed by an
operator, so no node can invent one; it names the state that it was made under. Per workload and
field the one with the highest (state, counter, digest) counts, so that everybody who knows the same
changes goes by the same ones. It ends by itself: when its time is over, or when a later plan says
something else of that workload. A plan that leaves the workload as it was does not end it.

A restart makes another configuration, which goes from node to node like any other. When its time is
over, what was restarted stays as it is. A rollback names a version, as a pin does; only one of the
two is taken of a service, and where each half of a split took one, the pin counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from mesh.hashing import sha256
from mesh.heads.identity import IdentityRefused, check_name
from mesh.heads.limits import DIGEST_BYTES, NUMBER_MAX, REPLICAS_MAX, VERSION_MAX
from mesh.signed import SignatureRefused, verify
from mesh.site.configs import service_config
from protos.documents_pb2 import Autonomy, LocalChange, ModelPlan, Plan, ServicePlan

KIND = "local-change"
"""The payload type of the envelope."""
SCALE, PIN, RESTART, ROLLBACK = "scale", "pin", "restart", "rollback"
FIELDS = (SCALE, PIN, RESTART, ROLLBACK)
VERSIONS = (PIN, ROLLBACK)
"""The fields whose value is a version."""
CHOSEN = "?"
"""The value of a draft that the node is to fill in: of RESTART and ROLLBACK it knows the value."""
RESTARTS_MAX = 1000
"""Of one service under one configuration: more than a person asks for."""
LOCAL_RESTART = 1 << 48
"""What one local restart adds to a plan's restarts, which the master counts one by one: so the two
never make the same configuration. RESTARTS_MAX of them fit into the plan's number."""
CHANGE_BYTES_MAX = 1024
"""Of one envelope."""
CHANGES_MAX = 4
"""That count at one site at once: 4 of a register's 16 KiB. One more is refused."""
REASON_MAX = 200
TEXT_MAX = 64
MADE_AHEAD_MS_MAX = 24 * 3600 * 1000
"""How far ahead of the local clock a change may have been made: clocks of a site without a WAN
drift; a day is more than they do, and little against how long changes last."""

Key = tuple[str, str]
"""Workload and field."""


class ChangeRefused(ValueError):
    """The change does not count. Nothing was changed; the text says by which rule."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change whose signature holds."""

    envelope: bytes
    payload: bytes
    body: LocalChange

    @property
    def key(self) -> Key:
        """What it changes."""
        return (self.body.workload, self.body.field)

    @property
    def rank(self) -> tuple[int, int, bytes]:
        """The higher one counts."""
        return (self.body.base_counter, self.body.counter, sha256(self.payload))


def open_change(envelope: bytes, operators: Sequence[bytes], mesh: str, site: str) -> Change:
    """The change in `envelope`, if one of the `operators` (raw Ed25519 keys) signed it for this
    site and it makes sense. Raises ChangeRefused."""
    if len(envelope) > CHANGE_BYTES_MAX:
        raise ChangeRefused(f"it has {len(envelope)} bytes; {CHANGE_BYTES_MAX} are allowed")
    try:
        payload = verify(envelope, KIND, operators).payload
        body = LocalChange.FromString(payload)
    except SignatureRefused as refused:
        raise ChangeRefused(f"no operator of this mesh signed it: {refused}") from None
    except DecodeError:
        raise ChangeRefused("what was signed is no local change") from None
    if (body.mesh, body.site) != (mesh, site):
        raise ChangeRefused(
            f"it is for the site {body.site[:TEXT_MAX]!r} of {body.mesh[:TEXT_MAX]!r}, "
            f"this is {site!r} of {mesh!r}"
        )
    _check_body(body)
    return Change(envelope, payload, body)


def _check_body(body: LocalChange) -> None:
    try:
        check_name("workload", body.workload)
    except IdentityRefused as refused:
        raise ChangeRefused(str(refused)) from None
    if not 1 <= body.counter <= NUMBER_MAX or body.base_counter > NUMBER_MAX:
        raise ChangeRefused("its counters are out of bounds")
    if not body.made_unix_ms < body.until_unix_ms <= NUMBER_MAX:
        raise ChangeRefused("it ends before it was made")
    if not 1 <= len(body.reason) <= REASON_MAX or not body.reason.isprintable():
        raise ChangeRefused(f"it gives no reason of at most {REASON_MAX} characters")
    if len(body.operator) > TEXT_MAX or not body.operator.isprintable():
        raise ChangeRefused("the operator's name is no name")
    _check_value(body)


def _check_value(body: LocalChange) -> None:
    if body.field not in FIELDS:
        known = ", ".join(FIELDS)
        raise ChangeRefused(f"{body.field[:TEXT_MAX]!r} cannot be changed locally; {known} can")
    if not body.value:
        return
    if body.field == SCALE:
        _check_number(body.value, 0, REPLICAS_MAX, "of replicas")
    elif body.field == RESTART:
        _check_number(body.value, 1, RESTARTS_MAX, "of a restart")
    elif len(body.value) > VERSION_MAX or len(body.artifact) != DIGEST_BYTES:
        raise ChangeRefused("it names no version with its artifact")


def _check_number(value: str, least: int, most: int, of_what: str) -> None:
    number = value.isascii() and value.isdigit() and len(value) <= 4
    if not number or not least <= int(value) <= most:
        raise ChangeRefused(f"{value[:TEXT_MAX]!r} is no number {of_what} from {least} to {most}")


def check_allowed(change: Change, autonomy: Autonomy) -> None:
    """Raises ChangeRefused unless the plan allows this site such a change, for so long."""
    body = change.body
    if body.field not in autonomy.allow:
        allowed = ", ".join(autonomy.allow) or "nothing"
        raise ChangeRefused(
            f"the plan's autonomy allows this site {allowed}, not {body.field}: "
            "a master's operator can add it to spec.autonomy.allow of the Site"
        )
    if body.value and body.until_unix_ms - body.made_unix_ms > autonomy.until_ms:
        hours = autonomy.until_ms / 3_600_000
        raise ChangeRefused(
            f"it is to last longer than the {hours:.1f} h that autonomy.until allows"
        )


def check_made(change: Change, now_unix_ms: int) -> None:
    """Raises ChangeRefused unless an operator may have made it here and now. Not asked of what
    neighbours repeat: a box whose clock lost its time goes by it all the same."""
    if change.body.made_unix_ms > now_unix_ms + MADE_AHEAD_MS_MAX:
        raise ChangeRefused("it was made more than a day from now: set the operator's clock")


def base_of(service: ServicePlan, field: str) -> bytes:
    """The digest of what a plan says of a service, for a change of that field: without what
    operators do to it in passing, a pause or a restart, which takes the place of a local one."""
    bare = ServicePlan()
    bare.CopyFrom(service)
    bare.ClearField("paused")
    if field != RESTART:
        bare.ClearField("restarts")
    return sha256(bare.SerializeToString(deterministic=True))


def ended(change: Change, plan: Plan, counter: int, now_unix_ms: int) -> str:
    """Why a change counts no more under the state `counter`; "" if it does."""
    body = change.body
    if body.until_unix_ms <= now_unix_ms:
        return "its time is over"
    if counter <= body.base_counter:
        return ""  # made under a state that this node has yet to see, or under this one
    service = next((one for one in plan.services if one.name == body.workload), None)
    if service is None:
        return f"state {counter} has no such service any more"
    # The release before counted the restarts for all fields.
    if body.base not in (base_of(service, body.field), base_of(service, RESTART)):
        return f"state {counter} says something else of this service"
    return ""


def why_not(change: Change, plan: Plan, counter: int, now_unix_ms: int) -> str:
    """Why a change does not count under the state `counter` and its plan: it has ended, or is not
    allowed. "" if it does."""
    try:
        check_allowed(change, plan.autonomy)
    except ChangeRefused as refused:
        return ended(change, plan, counter, now_unix_ms) or str(refused)
    return ended(change, plan, counter, now_unix_ms)


def changed(plan: Plan, changes: Mapping[Key, Change]) -> Plan:
    """The plan as the changes that count make it; `plan` itself where there are none."""
    if not changes:
        return plan
    result = Plan()
    result.CopyFrom(plan)
    models = {(model.name, model.version): model for model in plan.models}
    for service in result.services:
        made = {
            field: change.body
            for field in FIELDS
            if (change := changes.get((service.name, field))) is not None and change.body.value
        }
        if SCALE in made:
            service.replicas_min = service.replicas_max = int(made[SCALE].value)
        version = made.get(PIN) or made.get(ROLLBACK)  # each half of a split may have taken one
        if version is not None:
            _use(service, version, models.get((service.model, version.value)))
        if RESTART in made:
            planned = service.restarts % LOCAL_RESTART
            service.restarts = planned + int(made[RESTART].value) * LOCAL_RESTART
    return result


def _use(service: ServicePlan, body: LocalChange, model: ModelPlan | None) -> None:
    """Another version of the service's model, with the gate that the plan has for it."""
    service.model_version, service.artifact, service.pinned = body.value, body.artifact, True
    if model is not None:
        service.max_latency_ms, service.soak_ms = model.max_latency_ms, model.soak_ms


def restarted(service: ServicePlan, good: ServicePlan) -> bool:
    """Whether `good`, a version that runs, is what the plan says, but for local restarts that it
    has had: then it stays as it is, for a restart that is over is not taken back."""
    if good.restarts < LOCAL_RESTART or service.restarts >= LOCAL_RESTART:
        return False
    bare = ServicePlan()
    bare.CopyFrom(good)
    bare.restarts %= LOCAL_RESTART
    return service_config(bare) == service_config(service)
