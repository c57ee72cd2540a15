"""Parsing: everything that is wrong, said with line and column."""

import pytest

from mesh.desired.located import DOCUMENTS_MAX, TEXT_BYTES_MAX
from mesh.desired.parse import PROBLEMS_MAX, parse
from mesh.desired.problems import ResourcesRefused
from tests.mesh.desired.heads import GOOD_PIPELINE, GOOD_SERVICE, MODEL, PIPELINE, SERVICE, SITE


def refusals(text: str) -> list[str]:
    """The problems of `text`, as a person sees them."""
    with pytest.raises(ResourcesRefused) as refused:
        parse(text)
    return [problem.text("faces.yaml") for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            SERVICE + "spec:\n  sites: [a]\n  model: m@1\n  replica: {min: 1}\n",
            "faces.yaml:7:3: spec.replica: unknown key 'replica'; did you mean 'replicas'?",
            id="unknown key",
        ),
        pytest.param(
            SERVICE + GOOD_SERVICE + "zzz: 1}",
            "faces.yaml:4:32: spec.zzz: unknown key 'zzz'; use sites, model, replicas, resources, "
            "scaling, placement, spares, device",
            id="unknown key like no other",
        ),
        pytest.param(
            MODEL + "spec: {version: v1}\nstatus: {}\n",
            "faces.yaml:5:1: status: unknown key 'status'; use apiVersion, kind, metadata, spec",
            id="unknown key at the top",
        ),
        pytest.param(
            SERVICE + "spec: {model: m@1, sites: {matchLabel: {a: b}}}",
            "faces.yaml:4:28: spec.sites.matchLabel: unknown key 'matchLabel'; "
            "did you mean 'matchLabels'?",
            id="unknown key in one of two forms",
        ),
        pytest.param(
            SERVICE + GOOD_SERVICE + "resources: {memory: 64MB}}",
            "faces.yaml:4:52: spec.resources.memory: 'MB' is no unit of a size; "
            "did you mean 64MiB?",
            id="wrong unit of a size",
        ),
        pytest.param(
            MODEL + "spec: {version: v1, gate: {soak: 30}}",
            "faces.yaml:4:34: spec.gate.soak: 30 has no unit; did you mean 30ms or 30s?",
            id="no unit",
        ),
        pytest.param(
            PIPELINE + GOOD_PIPELINE + "every: 9ms}",
            "faces.yaml:4:50: spec.every: 9ms is out of range; write one from 10ms to 1d",
            id="duration out of range",
        ),
        pytest.param(
            SERVICE + "spec: {sites: [a]}",
            "faces.yaml:4:7: spec.model: missing 'model'",
            id="missing field",
        ),
        pytest.param(
            "apiVersion: mesh/v1\nkind: Site\n",
            "faces.yaml:1:1: metadata: missing 'metadata'",
            id="missing section",
        ),
        pytest.param(
            SITE + "---\n" + SITE,
            "faces.yaml:7:18: metadata.name: Site 'x' is here twice, first in line 3; "
            "remove one of them",
            id="duplicate name",
        ),
        pytest.param(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n",
            "faces.yaml:2:7: kind: kind 'Deployment': containers and VMs are not supported yet; "
            "the kinds are Model, Service, Pipeline, Site",
            id="container kind",
        ),
        pytest.param(
            "kind: vm\n",
            "faces.yaml:1:7: kind: kind 'vm': containers and VMs are not supported yet; "
            "the kinds are Model, Service, Pipeline, Site",
            id="virtual machine",
        ),
        pytest.param(
            "kind: Servce\n",
            "faces.yaml:1:7: kind: unknown kind 'Servce'; did you mean 'Service'?",
            id="kind with a slip",
        ),
        pytest.param(
            "kind: ConfigMap\n",
            "faces.yaml:1:7: kind: unknown kind 'ConfigMap'; use Model, Service, Pipeline, Site",
            id="kind of something else",
        ),
        pytest.param(
            "apiVersion: mesh/v1\n",
            "faces.yaml:1:1: kind: missing 'kind'; one of Model, Service, Pipeline, Site",
            id="no kind",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Site\nmetadata: {name: x}\n",
            "faces.yaml:1:13: apiVersion: unknown apiVersion; write apiVersion: mesh/v1",
            id="other apiVersion",
        ),
        pytest.param(
            "kind: Site\nmetadata: {name: x}\n",
            "faces.yaml:1:1: apiVersion: missing apiVersion; write apiVersion: mesh/v1",
            id="no apiVersion",
        ),
        pytest.param(
            "apiVersion: mesh/v1\nkind: Site\nmetadata: {name: North}\n",
            "faces.yaml:3:18: metadata.name: 'North' is no name; "
            "use a-z, 0-9 and -, at most 63 characters, no - at either end",
            id="bad name",
        ),
        pytest.param(
            MODEL + "spec: {version: 1.20}",
            "faces.yaml:4:17: spec.version: a version is text, this is not; "
            "write it in quotes: \"1.2\"",
            id="version that YAML reads as a number",
        ),
        pytest.param(
            "apiVersion: mesh/v1\nkind: Site\nmetadata: {name: x, labels: {gpu: yes, arm: true}}\n",
            "faces.yaml:3:45: metadata.labels.arm: a label's value is text, this is not; "
            "write it in quotes: \"true\"",
            id="label that YAML reads as a truth",
        ),
        pytest.param(
            "apiVersion: mesh/v1\nkind: Site\nmetadata: {name: x, labels: {'a b': c}}\n",
            "faces.yaml:3:30: metadata.labels.a b: 'a b' is no label; "
            "use letters, digits, - . _ (and / in keys), at most 63 characters",
            id="bad label",
        ),
        pytest.param(
            SERVICE + "spec: {sites: [a], model: face-detector}",
            "faces.yaml:4:27: spec.model: 'face-detector' is no model reference; "
            "write NAME@VERSION, like face-detector@1.2.0",
            id="model without a version",
        ),
        pytest.param(
            SERVICE + "spec: {sites: [a], model: [m]}",
            "faces.yaml:4:27: spec.model: a model reference is text, this is not",
            id="list in a text's place",
        ),
        pytest.param(
            SERVICE + "spec: {sites: north, model: m@1}",
            "faces.yaml:4:15: spec.sites: a list is needed",
            id="text in a list's place",
        ),
        pytest.param(
            SERVICE + "spec: {sites: [a, b, a], model: m@1}",
            "faces.yaml:4:15: spec.sites: 'a' is here twice; remove one of them",
            id="site twice",
        ),
        pytest.param(
            SERVICE + "spec: {sites: [a, -b], model: m@1}",
            "faces.yaml:4:19: spec.sites.1: '-b' is no name; "
            "use a-z, 0-9 and -, at most 63 characters, no - at either end",
            id="bad name in a list",
        ),
        pytest.param(
            SERVICE + "spec: {sites: [], model: m@1}",
            "faces.yaml:4:15: spec.sites: at least 1 is needed",
            id="no site",
        ),
        pytest.param(
            SERVICE + GOOD_SERVICE + "replicas: {min: 5, max: 3}}",
            "faces.yaml:4:42: spec.replicas: max (3) is less than min (5); raise max",
            id="max below min",
        ),
        pytest.param(
            SERVICE + GOOD_SERVICE + "replicas: {min: 0}}",
            "faces.yaml:4:42: spec.replicas: min 0 without a max would never run; "
            "write max: 1 or more, to let it sleep until it is asked for, or min: 1",
            id="may sleep, and is never awake",
        ),
        pytest.param(
            SERVICE + GOOD_SERVICE + "replicas: {min: 0, max: 0}}",
            "faces.yaml:4:56: spec.replicas.max: at least 1 is needed",
            id="no replicas at all",
        ),
        pytest.param(
            SERVICE + GOOD_SERVICE + "replicas: {min: -1, max: 2}}",
            "faces.yaml:4:48: spec.replicas.min: at least 0 is needed",
            id="fewer than none",
        ),
        pytest.param(
            SERVICE + GOOD_SERVICE + "replicas: {min: 1000000}}",
            "faces.yaml:4:48: spec.replicas.min: at most 256 is allowed",
            id="a million replicas",
        ),
        pytest.param(
            SERVICE + GOOD_SERVICE + "resources: {cores: 0.5}}",
            "faces.yaml:4:51: spec.resources.cores: a whole number is needed",
            id="half a core",
        ),
        pytest.param(
            SERVICE + GOOD_SERVICE + "device: gpu}",
            "faces.yaml:4:40: spec.device: 'gpu' is no device; use CPU, GPU or NPU, or GPU.1",
            id="device",
        ),
        pytest.param(
            SERVICE + "spec: none",
            "faces.yaml:4:7: spec: keys and values are needed",
            id="text in a section's place",
        ),
        pytest.param(
            PIPELINE + GOOD_PIPELINE + "onSplit: walk}",
            "faces.yaml:4:52: spec.onSplit: 'walk' is not known here; use 'stop' or 'run'",
            id="word that is not known",
        ),
        pytest.param(
            PIPELINE + GOOD_PIPELINE + "exclusive: yes}",
            "faces.yaml:4:54: spec.exclusive: true or false is needed",
            id="yes is a word",
        ),
        pytest.param(
            PIPELINE + GOOD_PIPELINE + "threshold: 1.5}",
            "faces.yaml:4:54: spec.threshold: at most 1 is allowed",
            id="threshold above one",
        ),
        pytest.param(
            PIPELINE + GOOD_PIPELINE + "threshold: 1e999}",
            "faces.yaml:4:54: spec.threshold: Input should be a finite number",
            id="endless number",
        ),
        pytest.param(
            PIPELINE + GOOD_PIPELINE + "threshold: high}",
            "faces.yaml:4:54: spec.threshold: a number is needed",
            id="word in a number's place",
        ),
        pytest.param(
            "- a\n- b\n",
            "faces.yaml:1:1: a resource is a mapping; begin with apiVersion: mesh/v1",
            id="a list",
        ),
        pytest.param("", "faces.yaml:1:1: there is no resource in the input", id="nothing"),
        pytest.param("---\n# no\n---\n", "faces.yaml:1:1: there is no resource in the input",
                     id="empty documents"),
        pytest.param(
            "kind: [1\n",
            "faces.yaml:2:1: this is no YAML: expected ',' or ']', but got '<stream end>'",
            id="open bracket",
        ),
        pytest.param(
            "a: b\n\tc: d\n",
            "faces.yaml:2:1: this is no YAML: found character '\\t' that cannot start any token",
            id="tab",
        ),
        pytest.param(
            "a: b\nc: \x01\n", "faces.yaml:2:4: this is no YAML: a character that is not allowed",
            id="control character",
        ),
        pytest.param(
            "kind: Site\nspec: 1\nspec: 2\n",
            "faces.yaml:3:1: the key 'spec' is here twice; remove one of them",
            id="key twice",
        ),
        pytest.param(
            "a: &x [1]\nb: *x\n",
            "faces.yaml:2:4: aliases (*name) are not supported; write the value out",
            id="alias",
        ),
        pytest.param(
            "a: !!python/object/apply:os.system [x]\n",
            "faces.yaml:1:4: tags (tag:yaml.org,2002:python/object/apply:os.system) "
            "are not supported",
            id="tag",
        ),
        pytest.param("[a]: b\n", "faces.yaml:1:1: a key must be a word", id="list as a key"),
        pytest.param(
            "[" * 100_000, "faces.yaml:1:18: nested more than 16 deep", id="a hundred thousand deep"
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_is(text: str, expected: str) -> None:
    assert expected in refusals(text)


def test_problems_of_all_documents_are_told_at_once_in_order() -> None:
    text = SITE + "spec: {autonomie: {}}\n---\nkind: Pod\n---\n" + MODEL + "spec: {}\n"
    places = [line.split(": ")[0] for line in refusals(text)]
    assert places == ["faces.yaml:4:8", "faces.yaml:6:7", "faces.yaml:11:7"]


def test_an_alias_bomb_costs_nothing() -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    assert "aliases" in refusals("\n".join(lines))[0]


def test_too_large_an_input() -> None:
    assert "larger than" in refusals("#" * (TEXT_BYTES_MAX + 1))[0]


def test_too_many_documents() -> None:
    assert f"more than {DOCUMENTS_MAX}" in refusals("--- a\n" * (DOCUMENTS_MAX + 1))[0]


def test_the_list_of_problems_is_bounded() -> None:
    assert len(refusals("kind: Pod\n---\n" * (PROBLEMS_MAX + 50))) == PROBLEMS_MAX
