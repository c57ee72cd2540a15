"""The plan that a site goes by, as far as its registers tell: what a master shows its nodes by.

At a node that is `Share.base`. A master knows of local changes and of restarts only what registers
say, and its own plan has neither.
"""

from collections.abc import Iterable

from mesh.core.rollouts import Rollouts
from mesh.registers.store import Registers
from mesh.site.changes import Change, changed
from protos.documents_pb2 import Plan


def site_plan(plan: Plan, changes: Iterable[Change], registers: Registers) -> Plan:
    """The authority's `plan` as the site's local changes make it, and with what was restarted there
    as it is. `changes`: those that registers list; of one field the highest counts."""
    highest = {one.key: one for one in sorted(changes, key=lambda one: one.rank)}
    return Rollouts("", registers, b"").kept(changed(plan, highest))
