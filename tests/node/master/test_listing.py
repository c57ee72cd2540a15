"""What `meshctl get` shows of an authority."""

import json

import pytest

from node.master.errors import EnrolRefused
from node.master.listing import (
    list_alarms,
    list_artifacts,
    list_nodes,
    list_resources,
    list_sites,
    list_tokens,
)
from tests.node.master.fleet import START_MS, Fleet
from tests.node.master.test_authority import ALL

SITE = b"""\
---
apiVersion: mesh/v1
kind: Site
metadata: {name: north, labels: {region: eu}}
"""


def test_the_lists(fleet: Fleet) -> None:
    fleet.release("face-detector", "1.2.0")
    fleet.join("node-2", "north")
    fleet.join("node-1", "north")
    fleet.authority.revoke("node-2", "stolen")
    counter = fleet.authority.apply(ALL + SITE).counter
    model, service, pipeline, site = list_resources(fleet.authority)
    assert (model["kind"], model["name"], model["version"]) == ("Model", "face-detector", "1.2.0")
    assert (service["sites"], service["desired"]) == (["north", "south"], 2)
    assert service["spec"]["resources"]["memory"] == "512MiB"
    assert (pipeline["sites"], pipeline["desired"]) == (["north"], 1)
    assert site["labels"] == {"region": "eu"}
    assert {one["generation"] for one in (model, service, pipeline, site)} == {counter}
    assert list_sites(fleet.authority) == [
        {"site": "north", "nodes": 1, "labels": {"region": "eu"}},
        {"site": "south", "nodes": 0, "labels": {}},
    ]
    assert [(one["node"], one["revoked"]) for one in list_nodes(fleet.authority)] == [
        ("node-1", ""),
        ("node-2", "stolen"),
    ]
    (artifact,) = list_artifacts(fleet.authority)
    assert (artifact["name"], artifact["bytes"], artifact["released"]) == ("face-detector", 1, True)
    token = fleet.authority.create_token("south")
    (listed,) = list_tokens(fleet.authority)
    assert (listed["site"], listed["expires"]) == ("south", token.expires_unix_ms)
    assert listed["id"] in token.text


def test_alarms_are_listed(fleet: Fleet) -> None:
    fleet.join("node-1", "north")
    with pytest.raises(EnrolRefused):
        fleet.join("node-1", "north")
    (alarm,) = list_alarms(fleet.authority)
    assert (alarm["kind"], alarm["node"], alarm["since"]) == ("Clone", "node-1", START_MS)
    assert json.dumps(alarm)
