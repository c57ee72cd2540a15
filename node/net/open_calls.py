"""The streams that are being served, so that those of callers who are not welcome any more end.

A check before a call, or before each answer, is not enough for a stream: one that is silent would
stay open for as long as its caller likes.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar

Answer = TypeVar("Answer")

_END: Any = object()


class NotWelcome(Exception):
    """The caller is not welcome any more; the text says why. Its stream is to be ended."""


class OpenCall:
    """One stream. What serves it runs through `run` or `each`, which end it when it is refused."""

    def __init__(self, refusal: Callable[[], str | None]) -> None:
        self._refusal = refusal
        self._refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def recheck(self) -> bool:
        """Asks whether the caller is still welcome; ends the stream if not."""
        why = None if self._refused.done() else self._refusal()
        if why:
            self._refused.set_result(why)
        return bool(why)

    async def run(self, work: Awaitable[Answer]) -> Answer:
        """What `work` gives, if the caller is welcome then. Raises NotWelcome, and `work` has
        ended."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, self._refused), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
        self.recheck()
        if self._refused.done():
            raise NotWelcome(self._refused.result())
        return task.result()

    async def each(self, answers: Any) -> AsyncIterator[Any]:
        """What the generator `answers` yields. Raises NotWelcome, and the generator is closed."""
        async with aclosing(answers):
            while (answer := await self.run(anext(answers, _END))) is not _END:
                yield answer


class OpenCalls:
    """The streams of one port."""

    def __init__(self) -> None:
        self._calls: set[OpenCall] = set()

    @contextmanager
    def opened(self, refusal: Callable[[], str | None]) -> Iterator[OpenCall]:
        """A stream, for as long as it is served; `refusal` says why its caller is not welcome."""
        call = OpenCall(refusal)
        self._calls.add(call)
        try:
            yield call
        finally:
            self._calls.discard(call)

    def recheck(self) -> int:
        """Ends the streams of callers who are not welcome any more; how many."""
        return sum(call.recheck() for call in list(self._calls))


def generates(behaviour: Any) -> bool:
    """Whether a streaming handler yields its answers (else it writes them to the context)."""
    return inspect.isasyncgenfunction(behaviour)


async def open_for_writing(context: Any) -> None:
    """To be called before a handler that writes its answers to the context: gRPC cannot end a
    stream whose first write, which sends the initial metadata as well, was cancelled."""
    await context.send_initial_metadata(())
