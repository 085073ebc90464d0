"""How often the watch over production is wrong, how soon it finds a drop, and what a look costs in a large store.

    python -m benchmarks.watch [--runs 2000] [--answers 1000] [--events 1000000]

Each run has 1,000 answers of the version before, and new ones that come one by one; there is a look after each.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.record import append
from core.config import Capture, Config
from core.paths import Home
from core.prove import stats
from core.prove.pairing import paired, tally
from core.prove.watch import LEAST_PAIRS, MOST_PAIRS, watch
from storage import aliases, events, versions
from storage.db import Store, open_store
from storage.production import Served, ServedAnswer, passed_on_query, recorded_query
from storage.rows import NewEvent

Draw = Callable[[random.Random], float]
POOL = 1_000
ENOUGH = 20.0


def passes(rate: float) -> Draw:
    """A validator that says yes or no."""
    return lambda rng: 90.0 if rng.random() < rate else 30.0


def graded(mean: float) -> Draw:
    """A validator with degrees."""
    return lambda rng: min(100.0, max(0.0, rng.gauss(mean, 15.0)))


def looked_at(seed: int, before: Draw, after: Draw, answers: int) -> int | None:
    """After how many answers the new version is called worse, None where it never is."""
    rng = random.Random(seed)
    old = [ServedAnswer(f"o{index}", float(index), before(rng), None) for index in range(POOL)]
    new = [ServedAnswer(f"n{index}", float(index), after(rng), None) for index in range(answers)]
    wins = losses = 0
    # Pairs never change when answers follow (tests/core/prove/test_pairing.py), so the looks can go along them.
    for index, pair in enumerate(paired(new, old, seed=str(seed)), 1):
        found = tally([pair], new, old)
        wins, losses = wins + found.wins, losses + found.losses
        if index >= LEAST_PAIRS and losses > wins and stats.evidence(losses, wins) >= ENOUGH:
            return index
    return None


def false_rollbacks(runs: int, answers: int) -> dict[str, Any]:
    """The share of runs in which a version no worse than the one before is called worse at any look."""
    found: dict[str, Any] = {"runs": runs, "looks": answers}
    cases = {"success 70 %": passes(0.7), "success 95 %": passes(0.95), "graded": graded(70.0)}
    for name, draw in cases.items():
        wrong = sum(looked_at(seed, draw, draw, answers) is not None for seed in range(runs))
        found[name] = {"share": wrong / runs, "interval": list(stats.wilson(wrong, runs))}
        print(f"false rollbacks, {name}: {wrong} of {runs} ({wrong / runs:.2%})", flush=True)
    return found


def delays(runs: int, answers: int) -> dict[str, Any]:
    """Answers until a drop is found."""
    found: dict[str, Any] = {"runs": runs}
    cases = {
        "success 85 % to 65 %": (passes(0.85), passes(0.65)),
        "success 70 % to 50 %": (passes(0.7), passes(0.5)),
        "success 85 % to 75 %": (passes(0.85), passes(0.75)),
        "score 70 to 60": (graded(70.0), graded(60.0)),
    }
    for name, (before, after) in cases.items():
        times = [time for seed in range(runs) if (time := looked_at(seed, before, after, answers)) is not None]
        tenths = quantiles(times, n=10) if len(times) > 1 else [float("nan")] * 9
        found[name] = {"found": len(times) / runs, "median": median(times), "p90": tenths[8]}
        print(
            f"{name}: found in {len(times) / runs:.1%}, median {median(times):.0f} answers, p90 {tenths[8]:.0f}",
            flush=True,
        )
    return found


def fill(store: Store, home: Home, count: int) -> None:
    """`count` events of one category: each tenth by a version of ours, half of them through the gateway."""
    for number in (1, 2):
        versions.add(
            store, created_at=1.0, name=f"ft-demo-erd-v{number}", category="erd", base_model="demo", number=number,
            run_id=None, parent_id=None, dataset_id=None, folder=f"models/demo/erd/v{number}", settings={},
            code_version="1",
        )  # fmt: skip
    rng = random.Random(0)
    for start in range(0, count, 20_000):
        batch = []
        for index in range(start, start + 20_000):
            model = f"ft-demo-erd-v{1 if index < count // 2 else 2}" if index % 10 == 0 else "other"
            batch.append(
                NewEvent(
                    created_at=float(index), category="erd", model=model, prompt=f"prompt {index} " + "words " * 80,
                    response=f"response {index} " + "words " * 80, content_hash=f"b2:{index:032x}",
                    prompt_hash=f"b2:{index:032x}", bucket=index % 100, feedback_type="neutral",
                    score=rng.uniform(0, 100), valid=True, quality=0.5, tier="bronze",
                )
            )  # fmt: skip
        events.add_many(store, batch)
    with store.transaction():
        store.write(
            "INSERT INTO responses (id, at, api, category, model, version_id, event_id, note) "
            "SELECT printf('%032x', id), created_at, 'ollama', 'erd', 'ft-erd', "
            "CASE model WHEN 'ft-demo-erd-v1' THEN 1 ELSE 2 END, id, '' FROM events "
            "WHERE model <> 'other' AND id % 20 = 1"
        )
    for number, at in ((1, 0.0), (2, count / 2)):
        aliases.point(
            store, name="ft-erd", category="erd", to_version=number, action="promote", who="me", why="", evidence={},
            now=at,
        )  # fmt: skip


def cost(count: int) -> dict[str, Any]:
    """Milliseconds of one look in a store with `count` events, and SQLite's plan for it."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.ensure()
        with open_store(home.store) as store:
            fill(store, home, count)
            served = Served("erd", 2, ("ft-demo-erd-v2",), since=count / 2)
            plans = [
                [row[3] for row in store.rows(f"EXPLAIN QUERY PLAN {sql}", params)]
                for sql, params in (
                    passed_on_query(served, "ASC", MOST_PAIRS),
                    recorded_query(served, "ASC", MOST_PAIRS, low=0.0, high=float(count)),
                )
            ]
            found: dict[str, Any] = {"events": count, "plans": plans}
            for name, retention in (("all events", 10 * count), ("held out alone", 100)):
                config = Config(capture=Capture(retention=retention))
                times = []
                for _ in range(7):
                    began = time.perf_counter()
                    told = watch(store, config, "erd", now=float(count))
                    times.append(1e3 * (time.perf_counter() - began))
                found[name] = {"median_ms": median(times), "max_ms": max(times), "pairs": told.tally.pairs}
                print(f"one look, {name}: median {median(times):.0f} ms, {told.tally.pairs} pairs", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--answers", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    chosen = parser.parse_args()
    os.nice(max(0, 15 - os.nice(0)))
    result = {
        "false_rollbacks": false_rollbacks(chosen.runs, chosen.answers),
        "delays": delays(min(chosen.runs, 500), chosen.answers),
        "cost": cost(chosen.events),
    }
    append("watch", f"python -m benchmarks.watch --runs {chosen.runs} --answers {chosen.answers}", result)


if __name__ == "__main__":
    main()
