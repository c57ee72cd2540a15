"""Last good versions that nobody names but nodes that are shut out of the site."""

import pytest

from mesh.core.rollouts import Rollouts
from mesh.registers.store import SERVICES_MAX, Registers
from protos.documents_pb2 import Plan, ServicePlan
from tests.mesh.core.test_rollouts import (
    ME,
    NEW,
    NEWEST,
    OLD,
    chosen,
    documents,
    good_at,
    plan,
    refuses,
    runtime,
    site,
)

GOOD: dict[str, object] = {"last_good": [OLD]}
LIES: dict[str, object] = {
    "last_good": [OLD, *(ServicePlan(name=f"s{n}", artifact=b"1") for n in range(SERVICES_MAX - 1))]
}
INHERITED: dict[str, object] = {"inherited_good": [OLD]}


def heir(registers: Registers, *gone: str) -> Rollouts:
    """This node, after those are shut out."""
    rollouts = Rollouts(ME, registers, b"")
    rollouts.inherit(registers.records(), gone, plan().services)
    registers.forget(gone)
    return rollouts


@pytest.mark.parametrize(
    ("registers", "gone", "inherited"),
    [
        pytest.param(site(b=GOOD), "b", {"faces": OLD}, id="named by it alone"),
        pytest.param(site(b=INHERITED), "b", {"faces": OLD}, id="it had inherited it itself"),
        pytest.param(site(b=GOOD, c=GOOD, d={"last_good": [NEW]}), "bcd", {"faces": OLD},
            id="what most of them name"),
        pytest.param(site(b=GOOD, c={"last_good": [NEWEST]}), "b", {}, id="another ran one"),
        pytest.param(site(b=GOOD), "", {}, id="nobody is shut out"),
        pytest.param(site(b=LIES), "b", {"faces": OLD}, id="it named services that nobody plans"),
    ],
)  # fmt: skip
def test_what_nobody_names_but_who_is_shut_out_is_inherited(
    registers: Registers, gone: str, inherited: dict[str, ServicePlan]
) -> None:
    assert heir(registers, *gone).inherited == inherited


def test_who_ran_a_good_version_inherits_none() -> None:
    registers = site(b=GOOD)
    rollouts = good_at(Rollouts(ME, registers, b""), NEW)
    rollouts.inherit(registers.records(), ["b"], plan().services)
    assert rollouts.inherited == {}


def test_what_is_inherited_runs_where_the_new_version_is_refused_and_nobody_ran_another() -> None:
    refused = {"b": refuses(NEW), "c": refuses(NEW)}
    assert chosen(Rollouts(ME, site(**refused), b"")) == "2"
    assert chosen(heir(site(d=GOOD, **refused), "d")) == "1"
    assert chosen(Rollouts(ME, site(d=INHERITED, **refused), b"")) == "1", "another inherited it"
    known = site(d=INHERITED, e={"last_good": [NEWEST]}, **refused)
    assert chosen(Rollouts(ME, known, b""), held=(b"1", b"2", b"3")) == "3", "that one ran it"


def test_what_is_inherited_outlives_a_restart_and_ends_with_its_service() -> None:
    rollouts = heir(site(b=GOOD), "b")
    (document,) = documents(rollouts.learn(runtime(), plan()))
    again = Rollouts(ME, site(), document)
    assert again.inherited == {"faces": OLD}
    assert documents(again.learn(runtime(), plan())) == []
    again.learn(runtime(), Plan(site="south"))
    assert again.inherited == {}
