"""What applications tell the gateway beside their requests: `POST /feedback` of an answer, `POST /events` by name."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.capture.domain_events import answer_from, answer_from_envelope
from core.capture.import_rows import ImportOptions, incoming_of
from core.capture.judged import Judged
from core.capture.record import Recorder
from core.categories import Category
from core.config import Config
from core.errors import ConflictError, FinetuneError, NotFoundError, StoreError
from core.paths import Home
from core.serve.body import MOST_VALUES
from core.serve.journal import Journal
from core.serve.recording import Recording
from core.serve.remark import Applied, Remark, apply, remark_from
from core.serve.replies import error_object
from core.serve.store_file import Identity, identity
from storage import responses
from storage.db import Store, open_store
from storage.responses import ResponseRow

SOURCE: Final = "events"
WAIT_SECONDS: Final = 2.0
"""How long feedback waits for its answer to be recorded; then it is written down and applied later."""
_LOOK_SECONDS: Final = 0.02
_MOST_EVENTS: Final = 1_000

Result = TypeVar("Result")


class Feedback:
    """The two routes, with a store of their own that one thread uses."""

    def __init__(
        self, home: Home, config: Config, categories: Mapping[str, Category], journal: Journal, recording: Recording
    ) -> None:
        self._home, self._config, self._categories = home, config, categories
        self._journal, self._recording = journal, recording
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feedback")
        self._recorder: Recorder | None = None
        self._opened: Identity = None

    @property
    def routes(self) -> list[Route]:
        """What the gateway's application adds to its own routes."""
        return [
            Route("/feedback", self._answering(self._feedback), methods=["POST"]),
            Route("/events", self._answering(self._events), methods=["POST"]),
            Route("/events/{name}", self._answering(self._events), methods=["POST"]),
        ]

    async def close(self) -> None:
        """Ends after what has begun; the store is closed."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._recorder is not None:
            self._recorder.store.close()
            self._recorder = None

    # -- what every route does

    def _answering(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except NotFoundError as error:
                return _error(404, error)
            except ConflictError as error:
                return _error(409, error)
            except StoreError as error:
                return _error(503, error)
            except FinetuneError as error:
                return _error(400, error)

        return answer

    async def _in_thread(self, work: Callable[[Recorder], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_recorder, work)

    def _with_recorder(self, work: Callable[[Recorder], Result]) -> Result:
        if self._recorder is not None and identity(self._home.store) != self._opened:  # another is in its place
            self._close()
        if self._recorder is None:
            store = open_store(self._home.store)
            self._opened = identity(self._home.store)
            self._recorder = Recorder(store, self._home, self._config, self._categories)
        return work(self._recorder)

    # -- POST /feedback

    async def _feedback(self, request: Request) -> Response:
        remark = remark_from(await _json(request), at=time.time())
        if not await self._is_recorded(remark.response_id):
            return self._later(remark)
        row = await self._in_thread(lambda recorder: _found(recorder.store, remark.response_id))
        if row.event_id is None:
            why = row.note or "Its event was removed by the clean-up."
            return _reply({"error": f"Answer {row.id} is not recorded. {why}", "response_id": row.id}, 409)
        event_id = row.event_id
        try:
            applied = await self._in_thread(lambda recorder: apply(recorder, remark, event_id))
        except StoreError:  # busy or full: what a person said must not be lost for that
            return self._later(remark)
        return _reply({"response_id": row.id, **_told(applied)})

    async def _is_recorded(self, key: str) -> bool:
        """Waits until the store can tell of an answer, for a while; False when it still cannot."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self._journal.is_waiting(key):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        while not self._recording.caught_up.is_set():  # a process before this one may have answered it
            if await self._in_thread(lambda recorder: _is_known(recorder.store, key)):
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    def _later(self, remark: Remark) -> Response:
        if not self._journal.append(remark):
            error = StoreError(f"The feedback could not be kept: {self._journal.problem}.", hint="Send it again later.")
            return _error(503, error)
        return _reply({"response_id": remark.response_id, "accepted": True}, 202)

    # -- POST /events

    async def _events(self, request: Request) -> Response:
        body = await _json(request)
        name = request.path_params.get("name")
        rows = body if isinstance(body, list) else [body]
        if len(rows) > _MOST_EVENTS:
            raise FinetuneError(
                f"{len(rows):,} events at once; at most {_MOST_EVENTS:,} are taken.",
                title="Too many events",
                hint="Send them in parts, or write them to a file and use `finetune-tui import`.",
            )
        account = await self._in_thread(lambda recorder: _record_events(recorder, name, rows))
        refused = bool(rows) and not account["taken"]
        if refused and not isinstance(body, list):
            return _reply({"error": account["refused"][0]["error"], **account}, 400)
        return _reply(account, 400 if refused else 200)


def _record_events(recorder: Recorder, name: str | None, rows: Sequence[Any]) -> dict[str, Any]:
    """Takes what can be taken, in one durable transaction, and accounts for every event."""
    now = time.time()
    judged: list[tuple[int, Judged]] = []
    refused: list[dict[str, Any]] = []
    for index, row in enumerate(rows):
        try:
            answer = answer_from_envelope(row) if name is None else answer_from(name, row)
            incoming = incoming_of(answer, SOURCE, ImportOptions())
            judged.append((index, recorder.preparer.prepare(incoming, now)))
        except StoreError:
            raise
        except RecursionError:
            refused.append({"index": index, "error": "It is nested too deeply."})
        except FinetuneError as error:
            refused.append({"index": index, "error": str(error)})
    taken: list[dict[str, Any]] = []
    if judged:
        with recorder.store.transaction(durable=True):
            recorded = recorder.keep([one for _, one in judged], now, {})
        taken = [
            {
                "index": index,
                "event_id": one.event_id,
                "category": event.event.category,
                "feedback_type": one.feedback_type,
                "score": one.score,
                "tier": one.tier,
                "duplicate": one.duplicate,
                "changed": one.changed,
            }
            for (index, event), one in zip(judged, recorded, strict=True)
        ]
    return {"taken": len(taken), "events": taken, "refused": refused}


def _is_known(store: Store, key: str) -> bool:
    return responses.get(store, key) is not None or bool(responses.by_body_id(store, key, limit=1))


def _found(store: Store, key: str) -> ResponseRow:
    """The answer that a caller means. Raises NotFoundError, and ConflictError where two have the same key."""
    row = responses.get(store, key)
    if row is not None:
        return row
    found = responses.by_body_id(store, key)
    if not found:
        raise NotFoundError(
            f"No answer has the id {key[:80]!r}.",
            hint="Use the X-Finetune-Response-Id header of the answer, or the id in its body.",
        )
    if len(found) > 1:
        raise ConflictError(
            f"More than one answer has the id {key[:80]!r} in its body.",
            hint="This server's ids are not unique: use the X-Finetune-Response-Id header of the answer.",
        )
    return found[0]


def _told(applied: Applied) -> dict[str, Any]:
    told = applied.to_mapping()
    return {name: value for name, value in told.items() if value is not None}


async def _json(request: Request) -> Any:
    data = await request.body()
    if data.count(b",") > MOST_VALUES:
        raise FinetuneError(f"The body holds more than {MOST_VALUES:,} values.", hint="Send it in parts.")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FinetuneError(f"The body is not JSON ({str(error)[:100]}).", hint="Send JSON.") from error


def _reply(value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # Non-ASCII is escaped, so that even a lone surrogate can be sent.
    return Response(json.dumps(value), status, headers, media_type="application/json")


def _error(status: int, error: FinetuneError) -> Response:
    return _reply(error_object("ollama", status, error), status, {"Retry-After": "5"} if status == 503 else None)
