"""Addresses: HOST:PORT, never a scheme, a path or another way to write this machine's own."""

import pytest

from mesh.addresses import (
    AddressRefused,
    as_reached,
    is_loopback,
    join_address,
    refusal,
    split_address,
    target,
)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.5:7400", "ipv4:10.0.0.5:7400"),
        ("[fe80::1]:7400", "ipv6:[fe80::1]:7400"),
        (f"[fe80::1%{'a' * 243}]:1", f"ipv6:[fe80::1%{'a' * 243}]:1"),
        ("box-1.site:1", "dns:///box-1.site:1"),
    ],
)
def test_addresses_get_a_scheme_of_our_choosing(address: str, expected: str) -> None:
    assert target(address) == expected
    assert join_address(*split_address(address)) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "box",
        ":7400",
        "box:",
        "box:0",
        "box:65536",
        "box:123456",
        "box:٣",
        "unix:/run/x",
        "unix:///run/x:1",
        "unix-abstract:x:1",
        "dns:///box:1",
        "xds:///box:1",
        "a,b:1",
        "fe80::1:7400",
        "[10.0.0.5]:7400",
        "[x]:7400",
        "a" * 254 + ":1",
        f"[fe80::1%{'a' * 244}]:1",
        "box\n:1",
        "@box:1",
        "127.1:1",
        "2130706433:1",
        "box.0x7f:1",
        "0x7f000001:1",
    ],
)
def test_what_is_no_address_is_dialled_by_nobody(address: str) -> None:
    with pytest.raises(AddressRefused, match="give HOST:PORT"):
        target(address)


@pytest.mark.parametrize("host", ["a..b", ".a", "a.", "a" * 64 + ".b", "-a.b", "a.-b"])
def test_a_host_with_an_impossible_label_is_no_address(host: str) -> None:
    with pytest.raises(AddressRefused):
        split_address(f"{host}:7400")


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]", "[::ffff:0.0.0.0]"])
def test_where_nobody_in_particular_is_nobody_dials(host: str) -> None:
    with pytest.raises(AddressRefused, match="is no machine's address"):
        target(f"{host}:7400")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("a.localhost", True),
        ("10.0.0.1", False),
        ("[fe80::1]", False),
        ("0.0.0.0", False),
        ("localhost.site", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(f"{host}:0") is loopback


@pytest.mark.parametrize(
    ("address", "own", "refused"),
    [
        ("10.0.0.5:7412", "10.0.0.6:7412", ""),
        ("10.0.0.5:7412", "", ""),
        ("127.0.0.1:7412", "127.0.0.1:7413", ""),
        ("127.0.0.1:7412", "10.0.0.6:7412", "own loopback interface"),
        ("127.0.0.1:7412", "0.0.0.0:7412", "own loopback interface"),
        ("localhost:22", "", "own loopback interface"),
        ("0.0.0.0:7412", "127.0.0.1:7412", "is no machine's address"),
        ("unix:/run/x", "127.0.0.1:7412", "give HOST:PORT"),
        ("", "127.0.0.1:7412", "give HOST:PORT"),
    ],
)
def test_nobody_knocks_at_its_own_machine_because_a_neighbour_says_so(
    address: str, own: str, refused: str
) -> None:
    assert bool(refusal(address, own)) is bool(refused)
    assert refused in refusal(address, own)


@pytest.mark.parametrize(
    ("listening", "known", "reached"),
    [
        ("0.0.0.0:7412", "10.0.0.5:7400", "10.0.0.5:7412"),
        ("[::]:7412", "[fd00::5]:7400", "[fd00::5]:7412"),
        ("[::]:7412", "box.site:7400", "box.site:7412"),
        ("10.0.0.6:7412", "10.0.0.5:7400", "10.0.0.6:7412"),
        ("box.site:7412", "10.0.0.5:7400", "box.site:7412"),
        ("0.0.0.0:7412", "", ""),
        ("", "10.0.0.5:7400", ""),
    ],
)
def test_a_port_on_every_interface_is_reached_where_the_other_port_is(
    listening: str, known: str, reached: str
) -> None:
    assert as_reached(listening, known) == reached
