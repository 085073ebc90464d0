"""The log of the command-line tool `llm`: the table `responses` of its logs.db."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.capture.formats.export_requests import turn_of
from core.capture.formats.export_rows import answered
from core.capture.formats.export_values import details, label, mapping, number, parsed, seconds, text
from core.capture.formats.parts import Answer, Lessons, Row, RowError, Source


class LlmLogs:
    """One response a row; earlier responses of the same conversation are its history.

    Rows come in the order in which they were logged. Of every conversation its turns are kept while the table is read,
    so memory grows with the text of the conversations, not with what else stands in the table.
    """

    name = "llm_logs"
    title = "llm logs.db"
    mapping: Mapping[str, str] = {
        "prompt": "prompt",
        "system": "system",
        "response": "response",
        "conversation_id": "history",
        "model": "model",
        "duration_ms": "latency_ms",
        "datetime_utc": "created_at",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.95 for the table `responses` of a database with the columns of that log."""
        wanted = {"model", "prompt", "response", "datetime_utc"}
        is_log = source.kind == "sqlite" and source.name.endswith("#responses")
        return 0.95 if is_log and any(isinstance(row, Mapping) and wanted <= row.keys() for row in sample) else 0.0

    def lessons(self, source: Source) -> Iterator[tuple[Row, Lessons | RowError]]:
        """Every response with the turns before it."""
        said: dict[str, list[dict[str, Any]]] = {}
        systems: dict[str, str] = {}
        yield from answered(source, lambda value: _response(mapping(value), said, systems))


def _response(entry: Mapping[str, Any], said: dict[str, list[dict[str, Any]]], systems: dict[str, str]) -> Lessons:
    prompt, response = text(entry.get("prompt")), text(entry.get("response"))
    if not prompt.strip():
        raise RowError("It has no prompt; fragments and attachments are not read.")
    if not response.strip():
        raise RowError("It has no response: the request failed, or only called tools.")
    key = label(entry.get("conversation_id"))
    # A system prompt is logged with the first request of a conversation and holds for those after it.
    system = text(entry.get("system")) or systems.get(key, "")
    history = tuple(said.get(key, ())) if key else ()
    if key:
        systems[key] = system
        said.setdefault(key, []).extend((turn_of("user", prompt), turn_of("assistant", response)))
    latency = number(entry.get("duration_ms"))
    answer = Answer(
        prompt=prompt,
        response=response,
        system=system,
        history=history,
        model=text(entry.get("model")),
        latency_ms=latency if latency is not None and latency >= 0 else None,
        created_at=seconds(entry.get("datetime_utc")),
        metadata=details(
            response_id=label(entry.get("id")),
            chat_id=key,
            options=mapping(parsed(entry.get("options_json"))),
            input_tokens=number(entry.get("input_tokens")),
            output_tokens=number(entry.get("output_tokens")),
            reasoning=text(entry.get("reasoning")),
        ),
    )
    return Lessons((answer,))
