"""What is advertised, and what of others' records is believed."""

import pytest

from node.net.mdns_records import ADDRESSES_MAX, HINTS_MAX, Advertisement, Hint, Hints, hint_of

OWN = Advertisement("acme", "north", "north-1", 3, ("192.0.2.1",), 7400)
OTHER = {b"mesh": b"acme", b"site": b"north", b"id": b"north-2", b"boot": b"7"}


def test_a_neighbour_becomes_a_hint() -> None:
    addresses = ["192.0.2.2", "192.0.2.2", "2001:db8::2"]
    hint = hint_of(OWN, OTHER, addresses, 7400)
    assert hint == Hint("north-2", 7, ("192.0.2.2:7400", "[2001:db8::2]:7400"))


@pytest.mark.parametrize(
    ("properties", "addresses", "port"),
    [
        pytest.param(OTHER | {b"mesh": b"evil"}, ["192.0.2.2"], 7400, id="another mesh"),
        pytest.param(OTHER | {b"site": b"south"}, ["192.0.2.2"], 7400, id="another site"),
        pytest.param(OTHER | {b"id": b"north-1"}, ["192.0.2.2"], 7400, id="our own name"),
        pytest.param({}, ["192.0.2.2"], 7400, id="no text"),
        pytest.param(OTHER | {b"id": None}, ["192.0.2.2"], 7400, id="no id"),
        pytest.param(OTHER | {b"id": b"x" * 64}, ["192.0.2.2"], 7400, id="an id too long"),
        pytest.param(OTHER | {b"id": b"../etc"}, ["192.0.2.2"], 7400, id="an id that is a path"),
        pytest.param(OTHER | {b"id": b"\xff\xfe"}, ["192.0.2.2"], 7400, id="an id of bytes"),
        pytest.param(OTHER | {b"boot": b"-1"}, ["192.0.2.2"], 7400, id="a negative boot"),
        pytest.param(OTHER | {b"boot": b"9" * 200}, ["192.0.2.2"], 7400, id="a huge boot"),
        pytest.param(OTHER, [], 7400, id="no address"),
        pytest.param(OTHER, ["0.0.0.0", "224.0.0.1"], 7400, id="addresses that nobody has"),
        pytest.param(OTHER, ["fe80::1"], 7400, id="an address without its interface"),
        pytest.param(OTHER, ["master.example"], 7400, id="a name for an address"),
        pytest.param(OTHER, ["192.0.2.2"], 0, id="port 0"),
        pytest.param(OTHER, ["192.0.2.2"], None, id="no port"),
    ],
)
def test_what_is_not_a_neighbour_is_ignored(
    properties: dict[bytes, bytes | None], addresses: list[str], port: int | None
) -> None:
    assert hint_of(OWN, properties, addresses, port) is None


def test_many_addresses_are_cut() -> None:
    hint = hint_of(OWN, OTHER, [f"192.0.2.{number}" for number in range(1, 200)], 7400)
    assert hint is not None
    assert len(hint.addresses) == ADDRESSES_MAX


def test_only_news_is_passed_on_and_memory_is_bounded() -> None:
    hints = Hints()
    first = Hint("north-2", 7, ("192.0.2.2:7400",))
    assert hints.is_news(first)
    assert not hints.is_news(first)
    assert hints.is_news(Hint("north-2", 8, ("192.0.2.2:7400",)))
    for number in range(HINTS_MAX):
        hints.is_news(Hint(f"fake-{number}", 1, ("192.0.2.9:1",)))
    assert hints.forgotten == 1
    assert hints.is_news(first), "the oldest was forgotten"


def test_a_name_is_the_same_at_each_boot_and_another_elsewhere() -> None:
    again = Advertisement("acme", "north", "north-1", 4, ("192.0.2.7",), 7400)
    elsewhere = Advertisement("acme", "south", "north-1", 3, ("192.0.2.1",), 7400)
    assert OWN.label() == again.label() != elsewhere.label()
    longest = Advertisement("acme", "north", "A." + "x" * 61, 1, ("192.0.2.1",), 1)
    assert len(longest.label()) <= 63


@pytest.mark.parametrize(
    ("name", "address"),
    [
        pytest.param("", "192.0.2.1", id="an empty name"),
        pytest.param("a b", "192.0.2.1", id="a space"),
        pytest.param("north-1", "host", id="a name for an address"),
    ],
)
def test_what_cannot_be_advertised_is_refused(name: str, address: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be advertised|does not appear"):
        Advertisement("acme", "north", name, 1, (address,), 7400)
