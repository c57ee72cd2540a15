"""The file of contexts: what is written can be read, what is damaged is named."""

import pytest

from node.admin import contexts
from node.admin.contexts import Address, Context, Contexts
from node.admin.failures import Failure

MASTER = Address("master-1", "master", "", "hq.example.com:7400")
NODE = Address("north-a", "node", "north", "10.0.0.5:7400")


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "deep" / "config.toml"
    keys = tmp_path / 'a "quoted" folder\x7f'
    written = Contexts().with_context(Context("shops", "shops", keys, (NODE, MASTER)))
    contexts.save(path, written)
    assert contexts.load(path) == written
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.id for one in written.pick("").ordered()] == ["master-1", "north-a"]


def test_addresses_are_added_and_replaced(tmp_path):
    known = Context("shops", "shops", tmp_path, (NODE, MASTER))
    moved = Address("north-a", "node", "north", "10.0.0.9:7400")
    assert set(contexts.added(known, (moved,)).addresses) == {moved, MASTER}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param("current = ", "mend the file", id="no TOML"),
        pytest.param("\xff", "mend the file", id="no UTF-8"),
        pytest.param("[contexts.a]\nkeys = 'x'", "'mesh' is missing", id="a key is missing"),
        pytest.param("[contexts.a]\nmesh = 'A!'\nkeys = 'x'", "no valid name", id="a bad mesh"),
        pytest.param("contexts = 3", "mend the file", id="no table"),
        pytest.param(
            "[contexts.a]\nmesh = 'a'\nkeys = 'x'\n[[contexts.a.addresses]]\n"
            "id = 'n'\nrole = 'king'\naddress = 'h:1'",
            "role 'king'",
            id="a bad role",
        ),
        pytest.param("#" * 1_100_000, "it is no config", id="too large"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, what):
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(Failure, match=what) as raised:
        contexts.load(path)
    assert str(path) in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_folder_in_its_place_is_told(tmp_path):
    with pytest.raises(Failure, match="cannot read"):
        contexts.load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="cannot write"):
        contexts.save(tmp_path / "file" / "config.toml", Contexts())
