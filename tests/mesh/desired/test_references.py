"""What resources say of each other: each broken reference with its place and the way out."""

import pytest

from mesh.desired.collection import Release, Resources
from mesh.desired.parse import parse
from mesh.desired.problems import Problem
from mesh.desired.references import Finding, check_references, locate
from tests.mesh.desired.example import DIGEST, EXAMPLE, RELEASED, resources

SITES = ("north", "south")


def findings(text: str, released: dict[tuple[str, str], Release] = RELEASED) -> list[Finding]:
    return check_references(resources(text), released, SITES)


def test_the_example_holds() -> None:
    assert findings(EXAMPLE) == []


PUSH = "push it first: meshctl model push PATH --name face-detector --version"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "version: 1.2.0",
            "version: 1.3.0",
            "4:17: spec.version: face-detector 1.3.0 has not been pushed (pushed are: 1.2.0); "
            f"{PUSH} 1.3.0",
            id="a version that was not pushed",
        ),
        pytest.param(
            "face-detector@1.2.0",
            "face-detector@2",
            f"11:10: spec.model: face-detector 2 has not been pushed (pushed are: 1.2.0); {PUSH} 2",
            id="a service of a version that was not pushed",
        ),
        pytest.param(
            "face-detector@1.2.0",
            "face-detektor@1.2.0",
            "11:10: spec.model: there is no Model 'face-detektor'; "
            "did you mean 'face-detector'? Else apply the Model too",
            id="a service of no model",
        ),
        pytest.param(
            "service: faces",
            "service: plates",
            "23:12: spec.service: there is no Service 'plates'; apply the Service too",
            id="a pipeline of no service",
        ),
        pytest.param(
            "sites: [north, south]",
            "sites: [south]",
            "23:12: spec.service: Service 'faces' does not run in north; "
            "add the site to the Service, or take it from the Pipeline",
            id="a pipeline where its service is not",
        ),
        pytest.param(
            "memory: 512MiB",
            "memory: 32MiB",
            "13:33: spec.resources.memory: a replica gets 32MiB, its model may need 64MiB; "
            "write memory: 64MiB or more",
            id="less memory than the model needs",
        ),
        pytest.param(
            "sites: [north, south]",
            "sites: [north, soth]",
            "10:10: spec.sites: no node is enrolled in site 'soth' yet; did you mean 'south'? "
            "Else enrol one: meshctl token create --site soth",
            id="a site with a slip",
        ),
        pytest.param(
            "sites: [north, south]",
            "sites: {matchLabels: {region: us}}",
            "10:10: spec.sites: no site carries these labels; nothing will run; "
            "label a Site, or wait for one",
            id="labels of no site",
        ),
    ],
)
def test_a_broken_reference_is_said_where_it_is(old: str, new: str, expected: str) -> None:
    text = EXAMPLE.replace(old, new, 1)
    problems = locate(findings(text), parse(text))
    assert expected in [problem.text() for problem in problems]


def test_only_sites_are_warnings() -> None:
    text = EXAMPLE.replace("[north, south]", "[north, west]").replace("1.2.0,", "v9,")
    found = {(one.path[-1], one.warning) for one in findings(text)}
    assert found == {("sites", True), ("version", False)}


def test_labels_that_a_site_carries_need_no_warning() -> None:
    assert findings(EXAMPLE.replace("[north, south]", "{matchLabels: {region: eu}}")) == []


def test_nothing_pushed_at_all() -> None:
    assert findings(EXAMPLE, {})[0].message == "face-detector 1.2.0 has not been pushed"


def test_a_service_of_what_is_no_model() -> None:
    data = {("face-detector", "1.2.0"): Release(DIGEST, "data")}
    assert "was pushed as data" in findings(EXAMPLE, data)[0].message


def test_a_reference_from_what_was_applied_before_names_the_resource() -> None:
    left = resources().without(("Service", "faces"))
    found = locate(check_references(left, RELEASED, SITES), [])
    assert found == [
        Problem(
            0,
            0,
            "Pipeline 'entrance' (applied before): spec.service",
            "there is no Service 'faces'",
            "apply the Service too",
        )
    ]


def test_collections_never_change() -> None:
    before = resources()
    model = before.by_key["Model", "face-detector"]
    after = before.without(("Service", "faces")).with_all([model])
    assert ("Service", "faces") in before.by_key
    assert after.service("faces") is None
    assert after.model("face-detector") == model
    assert after.model("faces") is None
    assert after.site("north") is not None
    assert after.site("south") is None


def test_resources_are_listed_by_kind_and_name() -> None:
    listed = resources().ordered()
    assert [one.kind for one in listed] == ["Model", "Service", "Pipeline", "Site"]
    assert Resources.of(reversed(listed)).ordered() == listed
