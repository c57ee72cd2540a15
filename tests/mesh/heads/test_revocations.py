"""Who is revoked, and why."""

import pytest

from mesh.heads.branches import BranchRefused
from mesh.heads.revocations import NO_REASON, Revoked
from protos.documents_pb2 import Revocation, Revocations

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))
NODE = "spiffe://acme/site/north/node/a1"
BLOB = Revocations(
    entries=[
        Revocation(subject=NODE, tls_key=OLD, reason="stolen on 3 May"),
        Revocation(subject=NODE, tls_key=OTHER),
    ]
).SerializeToString()


def test_without_revocations_nobody_is_revoked() -> None:
    assert Revoked().is_revoked(OLD) is None
    assert Revoked().tls_keys == frozenset()


def test_a_key_is_revoked_with_its_reason_which_is_never_empty() -> None:
    revoked = Revoked(BLOB)
    assert revoked.is_revoked(OLD) == "stolen on 3 May"
    assert revoked.is_revoked(OTHER) == NO_REASON
    assert revoked.tls_keys == {OLD, OTHER}


def test_a_machine_that_was_enrolled_again_with_new_keys_is_not_meant() -> None:
    assert Revoked(BLOB).is_revoked(NEW) is None


def test_a_bad_blob_is_refused_so_that_the_last_good_one_stays() -> None:
    with pytest.raises(BranchRefused):
        Revoked(b"\xff" * 9)
