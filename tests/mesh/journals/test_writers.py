"""Whose keys a journal is checked with."""

from mesh.journals.writers import KEYS_MAX, Writers


def test_the_key_of_now_comes_first_and_those_of_before_count_on() -> None:
    said = {"c": b"old"}
    writers = Writers(said.get)
    assert writers.keys_of("c") == (b"old",)
    said["c"] = b"new"
    assert writers.keys_of("c") == (b"new", b"old")
    said.clear()
    assert writers.keys_of("c") == (b"new", b"old")
    assert writers.keys_of("d") == ()


def test_only_the_last_machines_of_an_id_are_remembered() -> None:
    writers = Writers(lambda _: None)
    for number in range(KEYS_MAX + 3):
        writers.remember("c", bytes([number]))
        writers.remember("c", bytes([number]))
    assert writers.keys_of("c") == tuple(bytes([n]) for n in range(KEYS_MAX + 2, 2, -1))
