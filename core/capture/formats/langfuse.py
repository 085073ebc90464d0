"""Langfuse: traces, observations and dataset items, with the scores that lie beside or inside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from core.capture.formats.export_requests import output_of, request_from
from core.capture.formats.export_rows import answered, share
from core.capture.formats.export_values import as_text, details, items, label, mapping, parsed, seconds, text
from core.capture.formats.langfuse_scores import Scores, Told, camel, scores_beside
from core.capture.formats.parts import Answer, Lessons, Row, RowError, Source

_TYPES: Final = frozenset(
    ("GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING", "GUARDRAIL")
)
_TRACE: Final = frozenset(
    (
        "sessionId",
        "userId",
        "release",
        "version",
        "environment",
        "bookmarked",
        "public",
        "tags",
        "htmlPath",
        "latency",
        "totalCost",
        "observations",
    )
)


class LangfuseExport:
    """Observations of type GENERATION, traces, or dataset items; keys in camelCase or in snake_case.

    Of a trace that holds its observations each generation is an answer, and scores on the trace go to the last one; so
    they do among the observations of a file. Scores count when they say a thumb, hold a correction, or are numbers on a
    scale that is known; all of them are kept as metadata.
    """

    name = "langfuse"
    title = "Langfuse traces, observations and dataset items"
    mapping: Mapping[str, str] = {
        "input": "prompt, history and system",
        "output": "response",
        "model": "model",
        "latency, or endTime - startTime": "latency_ms",
        "scores: boolean, categorical": "verdict, when the score is a person's feedback",
        "scores: numeric with a known range": "score",
        "scores: correction": "correction",
        "scores: comment": "note",
        "expectedOutput": "metadata.expected, and the response",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.95 when the rows are of one of Langfuse's kinds."""
        return share(sample, lambda row: bool(_kind(camel(row))))

    def lessons(self, source: Source) -> Iterator[tuple[Row, Lessons | RowError]]:
        """Every row with what it holds, scores joined."""
        scores = scores_beside(source)
        last = _last_generations(source, scores)
        yield from answered(source, lambda value: _lessons(camel(mapping(value)), scores, last))


def _kind(row: Mapping[str, Any]) -> str:
    if {"traceId", "type"} <= row.keys() and text(row["type"]) in _TYPES:
        return "observation"
    if {"name", "dataType"} <= row.keys() and not {"value", "stringValue"}.isdisjoint(row):
        return "score"
    if {"name", "dataType"} <= row.keys() and ({"minValue", "maxValue"} <= row.keys() or "categories" in row):
        return "score config"
    if {"input", "expectedOutput"} <= row.keys() and not {
        "datasetId",
        "datasetName",
        "sourceTraceId",
        "sourceObservationId",
        "status",
    }.isdisjoint(row):
        return "item"
    if {"id", "timestamp", "input", "output"} <= row.keys() and len(_TRACE & row.keys()) >= 2:
        return "trace"
    return ""


def _last_generations(source: Source, scores: Scores) -> Mapping[str, str]:
    """By trace the id of its last generation, for traces that have scores of their own."""
    if not scores.on_traces:
        return {}
    last: dict[str, tuple[float, str]] = {}
    for row in source.rows():
        entry = camel(mapping(row.value))
        trace = label(entry.get("traceId"))
        if trace in scores.on_traces and entry.get("type") == "GENERATION":
            at = seconds(entry.get("startTime")) or 0.0
            if trace not in last or at >= last[trace][0]:
                last[trace] = (at, label(entry.get("id")))
    return {trace: identifier for trace, (_, identifier) in last.items()}


def _lessons(row: Mapping[str, Any], scores: Scores, last: Mapping[str, str]) -> Lessons:
    kind = _kind(row)
    if kind == "observation":
        return _observation(row, scores, last)
    if kind == "item":
        return _item(row)
    if kind in ("score", "score config"):
        raise RowError(f"It is a {kind} and holds no answer; it counts for the traces or observations beside it.")
    if not {"input", "output"} <= row.keys():
        raise RowError("It is neither a trace nor an observation nor a dataset item: input or output is missing.")
    return _trace(row, scores)


def _observation(row: Mapping[str, Any], scores: Scores, last: Mapping[str, str]) -> Lessons:
    if row["type"] != "GENERATION":
        raise RowError(f"It is an observation of type {row['type']}, not an answer of a model.")
    identifier, trace = label(row.get("id")), label(row.get("traceId"))
    told = scores.of_row(row).joined(scores.on_observations.get(identifier))
    if last.get(trace) == identifier:
        told = told.joined(scores.on_traces.get(trace))
    problems: list[str] = []
    answer = _answer(row, told, problems)
    return Lessons((answer,), (), tuple(problems))


def _trace(row: Mapping[str, Any], scores: Scores) -> Lessons:
    identifier = label(row.get("id"))
    inside = [camel(mapping(each)) for each in items(parsed(row.get("observations")))]
    generations = [each for each in inside if each.get("type") == "GENERATION"]
    generations.sort(key=lambda each: seconds(each.get("startTime")) or 0.0)
    own = scores.of_row(row)
    on_trace = own.joined(scores.on_traces.get(identifier))
    problems: list[str] = []
    if not generations:
        answer = _answer(row, on_trace, problems)
        stray = sum(1 for observation in own.elsewhere if observation)
        if stray:
            problems.append(f"{stray} scores are about observations that the trace does not hold.")
        return Lessons((answer,), (), tuple(problems))
    answers = []
    for position, each in enumerate(generations, start=1):
        generation = label(each.get("id"))
        told = scores.of_row(each).joined(own.elsewhere.get(generation))
        told = told.joined(scores.on_observations.get(generation))
        if position == len(generations):
            told = told.joined(on_trace)
        try:
            about = {"userId": row.get("userId"), "sessionId": row.get("sessionId"), "tags": row.get("tags")}
            answers.append(_answer({**about, "traceId": identifier, **each}, told, problems))
        except RowError as error:
            problems.append(f"Generation {position} was left out: {error}")
    if not answers:
        raise RowError(" ".join(["No generation of the trace can be used.", *problems[:3]]))
    return Lessons(tuple(answers), (), tuple(problems))


def _answer(row: Mapping[str, Any], told: Told, problems: list[str]) -> Answer:
    asked = request_from(row.get("input"))
    response = output_of(row.get("output"))
    if not response.strip():
        raise RowError("The output holds no text.")
    problems.extend(asked.problems)
    problems.extend(told.problems)
    start = seconds(row.get("startTime")) or seconds(row.get("timestamp"))
    return asked.request.answer(
        response,
        model=text(row.get("model")) or text(row.get("providedModelName")),
        score=told.score,
        verdict=told.verdict,
        correction=told.correction,
        note=told.note,
        latency_ms=_latency(row),
        created_at=start,
        metadata=details(
            langfuse_id=label(row.get("id")),
            trace_id=label(row.get("traceId")),
            session_id=label(row.get("sessionId")),
            user_id=label(row.get("userId")),
            name=text(row.get("name")),
            tags=[tag for tag in items(parsed(row.get("tags"))) if isinstance(tag, str)],
            scores=told.values,
        ),
    )


def _latency(row: Mapping[str, Any]) -> float | None:
    """In milliseconds, from the two ends; the field `latency` is in seconds in one export and not in another."""
    start, end = seconds(row.get("startTime")), seconds(row.get("endTime"))
    return (end - start) * 1000.0 if start is not None and end is not None and end >= start else None


def _item(row: Mapping[str, Any]) -> Lessons:
    if text(row.get("status")).upper() == "ARCHIVED":
        raise RowError("The dataset item is archived.")
    expected = parsed(row.get("expectedOutput"))
    response = output_of(row.get("expectedOutput"))
    if not response.strip():
        raise RowError("The dataset item has no expected output.")
    asked = request_from(row.get("input"))
    answer = asked.request.answer(
        response,
        verdict="good",
        created_at=seconds(row.get("createdAt")),
        metadata=details(
            expected=expected if isinstance(expected, Mapping) else as_text(expected),
            dataset=text(row.get("datasetName")) or label(row.get("datasetId")),
            trace_id=label(row.get("sourceTraceId")),
        ),
    )
    return Lessons((answer,), (), asked.problems)
