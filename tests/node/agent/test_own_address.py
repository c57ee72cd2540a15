"""Where neighbours reach a node: found out, looked at again, and told when it is another."""

import asyncio
import ipaddress
import subprocess
import sys
from pathlib import Path

import pytest

from node.agent.own_address import Own, OwnAddress, advertised, for_multicast, without_route
from tests.node.agent.lab import Lab


def test_the_address_that_neighbours_are_told() -> None:
    assert advertised("0.0.0.0:7400", "shop.example:7400") == "shop.example:7400"
    assert advertised("10.0.0.7:7400", "") == "10.0.0.7:7400"
    assert advertised("[::1]:7400", "") == "[::1]:7400"
    host, _, port = advertised("0.0.0.0:7400", "").rpartition(":")
    assert port == "7400"
    assert host not in ("", "0.0.0.0")


def test_multicast_carries_addresses_and_no_names() -> None:
    assert for_multicast("10.0.0.7:7400") == ("10.0.0.7", 7400)
    assert for_multicast("[fe80::7]:7400") == ("fe80::7", 7400)
    host, port = for_multicast("shop.example:7400")
    assert (ipaddress.ip_address(host).version, port) == (4, 7400)


LO = Own("127.0.0.1", up=True, card=False)
BRIDGE = Own("172.17.0.1", up=True, card=False)
CARD, ANOTHER = Own("10.0.0.7", up=True, card=True), Own("10.0.1.7", up=True, card=True)
UNPLUGGED = CARD._replace(up=False)
BY_ITSELF = Own("169.254.3.1", up=True, card=True)


@pytest.mark.parametrize(
    ("own", "told", "chosen"),
    [
        pytest.param([LO], "127.0.0.1", "127.0.0.1", id="no network"),
        pytest.param([LO, CARD, ANOTHER], "127.0.0.1", "10.0.0.7", id="the first"),
        pytest.param([LO, CARD, ANOTHER], "10.0.1.7", "10.0.1.7", id="the one that was told"),
        pytest.param([LO, UNPLUGGED, ANOTHER], "127.0.0.1", "10.0.1.7", id="one is unplugged"),
        pytest.param([LO, UNPLUGGED], "127.0.0.1", "127.0.0.1", id="nothing is plugged in"),
        pytest.param([LO, BRIDGE, CARD], "172.17.0.1", "10.0.0.7", id="no bridge of containers"),
        pytest.param([LO, BRIDGE, UNPLUGGED], "10.0.0.7", "10.0.0.7", id="unplugged for a while"),
        pytest.param([LO, UNPLUGGED, ANOTHER], "10.0.0.7", "10.0.1.7", id="plugged in elsewhere"),
        pytest.param([LO, BRIDGE], "", "172.17.0.1", id="a bridge is all there is"),
        pytest.param([LO, BY_ITSELF, BRIDGE], "", "172.17.0.1", id="link-local ones last"),
        pytest.param([LO, BY_ITSELF], "", "169.254.3.1", id="a link-local one is all there is"),
    ],
)
def test_the_address_of_a_machine_from_which_no_route_leads_out(
    own: list[Own], told: str, chosen: str
) -> None:
    assert without_route(own, told) == chosen


def test_a_lan_without_a_default_route(tmp_path: Path) -> None:
    script = tmp_path / "lan.sh"
    script.write_text(
        "set -e; ip link set lo up; ip link add eth9 type veth peer name far9; ip link set far9 up;"
        'ip addr add 10.9.0.7/24 dev eth9; ip link set eth9 up; echo made; exec "$@"'
    )
    code = "from node.agent.own_address import advertised; print(advertised('0.0.0.0:7400', ''))"
    unshared = ["unshare", "-rn", "sh", str(script), sys.executable, "-c", code]
    try:
        done = subprocess.run(unshared, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here: install util-linux")
    if not done.stdout.startswith("made"):
        pytest.skip(f"no network can be made here: run it as root ({done.stderr.strip()[:80]})")
    assert done.stdout.split() == ["made", "10.9.0.7:7400"], done.stderr


@pytest.mark.parametrize(
    ("found", "told"),
    [
        pytest.param(["127.0.0.1:1", "10.0.0.7:1"], ["10.0.0.7:1"], id="it starts before"),
        pytest.param(["10.0.0.7:1", "10.0.0.7:1"], [], id="nothing is new"),
        pytest.param(["10.0.0.7:1", "10.0.0.9:1"], ["10.0.0.9:1"], id="another lease"),
        pytest.param(["10.0.0.7:1", "127.0.0.1:1", "10.0.0.7:1"], [], id="gone for a while"),
        pytest.param(["10.0.0.7:1", "127.0.0.1:1", "10.0.0.9:1"], ["10.0.0.9:1"], id="both"),
        pytest.param(["shop.example:1", "shop.example:1"], [], id="configured"),
    ],
)
def test_an_address_that_is_another_is_told(found: list[str], told: list[str]) -> None:
    heard: list[str] = []

    async def hear(address: str) -> None:
        heard.append(address)

    async def looks() -> None:
        left = iter(found)
        own = OwnAddress(next(left), lambda told: next(left), hear)
        for _ in found[1:]:
            await own.look()

    asyncio.run(looks())
    assert heard == told


def test_a_node_with_a_name_for_an_address_starts_and_tells_its_address_by_multicast(
    tmp_path: Path,
) -> None:
    lab = Lab(tmp_path)
    try:
        lab.make_mesh()
        node = lab.add_node("a")
        port = node.address.rpartition(":")[2]
        text = node.config.read_text()
        assert "mdns = false" in text
        text = text.replace("mdns = false", "mdns = true")
        told = f'[peer]\nadvertise = "localhost:{port}"\n'
        node.config.write_text(text.replace("[peer]\n", told))
        lab.start("a")
        lab.wait_ready("a")
        assert f"localhost:{port}" in lab.meshctl("get", "nodes", "-o", "json", *lab.at("a"))
    finally:
        lab.close()
