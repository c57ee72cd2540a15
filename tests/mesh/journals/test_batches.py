"""What a batch must be to be believed, and what a writer makes."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.hashing import sha256
from mesh.journals import BatchRefused, BatchWriter, LogKey, LogNameRefused, make_entry, open_batch
from mesh.journals.limits import (
    ENTRIES_MAX,
    ENVELOPE_BYTES_MAX,
    FIELDS_MAX,
    NUMBER_MAX,
    PAYLOAD_BYTES_MAX,
)
from mesh.signed import Signer
from protos.documents_pb2 import Boot, JournalBatch, JournalEntry, LogName
from protos.signed_pb2 import Envelope

NODE_KEY = Signer(Ed25519PrivateKey.from_private_bytes(b"n" * 32))
OTHER_KEY = Signer(Ed25519PrivateKey.from_private_bytes(b"o" * 32))
NONCE = b"boot-one"
RECORDS = LogKey("north-1", 3, NONCE, "record")
READINGS = LogKey("north-1", 3, NONCE, "data")


def signing_keys_of(node: str) -> list[bytes]:
    return {"north-1": [NODE_KEY.public_key]}.get(node, [])


def entry(event: str = "workload.started") -> JournalEntry:
    return make_entry(event, "faces", "plan 4", {"pid": "17"}, unix_ms=5, monotonic_ms=6)


def name(**changes: object) -> LogName:
    fields = {"node": "north-1", "boot": Boot(counter=3, nonce=NONCE), "kind": "record"} | changes
    return LogName(**fields)


def sealed(signer: Signer = NODE_KEY, **changes: object) -> bytes:
    fields = {"log": name(), "first": 1, "entries": [entry()]} | changes
    message = JournalBatch(**fields)
    return signer.sign("journal", message.SerializeToString(deterministic=True))


def test_what_a_writer_makes_opens_as_what_was_written() -> None:
    writer = BatchWriter(RECORDS, NODE_KEY)
    first = writer.batch([entry("one"), entry("two")])
    second = writer.batch([entry("three")])
    assert open_batch(first.envelope, signing_keys_of) == first
    opened = open_batch(second.envelope, signing_keys_of)
    assert (opened.key, opened.first, opened.last) == (RECORDS, 3, 3)
    assert opened.previous == first.digest
    assert [item.event for item in opened.entries] == ["three"]
    assert sha256(Envelope.FromString(first.envelope).payload) == first.digest
    assert writer.next_sequence == 4


def test_dropped_entries_have_sequences_of_their_own() -> None:
    writer = BatchWriter(READINGS, NODE_KEY)
    writer.batch([entry()])
    later = writer.batch([entry()], dropped=5)
    assert (later.start, later.first, later.last, later.dropped) == (2, 7, 7, 5)
    assert open_batch(later.envelope, signing_keys_of) == later


def test_a_writer_goes_on_where_it_is_told() -> None:
    batch = BatchWriter(RECORDS, NODE_KEY, 9, b"d" * 32).batch([entry()])
    assert (batch.first, batch.previous) == (9, b"d" * 32)


@pytest.mark.parametrize(
    ("log", "entries", "dropped", "reason"),
    [
        pytest.param(RECORDS, [], 0, "bad entry", id="no entries"),
        pytest.param(RECORDS, [entry()] * (ENTRIES_MAX + 1), 0, "bad entry", id="too many"),
        pytest.param(RECORDS, [entry()], 2, "bad sequence", id="dropped records"),
        pytest.param(
            RECORDS, [JournalEntry(event="x", cause="c" * PAYLOAD_BYTES_MAX)], 0, "too large",
            id="too many bytes",
        ),
    ],
)  # fmt: skip
def test_a_writer_that_is_misused_does_not_move(
    log: LogKey, entries: list[JournalEntry], dropped: int, reason: str
) -> None:
    writer = BatchWriter(log, NODE_KEY)
    with pytest.raises(BatchRefused) as caught:
        writer.batch(entries, dropped)
    assert caught.value.reason == reason
    assert writer.batch([entry()]).first == 1


def test_many_entries_become_as_few_batches_as_the_limits_allow() -> None:
    writer = BatchWriter(READINGS, NODE_KEY)
    batches = list(writer.batches([entry()] * (ENTRIES_MAX + 3), dropped=2))
    assert [(batch.first, batch.last, batch.dropped) for batch in batches] == [
        (3, ENTRIES_MAX + 2, 2),
        (ENTRIES_MAX + 3, ENTRIES_MAX + 5, 0),
    ]
    assert list(writer.batches([])) == []


def test_the_largest_entries_fill_batches_that_fit_their_envelope() -> None:
    widest = "\U0001f4f7" * 5000
    fields = {f"{index:02}{widest}": widest for index in range(FIELDS_MAX)}
    big = make_entry(widest, widest, widest, fields, unix_ms=2**70, monotonic_ms=-1)
    batches = list(BatchWriter(RECORDS, NODE_KEY).batches([big] * 5))
    assert [len(batch.entries) for batch in batches] == [2, 2, 1]
    for batch in batches:
        assert len(batch.envelope) <= ENVELOPE_BYTES_MAX
        assert open_batch(batch.envelope, signing_keys_of) == batch


def test_entries_are_cut_to_the_limits_and_made_valid_text() -> None:
    cut = make_entry(
        "e" * 99, "\ud800", "", {str(index): "v" for index in range(40)},
        unix_ms=-4, monotonic_ms=2**63,
    )  # fmt: skip
    assert (cut.event, cut.subject, len(cut.fields)) == ("e" * 64, "?", FIELDS_MAX)
    assert (cut.unix_ms, cut.monotonic_ms) == (0, NUMBER_MAX)


def test_a_name_survives_the_wire() -> None:
    assert LogKey.from_name(RECORDS.name()) == RECORDS
    assert str(RECORDS) == f"north-1/3-{NONCE.hex()}/record"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"node": "North_1"}, id="a node that is no label"),
        pytest.param({"node": "../../etc"}, id="a node that is a path"),
        pytest.param({"node": "north-1\n"}, id="a node with a line end"),
        pytest.param({"node": ""}, id="no node"),
        pytest.param({"kind": "trace"}, id="a kind that there is not"),
        pytest.param({"boot": Boot(counter=3, nonce=b"short")}, id="a short nonce"),
        pytest.param({"boot": Boot(counter=0, nonce=NONCE)}, id="boot 0"),
        pytest.param({"boot": Boot(counter=2**63, nonce=NONCE)}, id="a boot out of range"),
    ],
)
def test_names_out_of_bounds_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(LogNameRefused):
        LogKey.from_name(name(**changes))


@pytest.mark.parametrize(
    ("envelope", "reason"),
    [
        pytest.param(b"\xff" * 40, "malformed", id="no envelope"),
        pytest.param(b"", "wrong type", id="nothing"),
        pytest.param(b"a" * (ENVELOPE_BYTES_MAX + 1), "too large", id="too large"),
        pytest.param(NODE_KEY.sign("register", b""), "wrong type", id="another document"),
        pytest.param(NODE_KEY.sign("journal", b"\xff"), "malformed", id="no batch inside"),
        pytest.param(sealed(log=name(node="south-9")), "unknown node", id="a stranger's log"),
        pytest.param(sealed(OTHER_KEY), "unknown key", id="signed by another node"),
        pytest.param(sealed(log=name(kind="trace")), "bad log", id="a kind that there is not"),
        pytest.param(sealed(entries=[]), "bad entry", id="no entries"),
        pytest.param(sealed(entries=[entry()] * 257), "bad entry", id="too many entries"),
        pytest.param(sealed(first=0), "bad sequence", id="sequence 0"),
        pytest.param(sealed(first=2), "bad sequence", id="a later batch without a chain"),
        pytest.param(sealed(previous=b"p" * 32), "bad sequence", id="a first batch with a chain"),
        pytest.param(sealed(first=2, previous=b"p"), "bad sequence", id="a short digest"),
        pytest.param(
            sealed(first=2**63, previous=b"p" * 32), "bad sequence", id="a sequence out of range"
        ),
        pytest.param(sealed(first=4, dropped=3), "bad sequence", id="records dropped"),
        pytest.param(
            sealed(log=name(kind="data"), first=4, dropped=4), "bad sequence",
            id="more dropped than there were",
        ),
        pytest.param(
            sealed(entries=[JournalEntry(event="x", unix_ms=2**63)]), "bad entry",
            id="a time out of range",
        ),
        pytest.param(sealed(entries=[JournalEntry()]), "bad entry", id="no event"),
        pytest.param(
            sealed(entries=[JournalEntry(event="e" * 65)]), "bad entry", id="a long event"
        ),
        pytest.param(
            sealed(entries=[JournalEntry(event="e", subject="s" * 257)]), "bad entry",
            id="a long subject",
        ),
        pytest.param(
            sealed(entries=[JournalEntry(event="e", cause="c" * 513)]), "bad entry",
            id="a long cause",
        ),
        pytest.param(
            sealed(entries=[JournalEntry(event="e", fields={str(n): "" for n in range(17)})]),
            "bad entry", id="too many fields",
        ),
        pytest.param(
            sealed(entries=[JournalEntry(event="e", fields={"n" * 65: ""})]), "bad entry",
            id="a long field name",
        ),
        pytest.param(
            sealed(entries=[JournalEntry(event="e", fields={"n": "v" * 1025})]), "bad entry",
            id="a long field value",
        ),
    ],
)  # fmt: skip
def test_bad_batches_are_refused_by_reason(envelope: bytes, reason: str) -> None:
    with pytest.raises(BatchRefused) as caught:
        open_batch(envelope, signing_keys_of)
    assert caught.value.reason == reason


def test_a_flipped_bit_anywhere_in_the_payload_is_noticed() -> None:
    good = Envelope.FromString(sealed())
    for place in range(len(good.payload)):
        flipped = bytearray(good.payload)
        flipped[place] ^= 1
        bad = Envelope(payload_type=good.payload_type, payload=bytes(flipped))
        bad.signatures.extend(good.signatures)
        with pytest.raises(BatchRefused):
            open_batch(bad.SerializeToString(), signing_keys_of)
