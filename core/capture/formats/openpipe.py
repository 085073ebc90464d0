"""OpenPipe's export of logged requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.capture.formats.export_requests import message_text, request_from
from core.capture.formats.export_rows import share
from core.capture.formats.export_values import details, items, label, mapping, parsed, seconds, text, verdict_of
from core.capture.formats.parts import Lessons, RowError, RowFormat


class OpenPipeLogs(RowFormat):
    """One request with its completions; several completions are answers to the same request."""

    name = "openpipe"
    title = "OpenPipe request logs"
    mapping: Mapping[str, str] = {
        "input.messages": "prompt, history and system",
        "output.choices[].message": "response",
        "input.model": "model",
        "tags": "metadata; a tag feedback or rating gives the verdict",
    }

    def matches(self, source: Any, sample: Sequence[Any]) -> float:
        """0.95 when the rows hold an input with messages and an output with choices."""
        return share(
            sample,
            lambda row: (
                isinstance(mapping(parsed(row.get("input"))).get("messages"), list)
                and isinstance(mapping(parsed(row.get("output"))).get("choices"), list)
            ),
        )

    def read(self, value: Any) -> Lessons:
        """One request. Raises RowError."""
        entry = mapping(value)
        asked, output, tags = (mapping(parsed(entry.get(key))) for key in ("input", "output", "tags"))
        if not items(asked.get("messages")):
            raise RowError("The input holds no messages.")
        question = request_from(asked)
        problems = list(question.problems)
        sent, received = seconds(entry.get("requestedAt")), seconds(entry.get("receivedAt"))
        answers = []
        for position, choice in enumerate(items(output.get("choices")), start=1):
            message = mapping(mapping(choice).get("message"))
            response, left_out = message_text(message)
            if not response.strip():
                why = "it calls a tool" if message.get("tool_calls") or message.get("function_call") else "it is empty"
                problems.append(f"Completion {position} was left out: {why}.")
                continue
            if left_out:
                problems.append(f"Completion {position}: what is not text was left out.")
            answers.append(
                question.request.answer(
                    response,
                    model=text(asked.get("model")) or text(output.get("model")),
                    verdict=verdict_of(tags.get("feedback")) or verdict_of(tags.get("rating")),
                    latency_ms=(received - sent) * 1000 if sent and received and received >= sent else None,
                    created_at=sent or seconds(output.get("created")) or seconds(entry.get("createdAt")),
                    group=label(entry.get("id")) or label(output.get("id")) or question.request.group,
                    metadata=details(tags=tags, tools=_tools(asked)),
                )
            )
        if not answers:
            raise RowError(" ".join(["There is no answer in text in it.", *problems[:3]]))
        return Lessons(tuple(answers), (), tuple(problems))


def _tools(asked: Mapping[str, Any]) -> list[str]:
    found = (mapping(mapping(tool).get("function")).get("name") for tool in items(asked.get("tools")))
    return [name for name in found if isinstance(name, str)]
