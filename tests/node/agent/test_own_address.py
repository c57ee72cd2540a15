"""Where neighbours reach a node: found out, looked at again, and told when it is another."""

import asyncio
import ipaddress
from pathlib import Path

import pytest

from node.agent.own_address import OwnAddress, advertised, for_multicast
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
        own = OwnAddress(next(left), lambda: next(left), hear)
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
