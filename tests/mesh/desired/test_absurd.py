"""Numbers that no site can have: refused at `apply`, with line and column, before anything is
computed of them."""

import pytest

from mesh.desired.parse import parse
from mesh.desired.problems import ResourcesRefused
from mesh.desired.resources import CORES_MAX, REPLICAS_MAX
from tests.mesh.desired.heads import SERVICE


def refusals(field: str) -> list[str]:
    """What is said of a service with this field in its line 7."""
    with pytest.raises(ResourcesRefused) as refused:
        parse(f"{SERVICE}spec:\n  sites: [a]\n  model: m@1\n  {field}\n")
    return [problem.text("faces.yaml") for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("replicas: {min: 1000000}", "7:19: spec.replicas.min"),
        ("replicas: {min: 1, max: 1000000}", "7:27: spec.replicas.max"),
        (f"replicas: {{min: {REPLICAS_MAX + 1}}}", "7:19: spec.replicas.min"),
        ("replicas: {min: -1}", "7:19: spec.replicas.min"),
        ("replicas: {min: 1.5}", "7:19: spec.replicas.min"),
        ("replicas: {min: 1e6}", "7:19: spec.replicas.min"),
        ("replicas: {min: .inf}", "7:19: spec.replicas.min"),
        ("replicas: {min: 18446744073709551616}", "7:19: spec.replicas.min"),
        ("resources: {cores: 0}", "7:22: spec.resources.cores"),
        ("resources: {cores: -4}", "7:22: spec.resources.cores"),
        (f"resources: {{cores: {CORES_MAX + 1}}}", "7:22: spec.resources.cores"),
        ("resources: {cores: 4294967296}", "7:22: spec.resources.cores"),
        ("resources: {memory: 0MiB}", "7:23: spec.resources.memory"),
        ("resources: {memory: -1GiB}", "7:23: spec.resources.memory"),
        ("resources: {memory: 99999999999TiB}", "7:23: spec.resources.memory"),
        ("resources: {memory: .nan}", "7:23: spec.resources.memory"),
        ("scaling: {queueDelay: 0ms}", "7:25: spec.scaling.queueDelay"),
        ("scaling: {downAfter: 999999999999h}", "7:24: spec.scaling.downAfter"),
        ("spares: -1", "7:11: spec.spares"),
        ("spares: 1000000", "7:11: spec.spares"),
    ],
)
def test_numbers_out_of_range_are_refused_with_line_and_column(field: str, place: str) -> None:
    (told,) = refusals(field)
    assert told.startswith(f"faces.yaml:{place}: ")
    assert len(told) < 300


def test_a_number_of_a_million_digits_costs_nothing() -> None:
    (told,) = refusals("spares: " + "9" * 100_000)
    assert told.startswith("faces.yaml:7:11: spec.spares: ")
    assert len(told) < 300
