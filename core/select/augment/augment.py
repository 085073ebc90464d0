"""The engine of augmentation: rounds of proposals over all sources, each proved before it becomes an example.

A variant is accepted when (1) nothing that its prompt says has changed, or its target has an equal canonical form; (2)
it is like its parent, similarity in [floor, ceiling], with an embedding model the cosine too at least the floor (an
equal canonical form needs no floor); (3) its prompt is new; (4) the validator gives it no less than its parent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.select.alike.similarity import Similarity, similarity
from core.select.alike.vectors import Embed
from core.select.augment.proposals import Proposal, Proposer
from core.select.augment.rewording import Paraphraser
from core.select.augment.source import METHODS, Augmented, Method, Source, Validate, Variant
from core.select.split import prompt_hash
from core.validate.validator import Validation

TOLERANCE: Final = 0.5
"""By how many points of 100 a variant may score below its parent."""
_SLICE: Final = 512


def augment(
    sources: Sequence[Source],
    *,
    validate: Validate,
    embed: Embed,
    semantic: bool = False,
    factor: int = 2,
    floor: float = 0.6,
    ceiling: float = 0.97,
    seed: int = 0,
    success: float = 70.0,
    methods: Sequence[Method] = METHODS,
    model: Paraphraser | None = None,
    known: Container[str] = frozenset(),
    progress: Callable[[int, int], None] | None = None,
) -> Augmented:
    """At most `factor` − 1 variants for each source, the same for the same seed whatever the order of the sources.

    `known` holds the hashes (`prompt_hash`) of prompts that may never be made, such as those kept for testing; the
    prompts of all sources are known anyway. What one source gets does not depend on the others, but that a prompt
    which two of them would give goes to one only. `embed` compares the prompts; with `semantic` it is an
    embedding model, else n-grams. `success` is the least score (0-100) of a variant. `model` does the two methods that
    need one. `progress` is told how many sources are done, and of how many.

    Raises ValueError for wrong bounds, BackendError when the model's server is gone.
    """
    if factor < 1 or not 0.0 <= floor <= ceiling <= 1.0:
        raise ValueError("factor must be at least 1, and 0 ≤ floor ≤ ceiling ≤ 1")
    ordered = sorted(sources, key=lambda each: (each.event_id, each.prompt, each.target))
    own = frozenset(prompt_hash(source.prompt) for source in ordered)
    judge = _Judge(validate, embed, _Bounds(floor, ceiling, success, semantic), known, own)
    chosen = [method for method in METHODS if method in methods]
    items: list[Variant] = []
    barren = 0
    for start in range(0, len(ordered) if factor > 1 else 0, _SLICE):
        batch = [_State(Proposer(source, chosen, seed, model)) for source in ordered[start : start + _SLICE]]
        finished = start
        while batch:
            round_of = [(state, proposal) for state in batch if (proposal := judge.proposed(state))]
            judge.settle(round_of)
            ended = [state for state in batch if state.ended or len(state.variants) >= factor - 1]
            items.extend(variant for state in ended for variant in state.variants)
            barren += sum(not state.variants for state in ended)
            batch = [state for state in batch if state not in ended]
            finished += len(ended)
            if progress is not None:
                progress(finished, len(ordered))
    items.sort(key=lambda item: item.event_id)
    return Augmented(items, dict(sorted(judge.refused.items())), barren if factor > 1 else len(ordered))


@dataclass(frozen=True, slots=True)
class _Bounds:
    floor: float
    ceiling: float
    success: float
    semantic: bool


@dataclass(slots=True, eq=False)
class _State:
    """A source with what it has got so far; `verdict` on itself and its unit `row` are found when they are needed."""

    proposer: Proposer
    variants: list[Variant] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    ended: bool = False
    verdict: Validation | None = None
    row: NDArray[np.float32] | None = None


class _Judge:
    """Proves proposals, and counts those that it refuses."""

    def __init__(
        self, validate: Validate, embed: Embed, bounds: _Bounds, known: Container[str], own: Container[str]
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._validate = validate
        self._embed = embed
        self._bounds = bounds
        self._known = known
        self._own = own
        self._made: dict[str, str] = {}

    def proposed(self, state: _State) -> Proposal | None:
        """The next proposal that stands without a look at its similarity and score; None ends the source."""
        while (proposal := state.proposer.next()) is not None:
            source = state.proposer.source
            text = proposal.prompt, proposal.target
            if text in state.seen or text == (source.prompt, source.target):
                continue  # a rule that happened to give the same again has proposed nothing
            state.seen.add(text)
            fault = self._known_prompt(proposal) or state.proposer.fault(proposal)
            if fault is None:
                return proposal
            self.refused[fault] += 1
        state.ended = True
        return None

    def settle(self, round_of: Sequence[tuple[_State, Proposal]]) -> None:
        """Accepts or refuses the proposals of a round; their prompts are embedded in one call."""
        worded = [(state, proposal) for state, proposal in round_of if proposal.method != "order"]
        fresh = list({id(state): state for state, _ in worded if state.row is None}.values())
        texts = [state.proposer.source.prompt for state in fresh] + [proposal.prompt for _, proposal in worded]
        rows = self._embed(texts) if texts else np.zeros((0, 1), dtype=np.float32)
        for state, row in zip(fresh, rows, strict=False):
            state.row = row
        embedded = {id(proposal): row for (_, proposal), row in zip(worded, rows[len(fresh) :], strict=True)}
        for state, proposal in round_of:
            alike = self._alike(state, proposal, embedded.get(id(proposal)))
            fault = (
                self._likeness_fault(proposal, alike)
                or self._twice(state, proposal)
                or self._score_fault(state, proposal)
            )
            if fault is not None:
                self.refused[fault] += 1
                continue
            source = state.proposer.source
            self._made[prompt_hash(proposal.prompt)] = prompt_hash(source.prompt)
            state.proposer.accepted[proposal.method] += 1
            state.variants.append(
                Variant(source.event_id, proposal.prompt, proposal.target, proposal.method, round(alike.value, 6))
            )

    def _known_prompt(self, proposal: Proposal) -> str | None:
        if proposal.method == "order":
            return None  # its prompt is the parent's own
        hashed = prompt_hash(proposal.prompt)
        return "known prompt" if hashed in self._own or hashed in self._known else None

    def _alike(self, state: _State, proposal: Proposal, row: NDArray[np.float32] | None) -> Similarity:
        source = state.proposer.source
        if row is None or state.row is None:
            return similarity(source.target, proposal.target)
        return similarity(source.prompt, proposal.prompt, embedded=(state.row.tolist(), row.tolist()))

    def _likeness_fault(self, proposal: Proposal, alike: Similarity) -> str | None:
        if alike.value > self._bounds.ceiling:
            return "too alike"
        if proposal.method == "order":
            return None
        far = self._bounds.semantic and alike.cosine is not None and alike.cosine < self._bounds.floor
        return "too different" if far or alike.value < self._bounds.floor else None

    def _twice(self, state: _State, proposal: Proposal) -> str | None:
        if proposal.method == "order":
            return None
        parent = self._made.get(prompt_hash(proposal.prompt))
        if parent is None:
            return None
        mine = any(prompt_hash(each.prompt) == prompt_hash(proposal.prompt) for each in state.variants)
        return "made twice" if mine or parent != prompt_hash(state.proposer.source.prompt) else None

    def _score_fault(self, state: _State, proposal: Proposal) -> str | None:
        source = state.proposer.source
        if state.verdict is None:
            state.verdict = self._validate(source.prompt, source.target, source.metadata)
        verdict = self._validate(proposal.prompt, proposal.target, source.metadata)
        if not verdict.valid:
            return "not valid"
        if not (state.verdict.judged and verdict.judged):
            return None
        least = max(self._bounds.success, state.verdict.score - TOLERANCE)
        return "lower score" if verdict.score < least else None
