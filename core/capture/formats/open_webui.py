"""Open WebUI: its export of feedback, and its export of chats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from core.capture.formats.export_requests import role_of
from core.capture.formats.export_rows import answered, share
from core.capture.formats.export_turns import content_of
from core.capture.formats.export_values import (
    Judged,
    details,
    items,
    joined,
    label,
    mapping,
    number,
    seconds,
    shown,
    text,
    verdict_of,
)
from core.capture.formats.message_tree import Chat, Message, MessageTree, tree_lessons, turn_answers
from core.capture.formats.parts import Lessons, Row, RowError, RowFormat, Source
from core.capture.formats.siblings import rated_siblings

_MAPPING: Final = {
    "the chain of messages above": "prompt, history and system",
    "message.content": "response",
    "message.model": "model",
    "rating 1 or -1": "verdict",
    "details.rating 1-10": "score",
    "reason, comment": "note",
    "childrenIds of the parent": "the other answers, and preferences",
    "timestamp": "created_at",
}


def _rating(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Verdict, score and note of a rating. The second, finer rating runs from 1 to 10: (v - 1) / 9 * 100."""
    fine = number(mapping(entry.get("details")).get("rating"))
    known = fine is not None and 1 <= fine <= 10
    return {
        "verdict": verdict_of(entry.get("rating")),
        "score": (fine - 1) / 9 * 100 if known and fine is not None else None,
        "note": joined(text(entry.get("reason")).replace("_", " "), entry.get("comment")),
        "metadata": details(
            tags=[tag for tag in items(entry.get("tags")) if isinstance(tag, str)], rating=fine if known else None
        ),
    }


def _messages(chat: Mapping[str, Any]) -> list[Message]:
    """The messages of a chat's history by id; where an old chat has none, its list of messages, one after the other."""
    found: list[Message] = []
    nodes = mapping(mapping(chat.get("history")).get("messages"))
    listed = [] if nodes else [(str(place), each) for place, each in enumerate(items(chat.get("messages")))]
    for key, value in [*nodes.items(), *listed]:
        entry = mapping(value)
        content, left_out = content_of(entry.get("content"))
        files = len(items(entry.get("files")))
        found.append(
            Message(
                id=str(key),
                parent=label(entry.get("parentId")) if nodes else (found[-1].id if found else ""),
                role=role_of(entry),
                text=content,
                model=text(entry.get("model")) or text(entry.get("modelName")),
                at=seconds(entry.get("timestamp")),
                left_out=left_out + files,
                **_rating(mapping(entry.get("annotation"))),
            )
        )
    return found


def _system(chat: Mapping[str, Any]) -> str:
    return text(mapping(chat.get("params")).get("system")) or text(chat.get("system"))


class OpenWebUIFeedback:
    """One rating with the chat it belongs to, as the administrator exports them.

    The rated answer and its siblings become answers; a sibling that was rated in another row, or in the chat itself,
    keeps that rating, so that two liked answers are never set against each other.
    """

    name = "open_webui_feedback"
    title = "Open WebUI feedback export"
    mapping: Mapping[str, str] = _MAPPING

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.95 when the rows are ratings with data and meta."""
        return share(
            sample,
            lambda row: (
                {"data", "meta"} <= row.keys()
                and "rating" in mapping(row["data"])
                and ("message_id" in mapping(row["meta"]) or "snapshot" in row)
            ),
        )

    def lessons(self, source: Source) -> Iterator[tuple[Row, Lessons | RowError]]:
        """Every rating with the answer it is about and that answer's siblings."""
        known: dict[str, Judged | None] = {}
        for row in source.rows():
            entry = mapping(row.value)
            identifier = label(mapping(entry.get("meta")).get("message_id"))
            if identifier:
                known[identifier] = verdict_of(mapping(entry.get("data")).get("rating"))
        yield from answered(source, lambda value: _feedback(mapping(value), known))


def _feedback(entry: Mapping[str, Any], known: Mapping[str, Judged | None]) -> Lessons:
    data, meta = mapping(entry.get("data")), mapping(entry.get("meta"))
    stored = mapping(mapping(entry.get("snapshot")).get("chat"))
    chat = mapping(stored.get("chat")) or stored
    if not chat:
        raise RowError("The rating has no snapshot of the chat, so neither prompt nor answer is known.")
    told = _rating(data)
    if told["verdict"] is None:
        raise RowError(f"The rating is {shown(data.get('rating'))}, neither 1 nor -1.")
    rated = label(meta.get("message_id"))
    messages = {message.id: message for message in _messages(chat)}
    if rated not in messages or messages[rated].role != "assistant":
        raise RowError("The rated message is no answer in the snapshot of the chat.")
    for identifier, message in messages.items():
        if known.get(identifier):
            messages[identifier] = replace(message, verdict=known[identifier])
    messages[rated] = replace(messages[rated], **told, model=text(data.get("model_id")) or messages[rated].model)
    tree = MessageTree(list(messages.values()))
    asked = tree.asked(rated)
    if not asked:
        raise RowError("The rated answer answers no message of a user.")
    problems: list[str] = []
    about = details(
        chat_id=label(meta.get("chat_id")) or label(stored.get("id")),
        title=text(chat.get("title")) or text(stored.get("title")),
    )
    found = turn_answers(tree, asked, Chat(f"{about.get('chat_id', '')}", _system(chat), about), problems)
    mine = [rated in identifiers for identifiers, _ in found]
    if not any(mine):
        raise RowError(" ".join(["The rated answer holds no text.", *problems[:2]]))
    extra = details(
        feedback_id=label(entry.get("id")),
        user_id=label(entry.get("user_id")),
        arena=meta.get("arena") is True or None,
        sibling_models=[each for each in items(data.get("sibling_model_ids")) if isinstance(each, str)],
    )
    answers = [
        replace(answer, metadata={**answer.metadata, **extra}) if own else answer
        for own, (_, answer) in zip(mine, found, strict=True)
    ]
    return Lessons(tuple(answers), tuple(rated_siblings(answers, range(len(answers)))), tuple(problems))


class OpenWebUIChats(RowFormat):
    """Chats with all their branches; ratings stand in the messages' annotations."""

    name = "open_webui_chats"
    title = "Open WebUI chats export"
    mapping: Mapping[str, str] = _MAPPING

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.95 when the rows are chats with a history of messages by id."""
        return share(
            sample,
            lambda row: (
                isinstance(mapping(_chat(row).get("history")).get("messages"), Mapping)
                or (isinstance(mapping(row.get("chat")).get("messages"), list) and "models" in mapping(row["chat"]))
            ),
        )

    def read(self, value: Any) -> Lessons:
        """One chat. Raises RowError."""
        entry = mapping(value)
        chat = _chat(entry)
        messages = _messages(chat)
        if not messages:
            raise RowError("It is no chat: there is no history of messages in it.")
        key = label(entry.get("id")) or label(chat.get("id"))
        about = details(
            chat_id=key,
            title=text(entry.get("title")) or text(chat.get("title")),
            user_id=label(entry.get("user_id")),
        )
        whole = Chat(key or messages[0].id, _system(chat), about)
        history = mapping(chat.get("history"))
        current = label(history.get("currentId")) if mapping(history.get("messages")) else messages[-1].id
        return tree_lessons(MessageTree(messages), current, whole)


def _chat(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(entry.get("chat")) or entry
