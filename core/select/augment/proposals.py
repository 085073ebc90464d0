"""What each method proposes for a source, one proposal at a time, with the proof that needs no embedding."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from core.select.alike.similarity import COMPARED
from core.select.augment import context
from core.select.augment.data_order import data_orders, same_data
from core.select.augment.diagram_order import diagram_kind, diagram_orders, same_diagram
from core.select.augment.paraphrase import paraphrases
from core.select.augment.proof import changed, is_name, target_names
from core.select.augment.rewording import Paraphraser
from core.select.augment.source import BY_MODEL, Method, Source
from core.select.augment.spans import pieces, words_matter
from core.select.augment.synonyms import synonyms

TRIES: Final = 4
MODEL_TRIES: Final = 2
_TARGET_CHARS: Final = 200_000
_ORDER_ASKED = re.compile(
    r"\b(?:alphabetic\w*|sorted|in (?:this|that|the) order|(?:following|same|given|key) order)\b",
    re.I,
)
_THOUGHT = re.compile(r"\s*<think")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A variant before it is proved; `prompt` or `target` is the parent's own."""

    method: Method
    prompt: str
    target: str


class Proposer:
    """The proposals for one source: the method with the fewest accepted and then the fewest tries comes next.

    The first method is drawn by the source's own id, so that all methods have their share with one variant each.
    """

    def __init__(self, source: Source, methods: Sequence[Method], seed: int, model: Paraphraser | None) -> None:
        self.source = source
        self._model = model
        self._names = target_names(source.target)
        # What a model of data holds is all there at once; elsewhere a prompt may tell what follows what.
        self._ordered = diagram_kind(source.target) not in {"er", "class"}
        first = random.Random(f"{seed}:{source.event_id}").randrange(max(1, len(methods)))
        rotated = [*methods[first:], *methods[:first]]
        self._made = {method: self._proposals(method, seed) for method in rotated}
        self._tried = dict.fromkeys(rotated, 0)
        self.accepted = dict.fromkeys(rotated, 0)

    def next(self) -> Proposal | None:
        """The next proposal, or None when no method has any left."""
        while self._made:
            method = min(self._made, key=lambda each: (self.accepted[each], self._tried[each]))
            self._tried[method] += 1
            found = next(self._made[method], None)
            if found is not None:
                return found
            del self._made[method]
        return None

    def fault(self, proposal: Proposal) -> str | None:
        """Why a proposal is not proved to mean the same, or None."""
        source = self.source
        if proposal.method == "order":
            same = same_diagram(source.target, proposal.target) or same_data(source.target, proposal.target)
            return None if same else "order not proved"
        if not proposal.prompt.strip():
            return "no answer"
        if proposal.method == "context":
            kept = context.proved(source.prompt, proposal.prompt, source.target, source.context)
            return None if kept else "passages changed"
        if len(proposal.prompt) > COMPARED:
            return "too long"
        return changed(source.prompt, proposal.prompt, self._names, ordered=self._ordered)

    def _proposals(self, method: Method, seed: int) -> Iterator[Proposal]:
        source, rng = self.source, random.Random(f"{seed}:{self.source.event_id}:{method}")
        if method == "order":
            targets = islice(self._orders(rng), TRIES)
            return (Proposal(method, source.prompt, each) for each in targets)
        return (Proposal(method, each, source.target) for each in self._prompts(method, rng))

    def _orders(self, rng: random.Random) -> Iterator[str]:
        told = _ORDER_ASKED.search(self.source.prompt) or _THOUGHT.match(self.source.target)
        if told is None and len(self.source.target) <= _TARGET_CHARS:
            yield from chain(diagram_orders(self.source.target, rng), data_orders(self.source.target, rng))

    def _prompts(self, method: Method, rng: random.Random) -> Iterator[str]:
        source = self.source
        # Texts are compared by their beginning: of a longer prompt nothing could be proved.
        if len(source.prompt) > COMPARED:
            return
        if method == "context":
            yield from islice(context.other_contexts(source.prompt, source.target, source.context, rng), TRIES)
        elif words_matter(source.prompt, source.system):
            return
        elif method == "synonym":
            yield from islice(synonyms(source.prompt, self._names, rng), TRIES)
        elif source.history:
            return  # a turn of a chat leans on the turns before it, which no frame around it may ignore
        elif method == "paraphrase":
            yield from islice(paraphrases(source.prompt, self._names, rng, ordered=self._ordered), TRIES)
        elif self._model is not None and method in BY_MODEL:
            keep = list(dict.fromkeys(each.text for each in pieces(source.prompt) if is_name(each, self._names)))
            ask = self._model.reword if method == "model" else self._model.back_translate
            for _ in range(MODEL_TRIES):
                yield ask(source.prompt, keep, rng.randrange(2**32))
