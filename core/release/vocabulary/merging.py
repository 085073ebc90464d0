"""Merges and scores: two ways of saying in what order the pieces of a text are joined, and when they are the same.

`tokenizers` joins the neighbouring pair that stands first in a list of merges. llama.cpp's SentencePiece joins the
pair whose union is the token with the highest score, the leftmost of equals, whatever its two parts are. Both agree
where every way of joining a token that can come up is in the list, and the list goes token by token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, pairwise

from core.release.vocabulary.refusal import refused, unreadable

Merge = tuple[str, str]


def scores_of(
    merges: Sequence[Merge], vocabulary: Iterable[str], absent: frozenset[str] = frozenset()
) -> dict[str, float]:
    """The score of each token that merges make, such that llama.cpp joins in the order of the merges.

    vocabulary: every token that may come up in merging; absent: characters that never do. Raises ExportError where no
    scores give the order of the merges.
    """
    known = set(merges)
    missing = next((pair for pair in joinable(vocabulary, absent) if pair not in known), None)
    if missing is not None:
        raise refused(
            f"its merges leave out a way to make {''.join(missing)!r} ({missing[0]!r} and {missing[1]!r}), which "
            "llama.cpp would take"
        )
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for rank, (left, right) in enumerate(merges):
        first.setdefault(left + right, rank)
        last[left + right] = rank
    end, at_end = -1, ""
    mixed: set[str] = set()
    for token in sorted(first, key=first.__getitem__):
        if first[token] < end:
            mixed |= {token, at_end}
        if last[token] > end:
            end, at_end = last[token], token
    scores = {token: -float(rank) for token, rank in first.items()}
    if mixed and not _same_on_runs(mixed, merges, scores):
        raise refused("its merges do not go token by token, so no scores put them in the same order")
    return scores


def merges_of(scores: Mapping[str, float], absent: frozenset[str] = frozenset()) -> list[Merge]:
    """The merges that join as llama.cpp does by these scores; `scores` has every token that may come up in merging.

    absent: characters that never come up. Raises ExportError where no merges do that.
    """
    pairs = joinable(scores, absent)
    strange = next((pair for pair in pairs if pair[0] not in scores or pair[1] not in scores), None)
    if strange is not None:
        raise unreadable(f"its token {''.join(strange)!r} has characters that are no tokens themselves")
    merges = sorted(pairs, key=lambda pair: (-scores[pair[0] + pair[1]], -len(pair[0]), pair))
    for _, equals in groupby(merges, key=lambda pair: scores[pair[0] + pair[1]]):
        made = {left + right for left, right in equals}
        if len(made) > 1 and not _same_on_runs(made, merges, scores):
            raise unreadable(f"{len(made)} of its tokens have the same score, such as {', '.join(sorted(made)[:2])}")
    return merges


def joinable(vocabulary: Iterable[str], absent: frozenset[str] = frozenset()) -> list[Merge]:
    """Every pair of pieces that can stand side by side while text is merged, and whose union is a token.

    A piece is a single character, a token or not but none that is absent, or a token that can itself be made so.
    """
    tokens = {token for token in vocabulary if len(token) > 1}
    made: set[str] = set()
    pairs: list[Merge] = []
    for token in sorted(tokens, key=len):
        found = [
            (token[:cut], token[cut:])
            for cut in range(1, len(token))
            if all(part in made or (len(part) == 1 and part not in absent) for part in (token[:cut], token[cut:]))
        ]
        if found:
            made.add(token)
            pairs += found
    return pairs


def _same_on_runs(tokens: Iterable[str], merges: Sequence[Merge], scores: Mapping[str, float]) -> bool:
    """Are these tokens runs of one character each, such as spaces, and are such runs joined alike in both orders?"""
    tokens = set(tokens)
    if any(len(set(token)) > 1 for token in tokens):
        return False
    characters = {token[0] for token in tokens}
    ranks = {pair: rank for rank, pair in enumerate(merges) if set(pair[0]) == set(pair[1]) <= characters}
    longest = max(map(len, tokens))

    def by_merges(left: str, right: str) -> float | None:
        return ranks.get((left, right))

    def by_scores(left: str, right: str) -> float | None:
        return -scores[left + right] if left + right in scores else None

    return all(
        _joined(character * length, by_merges) == _joined(character * length, by_scores)
        for character in characters
        for length in range(2, 3 * longest + 2)
    )


def _joined(text: str, order: Callable[[str, str], float | None]) -> list[str]:
    """The pieces of a text after joining the pair of the lowest order again and again, the leftmost of equals."""
    pieces = list(text)
    while True:
        ordered = [(order(left, right), i) for i, (left, right) in enumerate(pairwise(pieces))]
        best = min(((o, i) for o, i in ordered if o is not None), default=None)
        if best is None:
            return pieces
        pieces[best[1] : best[1] + 2] = [pieces[best[1]] + pieces[best[1] + 1]]
