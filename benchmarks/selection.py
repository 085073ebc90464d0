"""What choosing 50 candidates costs: `python -m benchmarks.selection [--repeats 5]`.

Active selection from 2,000 to 50,000 ER-diagram outputs, their scores spread as in use, and in the worst case all of
one value. With embeddings at hand (384 dimensions, around 60 centres, served from memory), and with the n-grams of the
texts worked out on the way. Against the plain loop in the same run: for every choice each candidate is compared with
each one chosen, pair by pair; and against the same loop that keeps each candidate's largest similarity. The loops run
on some candidates only, and their time is scaled by the number of comparisons.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.feedback import rows
from benchmarks.record import append, spread
from core.select.active import Candidate, choose, value_parts
from core.select.alike.vectors import Embed, Vectors, vectors
from storage.rows import FeedbackType

SIZES = (2_000, 10_000, 20_000, 50_000)
CHOSEN = 50
COMPARED = 300


def candidates(count: int, seed: int = 0) -> list[Candidate]:
    """Half of them good, a third middling, the rest failed; some corrected or disliked by a person."""
    draw = random.Random(seed)
    found = []
    for number, row in enumerate(rows(count, "erd", seed), 1):
        low, high = draw.choices([(85, 100), (60, 90), (0, 60)], weights=[50, 33, 17])[0]
        score = round(draw.uniform(low, high), 1)
        kind: FeedbackType = "success" if score >= 70 else "neutral" if score >= 50 else "validation_failure"
        if draw.random() < 0.1:
            kind = draw.choice(["user_correction", "explicit_negative", "explicit_positive"])
        quality = round(draw.uniform(0.3, 1.0), 3)
        found.append(Candidate(number, "erd", row["prompt"], row["response"], score, kind, quality))
    return found


@dataclass(slots=True)
class Cached:
    """Embeddings held in memory; counts the texts asked for."""

    row_of: dict[str, int]
    table: Vectors
    asked: int = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += len(texts)
        return self.table[[self.row_of[text] for text in texts]]


def cached(pool: Sequence[Candidate], seed: int = 0) -> Cached:
    """Unit vectors with a cosine of about 0.4 between centres and 0.7 around one."""
    texts = dict.fromkeys(text for each in pool for text in (each.prompt, each.output))
    draw = np.random.default_rng(seed)
    common, centres = draw.normal(size=384), draw.normal(size=(60, 384))
    table = np.empty((len(texts), 384), dtype=np.float32)
    for start in range(0, len(texts), 4_096):
        part = table[start : start + 4_096]
        noise = draw.normal(size=part.shape)
        mixed = 0.63 * common + 0.55 * centres[draw.integers(60, size=len(part))] + 0.55 * noise
        part[:] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return Cached({text: row for row, text in enumerate(texts)}, table)


def plain_loop(pool: Sequence[Candidate], limit: int, embed: Embed, *, keep: bool) -> tuple[list[int], int, float]:
    """The greedy rule as a loop over pairs: event ids, comparisons made, seconds for the comparisons.

    `keep` holds the largest similarity of each candidate instead of comparing with all that are chosen every time.
    """
    prompts = [embed([each.prompt])[0].astype(np.float64) for each in pool]
    outputs = [embed([each.output])[0].astype(np.float64) for each in pool]
    own = [value_parts(each).own for each in pool]
    largest = [0.0] * len(pool)
    chosen: list[int] = []
    compared = 0
    started = time.perf_counter()

    def alike(one: int, other: int) -> float:
        same = pool[one].category == pool[other].category
        cosines = float(prompts[one] @ prompts[other]), float(outputs[one] @ outputs[other])
        return 0.3 * same + 0.4 * max(0.0, cosines[0]) + 0.3 * max(0.0, cosines[1])

    for _ in range(limit):
        best, highest = -1, -math.inf
        for index in range(len(pool)):
            if index in chosen:
                continue
            for other in chosen[-1:] if keep else chosen:
                largest[index] = max(largest[index], alike(index, other))
                compared += 1
            value = round(own[index] + 0.3 * (1.0 - largest[index]), 6)
            if value > highest:
                best, highest = index, value
        chosen.append(best)
    return [pool[index].event_id for index in chosen], compared, time.perf_counter() - started


def timed(call: Callable[[], object], repeats: int) -> dict[str, float]:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return {name: round(value, 4) for name, value in spread(times).items()}


def loops(pool: Sequence[Candidate], embed: Embed) -> dict[str, Any]:
    """Microseconds per comparison of both loops, and whether they choose what `choose` does."""
    some = pool[:COMPARED]
    ours = choose(some, CHOSEN, embed=embed)
    found: dict[str, Any] = {"candidates": len(some)}
    for name, keep in (("plain", False), ("keeping", True)):
        ids, compared, seconds = plain_loop(some, CHOSEN, embed, keep=keep)
        found[name] = {"comparisons": compared, "us": round(seconds / compared * 1e6, 3), "agrees": ids == ours}
    return found


def comparisons(count: int, *, keep: bool) -> int:
    """How many pairs the loop compares for 50 of `count`."""
    return sum((count - done) * (1 if keep else done) for done in range(1, CHOSEN))


def measured(pool: Sequence[Candidate], repeats: int) -> dict[str, Any]:
    memory = cached(pool)
    equal = [replace(each, score=90.0, feedback_type="success", quality=0.6) for each in pool]
    result: dict[str, Any] = {}
    for name, embed in (("embeddings", memory.embed), ("n_grams", vectors)):
        per_pair = loops(pool, embed)
        result[f"{name}_loop"] = per_pair
        for mixture, chosen_from in (("spread", pool), ("equal", equal)):
            by_size: dict[str, Any] = {}
            for size in SIZES:
                part = chosen_from[:size]
                memory.asked = 0
                choose(part, CHOSEN, embed=embed)
                looked_at = memory.asked
                figures: dict[str, Any] = {"seconds": timed(lambda: choose(part, CHOSEN, embed=embed), repeats)}  # noqa: B023
                if name == "embeddings":
                    figures["texts_embedded"] = looked_at
                for loop, keep in (("plain", False), ("keeping", True)):
                    seconds = comparisons(size, keep=keep) * per_pair[loop]["us"] / 1e6
                    figures[f"{loop}_loop_over_ours"] = round(seconds / figures["seconds"]["median"], 1)
                by_size[str(size)] = figures
            result[f"{name}_{mixture}"] = by_size | {"growth": growth(by_size)}
    return result


def growth(by_size: dict[str, Any]) -> float:
    """The exponent of the time in the number of candidates, least squares of the logarithms: 1 is linear."""
    sizes = np.log([int(size) for size in by_size])
    times = np.log([figures["seconds"]["median"] for figures in by_size.values()])
    return round(float(np.polyfit(sizes, times, 1)[0]), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    result = measured(candidates(max(SIZES)), args.repeats)
    print(json.dumps(result, indent=2))
    append("selection", " ".join(["python -m benchmarks.selection", *sys.argv[1:]]), result, packages=["numpy"])


if __name__ == "__main__":
    main()
