"""What a node leaves out when its register would be larger than its limit."""

import pytest

from mesh.core.rollouts import (
    REASON_CHARACTERS_MAX,
)
from mesh.core.view import CONTENT_BYTES_MAX, register_content
from mesh.site.local import service_config
from protos.documents_pb2 import (
    StableRegister,
)
from tests.mesh.core.services import faces, verdict
from tests.sim.site import Site


def crowded(verdicts: int, goods: int, alarms: int, label: str) -> StableRegister:
    """What a node says that has so many of each, with the largest reasons."""
    site = Site(1)
    site.nodes[0].boot()
    core = site.nodes[0].core
    rollouts = core.share.rollouts
    rollouts.verdicts = [
        verdict(faces(str(n)), "\N{SNOWMAN}" * REASON_CHARACTERS_MAX) for n in range(verdicts)
    ]
    rollouts.last_good = {
        str(n): faces(name=str(n), match_labels={"label": label}) for n in range(goods)
    }
    for number in range(alarms):
        core.alarms.set("Kind", str(number), "m" * 200, "warning", 1)
    return register_content(core)


def share(left: int, of: int) -> str:
    return "all" if left == of else "some" if left else "none"


@pytest.mark.parametrize(
    ("verdicts", "goods", "alarms", "label", "left"),
    [
        pytest.param(2, 2, 2, "", ["all"] * 4, id="what fits is left as it is"),
        pytest.param(2, 2, 100, "", ["some", "all", "all", "all"], id="alarms go first"),
        pytest.param(32, 2, 5, "", ["none", "some", "all", "all"], id="then the oldest evidence"),
        pytest.param(
            32, 40, 1, "l" * 400, ["none", "none", "some", "all"], id="then last good versions"
        ),
        pytest.param(900, 1, 1, "", ["none", "none", "none", "some"], id="then oldest verdicts"),
    ],
)
def test_a_register_stays_within_its_size(
    verdicts: int, goods: int, alarms: int, label: str, left: list[str]
) -> None:
    content = crowded(verdicts, goods, alarms, label)
    reasons = [one.reason for one in content.verdicts]
    assert content.ByteSize() <= CONTENT_BYTES_MAX
    assert reasons == sorted(reasons), "the oldest evidence is left out first"
    assert left == [
        share(len(content.alarms), alarms),
        share(len([one for one in reasons if one]), verdicts),
        share(len(content.last_good), goods),
        share(len(content.verdicts), verdicts),
    ]
    newest = service_config(faces(str(verdicts - 1)))
    assert content.verdicts[-1].config == newest


def test_artifacts_are_left_out_before_any_last_good_version() -> None:
    site = Site(1)
    site.settle(1)
    core = site.nodes[0].core
    assert register_content(core).artifacts
    goods = {str(n): faces(name=str(n), match_labels={"l": "x" * 400}) for n in range(40)}
    core.share.rollouts.last_good = goods
    content = register_content(core)
    assert not content.artifacts
    assert 0 < len(content.last_good) < 40
