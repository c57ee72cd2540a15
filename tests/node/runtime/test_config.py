"""What the runtime refuses to be configured to."""

from pathlib import Path

import pytest

from node.runtime.config import ConfigRefused, RuntimeConfig, check_loopback


@pytest.mark.parametrize("address", ["127.0.0.1:7410", "[::1]:0", "localhost:7410", "127.9.9.9:1"])
def test_the_clear_port_may_be_on_loopback(address: str) -> None:
    check_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0:7410", "192.168.1.5:7410", ":7410", "box:7410"])
def test_the_clear_port_may_be_nowhere_else(address: str) -> None:
    with pytest.raises(ConfigRefused, match="peer_listen"):
        check_loopback(address)


def test_the_mtls_port_needs_an_identity(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="node join"):
        RuntimeConfig(
            socket_path=tmp_path / "s",
            data_dir=tmp_path,
            node="n1",
            mesh="test",
            site="north",
            peer_inference_address="0.0.0.0:7412",
        )
