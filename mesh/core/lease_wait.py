"""Why a lease is waited for, in words for people; nothing is decided here."""

from collections.abc import Collection, Iterable, Mapping

from mesh.core.rosters import Rosters
from mesh.site.leases import Member, is_quorum


def without_quorum(
    workload: str,
    acknowledged: Iterable[Member],
    refused: Mapping[str, str],
    rosters: Rosters,
    able: Collection[Member],
) -> str:
    """What is missing of a quorum, and what to do about it. `refused` says why by node, `able` are
    those that could acknowledge now."""
    which, roster = _lacking(workload, rosters, able)
    given = sorted(one.node for one in set(acknowledged).intersection(roster))
    text = (
        f"{len(given)} of the {len(roster)} nodes of {which} acknowledge "
        f"({', '.join(given) or 'none'}), and onSplit: stop needs more than half"
    )
    away = sorted(one.node for one in set(roster).intersection(rosters.nodes).difference(able))
    if away:
        way = (
            f"see to {', '.join(away)} and the network between; if one is gone for good, "
            f"`meshctl node revoke {away[0]}` at a master"
        )
    else:
        reasons = "; ".join(f"{node}: {why}" for node, why in sorted(refused.items()))
        way = f"the others say: {reasons or 'nothing'}"
    return f"{text}: {way}; or use onSplit: run"


def _lacking(
    workload: str, rosters: Rosters, able: Collection[Member]
) -> tuple[str, Collection[Member]]:
    """The first roster of which too few are linked; that in force, where there is none."""
    lacking = [one for one in rosters.earlier if not is_quorum(workload, able, one.nodes)]
    if not lacking or not is_quorum(workload, able, rosters.nodes):
        return "the roster", rosters.nodes
    until, nodes = lacking[0].until, lacking[0].nodes
    return f"the roster before state {until}, by which some may still go,", nodes
