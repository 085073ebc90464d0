"""Conversations that branch: a tree of messages, the branch that is shown, and the alternatives to each answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.capture.formats.export_requests import turn_of
from core.capture.formats.export_values import Judged, details, joined
from core.capture.formats.parts import Answer, Lessons, Preference, RowError, Turn
from core.capture.formats.siblings import rated_siblings

_MOST_VARIANTS: Final = 32
"""So that a conversation regenerated without end does not make a square of preferences."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a tree. `aside` marks what the reader of the chat does not see: tool traffic, hidden context."""

    id: str
    parent: str
    role: str
    text: str
    model: str = ""
    at: float | None = None
    verdict: Judged | None = None
    score: float | None = None
    note: str = ""
    aside: bool = False
    left_out: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)


class MessageTree:
    """Messages by id with their children, in the order in which the export lists them."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.by_id = {message.id: message for message in messages}
        self._turns: dict[str, Turn] = {}
        self._children: dict[str, list[str]] = {}
        for message in self.by_id.values():
            if message.parent in self.by_id and message.parent != message.id:
                self._children.setdefault(message.parent, []).append(message.id)

    def children(self, identifier: str) -> list[str]:
        """The ids of the messages that answer this one."""
        return self._children.get(identifier, [])

    def path(self, identifier: str) -> list[Message]:
        """From the root to the message. Raises RowError when parents go round in a circle."""
        found: list[Message] = []
        seen: set[str] = set()
        while identifier in self.by_id:
            if identifier in seen:
                raise RowError("The messages go round in a circle: one is its own ancestor.")
            seen.add(identifier)
            found.append(self.by_id[identifier])
            identifier = self.by_id[identifier].parent
        return found[::-1]

    def asked(self, identifier: str) -> str:
        """The id of the user's message that this one answers; empty when there is none. Raises RowError (a circle)."""
        users = [message.id for message in self.path(identifier)[:-1] if message.role == "user" and not message.aside]
        return users[-1] if users else ""

    def newest_leaf(self) -> str:
        """The last message without an answer; empty when there is none."""
        leaves = [message for message in self.by_id.values() if not self.children(message.id)]
        return max(leaves, key=lambda message: message.at or 0.0).id if leaves else ""

    def history(self, messages: Sequence[Message]) -> tuple[Turn, ...]:
        """The turns that the reader sees; several messages of one role in a row are one turn.

        Histories of one tree share their turns: each answer of a long chat holds all that was said before it.
        """
        turns: list[Turn] = []
        for message in messages:
            if message.aside or message.role not in ("user", "assistant") or not message.text.strip():
                continue
            if turns and turns[-1]["role"] == message.role:
                turns[-1] = turn_of(message.role, f"{turns[-1]['content']}\n\n{message.text}")
            else:
                if message.id not in self._turns:
                    self._turns[message.id] = turn_of(message.role, message.text)
                turns.append(self._turns[message.id])
        return tuple(turns)

    def variants(self, identifier: str) -> Iterator[list[Message]]:
        """Each way the conversation went on after a user's message: what came before the next user's message."""
        waiting: list[tuple[str, tuple[Message, ...]]] = [
            (child, ()) for child in reversed(self.children(identifier)) if self.by_id[child].role != "user"
        ]
        while waiting:
            current, before = waiting.pop()
            way = (*before, self.by_id[current])
            further = [child for child in self.children(current) if self.by_id[child].role != "user"]
            if not further:
                yield list(way)
            # Parents are unique, so no message is reached twice and a circle is never entered from outside.
            waiting.extend((child, way) for child in reversed(further))


@dataclass(frozen=True, slots=True)
class Chat:
    """What is said of a whole conversation: `key` starts the groups of its answers, `metadata` goes to each."""

    key: str
    system: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


def tree_lessons(
    tree: MessageTree, current: str, chat: Chat, *, compared: Mapping[tuple[str, str], float | None] | None = None
) -> Lessons:
    """An answer for each turn on the branch that ends in `current`, with its alternatives, and the preferences.

    Rated answers on other branches come too. `compared` holds pairs of message ids (better, worse) that a person
    compared. Raises RowError when there is no answer in the tree.
    """
    problems: list[str] = []
    if current not in tree.by_id:
        current = tree.newest_leaf()
        problems.append("The end of the conversation is not marked; its newest message was taken.")
    active = tree.path(current)
    users = [message.id for message in active if message.role == "user" and not message.aside]
    active_ids = {message.id for message in active}
    others = [message.id for message in tree.by_id.values() if message.role == "user" and message.id not in active_ids]
    answers: list[Answer] = []
    preferences: list[Preference] = []
    owner: dict[str, int] = {}
    left = 0
    for user in (*users, *others):
        given_up = user not in active_ids
        if given_up and not any(message.verdict for way in tree.variants(user) for message in way):
            left += sum(1 for way in tree.variants(user) if answer_text(way).strip())
            continue
        found = turn_answers(tree, user, chat, problems)
        indexes = range(len(answers), len(answers) + len(found))
        for index, (identifiers, answer) in zip(indexes, found, strict=True):
            owner.update(dict.fromkeys(identifiers, index))
            answers.append(answer)
        preferences += rated_siblings(answers, indexes)
    if left:
        problems.append(f"{left} unrated answer{'' if left == 1 else 's'} on branches that were given up left out.")
    if not answers:
        raise RowError(" ".join(["No answer of a model stands in the conversation.", *problems[:3]]))
    return Lessons(tuple(answers), tuple(_with_compared(preferences, compared or {}, owner, answers)), tuple(problems))


def turn_answers(tree: MessageTree, user: str, chat: Chat, problems: list[str]) -> list[tuple[tuple[str, ...], Answer]]:
    """The answers to one user's message, each with the ids of its messages; what is left out joins `problems`.

    Raises RowError when the message is its own ancestor.
    """
    before = tree.path(user)
    history = tree.history(before[:-1])
    found = []
    for count, way in enumerate(tree.variants(user)):
        if count == _MOST_VARIANTS:
            problems.append(f"More than {_MOST_VARIANTS} alternatives to one answer; the rest left out.")
            break
        answer = _answer(before, way, chat, history, problems)
        if answer is not None:
            found.append((tuple(message.id for message in way), answer))
    return found


def _with_compared(
    inferred: Sequence[Preference],
    compared: Mapping[tuple[str, str], float | None],
    owner: Mapping[str, int],
    answers: Sequence[Answer],
) -> list[Preference]:
    """What a person compared stands before what ratings tell of the same two; said both ways it says nothing."""
    direct = {
        (owner[better], owner[worse]): margin
        for (better, worse), margin in compared.items()
        if better in owner and worse in owner and answers[owner[better]].response != answers[owner[worse]].response
    }
    direct = {pair: margin for pair, margin in direct.items() if pair[::-1] not in direct}
    told = [Preference(better, worse, "ranking", margin) for (better, worse), margin in direct.items()]
    settled = {frozenset(pair) for pair in direct}
    return told + [each for each in inferred if frozenset((each.chosen, each.rejected)) not in settled]


def answer_text(way: Sequence[Message]) -> str:
    """What the model said in one turn: its messages that the reader sees, one paragraph after the other."""
    return "\n\n".join(
        message.text for message in way if message.role == "assistant" and not message.aside and message.text.strip()
    )


def _answer(
    before: Sequence[Message], way: Sequence[Message], chat: Chat, history: tuple[Turn, ...], problems: list[str]
) -> Answer | None:
    question = before[-1]
    said = [message for message in way if message.role == "assistant" and not message.aside]
    response = answer_text(way)
    where = f"Message {said[-1].id if said else way[-1].id}"
    if any(message.left_out for message in said):
        problems.append(f"{where}: an image or another part that is not text was left out.")
    if not response.strip() or not question.text.strip():
        empty = "the answer" if question.text.strip() else "the question"
        problems.append(f"{where} was left out: {empty} holds no text.")
        return None
    if question.left_out:
        problems.append(f"Message {question.id}: an image or another part that is not text was left out.")
    last = next(message for message in reversed(said) if message.text.strip())
    rated = next((message for message in reversed(said) if message.verdict or message.score is not None), last)
    system = [chat.system, *(m.text for m in before if m.role == "system" and not m.aside)]
    tools = list(dict.fromkeys(m.model for m in way if m.role == "tool" and m.model))
    return Answer(
        prompt=question.text,
        response=response,
        system=joined(*system),
        history=history,
        model=last.model,
        score=rated.score,
        verdict=rated.verdict,
        note=joined(*(message.note for message in said)),
        created_at=last.at,
        group=f"{chat.key}/{question.id}",
        metadata={**chat.metadata, **details(message_id=last.id, tools=tools), **rated.metadata},
    )
