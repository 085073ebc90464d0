"""Shadow tests: a share of the requests is also answered by the candidate, when nobody waits for anything.

One job at a time, and only after a while without production traffic. A request that comes meanwhile takes the job's
place at once: the job's own request is given up, and tried once more later. What does not fit into the queue is dropped
and counted; production never waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final, TypeVar

from core.categories import Category
from core.config import Config
from core.errors import BackendError, FinetuneError
from core.paths import Home
from core.serve.exchange import Exchange
from core.serve.shadow_asking import Asker, ShadowAnswer
from core.serve.shadow_pairs import Plan, ShadowPairs
from core.serve.traffic import Traffic
from core.serve.upstream import Upstream
from storage.db import Store
from storage.rows import VersionRow

QUIET_SECONDS: Final = 0.25
"""How long no production request must have been in flight before a job begins."""
_LOOK_SECONDS: Final = 0.05
_REFRESH_SECONDS: Final = 10.0
_LONGEST_SECONDS: Final = 600.0
_FIRST_PAUSE_SECONDS: Final = 5.0
"""For how long a candidate that could not be asked is left alone, twice as long after each further time in a row …"""
_PAUSE_SECONDS: Final = 600.0
"""… up to this; at once where it does not fit into memory beside what serves."""
_LARGEST_CHARS: Final = 200_000
"""Of a request with its answer, since the queue is held in memory."""

Result = TypeVar("Result")


def is_sampled(response_id: str, share: float) -> bool:
    """Whether a request belongs to the share (0-1) that is shadowed; always the same for one id."""
    digest = blake2b(b"shadow:" + response_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


@dataclass(frozen=True, slots=True)
class Job:
    """A recorded request on its way to the candidate; `tries` counts how often it was given up."""

    exchange: Exchange
    event_id: int
    tries: int = 0


class Shadow:
    """Asks the candidate what production was asked.

    `names` tells what the upstream calls a version; `prepare` makes it ready to answer there, once for each candidate,
    in a thread where it may take its time, and raises FinetuneError where that cannot be. `say` gets a line for
    whatever went wrong. `offer` may be called from any thread, everything else in the thread of the gateway.
    """

    def __init__(
        self,
        home: Home,
        config: Config,
        categories: Mapping[str, Category],
        upstream: Upstream,
        traffic: Traffic,
        *,
        names: Callable[[VersionRow], str] = lambda version: version.name,
        prepare: Callable[[Store, VersionRow], None] = lambda store, version: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.done = 0
        """How many pairs were kept."""
        self.dropped = 0
        """How many requests were not asked, because the queue was full, production kept coming in between, or the
        candidate was left alone."""
        self.failed = 0
        """How many the candidate could not answer."""
        self._home, self._config, self._categories = home, config, categories
        self._asker, self._traffic = Asker(upstream), traffic
        self._names, self._prepare, self._say = names, prepare, say
        self._prepared: set[int] = set()
        self._queue: deque[Job] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._pairs: ShadowPairs | None = None
        self._wanted: frozenset[str] | None = None
        self._paused: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        """How often in a row each candidate could not be asked."""
        self._asking: asyncio.Task[ShadowAnswer] | None = None
        self._worker: asyncio.Task[None] | None = None

    def offer(self, exchange: Exchange, event_id: int) -> None:
        """Takes a recorded request if it is sampled and can be asked again alike."""
        if not is_sampled(exchange.id, self._config.serve.shadow_share) or exchange.version_id is None:
            return
        if exchange.tools or exchange.images or exchange.shaped or not exchange.complete:
            return
        if _chars(exchange) > _LARGEST_CHARS:
            return
        if self._wanted is not None and exchange.category not in self._wanted:
            return
        if len(self._queue) >= self._config.serve.shadow_queue:
            self.dropped += 1
            return
        self._queue.append(Job(exchange, event_id))

    def start(self) -> None:
        """Begins, in the running event loop."""
        self._traffic.on_begin.append(self._give_way)
        self._worker = asyncio.create_task(self._work(), name="shadow")

    async def close(self) -> None:
        """Gives up what is going on; what waits is dropped."""
        with suppress(ValueError):
            self._traffic.on_begin.remove(self._give_way)
        for task in (self._worker, self._asking):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, FinetuneError):
                    await task
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._pairs is not None:
            self._pairs.close()
            self._pairs = None

    def figures(self) -> dict[str, Any]:
        """What a health report shows, as JSON values."""
        waiting = len(self._queue)
        return {"done": self.done, "waiting": waiting, "dropped": self.dropped, "failed": self.failed}

    # -- the worker

    def _give_way(self) -> None:
        """A production request has come."""
        if self._asking is not None:
            self._asking.cancel()

    async def _work(self) -> None:
        refreshed = 0.0
        while True:
            try:
                if time.monotonic() - refreshed > _REFRESH_SECONDS:
                    self._wanted = await self._in_thread(lambda pairs: pairs.wanted())
                    refreshed = time.monotonic()
                if not self._queue:
                    await asyncio.sleep(_LOOK_SECONDS)
                    continue
                await self._quiet()
                await self._one(self._queue.popleft())
            except FinetuneError as error:  # the store is busy or full
                self.failed += 1
                self._say(f"A shadow test waits: {error}")
                await asyncio.sleep(1.0)
            except Exception as error:  # noqa: BLE001 - a validator is foreign code; the worker must outlive it
                self.failed += 1
                self._say(f"A shadow test failed: {type(error).__name__}: {error}")

    async def _quiet(self) -> None:
        while self._traffic.in_flight or self._traffic.quiet_seconds < QUIET_SECONDS:
            await asyncio.sleep(_LOOK_SECONDS)

    async def _one(self, job: Job) -> None:
        plan = await self._in_thread(lambda pairs: pairs.plan(job.exchange, job.event_id))
        if plan is None:
            return
        if self._paused.get(plan.candidate.id, 0.0) > time.monotonic():
            self.dropped += 1
            return
        if not await self._is_prepared(plan.candidate):
            return
        await self._quiet()
        # Nothing is awaited between the look and the task, so that no request can come in between unseen.
        self._asking = asyncio.create_task(self._ask(plan), name="shadow request")
        try:
            await asyncio.wait([self._asking])
            asked = self._asking
        finally:
            self._asking.cancel()
            self._asking = None
        if asked.cancelled():
            self._put_back(job)
            return
        try:
            answer = asked.result()
        except (BackendError, TimeoutError) as error:
            self._leave_alone(plan.candidate, error)
            return
        self._failures.pop(plan.candidate.id, None)
        await self._in_thread(lambda pairs: pairs.keep(plan, answer))
        self.done += 1

    async def _is_prepared(self, candidate: VersionRow) -> bool:
        if candidate.id not in self._prepared:
            try:
                await self._in_thread(lambda pairs: self._prepare(pairs.store, candidate))
            except FinetuneError as error:
                self._leave_alone(candidate, error)
                return False
            self._prepared.add(candidate.id)
        return True

    def _leave_alone(self, candidate: VersionRow, why: Exception) -> None:
        self.failed += 1
        self._prepared.discard(candidate.id)
        in_a_row = self._failures.get(candidate.id, 0)
        self._failures[candidate.id] = in_a_row + 1
        self._paused[candidate.id] = time.monotonic() + min(_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**in_a_row)
        self._say(f"{candidate.name} cannot be shadow-tested for now: {why}")

    def _put_back(self, job: Job) -> None:
        if job.tries:
            self.dropped += 1
        else:
            self._queue.appendleft(replace(job, tries=job.tries + 1))

    async def _in_thread(self, work: Callable[[ShadowPairs], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_pairs, work)

    def _with_pairs(self, work: Callable[[ShadowPairs], Result]) -> Result:
        if self._pairs is None:
            self._pairs = ShadowPairs(self._home, self._config, self._categories)
        return work(self._pairs)

    async def _ask(self, plan: Plan) -> ShadowAnswer:
        """The candidate's answer to the same messages with the same sampling. Raises BackendError."""
        before = await self._asker.loaded()
        async with asyncio.timeout(_LONGEST_SECONDS):
            answer = await self._asker.chat(self._names(plan.candidate), plan.exchange)
        serving = self._names(plan.serving)
        if serving in before and serving not in await self._asker.loaded():
            # The candidate has pushed what serves out of memory, which the next caller would have to wait for.
            self._paused[plan.candidate.id] = time.monotonic() + _PAUSE_SECONDS
            self._say(f"{plan.candidate.name} and {plan.serving.name} do not fit into memory together; its test waits.")
            await self._asker.load(serving)
        return answer


def _chars(exchange: Exchange) -> int:
    turns = sum(len(turn["content"]) for turn in exchange.history)
    return turns + len(exchange.system) + len(exchange.prompt) + len(exchange.response)
