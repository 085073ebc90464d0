"""Chats that were written out as one text, with marks that say who speaks."""

from __future__ import annotations

import re
from typing import Any, Final

_HUMAN: Final = re.compile(r"(?:^|\n\n)(Human|Assistant|System):[ \t]*")
_MARKS: Final = (
    _HUMAN,
    re.compile(r"<\|im_start\|>(system|user|assistant|tool)\n"),
    re.compile(r"<\|start_header_id\|>(system|user|assistant|tool|ipython)<\|end_header_id\|>\s*"),
    re.compile(r"<\|(system|user|assistant)\|>\s*"),
    re.compile(r"(?:^|\n)###? ?(Instruction|Response|Human|Assistant|User|System|Input)\s*:[ \t]*\n?"),
)
_ENDS: Final = re.compile(r"(?:<\|im_end\|>|<\|eot_id\|>|<\|end\|>|</s>|<\|endoftext\|>|<\|end_of_text\|>)\s*$")
_LLAMA: Final = re.compile(r"\[INST\](.*?)\[/INST\](.*?)(?=<s>|\[INST\]|$)", re.DOTALL)
_LLAMA_SYSTEM: Final = re.compile(r"^\s*<<SYS>>(.*?)<</SYS>>\s*", re.DOTALL)
_ROLES: Final = {"human": "user", "instruction": "user", "response": "assistant", "ipython": "tool"}


def is_transcript(text: Any) -> bool:
    """Whether a text is a chat between a human and an assistant as Anthropic writes it out."""
    return isinstance(text, str) and text.lstrip("\n").startswith(("Human:", "System:")) and "\n\nAssistant:" in text


def turns_of(text: str) -> list[dict[str, Any]]:
    """The turns in a written-out chat; none when it has no marks that are known.

    Known are Anthropic's `Human:` and `Assistant:`, ChatML, the headers of Llama 3, `[INST]` of Llama 2, the tags of
    Zephyr and Phi, and the headings of Alpaca and Guanaco. A turn at the end may be empty: it waits for its text.
    """
    if "[/INST]" in text:
        return _llama(text)
    for marks in _MARKS:
        pieces = marks.split(text.replace("<|begin_of_text|>", "").replace("<s>", ""))
        if len(pieces) >= 3:
            return _spoken(pieces)
    return []


def _spoken(pieces: list[str]) -> list[dict[str, Any]]:
    # What stands before the first mark is an introduction, such as that of Alpaca.
    turns: list[dict[str, Any]] = []
    intro = pieces[0].strip()
    if intro:
        turns.append({"role": "system", "content": intro})
    for name, content in zip(pieces[1::2], pieces[2::2], strict=True):
        role = _ROLES.get(name.lower(), name.lower())
        said = _ENDS.sub("", content).strip()
        if role == "input":
            if turns and turns[-1]["role"] == "user":
                turns[-1]["content"] += f"\n\n{said}"
            continue
        turns.append({"role": role, "content": said})
    return turns


def _llama(text: str) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    # A question that is never closed would be searched to the end of the text, and so would each one after it.
    last = text.rfind("[/INST]")
    at = text.find("[INST]")
    while 0 <= at < last and (found := _LLAMA.match(text, at)):
        question, answered = found.groups()
        at = text.find("[INST]", found.end())
        system = _LLAMA_SYSTEM.match(question)
        if system:
            turns.append({"role": "system", "content": system.group(1).strip()})
            question = question[system.end() :]
        turns.append({"role": "user", "content": question.strip()})
        turns.append({"role": "assistant", "content": _ENDS.sub("", answered).strip()})
    return turns
