"""ChatGPT's export of data: conversations as trees, with the ratings and comparisons that lie next to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from core.capture.formats.chatgpt_ratings import COMPARISONS, FEEDBACK, Beside, beside, comparison_of, feedback_of
from core.capture.formats.export_requests import role_of
from core.capture.formats.export_rows import answered, share
from core.capture.formats.export_turns import content_of
from core.capture.formats.export_values import details, label, mapping, seconds, text
from core.capture.formats.message_tree import Chat, Message, MessageTree, tree_lessons
from core.capture.formats.parts import Lessons, Row, RowError, RowFormat, Source

_SHOWN_TYPES: Final = frozenset({"text", "multimodal_text", ""})
"""Other kinds of content (code for a tool, its output, thoughts, custom instructions) are not what the reader reads."""

_WHOLE: Final = "conversations.json"
_FIRST_SHARD: Final = "conversations-000.json"
_ACCOUNT: Final = frozenset(
    {
        "user.json",
        "user_settings.json",
        "shared_conversations.json",
        "conversation_asset_file_names.json",
        "library_files.json",
        "ads.json",
    }
)


class ChatGPTConversations:
    """conversations.json, or one shard of it; ratings and comparisons of the same archive are joined to it."""

    name = "chatgpt"
    title = "ChatGPT data export"
    mapping: Mapping[str, str] = {
        "the branch that ends in current_node": "prompt and history",
        "message.content.parts": "response",
        "metadata.model_slug": "model",
        "children of the same message": "the other answers",
        "message_feedback.json": "verdict and note, and preferences",
        "model_comparisons.json": "preferences",
        "create_time": "created_at",
    }

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.95 when the rows are conversations with a mapping of messages to parents and children."""
        return share(sample, _is_conversation)

    def lessons(self, source: Source) -> Iterator[tuple[Row, Lessons | RowError]]:
        """Every conversation with its answers."""
        near = beside(source)
        yield from answered(source, lambda value: _conversation(mapping(value), near))


def _is_conversation(row: Mapping[str, Any]) -> bool:
    nodes = row.get("mapping")
    if not isinstance(nodes, Mapping):
        return False
    first: Mapping[str, Any] = next((node for node in nodes.values() if isinstance(node, Mapping)), {})
    return ("message" in first and "parent" in first) or ("current_node" in row and "title" in row)


def _conversation(entry: Mapping[str, Any], near: Beside) -> Lessons:
    messages = [
        message for key, node in mapping(entry.get("mapping")).items() for message in _message(str(key), node, near)
    ]
    if not messages:
        raise RowError("It is no conversation: its mapping holds no messages.")
    key = label(entry.get("conversation_id")) or label(entry.get("id"))
    about = details(chat_id=key, title=text(entry.get("title")), user_id=near.users.get(key))
    tree = MessageTree(messages)
    chat = Chat(key or messages[0].id, "", about)
    lessons = tree_lessons(tree, label(entry.get("current_node")), chat, compared=near.compared)
    hidden = sum(1 for message in messages if message.aside and message.role == "system" and message.text.strip())
    problems = [f"{hidden} hidden message{'' if hidden == 1 else 's'} of the system left out."] if hidden else []
    problems += [
        f"The rating of message {identifier} belongs to no message of the conversation."
        for identifier in near.rated_in.get(key, ())
        if identifier not in tree.by_id
    ]
    return Lessons(lessons.answers, lessons.preferences, (*lessons.problems, *problems))


def _message(key: str, node: Any, near: Beside) -> Iterator[Message]:
    """The message of a node; a node without one (the root) still joins its children to its parent."""
    entry = mapping(mapping(node).get("message"))
    role = role_of(entry)
    content = mapping(entry.get("content"))
    metadata = mapping(entry.get("metadata"))
    kind = text(content.get("content_type"))
    parts, left_out = content_of(content.get("parts"))
    recipient = text(entry.get("recipient"))
    rating = near.ratings.get(key) or near.ratings.get(label(entry.get("id")))
    aside = (
        role in ("", "tool")
        or recipient not in ("", "all")
        or kind not in _SHOWN_TYPES
        or metadata.get("is_visually_hidden_from_conversation") is True
        or entry.get("weight") == 0
    )
    yield Message(
        id=key,
        parent=label(mapping(node).get("parent")),
        role="system" if role == "user" and aside else role,
        text=parts or text(content.get("text")),
        model=text(metadata.get("model_slug")) or (text(mapping(entry.get("author")).get("name")) if aside else ""),
        at=seconds(entry.get("create_time")),
        aside=aside,
        left_out=left_out,
        verdict=rating.verdict if rating else None,
        note=rating.note if rating else "",
        metadata=details(tags=rating.tags) if rating else {},
    )


class ChatGPTBeside(RowFormat):
    """The other files of the archive. Ratings and comparisons count with the conversations; the rest says nothing."""

    name = "chatgpt_beside"
    title = "ChatGPT export: ratings, comparisons and account files"
    mapping: Mapping[str, str] = {"rating": "verdict of the conversation's answer", "comparison": "preference"}

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """0.95 by the files' names, 0 for any other."""
        name = PurePosixPath(source.name).name
        if name in (FEEDBACK, COMPARISONS):
            return 0.95
        beside_chats = name in _ACCOUNT and (source.sibling(_WHOLE) or source.sibling(_FIRST_SHARD))
        return 0.95 if beside_chats else 0.0

    def lessons(self, source: Source) -> Iterator[tuple[Row, Lessons | RowError]]:
        """Every row: it counts with its conversation, or why it cannot."""
        read = {FEEDBACK: _rated, COMPARISONS: _compared}
        yield from answered(source, read.get(PurePosixPath(source.name).name, self.read))

    def read(self, value: Any) -> Lessons:
        """One row of an account file."""
        return Lessons((), (), ("It belongs to the account, not to a chat.",))


def _rated(value: Any) -> Lessons:
    feedback_of(value)
    return Lessons((), (), ("It counts with the conversation that it belongs to.",))


def _compared(value: Any) -> Lessons:
    comparison_of(value)
    return Lessons((), (), ("It counts with the conversation that it belongs to.",))
