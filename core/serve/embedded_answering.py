"""One answer of the embedded server on its way: drawn in a thread, sent by the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from core.backends.backend import Generation, Piece
from core.backends.child_client import ChildStream
from core.errors import BackendError
from core.serve.embedded_writing import Times, Writer


class Answering:
    """Carries the pieces of an answer from the thread that draws them (`draw`) into the event loop (all else).

    Nothing is lost or waited for where the caller reads slowly: what is drawn is kept here, so that the model is free
    as soon as the answer is complete.
    """

    def __init__(self, stream: ChildStream[Piece]) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._come: asyncio.Queue[Piece | BackendError] = asyncio.Queue()
        self._asked = self._begun = self._first = time.perf_counter()

    def draw(self) -> None:
        """Draws the answer to its end, or until it is given up."""
        self._begun = self._first = time.perf_counter()
        ended: Piece | BackendError | None = None
        try:
            for piece in self._stream:
                if ended is None:
                    self._first = time.perf_counter()
                ended = piece
                self._put(piece)
        except BackendError as error:
            ended = error
            self._put(error)
        except Exception as fault:  # noqa: BLE001 - the end of a thread: the caller is told
            ended = BackendError(f"{type(fault).__name__}: {fault}", hint="Ask again.")
            self._put(ended)
        if ended is None or (isinstance(ended, Piece) and ended.generation is None):
            self._put(BackendError("The answer was given up.", title="The answer is not whole", hint="Ask again."))

    def _put(self, item: Piece | BackendError) -> None:
        try:
            self._loop.call_soon_threadsafe(self._come.put_nowait, item)
        except RuntimeError:  # the loop was closed: nobody waits any more
            self._stream.cancel()

    async def pieces(self) -> list[Piece]:
        """The next piece and all that have come with it. Raises BackendError."""
        found: list[Piece] = []
        while not found or not self._come.empty():
            item = await self._come.get() if not found else self._come.get_nowait()
            if isinstance(item, BackendError):
                if not found:
                    raise item
                self._come.put_nowait(item)  # it was the last: after what came before it
                break
            found.append(item)
        return found

    async def generation(self) -> Generation:
        """The whole answer. Raises BackendError."""
        while True:
            last = (await self.pieces())[-1].generation
            if last is not None:
                return last

    def times(self) -> Times:
        """Once the answer is complete."""
        return Times(self._begun - self._asked, self._first - self._begun, time.perf_counter() - self._first)

    def cancel(self) -> None:
        """Gives the answer up; nothing happens where it is complete."""
        self._stream.cancel()


class AnswerBody:
    """The bytes of a streamed answer. Closing or dropping it gives the answer up."""

    def __init__(
        self, answering: Answering, first: list[Piece], writer: Writer, failed: Callable[[BackendError], bytes]
    ) -> None:
        self._answering = answering
        self._ahead = first
        self._writer = writer
        self._failed = failed
        self._over = False

    def __aiter__(self) -> AnswerBody:
        return self

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        try:
            pieces, self._ahead = self._ahead or await self._answering.pieces(), []
        except BackendError as error:
            self._over = True
            return self._failed(error)
        written = [self._writer.part(piece.text) for piece in pieces if piece.text]
        last = pieces[-1].generation
        if last is not None:
            self._over = True
            written.append(self._writer.end(last, self._answering.times()))
        return b"".join(written)

    async def aclose(self) -> None:
        self._over = True
        self._answering.cancel()

    def __del__(self) -> None:
        self._answering.cancel()
