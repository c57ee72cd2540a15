"""What the load client counts for one node. Pure: time is an argument, in monotonic ms.

The rules. A request to a node that was declared down is not sent. One that was in flight when its
node was killed could be answered by nobody: if it fails, it is counted apart, as `in_flight`. The
kill happens a moment before its declaration arrives, so a declaration says since when: failures
that were counted in between are counted anew. Latency runs from the moment at which a request was
due, so that a client that falls behind cannot make a slow node look fast.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

FAILURES_KEPT_MAX = 1000
"""Failures of one node told one by one; more are only counted. Worst case 300 KB in a report."""

DETAIL_CHARACTERS_MAX = 160

BUCKET_RATIO = 1.05
"""Width of a latency bucket: percentiles are right within 5 %. From 10 us to 100 s: 331 buckets."""

FIRST_BUCKET_MS = 0.01


@dataclass(slots=True)
class Latencies:
    """A histogram in buckets of growing width: its size does not grow with the run."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, latency_ms: float) -> None:
        """Count one answer."""
        ratio = max(latency_ms, FIRST_BUCKET_MS) / FIRST_BUCKET_MS
        self.counts[round(math.log(ratio) / math.log(BUCKET_RATIO))] += 1

    def percentile(self, share: float) -> float | None:
        """The latency in ms that `share` of the answers (0..1) did not exceed; None without any."""
        wanted = math.ceil(share * self.counts.total())
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return round(FIRST_BUCKET_MS * BUCKET_RATIO**bucket, 3)
        return None


@dataclass(frozen=True, slots=True)
class Failure:
    """One request that got no good answer while its node was meant to be up."""

    sent_ms: float
    ended_ms: float
    code: str
    detail: str

    def document(self, start_ms: float) -> dict[str, Any]:
        """The failure in a report, its times in seconds since the load began."""
        sent_s = round((self.sent_ms - start_ms) / 1000, 3)
        took_ms = round(self.ended_ms - self.sent_ms, 1)
        return {"sent_s": sent_s, "took_ms": took_ms, "code": self.code, "detail": self.detail}


@dataclass(slots=True)
class Tally:
    """The counts of one node."""

    start_ms: float
    up: bool = True
    ok: int = 0
    wrong: int = 0
    in_flight: int = 0
    """Failed, but in flight when the node was killed."""
    not_counted: int = 0
    """Sent between the kill and its declaration."""
    failures: list[Failure] = field(default_factory=list)
    failures_untold: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    longest_gap_ms: float = 0.0
    """The longest time without a good answer while the node was up."""
    down_since_ms: float | None = None
    """When the node was killed last."""
    _good_ms: float = field(init=False)
    _raised_ms: float = field(init=False)

    def __post_init__(self) -> None:
        self._good_ms = self._raised_ms = self.start_ms

    def answered(self, due_ms: float, now_ms: float, *, right: bool, detail: str = "") -> None:
        """Count an answer; a wrong one is kept among the failures, with what was wrong."""
        if right:
            self.ok += 1
            self.latencies.add(now_ms - due_ms)
            self._note_gap(now_ms)
            self._good_ms = now_ms
        else:
            self.wrong += 1
            self._keep(Failure(due_ms, now_ms, "WRONG", detail[:DETAIL_CHARACTERS_MAX]))

    def failed(self, sent_ms: float, now_ms: float, code: str, detail: str) -> None:
        """Count a request that ended without an answer."""
        down = self.down_since_ms
        if down is None or now_ms < down or (self.up and sent_ms >= self._raised_ms):
            self._keep(Failure(sent_ms, now_ms, code, detail[:DETAIL_CHARACTERS_MAX]))
        elif sent_ms <= down:
            self.in_flight += 1
        else:
            self.not_counted += 1

    def down(self, since_ms: float) -> None:
        """The node was killed at `since_ms`: count anew what has failed since then."""
        if not self.up:
            return
        self._note_gap(since_ms)
        self.up, self.down_since_ms = False, since_ms
        recent = [kept for kept in self.failures if self._of_the_kill(kept, since_ms)]
        self.failures = [kept for kept in self.failures if not self._of_the_kill(kept, since_ms)]
        self.in_flight += sum(kept.sent_ms <= since_ms for kept in recent)
        self.not_counted += sum(kept.sent_ms > since_ms for kept in recent)

    def raised(self, now_ms: float) -> None:
        """The node is declared to be up again, from now on."""
        if not self.up:
            self.up, self._good_ms, self._raised_ms = True, now_ms, now_ms

    def document(self, now_ms: float) -> dict[str, Any]:
        """The node's part of a report."""
        told = [kept for kept in self.failures if kept.code != "WRONG"]
        codes = Counter(kept.code for kept in told)
        failed = len(told) + self.failures_untold
        gap_ms = max(self.longest_gap_ms, now_ms - self._good_ms if self.up else 0.0)
        return {
            "up": self.up,
            "requests": self.ok + self.wrong + failed + self.in_flight,
            "ok": self.ok,
            "failed": failed,
            "wrong": self.wrong,
            "in_flight_at_kill": self.in_flight,
            "not_counted": self.not_counted,
            "codes": dict(sorted(codes.items())),
            "failures": [kept.document(self.start_ms) for kept in self.failures],
            "failures_untold": self.failures_untold,
            "p50_ms": self.latencies.percentile(0.50),
            "p99_ms": self.latencies.percentile(0.99),
            "longest_gap_ms": round(gap_ms, 1),
        }

    def _note_gap(self, now_ms: float) -> None:
        self.longest_gap_ms = max(self.longest_gap_ms, now_ms - self._good_ms)

    def _keep(self, failure: Failure) -> None:
        if len(self.failures) < FAILURES_KEPT_MAX:
            self.failures.append(failure)
        elif failure.code != "WRONG":
            self.failures_untold += 1

    @staticmethod
    def _of_the_kill(failure: Failure, since_ms: float) -> bool:
        return failure.code != "WRONG" and failure.ended_ms >= since_ms
