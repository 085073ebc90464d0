"""What becomes of an exchange in the store: an event where it can be one, and a row that says so either way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.capture.formats.chats import group_of
from core.capture.formats.export_values import details
from core.capture.import_rows import recent_turns
from core.capture.incoming import Incoming
from core.capture.judged import Judged
from core.capture.record import Recorder
from core.serve.exchange import Exchange
from storage import responses
from storage.responses import ResponseRow

SOURCE: Final = "gateway"


@dataclass(frozen=True, slots=True)
class Taken:
    """An exchange with what is to be stored of it: a judged event, or the reason why none is made."""

    exchange: Exchange
    judged: Judged | None
    note: str


def not_recordable(exchange: Exchange) -> str:
    """Why an answer makes no event, whatever is in it; empty when it may."""
    if not exchange.category:
        return "No category is set for it."
    if not exchange.complete:
        return "The answer did not come to its end."
    if exchange.tools and not exchange.response.strip():
        return "It only calls a tool."
    return ""


def incoming_of(exchange: Exchange) -> Incoming:
    """An exchange as feedback; nobody has said anything of it yet."""
    history = recent_turns(exchange.history)
    return Incoming(
        prompt=exchange.prompt,
        response=exchange.response,
        category=exchange.category,
        model=exchange.version_name or exchange.model,
        system=exchange.system,
        context="\n\n".join(turn["content"] for turn in exchange.between if turn["role"] == "tool"),
        source=SOURCE,
        group_key=group_of(exchange.system, exchange.prompt, [*exchange.history, *exchange.between]),
        latency_ms=1000.0 * max(0.0, exchange.seconds),
        metadata=details(
            response_id=exchange.id,
            tokens_in=exchange.tokens_in,
            tokens_out=exchange.tokens_out,
            finish=exchange.finish,
            first_token_ms=round(1000.0 * exchange.first_token_seconds, 1),
            sampling=dict(exchange.sampling),
            tools=exchange.tools or None,
            tool_turns=[dict(turn) for turn in exchange.between],
            images=exchange.images or None,
            user=exchange.user,
        ),
        created_at=exchange.at,
        history=[dict(turn) for turn in history],
    )


def store_all(recorder: Recorder, taken: Sequence[Taken]) -> list[tuple[Exchange, int | None]]:
    """Events and rows in one transaction; what another process has recorded meanwhile is passed over."""
    store = recorder.store
    with store.transaction(durable=True):
        known = responses.known(store, [one.exchange.id for one in taken])
        fresh = [one for one in taken if one.exchange.id not in known]
        kept = iter(recorder.keep([one.judged for one in fresh if one.judged], time.time(), {}))
        done = [(one, next(kept).event_id if one.judged else None) for one in fresh]
        responses.add_many(store, [_row(one, event_id) for one, event_id in done])
    return [(one.exchange, event_id) for one, event_id in done]


def _row(one: Taken, event_id: int | None) -> ResponseRow:
    exchange = one.exchange
    return ResponseRow(
        id=exchange.id,
        at=exchange.at,
        api=exchange.api,
        category=exchange.category,
        model=exchange.version_name or exchange.model,
        version_id=exchange.version_id,
        event_id=event_id,
        note=one.note,
        body_id=exchange.body_id,
    )
