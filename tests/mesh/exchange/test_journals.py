"""Journals between peers: offered, wanted, streamed, taken, acknowledged, and never in a loop."""

from mesh.events import Acknowledge, Instruction, Notice, SaveBatch, Send
from mesh.exchange.journal_flow import LOGS_A_PEER_MAX, JournalFlow, read_logs
from mesh.exchange.journal_intake import ASKED_MAX, GAP_AGAIN_MS, TAKEN_MAX, JournalIntake
from mesh.journals.acknowledgements import acknowledge
from mesh.journals.batches import Batch, BatchWriter
from mesh.journals.entries import make_entry
from mesh.journals.keys import LogKey
from mesh.journals.limits import COPY_BYTES_A_NODE_MAX
from mesh.journals.logs import Logs
from protos.documents_pb2 import LogName
from protos.peer_pb2 import Frame, JournalBatches, JournalOffer, JournalWant, LogDigest
from tests.sim import identities

SIGNER = identities.signer("writer")


def key(kind: str = "record", counter: int = 1, node: str = "n1") -> LogKey:
    return LogKey(node, counter, b"12345678", kind)


def batches(count: int, log: LogKey | None = None) -> list[Batch]:
    writer = BatchWriter(log or key(), SIGNER)
    entry = make_entry("e", "s", "c", {}, unix_ms=1, monotonic_ms=1)
    return [writer.batch([entry]) for _ in range(count)]


def holding(*written: Batch) -> Logs:
    logs = Logs({}, own="n1")
    for batch in written:
        logs.stored(batch)
    return logs


def want(sequence: int = 0, log: LogKey | None = None) -> JournalWant:
    return JournalWant(logs=[LogDigest(log=(log or key()).name(), sequence=sequence)])


def streaming(logs: Logs) -> JournalFlow:
    flow = JournalFlow(logs)
    flow.link("n2", up=True)
    flow.wants(want(), "n2")
    return flow


def test_news_are_offered_once_and_all_of_it_again() -> None:
    flow = JournalFlow(holding(*batches(2)))
    assert flow.offer(["n2"]) == []
    flow.link("n2", up=True)
    ((peer, data),) = flow.offer(["n2", "n3"])
    offer = Frame.FromString(data).journal_offer
    assert (peer, offer.logs[0].sequence) == ("n2", 2)
    assert flow.offer(["n2"]) == []
    assert len(flow.offer(["n2"], again=True)) == 1
    flow.wants(want(), "n2")
    assert flow.offer(["n2"], again=True) == []


def test_a_subscriber_gets_one_bunch_at_a_time_records_first() -> None:
    written = [*batches(3), *batches(1, key("data"))]
    flow = streaming(holding(*written))
    flow.wants(want(log=key("data")), "n2")
    (bunch,) = flow.next_bunches()
    assert (bunch.log, bunch.after) == (key(), 0)
    assert flow.next_bunches() == []
    flow.sent("n2", key(), 2)
    assert [b.after for b in flow.next_bunches()] == [2]
    flow.sent("n2", key(), 3)
    assert [b.log for b in flow.next_bunches()] == [key("data")]


def test_what_is_asked_for_anew_while_a_bunch_is_in_flight_is_sent_anew() -> None:
    flow = streaming(holding(*batches(5)))
    flow.next_bunches()
    flow.sent("n2", key(), 3)
    flow.next_bunches()
    flow.wants(want(1), "n2")
    flow.sent("n2", key(), 5)
    assert [b.after for b in flow.next_bunches()] == [1]


def test_a_log_that_cannot_be_read_is_not_read_again_at_once_and_for_ever() -> None:
    flow = streaming(holding(*batches(2)))
    flow.next_bunches()
    flow.sent("n2", key(), 0)
    assert flow.next_bunches() == []
    assert len(flow.offer(["n2"], again=True)) == 1
    flow.wants(want(), "n2")
    assert len(flow.next_bunches()) == 1


def test_what_grows_goes_on_to_subscribers_alone() -> None:
    logs = holding()
    flow = streaming(logs)
    flow.link("n3", up=True)
    (batch,) = batches(1)
    logs.stored(batch)
    flow.grew(batch.key)
    assert [b.peer for b in flow.next_bunches()] == ["n2"]


def test_peers_without_a_link_and_late_answers_are_ignored() -> None:
    flow = streaming(holding(*batches(1)))
    flow.wants(want(), "stranger")
    flow.sent("stranger", key(), 1)
    flow.sent("n2", key("data"), 1)
    flow.link("n2", up=False)
    assert flow.next_bunches() == []


def test_a_peer_cannot_subscribe_to_logs_without_end() -> None:
    flow = streaming(holding())
    for start in range(0, LOGS_A_PEER_MAX + 10, 1000):
        logs = [LogDigest(log=key(counter=start + n + 1).name()) for n in range(1000)]
        flow.wants(JournalWant(logs=logs), "n2")
    assert len(flow._subscribers["n2"].sent) == LOGS_A_PEER_MAX


def test_an_offer_is_answered_with_what_is_wanted_of_it() -> None:
    flow = streaming(holding(*batches(2)))
    offer = JournalOffer(logs=[LogDigest(log=key().name(), sequence=2)])
    assert flow.wanted(offer) is None
    offer.logs[0].sequence = 5
    answer = flow.wanted(offer)
    assert answer is not None
    assert Frame.FromString(answer).journal_want.logs[0].sequence == 2


def test_logs_with_impossible_names_are_left_out() -> None:
    assert read_logs([LogDigest(log=LogName(node="../x")), LogDigest()]) == {}


# ---- taking ----


def intake(archive: bool = False, per_node_max: int = 1000) -> JournalIntake:
    logs = Logs({}, own="me", archive=archive, per_node_max=per_node_max)
    keys = {"n1": (SIGNER.public_key,)}
    return JournalIntake(logs, lambda node: keys.get(node, ()), archive)


def take(
    intake_: JournalIntake, now_ms: int, *written: Batch, rubbish: int = 0
) -> list[Instruction]:
    envelopes = [b"rubbish"] * rubbish + [batch.envelope for batch in written]
    return intake_.batches(JournalBatches(batches=envelopes), "n2", now_ms)


def test_one_bad_batch_does_not_stop_the_others() -> None:
    first, second = batches(2)
    taken = take(intake(), 0, first, second, rubbish=1)
    assert [type(i) for i in taken] == [Notice, SaveBatch, SaveBatch]


def test_a_batch_of_a_node_nobody_knows_is_refused() -> None:
    (taken,) = take(intake(), 0, *batches(1, key(node="stranger")))
    assert isinstance(taken, Notice)
    assert (taken.what, taken.subject) == ("refused", "n2")


def test_the_same_again_is_nothing_and_another_history_is_evidence() -> None:
    target, (first, second) = intake(), batches(2)
    take(target, 0, first, second)
    assert take(target, 0, second) == []
    writer = BatchWriter(key(), SIGNER)
    entries = [make_entry("other", "s", "c", {}, unix_ms=1, monotonic_ms=1)]
    forged = [writer.batch(entries), writer.batch(entries)]
    (notice,) = take(target, 0, forged[1])
    assert isinstance(notice, Notice)
    assert notice.what == "fork"


def test_a_gap_is_asked_for_once_in_a_while() -> None:
    target, written = intake(), batches(4)
    take(target, 0, written[0])
    (asked,) = take(target, 0, written[2], written[3])
    assert isinstance(asked, Send)
    assert Frame.FromString(asked.data).journal_want.logs[0].sequence == 1
    assert take(target, GAP_AGAIN_MS - 1, written[2]) == []
    assert len(take(target, GAP_AGAIN_MS, written[2])) == 1
    assert len(take(target, GAP_AGAIN_MS, *written[1:])) == 3


def test_a_log_beyond_the_limit_is_told_and_not_taken() -> None:
    target = intake(per_node_max=1)
    take(target, 0, *batches(1))
    (notice,) = take(target, 0, *batches(1, key(counter=2)))
    assert isinstance(notice, Notice)
    assert "logs that nobody took" in notice.cause


def test_only_a_master_owes_acknowledgements_and_only_for_what_is_on_its_disk() -> None:
    node, master = intake(), intake(archive=True)
    for one in (node, master):
        one.saved(key(), 3)
        one.saved(key(), 2)
    assert node.acknowledge_due() == []
    assert master.acknowledge_due() == [Acknowledge(((key(), 3),), "on disk here")]
    assert master.acknowledge_due() == []


def test_a_master_that_starts_owes_for_what_it_holds() -> None:
    (batch,) = batches(1)
    logs = Logs({batch.key: holding(batch).held(batch.key) or _never()}, archive=True)
    (due,) = JournalIntake(logs, lambda _: (), True).acknowledge_due()
    assert isinstance(due, Acknowledge)
    assert due.tails == ((key(), 1),)


def _never() -> None:
    raise AssertionError("it is held")


def test_an_acknowledgement_is_news_once_and_what_is_remembered_is_bounded() -> None:
    target, signer = intake(), identities.signer("acks")
    keys = [signer.public_key]
    for sequence in range(1, TAKEN_MAX + 3):
        envelope = acknowledge(key(), sequence, identities.MASTER, signer)
        assert target.take_acknowledgement(envelope, keys, 0) is not None
        assert target.take_acknowledgement(envelope, keys, 0) is None
    older = acknowledge(key(), 1, identities.MASTER, signer)
    assert target.take_acknowledgement(older, keys, 0) is None
    assert len(target._taken) == 2


def test_what_there_is_no_room_for_is_said_and_asked_for_once_there_is() -> None:
    target = intake()
    first, second, third = batches(3)
    take(target, 0, first)
    crowd = key(counter=9)
    target.logs.copies.stored(crowd, 1, COPY_BYTES_A_NODE_MAX)
    refused = take(target, 0, second, third)
    assert {(i.what, i.subject) for i in refused if isinstance(i, Notice)} == {("refused", "n2")}
    assert "no room for more copies of n1's records" in refused[0].cause
    assert target.resume(["n2"]) == []
    target.logs.copies.trimmed(crowd)
    (asked,) = target.resume(["n2"])
    assert isinstance(asked, Send)
    wanted = Frame.FromString(asked.data).journal_want.logs[0]
    assert (asked.peer, wanted.sequence) == ("n2", 1)
    assert target.resume(["n2"]) == []
    assert [type(i) for i in take(target, 0, second, third)] == [SaveBatch, SaveBatch]


def test_what_the_disk_has_lost_is_asked_for_again_until_it_keeps_it() -> None:
    target = intake()
    first, second = batches(2)
    for held, batch in ((0, first), (1, second)):
        take(target, 0, batch)
        for _ in range(2):
            target.lost(key())
            (asked,) = target.resume(["n2"])
            assert isinstance(asked, Send)
            wanted = Frame.FromString(asked.data).journal_want.logs[0]
            assert (asked.peer, wanted.sequence) == ("n2", held)
            take(target, 0, batch)
        target.logs.stored(batch)
        assert target.resume(["n2"]) == []


def test_what_a_node_loses_of_its_own_log_is_asked_of_nobody() -> None:
    target = intake()
    target.lost(key())
    assert target.resume(["n2"]) == []


def test_who_is_not_linked_any_more_is_not_asked_again() -> None:
    target = intake()
    target.logs.copies.stored(key(), 1, COPY_BYTES_A_NODE_MAX)
    take(target, 0, *batches(1))
    assert target.resume([]) == []
    target.logs.copies.trimmed(key())
    assert target.resume(["n2"]) == []


def test_what_is_remembered_of_logs_without_room_or_with_gaps_is_bounded() -> None:
    full, gaping = intake(), intake(per_node_max=ASKED_MAX + 9)
    full.logs.copies.stored(key(counter=9), 1, COPY_BYTES_A_NODE_MAX)
    for counter in range(10, ASKED_MAX + 12):
        one, two = batches(2, key(counter=counter))
        take(full, 0, one)
        take(gaping, 0, two)
    assert len(full._put_off) == ASKED_MAX
    assert len(gaping._gaps) == ASKED_MAX
