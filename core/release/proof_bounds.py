"""How far a file of each kind may be from the model it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a kind of file is held to.

    kl_max, kl_mean: KL(reference ‖ file) of the next-token distributions, in nats, at most, in short texts; in longer
    ones the mean may grow up to `kl_most`. top1: share of positions with the same most likely token, at least.
    near_tie: logit gap of the reference under which two tokens count as equally likely. greedy: share of answers whose
    first 32 tokens are the reference's, at least. stops: share of answers that end where the reference ends, at least.
    """

    kl_max: float
    kl_mean: float
    kl_most: float
    top1: float
    near_tie: float
    greedy: float
    stops: float

    def mean(self, growth: float) -> float:
        """The bound of the mean divergence where texts are so long that it may be `growth` (≥ 1) times as large."""
        return min(self.kl_mean * growth, self.kl_most)


# A structural fault (rotary order, a norm, the frequencies) gives a KL of 0.2 and more, float16 arithmetic under 1e-4.
# float16 sums move logits by up to some 1e-3, so a smaller gap than `near_tie` may fall either way.
F16 = Bounds(kl_max=1e-2, kl_mean=1e-3, kl_most=4e-3, top1=0.99, near_tie=1e-2, greedy=1.0, stops=1.0)
# One unlucky position in two thousand can move far under rounding (0.02 to 0.2 measured on good Q8_0 files of the
# demonstration model, 0.91 once in fifty versions); a structural fault moves them all, so the mean and the agreement
# are what catch it. `kl_most` is half of what the mildest structural fault gives, where a kind's own loss leaves room
# for that; in long texts with four bits the agreement alone tells them apart (structural faults: 0.45 and less).
EIGHT_BIT = Bounds(kl_max=2.0, kl_mean=5e-3, kl_most=0.1, top1=0.95, near_tie=0.1, greedy=0.75, stops=0.8)
FIVE_BIT = Bounds(kl_max=2.0, kl_mean=5e-2, kl_most=0.1, top1=0.9, near_tie=0.3, greedy=0.5, stops=0.8)
FOUR_BIT = Bounds(kl_max=4.0, kl_mean=0.15, kl_most=0.5, top1=0.8, near_tie=0.5, greedy=0.3, stops=0.7)
BOUNDS: Final[Mapping[str, Bounds]] = {
    "f16": F16,
    "bf16": EIGHT_BIT,  # a mantissa of eight bits
    "q8_0": EIGHT_BIT,
    "q6_k": EIGHT_BIT,
    "q5_k_m": FIVE_BIT,
    "q5_k_s": FIVE_BIT,
    "q5_1": FIVE_BIT,
    "q5_0": FIVE_BIT,
    "q4_k_m": FOUR_BIT,
    "q4_k_s": FOUR_BIT,
    "q4_1": FOUR_BIT,
    "q4_0": FOUR_BIT,
    "iq4_nl": FOUR_BIT,
    "iq4_xs": FOUR_BIT,
}
