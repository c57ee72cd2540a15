"""The configuration: what is refused, in which words, and what the environment changes."""

from pathlib import Path

import pytest

from node.agent.config import FILE_BYTES_MAX, Config, ConfigError, load_config, split_peer

BAD = {
    "an unknown section, nearly right": (
        "[peers]\n",
        "unknown section [peers]; did you mean 'peer'?",
    ),
    "an unknown section": ("[zzz]\n", "unknown section [zzz]; known: discovery, enrolment,"),
    "an unknown key, nearly right": (
        '[peer]\nadvertize = "x"\n',
        "unknown key peer.advertize; did you mean 'advertise'?",
    ),
    "an unknown key": ("[log]\ncolour = 1\n", "unknown key log.colour; known: level"),
    "a wrong type": ('[node]\ncores = "4"\n', "node.cores must be of type int"),
    "a list that is a string": ('[peer]\nseeds = "a@b:1"\n', "peer.seeds must be of type list"),
    "a list of numbers": ("[peer]\nseeds = [1]\n", "peer.seeds must hold strings"),
    "a label that is a number": ("[node]\nlabels = {a = 1}\n", "node.labels must hold strings"),
    "a truth value for a number": ("[node]\ncores = true\n", "node.cores must be of type int"),
    "a section that is a value": ("peer = 1\n", "[peer] must be a section"),
    "a bad unit of time": ('[wan]\nretry_max = "30 parsecs"\n', "wan.retry_max: "),
    "a bad unit of size": ('[node]\nmemory = "4GiBB"\n', "node.memory: "),
    "a bad quota": ('[journal]\nquota = "lots"\n', "journal.quota: "),
    "a listening address with a name": ('[peer]\nlisten = "localhost:1"\n', "peer.listen: "),
    "a listening address without a port": ('[peer]\nlisten = "127.0.0.1"\n', "peer.listen: "),
    "a port out of range": ('[enrolment]\nlisten = "127.0.0.1:70000"\n', "enrolment.listen: "),
    "an inference port that is none": ('[inference]\nlisten = "x"\n', "inference.listen: "),
    "a seed without an ID": ('[peer]\nseeds = ["10.0.0.1:7400"]\n', "peer.seeds: "),
    "a master without a port": ('[master]\naddresses = ["m@10.0.0.1"]\n', "master.addresses: "),
    "a level that is none": ('[log]\nlevel = "loud"\n', "log.level: 'loud' is none of debug,"),
    "a source with another key": (
        '[sources.cam]\nurl = "x"\nuser = "y"\n',
        "[sources.cam] has exactly one key, `url`",
    ),
    "a source that is a string": ('sources.cam = "x"\n', "[sources.cam] has exactly one key"),
    "sources that are a value": ("sources = 3\n", "[sources] must be a section"),
    "no TOML": ("[peer\n", "line 1"),
    "a key given twice": ('[log]\nlevel = "info"\nlevel = "info"\n', "line 3"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "meshd.toml"


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD.keys())
def test_bad_configuration_is_refused_by_place(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_config(file, {})
    assert str(refused.value).startswith(f"{file}: ")
    assert said in str(refused.value)


def test_a_file_that_is_not_there_or_too_long_or_no_text(file: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory; name another with --config"):
        load_config(file, {})
    file.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="more than"):
        load_config(file, {})
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="codec"):
        load_config(file, {})


def test_all_of_it(file: Path) -> None:
    file.write_text(
        '[node]\ncores = 4\nmemory = "4GiB"\nlabels = {floor = "2"}\n'
        '[peer]\nlisten = "[::]:7400"\nseeds = ["b@10.0.0.2:7400"]\n'
        '[sources.door]\nurl = "/dev/video0"\n'
    )
    config = load_config(file, {})
    assert config.node.cores == 4
    assert config.node.labels == {"floor": "2"}
    assert config.sources["door"].url == "/dev/video0"
    assert config.path == file
    assert config.wan.retry_max == "30s"


def test_a_value_for_a_section_that_the_environment_fills(file: Path) -> None:
    file.write_text("peer = 1\n")
    with pytest.raises(ConfigError, match="must be a section"):
        load_config(file, {"MESHD_PEER_LISTEN": "127.0.0.1:1"})


@pytest.mark.parametrize("address", ["unix:/run/x", "0.0.0.0:7400", "box", "127.1:7400"])
def test_an_address_at_which_nobody_can_reach_this_node(address: str) -> None:
    with pytest.raises(ConfigError, match=r"peer\.advertise: .* give "):
        load_config(None, {"MESHD_PEER_ADVERTISE": address})


def test_nothing_at_all_is_a_configuration() -> None:
    assert load_config(None, {}) == Config()


def test_the_environment_stands_above_the_file(file: Path) -> None:
    file.write_text('[wan]\nretry_max = "1s"\nexchange = "5s"\n')
    config = load_config(
        file,
        {
            "MESHD_WAN_RETRY_MAX": "2s",
            "MESHD_DISCOVERY_MDNS": "false",
            "MESHD_DISCOVERY_INTERFACES": "127.0.0.1, 10.0.0.1,",
            "MESHD_NODE_CORES": "3",
            "MESHD_CONFIG": "elsewhere",
            "MESHD_DATA": "elsewhere",
            "HOME": "/",
        },
    )
    assert (config.wan.retry_max, config.wan.exchange) == ("2s", "5s")
    assert config.discovery.mdns is False
    assert config.discovery.interfaces == ["127.0.0.1", "10.0.0.1"]
    assert config.node.cores == 3


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MESHD_PEERS_LISTEN", "x", "MESHD_PEERS_LISTEN names no key"),
        ("MESHD_PEER", "x", "MESHD_PEER names no key"),
        ("MESHD_PEER_LISTN", "x", "unknown key peer.listn; did you mean 'listen'?"),
        ("MESHD_NODE_CORES", "many", "node.cores must be of type int"),
        ("MESHD_DISCOVERY_MDNS", "perhaps", "discovery.mdns must be of type bool"),
        ("MESHD_NODE_LABELS", "a=b", "node.labels must be of type dict"),
    ],
)
def test_a_bad_environment(variable: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"^the environment: ") as refused:
        load_config(None, {variable: value})
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["", "a", "a@", "@h:1", "a@h", "a@:1", "a@h:", "a@h:p", "h:1"])
def test_no_peer(text: str) -> None:
    with pytest.raises(ConfigError, match="write ID@HOST:PORT"):
        split_peer(text)


def test_a_peer() -> None:
    assert split_peer("shop-1@[fe80::1]:7400") == ("shop-1", "[fe80::1]:7400")
