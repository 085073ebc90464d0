"""Running a GGUF file and its reference side by side on the same prompts.

The file answers greedily; the reference then reads prompt and answer once. Where the reference's most likely token is
the one the file took, at every place, its own greedy answer is the same: one pass instead of one a token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core.backends.backend import Message
from core.backends.llamacpp import LlamaCppBackend
from core.errors import ProofError
from core.release.reference import Reference

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_PROMPTS = 16
MOST_TOKENS = 256
PREFIX = 32
LEAST_ROOM = 40  # tokens that a prompt must leave for its answer


def kl_divergence(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """KL(expected ‖ found) in nats of each row of two arrays of logits, [n, vocabulary] -> [n]; infinite for NaN."""
    import numpy as np

    def log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return result

    p, q = log_softmax(expected), log_softmax(found)
    divergence: npt.NDArray[np.float64] = (np.exp(p) * (p - q)).sum(axis=1)
    return np.where(np.isnan(divergence), np.inf, np.maximum(divergence, 0.0))


class Answers:
    """The figures of all answers together; see the properties."""

    def __init__(self, reference: Reference, backend: LlamaCppBackend, model: str, near_tie: float) -> None:
        self._reference = reference
        self._backend = backend
        self._model = model
        self._near_tie = near_tie
        self._context = min(reference.context_length, backend.num_ctx)
        self._ends = set(backend.end_tokens(model))
        self.count = self.positions = self.near_ties = 0
        self.kl_max = 0.0
        self._kl_sum = 0.0
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
        for done, tokens in enumerate(chosen, 1):
            self._one(tokens)
            if progress is not None:
                progress(done, len(chosen))

    def _one(self, prompt: list[int]) -> None:
        limit = min(MOST_TOKENS, self._context - len(prompt))
        answer = self._backend.greedy(self._model, prompt, limit)
        tokens = prompt + answer
        expected, found = self._reference.logits(tokens), self._backend.logits(self._model, tokens)
        if answer and answer[-1] in self._ends:
            # Nothing is ever drawn after an end token, and no training shaped those scores: they are left out.
            expected, found = expected[:-1], found[:-1]
        divergence = kl_divergence(expected, found)
        self.count += 1
        self.positions += len(divergence)
        self.kl_max = max(self.kl_max, float(divergence.max()))
        self._kl_sum += float(divergence.sum())
        self._agree += int((expected.argmax(axis=1) == found.argmax(axis=1)).sum())
        self._compare_answer(answer, expected[len(prompt) - 1 : len(tokens) - 1])

    def _compare_answer(self, answer: Sequence[int], scores: npt.NDArray[np.float32]) -> None:
        """`scores`: the reference's logits that each token of the answer would be drawn from."""
        best = scores.argmax(axis=1)
        gaps = scores.max(axis=1) - scores[range(len(answer)), answer]
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
        return self._kl_sum / self.positions

    @property
    def top1(self) -> float:
        return self._agree / self.positions

    @property
    def greedy_share(self) -> float:
        return self._same_prefix / self.count

    @property
    def greedy_detail(self) -> str:
        same = f"the first {PREFIX} tokens are the reference's in {self._same_prefix} of {self.count} answers"
        return same + self._first_difference

    @property
    def stop_share(self) -> float:
        return self._same_stop / self.count

    @property
    def stop_detail(self) -> str:
        return (
            f"{self._same_stop} of {self.count} answers end (or go on) as the reference does; "
            f"{self._ended} ended within {MOST_TOKENS} tokens" + self._stop_difference
        )
