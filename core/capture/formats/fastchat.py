"""FastChat and Chatbot Arena: votes between two models, as logged and as cleaned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from core.capture.formats.export_requests import is_chat, message_text, role_of, turn_of
from core.capture.formats.export_rows import share
from core.capture.formats.export_values import details, items, label, mapping, seconds, shown, text
from core.capture.formats.parts import Answer, Lessons, Preference, RowError, RowFormat

Outcome = Literal["a", "b", "tie", "bad"]

_VOTES: Final[dict[str, Outcome]] = {
    "leftvote": "a",
    "rightvote": "b",
    "tievote": "tie",
    "bothbad_vote": "bad",
    "model_a": "a",
    "model_b": "b",
    "tie": "tie",
    "tie (bothbad)": "bad",
    "bothbad": "bad",
    "both_bad": "bad",
}
_SINGLE: Final = {"upvote": "good", "downvote": "bad"}


class FastChatBattles(RowFormat):
    """One vote: the winner's last answer is preferred to the loser's.

    A tie gives two answers and no preference; two that were both bad are both disliked. A vote after several turns is
    about two conversations that went different ways, so it gives the answers and no preference.
    """

    name = "fastchat"
    title = "FastChat votes (Chatbot Arena)"
    mapping: Mapping[str, str] = {
        "states / conversation_a, conversation_b": "prompt, history, response",
        "models / model_a, model_b": "model",
        "type / winner": "preference; bad for both",
        "judge": "user_id",
        "tstamp": "created_at",
    }

    def matches(self, source: Any, sample: Sequence[Any]) -> float:
        """0.95 for log lines of votes and for cleaned battles."""
        return share(
            sample,
            lambda row: (
                ({"tstamp", "type"} <= row.keys() and not {"states", "state", "models"}.isdisjoint(row))
                or {"conversation_a", "conversation_b", "winner"} <= row.keys()
            ),
        )

    def read(self, value: Any) -> Lessons:
        """One vote. Raises RowError."""
        entry = mapping(value)
        kind = text(entry.get("type")) or text(entry.get("winner"))
        if kind in _SINGLE:
            return Lessons(
                (_side(entry, entry.get("state"), entry.get("model"), bad=kind == "downvote", good=kind == "upvote"),)
            )
        outcome = _VOTES.get(kind)
        if outcome is None:
            told = shown(entry.get("type", entry.get("winner")))
            raise RowError(f"It holds no vote: its type is {told}.")
        if "winner" in entry:
            sides = [(entry.get(f"conversation_{side}"), entry.get(f"model_{side}")) for side in "ab"]
        else:
            states, models = items(entry.get("states")), items(entry.get("models"))
            if len(states) != 2:
                raise RowError(f"It holds {len(states)} conversations, not two.")
            sides = list(zip(states, models if len(models) == 2 else (None, None), strict=True))
        answers = tuple(_side(entry, chat, model, bad=outcome == "bad") for chat, model in sides)
        one, other = answers
        if outcome in ("tie", "bad") or one.response == other.response:
            return Lessons(answers)
        if (one.prompt, one.history) != (other.prompt, other.history):
            return Lessons(answers, (), ("The two conversations went different ways, so neither answer is preferred.",))
        chosen, rejected = (0, 1) if outcome == "a" else (1, 0)
        return Lessons(answers, (Preference(chosen, rejected, "ranking"),))


def _side(entry: Mapping[str, Any], chat: Any, model: Any, *, bad: bool, good: bool = False) -> Answer:
    state = mapping(chat)
    turns = _turns(chat)
    asked = [position for position, turn in enumerate(turns) if turn["role"] == "user"]
    if not asked or not str(turns[asked[-1]]["content"]).strip():
        raise RowError("A side of the vote holds no question with text.")
    said = [turn["content"] for turn in turns[asked[-1] + 1 :] if turn["role"] == "assistant"]
    response = "\n\n".join(each for each in said if each.strip())
    if not response:
        raise RowError("A side of the vote holds no answer.")
    system = [turn["content"] for turn in turns if turn["role"] == "system"]
    first = mapping(next(iter(items(entry.get("states"))), None))
    key = label(entry.get("question_id")) or label((first or state).get("conv_id"))
    return Answer(
        prompt=turns[asked[-1]]["content"],
        response=response,
        system=text(state.get("system_message")) or "\n\n".join(system),
        history=tuple(turn for turn in turns[: asked[-1]] if turn["role"] in ("user", "assistant")),
        model=text(state.get("model_name")) or text(model),
        verdict="bad" if bad else "good" if good else None,
        created_at=seconds(entry.get("tstamp")),
        group=key,
        metadata=details(
            vote=text(entry.get("type")) or text(entry.get("winner")),
            user_id=label(entry.get("judge")),
            language=text(entry.get("language")),
            question_id=label(entry.get("question_id")),
        ),
    )


def _turns(chat: Any) -> list[dict[str, Any]]:
    """The turns of a conversation, or of a logged state, whose messages are pairs of a role's name and a text."""
    if is_chat(chat):
        return [turn_of(role_of(message), message_text(message)[0]) for message in chat]
    state = mapping(chat)
    roles = [text(name) for name in items(state.get("roles"))]
    found = []
    for position, pair in enumerate(items(state.get("messages"))[_offset(state) :]):
        said = items(pair)
        if len(said) != 2:
            continue
        known = [side for side, name in zip(("user", "assistant"), roles, strict=False) if name and name == said[0]]
        content = said[1][0] if isinstance(said[1], list) and said[1] else said[1]  # an image rides behind the text
        found.append(turn_of(known[0] if known else ("user", "assistant")[position % 2], text(content)))
    return found


def _offset(state: Mapping[str, Any]) -> int:
    """How many of the messages are examples of the template rather than the conversation."""
    offset = state.get("offset")
    return offset if isinstance(offset, int) and 0 <= offset < 1000 else 0
