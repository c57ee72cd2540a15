"""Links and members come in either order."""

from mesh.registers.liveness import Liveness, SendProbe


def test_a_node_whose_link_stood_before_its_register_came_is_probed_over_that_link() -> None:
    liveness = Liveness("a", now_ms=0)
    liveness.link("b", up=True, now_ms=0)
    liveness.members(["b"], now_ms=10)
    assert [a.peer for a in liveness.tick(200) if isinstance(a, SendProbe)] == ["b"]
    assert liveness.suspected() == []
