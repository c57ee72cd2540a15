"""Parsing: the example, what is left out, and that nothing breaks it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.desired.parse import from_json, parse, to_json
from mesh.desired.problems import ResourcesRefused
from mesh.desired.resources import Model, Pipeline, Service, Site
from tests.mesh.desired.example import EXAMPLE
from tests.mesh.desired.heads import GOOD_PIPELINE, GOOD_SERVICE, MODEL, PIPELINE, SERVICE, SITE


def test_the_example() -> None:
    model, service, pipeline, site = (one.resource for one in parse(EXAMPLE))
    assert isinstance(model, Model)
    assert (model.spec.version, model.spec.gate.max_latency, model.spec.gate.soak) == (
        "1.2.0",
        50,
        30_000,
    )
    assert isinstance(service, Service)
    assert service.spec.sites == ["north", "south"]
    assert (service.spec.model_name, service.spec.model_version) == ("face-detector", "1.2.0")
    assert (service.spec.replicas.min, service.spec.replicas.most) == (2, 3)
    assert service.spec.resources.memory == 512 * 1024**2
    assert isinstance(pipeline, Pipeline)
    assert (pipeline.spec.on_split, pipeline.spec.every) == ("run", 200)
    assert isinstance(site, Site)
    assert site.spec.autonomy.until == 90 * 86_400_000


def test_what_is_left_out_has_the_documented_meaning() -> None:
    text = MODEL + "spec: {version: '1'}\n---\n" + SERVICE + "spec: {sites: [a], model: m@1}\n"
    text += "---\n" + PIPELINE + "spec: {sites: [a], source: s, service: f}\n---\n" + SITE
    model, service, pipeline, site = (one.resource for one in parse(text))
    assert isinstance(model, Model)
    assert (model.spec.gate.max_latency, model.spec.gate.soak, model.spec.stage) == (
        0,
        30_000,
        None,
    )
    assert isinstance(service, Service)
    assert (service.spec.replicas.min, service.spec.replicas.most) == (1, 1)
    assert (service.spec.resources.cores, service.spec.resources.memory) == (1, 512 * 1024**2)
    assert (service.spec.scaling.queue_delay, service.spec.scaling.down_after) == (20, 60_000)
    assert (service.spec.spares, service.spec.device) == (1, "CPU")
    assert service.spec.placement.match_labels == {}
    assert isinstance(pipeline, Pipeline)
    assert (pipeline.spec.every, pipeline.spec.threshold) == (200, 0.0)
    assert (pipeline.spec.exclusive, pipeline.spec.on_split) == (False, "stop")
    assert (pipeline.spec.journal.on_change, pipeline.spec.journal.summary_every) == (True, 10_000)
    assert isinstance(site, Site)
    assert site.spec.autonomy.allow == ["restart"]
    assert site.spec.autonomy.until == 30 * 86_400_000


def test_max_follows_min() -> None:
    service = parse(SERVICE + GOOD_SERVICE + "replicas: {min: 4}}")[0].resource
    assert isinstance(service, Service)
    assert service.spec.replicas.most == 4


def test_json_keeps_everything() -> None:
    text = MODEL + "spec: {version: v2, stage: {sites: {matchLabels: {region: eu}}}}\n"
    text += "---\n" + PIPELINE + GOOD_PIPELINE + "threshold: 1}\n"
    for one in parse(EXAMPLE) + parse(text):
        assert from_json(to_json(one.resource)) == one.resource


def test_what_is_no_stored_resource_is_refused() -> None:
    with pytest.raises(ResourcesRefused):
        from_json(b'{"kind": "Model"}')


def test_places_can_be_asked_for_afterwards() -> None:
    service = parse(EXAMPLE)[1]
    assert (service.place(("spec", "model")).line, service.place(("spec", "model")).column) == (
        11,
        10,
    )
    assert service.place(("spec", "placement", "matchLabels")).line == 10


def problems_of(text: str) -> object:
    """The problems of `text`, or what was read where there is none."""
    try:
        return parse(text)
    except ResourcesRefused as refused:
        return refused.problems


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    assert problems_of(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=10,
    ),
    st.sampled_from(["Model", "Service", "Pipeline", "Site"]),
)
def test_no_spec_breaks_the_parser(spec: object, kind: str) -> None:
    document = {"apiVersion": "mesh/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    assert problems_of(json.dumps(document))


def test_a_service_that_may_sleep_has_a_max() -> None:
    service = parse(SERVICE + GOOD_SERVICE + "replicas: {min: 0, max: 2}}")[0].resource
    assert isinstance(service, Service)
    assert (service.spec.replicas.min, service.spec.replicas.most) == (0, 2)
