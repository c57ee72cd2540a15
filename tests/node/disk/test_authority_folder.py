"""A new mesh's folders: whole or not at all, private, and refused where they were mixed up."""

import stat
from pathlib import Path

import pytest

from mesh.heads.certificates import check_certificate, der_from_pem
from mesh.heads.trust import Trust
from node.disk.authority_folder import FolderRefused, MeshPaths, initialise
from node.disk.authority_keys import MasterKeys, OperatorKeys


@pytest.fixture
def paths(tmp_path: Path) -> MeshPaths:
    return initialise(tmp_path / "acme", "acme", "master-1", "ada")


def test_the_masters_keys_are_what_the_trust_root_says(paths: MeshPaths) -> None:
    keys = MasterKeys.load(paths.master)
    trust = Trust(keys.root_key, keys.trust_envelope)
    assert keys.mesh == trust.mesh == "acme"
    assert keys.identity.uri == "spiffe://acme/master/master-1"
    assert trust.masters == ["master-1"]
    assert trust.keys("state") == [keys.state_signer.public_key]
    assert trust.keys("acknowledge") == [keys.acknowledge_signer.public_key]
    assert trust.authorities == [keys.authority_der]
    der = der_from_pem(keys.tls.certificate_pem)
    certified = check_certificate(der, trust.authorities, "acme")
    assert certified.signing_key == keys.signer.public_key


def test_the_operators_keys_are_what_the_trust_root_says(paths: MeshPaths) -> None:
    keys = OperatorKeys.load(paths.operator)
    trust = Trust(keys.root_key, keys.trust_envelope)
    assert keys.mesh == "acme"
    assert keys.identity.uri == "spiffe://acme/operator/ada"
    assert trust.keys("release") == [keys.release_signer.public_key]
    assert trust.keys("operator") == [keys.signer.public_key]


def test_no_private_key_lies_in_two_folders_and_only_the_owner_reads_them(
    paths: MeshPaths,
) -> None:
    seen: set[bytes] = set()
    for file in paths.root.parent.rglob("*"):
        mode = stat.S_IMODE(file.stat().st_mode)
        assert mode == (0o700 if file.is_dir() else 0o600), file
        if file.name.endswith("key.pem"):
            assert file.read_bytes() not in seen
            seen.add(file.read_bytes())
    assert len(seen) == 9


def test_a_folder_that_holds_a_mesh_is_refused_and_untouched(paths: MeshPaths) -> None:
    before = {file: file.read_bytes() for file in paths.root.parent.rglob("*") if file.is_file()}
    with pytest.raises(FolderRefused, match="already holds a mesh"):
        initialise(paths.root.parent, "other", "master-1", "ada")
    after = {file: file.read_bytes() for file in paths.root.parent.rglob("*") if file.is_file()}
    assert after == before


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert initialise(tmp_path, "acme", "master-1", "ada").master == tmp_path / "master"


def _with_a_stranger(tmp_path: Path) -> Path:
    (tmp_path / "notes.txt").write_text("mine")
    return tmp_path


def _a_file(tmp_path: Path) -> Path:
    (tmp_path / "acme").write_text("mine")
    return tmp_path / "acme"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        pytest.param(_with_a_stranger, "is not empty", id="something else lies there"),
        pytest.param(_a_file, "Not a directory", id="it is a file"),
        pytest.param(lambda tmp: tmp / "no" / "acme", "does not exist", id="no parent"),
    ],
)
def test_a_place_that_cannot_hold_it_is_refused(
    tmp_path: Path, place: object, message: str
) -> None:
    assert callable(place)
    folder = place(tmp_path)
    with pytest.raises(FolderRefused, match=message):
        initialise(folder, "acme", "master-1", "ada")
    assert not list(tmp_path.glob(".*"))


def test_what_the_disk_refuses_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FolderRefused, match="could not be written"):
        initialise(tmp_path / ("a" * 250), "acme", "master-1", "ada")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "names",
    [("Acme", "master-1", "ada"), ("acme", "-", "ada"), ("acme", "master-1", "ada/../root")],
)
def test_a_bad_name_makes_nothing(tmp_path: Path, names: tuple[str, str, str]) -> None:
    with pytest.raises(FolderRefused, match="no valid name"):
        initialise(tmp_path / "acme", *names)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named(paths: MeshPaths) -> None:
    (paths.master / "keys" / "state-key.pem").unlink()
    with pytest.raises(FolderRefused, match=r"state-key\.pem: it is missing"):
        MasterKeys.load(paths.master)


def test_the_folder_of_another_role_is_refused(paths: MeshPaths) -> None:
    with pytest.raises(FolderRefused, match="role is master, not operator"):
        OperatorKeys.load(paths.master)
    with pytest.raises(FolderRefused, match="role is operator, not master"):
        MasterKeys.load(paths.operator)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trust", "trust: "),
        ("root.public", "trust: "),
        ("tls.pem", r"tls\.pem: .*other|tls\.pem: .*no authority"),
        ("tls-key.pem", r"tls-key\.pem: it is not the key"),
        ("signing-key.pem", r"signing-key\.pem: it is not the key"),
        ("state-key.pem", r"state-key\.pem: the trust root gives this key no role 'state'"),
        ("acknowledge-key.pem", "no role 'acknowledge'"),
        ("authority.der", "does not name this authority"),
    ],
)
def test_a_file_of_another_mesh_is_named(
    tmp_path: Path, paths: MeshPaths, name: str, message: str
) -> None:
    other = initialise(tmp_path / "other", "acme", "master-1", "ada")
    foreign = (other.master / "keys" / name).read_bytes()
    (paths.master / "keys" / name).write_bytes(foreign)
    with pytest.raises(FolderRefused, match=message):
        MasterKeys.load(paths.master)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("state-key.pem", b"rubbish", "holds no private key"),
        ("tls.pem", b"rubbish", r"tls\.pem"),
        ("root.public", b"short", r"trust"),
        ("trust", b"x" * 70_000, "larger than"),
    ],
)
def test_a_damaged_file_is_named(paths: MeshPaths, name: str, data: bytes, message: str) -> None:
    (paths.master / "keys" / name).write_bytes(data)
    with pytest.raises(FolderRefused, match=message):
        MasterKeys.load(paths.master)


def test_a_key_of_the_wrong_kind_is_named(paths: MeshPaths) -> None:
    keys = paths.master / "keys"
    ed25519, p256 = (keys / "signing-key.pem").read_bytes(), (keys / "tls-key.pem").read_bytes()
    (keys / "state-key.pem").write_bytes(p256)
    with pytest.raises(FolderRefused, match="no Ed25519 key"):
        MasterKeys.load(paths.master)
    (keys / "state-key.pem").unlink()
    (keys / "authority-key.pem").write_bytes(ed25519)
    with pytest.raises(FolderRefused):
        MasterKeys.load(paths.master)


def test_a_folder_in_a_keys_place_is_named(paths: MeshPaths) -> None:
    (paths.operator / "keys" / "release-key.pem").unlink()
    (paths.operator / "keys" / "release-key.pem").mkdir()
    with pytest.raises(FolderRefused, match=r"release-key\.pem: Is a directory"):
        OperatorKeys.load(paths.operator)
