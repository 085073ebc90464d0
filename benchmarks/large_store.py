"""A home folder with a million events, for measuring: `python -m benchmarks.large_store FOLDER [--events N]`.

Three categories, a vocabulary with the frequencies of a natural language (Zipf), two thirds of the events without a
verdict, scores and tiers as a validator gives them. Each response begins with its own mark (`EVT0000123`), so that a
measurement can tell on the terminal which event is painted.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import time
from collections.abc import Iterator
from itertools import accumulate, islice
from pathlib import Path

from core.paths import Home
from core.select.split import bucket
from storage import events, judgments
from storage.db import open_store
from storage.rows import NewEvent, Tier, Verdict

CATEGORIES = ("erd", "support", "code")
_VERDICTS: tuple[Verdict | None, ...] = (None, None, None, None, "good", "bad", "skip")
_TIERS: tuple[tuple[float, Tier], ...] = ((90.0, "gold"), (80.0, "silver"), (70.0, "bronze"), (0.0, "rejected"))
_WORDS = 20_000
_BATCH = 5_000
_HOUR = 3_600.0
_SYLLABLES = ("ba", "ke", "li", "mo", "nu", "pra", "ste", "vor", "zin", "qua", "del", "fri", "gon", "hul", "jas", "tra")


def mark(number: int) -> str:
    """What the response of event `number` begins with."""
    return f"EVT{number:07d}"


def words(seed: int = 0) -> list[str]:
    """The vocabulary, the most frequent word first."""
    draw = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < _WORDS:
        found["".join(draw.choices(_SYLLABLES, k=draw.randint(2, 4)))] = None
    return list(found)


def synthetic(count: int, *, seed: int = 0) -> Iterator[NewEvent]:
    """`count` events, the oldest first; event N is the N-th."""
    draw = random.Random(seed)
    vocabulary = words(seed)
    weights = list(accumulate(1.0 / (rank + 2.7) for rank in range(_WORDS)))
    now = time.time()
    for number in range(1, count + 1):
        drawn = draw.choices(vocabulary, cum_weights=weights, k=draw.randint(30, 70))
        cut = draw.randint(6, 14)
        prompt, answer = " ".join(drawn[:cut]), f"{mark(number)}\n{' '.join(drawn[cut:])}"
        score = min(100.0, max(0.0, draw.gauss(78.0, 15.0)))
        verdict = draw.choice(_VERDICTS)
        asked = hashlib.blake2b(prompt.encode(), digest_size=16).hexdigest()
        at = now - (count - number) * _HOUR / 100
        yield NewEvent(
            created_at=at, category=draw.choices(CATEGORIES, weights=(3, 2, 1))[0], model="demo", prompt=prompt,
            response=answer, content_hash=f"b2:{number:032x}", prompt_hash=f"b2:{asked}", bucket=bucket(f"b2:{asked}"),
            feedback_type="neutral", score=score, valid=score >= 40, quality=score / 100,
            tier=next(tier for least, tier in _TIERS if score >= least), verdict=verdict,
            judged_at=at if verdict else None,
        )  # fmt: skip


def build(root: Path, count: int) -> Home:
    """The home at `root`; one that holds `count` events already is taken as it is."""
    home = Home(root)
    home.ensure()
    with open_store(home.store) as store:
        there = int(store.value("SELECT count(*) FROM events") or 0)
        if there == count:
            return home
        if there:
            raise SystemExit(f"{root} holds {there:,} other events; name an empty folder.")
        stream = synthetic(count)
        while batch := list(islice(stream, _BATCH)):
            with store.transaction():
                ids = events.add_many(store, batch)
                said = [(i, e.judged_at or 0.0, e.verdict, None, "", 3.0) for i, e in zip(ids, batch, strict=True)]
                judgments.add_first(store, [row for row in said if row[2] is not None])  # type: ignore[misc]
            print(f"\r{ids[-1]:,} of {count:,}", end="", flush=True)
        print()
    return home


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    arguments = parser.parse_args()
    started = time.perf_counter()
    home = build(arguments.folder, arguments.events)
    size = home.store.stat().st_size / 1e9
    print(f"{arguments.events:,} events in {home.store} ({size:.1f} GB) after {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
