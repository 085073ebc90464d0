"""What preference pairs say together: repeats, contradictions and circles, and which of them should hold.

Of pairs that cannot all hold the strongest do: a person's statement before an inferred pair, of two statements the
newer, of two inferred ones that with the larger margin. Pairs are taken in that order, and one that would close a
circle with those taken before loses to them ("ranked pairs", Tideman 1987), so that what is left leads round nowhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import Final

from rapidfuzz import fuzz, process

from core.select.alike.near import alike
from core.select.alike.similarity import COMPARED
from core.select.alike.vectors import close_pairs, vectors
from core.select.split import content_hash, prompt_hash
from storage.rows import PairRow

INFERRED: Final = frozenset({"sibling", "candidate"})
"""Sources of pairs that nobody stated: the others are corrections, rankings and preferences that were imported."""
_BINS: Final = 10
_NEAR: Final = 0.9
# How far the cosine of hashed n-grams may lie below the edit similarity of the same prompts.
_CANDIDATE_MARGIN: Final = 0.25


@dataclass(frozen=True, slots=True)
class Repeat:
    """Pairs that say the same: `holds` should stay, `repeats` add nothing to it; all are ids of pairs."""

    holds: int
    repeats: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """The pair `loses` says the opposite of the pairs `holds`, which lead from its rejected answer to its chosen one.

    With one pair in `holds` it is A ≻ B against B ≻ A, with more a circle. `why` says in words why they hold.
    """

    loses: int
    holds: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Margins:
    """How the margins (0-1) of `n` pairs are spread; `histogram` counts ten bins of equal width, the last closed."""

    n: int
    mean: float
    quartiles: tuple[float, float, float]
    histogram: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in `n` pairs. `empty` are pairs with an empty side or two equal ones.

    `duplicates` and `near_duplicates` name each pair once at most; near-duplicates are alike in prompt and both sides.
    """

    n: int
    by_source: Mapping[str, int]
    margins: Margins
    empty: tuple[int, ...]
    duplicates: tuple[Repeat, ...]
    near_duplicates: tuple[Repeat, ...]
    contradictions: tuple[Contradiction, ...]

    @property
    def shares(self) -> Mapping[str, float]:
        """The share of the pairs that came from each source, 0-1."""
        return {source: count / self.n for source, count in self.by_source.items()}

    @property
    def losers(self) -> frozenset[int]:
        """The pairs that should not be trained on."""
        repeats = [pair for one in (*self.duplicates, *self.near_duplicates) for pair in one.repeats]
        return frozenset([*self.empty, *repeats, *(one.loses for one in self.contradictions)])


Node = tuple[str, str]
"""Prompt and answer, both as hashes."""


def examine(pairs: Sequence[PairRow], *, asked: Mapping[int, str] | None = None, near: float = _NEAR) -> Examination:
    """Looks into the pairs of one category; `near` (0-1) is the similarity from which texts are nearly the same.

    `asked` gives, by the pair's id, the hash of what was asked where that is more than the prompt: the same "go on" in
    another chat is another question. White space at line ends does not tell answers apart.
    """
    strongest = sorted(pairs, key=_strength, reverse=True)
    nodes = {pair.id: _nodes(pair, asked or {}) for pair in pairs}
    empty = {
        pair.id
        for pair in pairs
        if not pair.chosen.strip() or not pair.rejected.strip() or nodes[pair.id][0] == nodes[pair.id][1]
    }
    duplicates = _repeats((pair.id, nodes[pair.id]) for pair in strongest if pair.id not in empty)
    out = empty | {repeat for one in duplicates for repeat in one.repeats}
    contradictions = _contradictions([pair for pair in strongest if pair.id not in out], nodes)
    out |= {one.loses for one in contradictions}
    left = [pair for pair in strongest if pair.id not in out]
    sources = Counter(pair.source for pair in pairs)
    return Examination(
        n=len(pairs),
        by_source=dict(sorted(sources.items())),
        margins=_margins([pair.margin for pair in pairs]),
        empty=tuple(sorted(empty)),
        duplicates=tuple(duplicates),
        near_duplicates=tuple(_near_repeats(left, near)),
        contradictions=tuple(contradictions),
    )


def usable(pairs: Sequence[PairRow], *, asked: Mapping[int, str] | None = None, near: float = _NEAR) -> list[PairRow]:
    """The pairs without those that lose, in the order given: on no prompt do they lead round in a circle."""
    losers = examine(pairs, asked=asked, near=near).losers
    return [pair for pair in pairs if pair.id not in losers]


def _strength(pair: PairRow) -> tuple[bool, float, float, int]:
    stated = pair.source not in INFERRED
    return stated, pair.created_at if stated else 0.0, pair.margin, pair.id


def _nodes(pair: PairRow, asked: Mapping[int, str]) -> tuple[Node, Node]:
    prompt = asked.get(pair.id) or prompt_hash(pair.prompt)
    return (prompt, content_hash("", pair.chosen)), (prompt, content_hash("", pair.rejected))


def _repeats(keyed: Iterable[tuple[int, Hashable]]) -> list[Repeat]:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for pair, key in keyed:
        groups[key].append(pair)
    return [Repeat(ids[0], tuple(ids[1:])) for ids in groups.values() if len(ids) > 1]


def _contradictions(strongest: Sequence[PairRow], nodes: Mapping[int, tuple[Node, Node]]) -> list[Contradiction]:
    by_id = {pair.id: pair for pair in strongest}
    better: dict[Node, dict[Node, int]] = defaultdict(dict)
    found: list[Contradiction] = []
    for pair in strongest:
        chosen, rejected = nodes[pair.id]
        path = _path(better, rejected, chosen)
        if path is None:
            better[chosen][rejected] = pair.id
        else:
            found.append(Contradiction(pair.id, path, _why(pair, [by_id[each] for each in path])))
    return found


def _path(better: Mapping[Node, Mapping[Node, int]], start: Node, end: Node) -> tuple[int, ...] | None:
    """The fewest pairs that lead from the better answer `start` down to `end` (breadth first), or None."""
    came: dict[Node, tuple[Node, int]] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        if node == end:
            steps: list[int] = []
            while node != start:
                node, pair = came[node]
                steps.append(pair)
            return tuple(reversed(steps))
        for worse, pair in better.get(node, {}).items():
            if worse not in came and worse != start:
                came[worse] = node, pair
                waiting.append(worse)
    return None


def _why(loser: PairRow, holders: Sequence[PairRow]) -> str:
    if loser.source not in INFERRED:
        return "a newer statement of a person holds"
    if any(pair.source not in INFERRED for pair in holders):
        return "what a person said holds against what was inferred"
    return "the larger margin holds"


def _near_repeats(strongest: Sequence[PairRow], floor: float) -> list[Repeat]:
    """Pairs alike in prompt, chosen and rejected answer, each under the strongest that it repeats."""
    place = {text: at for at, text in enumerate(dict.fromkeys(pair.prompt for pair in strongest))}
    close: dict[int, list[int]] = {at: [at] for at in range(len(place))}
    prompts = list(place)
    for at, others in close_pairs(vectors(prompts), floor - _CANDIDATE_MARGIN):
        for other in map(int, others):
            if alike((prompts[at], ""), (prompts[other], ""), floor):
                close[at].append(other)
                close[other].append(at)
    kept: dict[int, dict[int, str]] = defaultdict(dict)
    repeats: dict[int, list[int]] = defaultdict(list)
    for index, pair in enumerate(strongest):
        at = place[pair.prompt]
        sides = (pair.chosen, pair.rejected)
        # One call for all that is kept of a prompt: it may have thousands of pairs.
        likely = sorted(
            other
            for near in close[at]
            for _, _, other in process.extract(
                pair.chosen[:COMPARED], kept[near], scorer=fuzz.ratio, score_cutoff=100.0 * floor, limit=None
            )
        )
        earlier = (strongest[other] for other in likely)
        holder = next((other.id for other in earlier if alike(sides, (other.chosen, other.rejected), floor)), None)
        if holder is None:
            kept[at][index] = pair.chosen[:COMPARED]
        else:
            repeats[holder].append(pair.id)
    return [Repeat(holder, tuple(ids)) for holder, ids in repeats.items()]


def _margins(values: Sequence[float]) -> Margins:
    bins = Counter(min(_BINS - 1, int(value * _BINS)) for value in values)
    if len(values) > 1:
        low, middle, high = quantiles(values, n=4, method="inclusive")
    else:
        low = middle = high = values[0] if values else 0.0
    mean = fmean(values) if values else 0.0
    return Margins(len(values), mean, (low, middle, high), tuple(bins[at] for at in range(_BINS)))
