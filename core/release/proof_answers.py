"""Running a GGUF file and its reference side by side on the same prompts.

The file answers greedily; the reference then reads all prompts and answers in one sweep. Where the reference's most
likely token is the one the file took, at every place, its own greedy answer is the same: one pass instead of one a
token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.backends.backend import Message
from core.backends.llamacpp import LlamaCppBackend
from core.errors import ProofError
from core.release.reference import Reference, Scores

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_PROMPTS = 16
MOST_TOKENS = 256
PREFIX = 32
SHORT_TEXT: Final = 128  # tokens of a text that is held to the plain bound
LEAST_ROOM = 40  # tokens that a prompt must leave for its answer
_ITEMS_AT_ONCE: Final = 1 << 22  # logits of which a divergence is computed at once, in float64


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models at the positions of one sequence; every array is [positions].

    divergence: KL in nats. expected, found: the most likely next tokens of the reference and of the other. gaps: by
    how much the logit of the token that really follows is under the highest, to the reference; 0 behind the last token.
    """

    divergence: npt.NDArray[np.float64]
    expected: npt.NDArray[np.int64]
    found: npt.NDArray[np.int64]
    gaps: npt.NDArray[np.float32]


def kl_divergence(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """KL(expected ‖ found) in nats of each row of two arrays of logits, [n, vocabulary] -> [n]; infinite for NaN."""
    import numpy as np

    def log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return result

    divergence = np.empty(len(expected))
    step = max(1, _ITEMS_AT_ONCE // expected.shape[1])
    for at in range(0, len(expected), step):
        p, q = log_softmax(expected[at : at + step]), log_softmax(found[at : at + step])
        divergence[at : at + step] = (np.exp(p) * (p - q)).sum(axis=1)
    return np.where(np.isnan(divergence), np.inf, np.maximum(divergence, 0.0))


def compare(
    tokens: Sequence[int],
    expected: Iterable[tuple[int, npt.NDArray[np.float32]]],
    found: Callable[[int, int], npt.NDArray[np.float32]],
) -> Comparison:
    """Compare block by block: `expected` as `Scores.blocks` gives them, `found(start, rows)` the other's same rows.

    Where one vocabulary is longer, the part that both have is compared.
    """
    import numpy as np

    parts: list[tuple[npt.NDArray[Any], ...]] = []
    for start, mine in expected:
        other = found(start, len(mine))
        shared = min(mine.shape[1], other.shape[1])
        following = tokens[start + 1 : start + 1 + len(mine)]
        gaps = np.zeros(len(mine), dtype=np.float32)
        gaps[: len(following)] = mine.max(axis=1)[: len(following)] - mine[range(len(following)), following]
        divergence = kl_divergence(mine[:, :shared], other[:, :shared])
        parts.append((divergence, mine.argmax(axis=1), other.argmax(axis=1), gaps))
    return Comparison(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def growth(length: int) -> float:
    """How much larger the mean divergence of a text of so many tokens may be than that of a short one, at least 1.

    What rounding leaves in the keys and values of earlier tokens adds up: a good Q8_0 file of the demonstration model
    gave 0.008 over 128 tokens of a text that it does not know, and 0.028 over 1,024.
    """
    return max(1.0, length / SHORT_TEXT)


class Progressed:
    """Counts what is done of `total` and tells it."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def more(self) -> None:
        """One more is done."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


class Answers:
    """The figures of all answers together, 0 until `run`; `kl_max` is the largest divergence in nats."""

    def __init__(self, reference: Reference, backend: LlamaCppBackend, model: str, near_tie: float) -> None:
        self._reference = reference
        self._backend = backend
        self._model = model
        self._near_tie = near_tie
        self._context = min(reference.context_length, backend.num_ctx)
        self._ends = set(backend.end_tokens(model))
        self.count = self.positions = self.near_ties = 0
        self.kl_max = 0.0
        self._kl_sum = self._longer = 0.0
        self._agree = self._same_prefix = self._same_stop = self._ended = 0
        self._first_difference = ""
        self._stop_difference = ""

    def run(self, prompts: Sequence[Sequence[Message]], progress: Callable[[int, int], None] | None = None) -> None:
        """Answer up to `MOST_PROMPTS` prompts and compare. Raises ProofError where none leaves room to answer."""
        room = self._context - LEAST_ROOM
        encoded = [self._reference.encode(self._reference.render(prompt)) for prompt in prompts]
        chosen = [tokens for tokens in encoded if 0 < len(tokens) <= room][:MOST_PROMPTS]
        if not chosen:
            raise ProofError(
                "There is no prompt short enough to compare answers on.",
                hint="Record feedback with prompts that leave the model room to answer.",
            )
        told = Progressed(progress, 2 * len(chosen))
        answers = []
        for prompt in chosen:
            answers.append(self._backend.greedy(self._model, prompt, min(MOST_TOKENS, self._context - len(prompt))))
            told.more()
        sequences = [prompt + answer for prompt, answer in zip(chosen, answers, strict=True)]
        for answer, tokens, scores in zip(answers, sequences, self._reference.sweep(sequences), strict=True):
            self._one(answer, tokens, scores)
            told.more()

    def _one(self, answer: list[int], tokens: list[int], scores: Scores) -> None:
        # Nothing is ever drawn after an end token, and no training shaped those scores: they are left out.
        stop = len(tokens) - (bool(answer) and answer[-1] in self._ends)
        compared = compare(
            tokens,
            scores.blocks(stop),
            lambda start, rows: self._backend.logits(self._model, tokens, start, start + rows),
        )
        self.count += 1
        self.positions += len(compared.divergence)
        self.kl_max = max(self.kl_max, float(compared.divergence.max()))
        self._kl_sum += float(compared.divergence.sum())
        self._longer += len(compared.divergence) * growth(len(tokens))
        self._agree += int((compared.expected == compared.found).sum())
        drawn = slice(len(tokens) - len(answer) - 1, len(tokens) - 1)
        self._compare_answer(answer, compared.expected[drawn], compared.gaps[drawn])

    def _compare_answer(
        self, answer: Sequence[int], best: npt.NDArray[np.int64], gaps: npt.NDArray[np.float32]
    ) -> None:
        """`best`, `gaps`: what the reference would draw in the place of each token, and how much likelier it is."""
        differs = best != answer
        self.near_ties += int((differs & (gaps < self._near_tie)).sum())
        wrong = differs & ~(gaps < self._near_tie)
        if wrong[:PREFIX].any():
            at = int(wrong.argmax())
            self._first_difference = self._first_difference or f"; first at token {at + 1}, by a gap of {gaps[at]:.3g}"
        else:
            self._same_prefix += 1
        ended = bool(answer) and answer[-1] in self._ends
        self._ended += ended
        trained_ends = set(self._reference.end_ids)
        inside = answer[:-1] if ended else answer
        passed_by = any(token in trained_ends for token in inside)
        unlike = any(
            bad and (int(token) in trained_ends) != (i == len(answer) - 1 and ended)
            for i, (bad, token) in enumerate(zip(wrong, best, strict=True))
        )
        false_end = ended and answer[-1] not in trained_ends
        if passed_by or unlike or false_end:
            why = (
                "an end token did not end it"
                if passed_by
                else "it ended at a token that is no end"
                if false_end
                else "the reference ends elsewhere"
            )
            self._stop_difference = self._stop_difference or f"; {why}"
        else:
            self._same_stop += 1

    @property
    def kl_mean(self) -> float:
        """Mean KL(reference ‖ file) over all positions, in nats."""
        return self._kl_sum / self.positions

    @property
    def growth(self) -> float:
        """By how much a divergence may be larger than in short texts: the mean of `growth` over all positions."""
        return self._longer / self.positions

    @property
    def top1(self) -> float:
        """Share of positions at which both have the same most likely token."""
        return self._agree / self.positions

    @property
    def greedy_share(self) -> float:
        """Share of answers whose first `PREFIX` tokens are the reference's, near ties let pass."""
        return self._same_prefix / self.count

    @property
    def greedy_detail(self) -> str:
        """That share in words, with the first difference."""
        same = f"the first {PREFIX} tokens are the reference's in {self._same_prefix} of {self.count} answers"
        return same + self._first_difference

    @property
    def stop_share(self) -> float:
        """Share of answers that end, or go on, where the reference does."""
        return self._same_stop / self.count

    @property
    def stop_detail(self) -> str:
        """That share in words, with the first difference."""
        return (
            f"{self._same_stop} of {self.count} answers end (or go on) as the reference does; "
            f"{self._ended} ended within {MOST_TOKENS} tokens" + self._stop_difference
        )
