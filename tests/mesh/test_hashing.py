"""Fingerprints and rendezvous hashing: the same for everybody, and moving only what they must."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from mesh.hashing import fingerprint, first, ranked, ranked_by_weight, sha256

NODES = st.lists(st.text("abcdefgh", min_size=1, max_size=4), unique=True, max_size=12)


def test_a_blobs_name_is_its_sha256() -> None:
    assert sha256(b"data") == hashlib.sha256(b"data").digest()


@given(st.lists(st.binary(max_size=40)), st.randoms())
def test_a_fingerprint_does_not_depend_on_the_order(digests: list[bytes], random: object) -> None:
    shuffled = list(digests)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fingerprint(shuffled) == fingerprint(digests)
    assert len(fingerprint(digests)) == 8


def test_a_fingerprint_tells_where_one_digest_ends() -> None:
    assert fingerprint([b"ab", b"c"]) != fingerprint([b"a", b"bc"])


@given(NODES, st.text(max_size=8), st.data())
def test_a_node_that_goes_moves_nothing_else(
    nodes: list[str], key: str, data: st.DataObject
) -> None:
    order = ranked(key, nodes)
    assert sorted(order) == sorted(nodes)
    assert first(key, nodes) == (order[0] if order else None)
    if nodes:
        gone = data.draw(st.sampled_from(nodes))
        assert ranked(key, [n for n in nodes if n != gone]) == [n for n in order if n != gone]


def test_a_heavier_node_is_first_more_often_in_proportion() -> None:
    weights = {"small": 1.0, "large": 3.0}
    wins = sum(ranked_by_weight(f"key {i}", weights)[0] == "large" for i in range(4_000))
    assert 0.70 < wins / 4_000 < 0.80


def test_key_and_node_are_told_apart() -> None:
    draws = {first(key, [node, "z"]) for key, node in (("ab", "c"), ("a", "bc"))}
    assert draws <= {"c", "bc", "z"}
    assert first("nobody", []) is None
