"""The rosters of a site before the one in force, as the state in force tells them. Pure.

A site may be split while its roster changes, and the part that does not hear of it goes on by the
one before. Nodes that were enrolled meanwhile never knew that one, so the authority says of each
node since when it is in the roster, and of each that was, until when.
"""

from mesh.heads.limits import NUMBER_MAX
from mesh.site.leases import Earlier, Member
from protos.documents_pb2 import SiteBranch


def members(branch: SiteBranch) -> tuple[Member, ...]:
    """The roster of this state, sorted."""
    return tuple(sorted(Member(entry.node, entry.tls_key) for entry in branch.roster))


def rosters_before(branch: SiteBranch, counter: int) -> list[Earlier]:
    """The rosters before that of this state, which has this counter, oldest first. Empty ones, by
    which nobody decides, are left out."""
    stays = [(Member(one.node, one.tls_key), one.since, NUMBER_MAX) for one in branch.roster]
    stays += [(Member(one.node, one.tls_key), one.since, one.until) for one in branch.former]
    ends = {end for _, since, until in stays for end in (since, until)}
    changes = sorted(end for end in ends if branch.rosters_from < end <= counter)
    found = [Earlier(_before(stays, change), change) for change in changes]
    return [one for one in found if one.nodes]


def _before(stays: list[tuple[Member, int, int]], change: int) -> tuple[Member, ...]:
    """Who was in the roster until the state with this counter changed it."""
    return tuple(sorted(one for one, since, until in stays if since < change <= until))
