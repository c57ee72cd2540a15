"""What may be asked for, by which names."""

import grpc
import pytest

from node.runtime.catalogue import Catalogue, Target
from node.runtime.errors import RequestFailed
from protos.runtime_pb2 import KnownModel, ReplicaSpec, Route, RuntimeSpec


def catalogue() -> Catalogue:
    made = Catalogue()
    made.replace(
        RuntimeSpec(
            models=[
                KnownModel(workload="faces", model="detector", model_version="1"),
                KnownModel(workload="faces", model="detector", model_version="2"),
                KnownModel(workload="left", model="shared", model_version="1"),
                KnownModel(workload="right", model="shared", model_version="1"),
            ],
            replicas=[ReplicaSpec(workload="here", model="own", model_version="3")],
            routes=[Route(workload="there", node="n2")],
        )
    )
    return made


@pytest.mark.parametrize(
    ("name", "version", "found"),
    [
        ("faces", "", Target("faces", "")),
        ("faces", "2", Target("faces", "2")),
        ("detector", "1", Target("faces", "1")),
        ("here", "3", Target("here", "3")),
        ("there", "9", Target("there", "9")),
    ],
    ids=[
        "a service, any version",
        "a version of a rollout",
        "a model's own name",
        "a replica that no list names",
        "a route whose versions nobody knows",
    ],
)
def test_found(name: str, version: str, found: Target) -> None:
    assert catalogue().find(name, version) == found


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("nobody", "", "there are: faces, here, left, right, there"),
        ("faces", "7", "has no version '7', but 1, 2"),
        ("shared", "", "ask for left or right"),
    ],
    ids=["an unknown name", "an unknown version", "a model of two services"],
)
def test_not_found(name: str, version: str, text: str) -> None:
    with pytest.raises(RequestFailed) as caught:
        catalogue().find(name, version)
    assert caught.value.code == grpc.StatusCode.NOT_FOUND
    assert text in caught.value.text


def test_before_the_first_spec_nothing_is_known_to_be_absent() -> None:
    with pytest.raises(RequestFailed) as caught:
        Catalogue().find("faces", "")
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE


def test_a_service_names_its_model() -> None:
    assert catalogue().model("faces") == "detector"
    assert catalogue().model("there") == ""
