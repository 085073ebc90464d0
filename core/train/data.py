"""From frozen examples to tokens: the model's chat template, and which tokens the loss is on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.errors import ModelError
from core.train.config import Method
from storage.rows import DatasetItem

Turn = Mapping[str, str]
MAX_WEIGHT: Final = 3.0  # one example never pulls harder than three average ones


@dataclass(frozen=True, slots=True)
class Example:
    """One tokenised conversation. The loss is on `ids[answer_start:]`, the last assistant turn with its end token.

    `answer_start` is at least 1: the first token of all is predicted from nothing.
    """

    ids: tuple[int, ...]
    answer_start: int

    @property
    def answer_tokens(self) -> int:
        """How many tokens the loss is on."""
        return len(self.ids) - self.answer_start


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned from as one: an answer (SFT), a chosen and a rejected answer to one prompt (DPO), or an answer
    and, to one prompt, the answer to another (KTO).

    `shared` is the number of first tokens that all its examples have in common; they are computed once. `reference`
    holds the log-probabilities of the answers, in nats, under the model that training starts from.
    """

    examples: tuple[Example, ...]
    weight: float = 1.0
    desirable: bool = True
    shared: int = 0
    reference: tuple[float, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens of all examples, shared ones counted each time."""
        return sum(len(example.ids) for example in self.examples)

    @property
    def cost(self) -> int:
        """Tokens that a pass over all examples computes."""
        return self.tokens - self.shared * (len(self.examples) - 1)


@dataclass(frozen=True, slots=True)
class Encoded:
    """What can be learned from, in order, and how many items were cut short or left out, by reason."""

    lessons: tuple[Lesson, ...]
    counts: Mapping[str, int]


class Encoder:
    """Tokenises conversations as the model's chat template writes them.

    `max_length` in tokens: a longer conversation loses the end of its answer, and with it the end token, so that the
    model is not taught to stop there. Raises ModelError when the tokenizer is not a fast one or has no template.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        if not getattr(tokenizer, "is_fast", False) or not tokenizer.chat_template:
            raise ModelError(
                "The model's tokenizer has no fast form (tokenizer.json) or no chat template.",
                hint="Choose the chat or instruct variant of the model, with its tokenizer.json.",
            )
        self._tokenizer = tokenizer
        self._max_length = max_length
        control = {at: token.content for at, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._control_ids = frozenset(control) | frozenset(tokenizer.all_special_ids)
        self._control_texts = frozenset(control.values()) | frozenset(tokenizer.all_special_tokens)

    def encode_items(self, items: Sequence[DatasetItem], method: Method = "sft") -> Encoded:
        """Every item as a lesson of the method, its conversation made of the system prompt and earlier turns (where
        there are any), the prompt, and the answer. Weights are cut to 0-3.
        """
        lessons: list[Lesson] = []
        counts: Counter[str] = Counter()
        for item, answers in zip(items, _answers(items, method), strict=True):
            before = conversation(item)
            found = [self.encode([*before, {"role": "assistant", "content": answer}]) for answer in answers]
            examples = [one for one in found if isinstance(one, Example)]
            if len(examples) < len(found):
                counts[next(one for one in found if isinstance(one, str))] += 1
                continue
            if method == "dpo" and examples[0].ids == examples[1].ids:
                counts["two answers of the same tokens"] += 1
                continue
            counts["answer cut to the length limit"] += any(one.ids[-1] not in self._control_ids for one in examples)
            weight = min(MAX_WEIGHT, max(0.0, item.weight))
            lessons.append(Lesson(tuple(examples), weight, item.desirable, _common(examples)))
        return Encoded(tuple(lessons), {reason: count for reason, count in counts.items() if count})

    def encode(self, turns: Sequence[Turn]) -> Example | str:
        """A conversation that ends with an assistant turn, or the reason why it cannot be learned from.

        Only the last assistant turn is learned: earlier ones are context. A token that straddles the turn's start is
        context too. Text that holds a control token of the model is refused: it would end or forge a turn.
        """
        answer = turns[-1]["content"].strip()
        if not answer:
            return "empty answer"
        if any(control in turn["content"] for turn in turns for control in self._control_texts):
            return "control token in the text"
        prompt, text = self._render(turns[:-1], answered=False), self._render(turns, answered=True)
        # Some templates write the history differently once it is answered; then the answer's own place decides.
        boundary = len(prompt) if text.startswith(prompt) else text.rfind(answer)
        answer_at = text.find(answer, max(0, boundary))
        if boundary < 0 or answer_at < 0:
            return "answer altered by the chat template"
        ids, start = self._cut(text, boundary, answer_at + len(answer))
        if not 0 < start < self._max_length:
            return "prompt longer than the length limit"
        return Example(ids[: self._max_length], start)

    def _render(self, turns: Sequence[Turn], *, answered: bool) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=not answered)
            )
        except Exception as error:  # a template is a program of the model's author: it may raise anything
            raise ModelError(
                f"The model's chat template refuses a conversation: {error}",
                hint="Leave the category's system prompt empty if the model knows no system turn.",
            ) from error

    def _cut(self, text: str, boundary: int, answer_end: int) -> tuple[tuple[int, ...], int]:
        """The tokens up to the one that ends the answer's turn, and the index of the answer's first token."""
        encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids: list[int] = encoding["input_ids"]
        begins = [begin for begin, _ in encoding["offset_mapping"]]
        start = next((at for at, begin in enumerate(begins) if begin >= boundary), len(ids))
        after = next((at for at, begin in enumerate(begins) if at >= start and begin >= answer_end), len(ids))
        end = next((at for at in range(after, len(ids)) if ids[at] in self._control_ids), None)
        if end is not None:
            return tuple(ids[: end + 1]), start
        closing = [] if self._tokenizer.eos_token_id is None else [int(self._tokenizer.eos_token_id)]
        return (*ids[:after], *closing), start


def conversation(item: DatasetItem) -> list[Turn]:
    """What comes before the answer: the system prompt, earlier turns, the prompt."""
    turns: list[Turn] = [{"role": "system", "content": item.system}] if item.system else []
    turns += [{"role": turn["role"], "content": turn["content"]} for turn in item.history]
    return [*turns, {"role": "user", "content": item.prompt}]


def _answers(items: Sequence[DatasetItem], method: Method) -> Iterator[tuple[str, ...]]:
    """The answers of each item's lesson. With KTO the answer to another prompt is that of the next item."""
    for at, item in enumerate(items):
        if method == "dpo":
            yield item.target, item.rejected
        elif method == "kto":
            yield item.target, items[(at + 1) % len(items)].target
        else:
            yield (item.target,)


def _common(examples: Sequence[Example]) -> int:
    """How many first tokens two examples have in common, leaving each at least one of its own; 0 for a single one."""
    if len(examples) == 1:
        return 0
    most = min(len(example.ids) for example in examples) - 1
    different = (
        at for at, ids in enumerate(zip(*(one.ids[:most] for one in examples), strict=True)) if len(set(ids)) > 1
    )
    return next(different, most)
