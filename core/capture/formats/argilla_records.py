"""The ways in which Argilla writes a record down, read into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.capture.formats.export_values import items, label, mapping, parsed, text

_OWN: Final = frozenset(
    {"id", "_server_id", "status", "metadata", "vectors", "external_id", "inserted_at", "updated_at"}
)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a model proposed as the response to a question."""

    value: Any
    agent: str


@dataclass(frozen=True, slots=True)
class Record:
    """`said` holds by user (an id, or a stand-in by position) the submitted value of each question."""

    id: str
    fields: Mapping[str, Any]
    metadata: Mapping[str, Any]
    said: Mapping[str, Mapping[str, Any]]
    suggestions: Mapping[str, Suggestion]
    problems: tuple[str, ...]


def nested_record(row: Mapping[str, Any]) -> Record:
    """`fields`, `responses` and `suggestions` as objects by name; or, in older exports, as lists of objects."""
    said: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    told = row.get("responses")
    for question, listed in mapping(told).items():
        for position, each in enumerate(items(listed)):
            _add(said, problems, str(question), position, mapping(each))
    for position, each in enumerate(items(told)):
        response = mapping(each)
        for question, value in mapping(response.get("values")).items():
            one = {**response, "value": mapping(value).get("value") if isinstance(value, Mapping) else value}
            _add(said, problems, str(question), position, one)
    suggestions = {
        str(question): Suggestion(mapping(each).get("value"), text(mapping(each).get("agent")))
        for question, each in mapping(row.get("suggestions")).items()
    }
    for each in items(row.get("suggestions")):
        question = text(mapping(each).get("question_name"))
        if question:
            suggestions[question] = Suggestion(mapping(each).get("value"), text(mapping(each).get("agent")))
    return Record(
        label(row.get("id")) or label(row.get("external_id")) or label(row.get("_server_id")),
        mapping(row.get("fields")),
        mapping(row.get("metadata")),
        said,
        suggestions,
        tuple(dict.fromkeys(problems)),
    )


def _add(
    said: dict[str, dict[str, Any]], problems: list[str], question: str, position: int, response: Mapping[str, Any]
) -> None:
    status = text(response.get("status"))
    user = label(response.get("user_id")) or f"annotator {position + 1}"
    if status in ("discarded", "draft"):
        problems.append(f"The response of annotator {position + 1} was left out: it is {status}.")
    elif response.get("value") is not None:
        said.setdefault(user, {})[question] = response["value"]


def flat_record(row: Mapping[str, Any]) -> Record:
    """Columns `<field>`, `<question>.responses`, `.responses.users`, `.responses.status`, `.suggestion(.agent)`."""
    # A CSV writes the lists in a question's columns as JSON; a field's own text is never JSON to be read.
    columns = {str(key): parsed(value) if "." in str(key) else value for key, value in row.items()}
    responses = {
        key[: -len(".responses")]: items(value) for key, value in columns.items() if key.endswith(".responses")
    }
    said: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    suggestions: dict[str, Suggestion] = {}
    for question, values in responses.items():
        users, status = (items(columns.get(f"{question}.responses.{kind}")) for kind in ("users", "status"))
        for position, value in enumerate(values):
            user = users[position] if position < len(users) else ""
            state = status[position] if position < len(status) else ""
            _add(said, problems, question, position, {"user_id": user, "status": state, "value": value})
    for key, value in columns.items():
        if key.endswith(".suggestion") and value is not None:
            question = key[: -len(".suggestion")]
            suggestions[question] = Suggestion(value, text(columns.get(f"{key}.agent")))
    fields = {key: value for key, value in columns.items() if "." not in key and key not in _OWN}
    metadata = {key.partition(".")[2]: value for key, value in columns.items() if key.startswith("metadata.")}
    return Record(label(columns.get("id")), fields, metadata, said, suggestions, tuple(dict.fromkeys(problems)))
