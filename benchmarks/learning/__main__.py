"""What the learning components are worth: `python -m benchmarks.learning [--seeds 8] [--quick]`.

The first-generation loop (50 examples at random of what a bucketed reward lets through) against the full loop, and each
component by itself, laid on the one and turned in the other: on the shipped model, with paired seeds, the same log, the
same label budget, the same steps, the same test. What the world is made of stands in world.py. Intervals are 95 %
(Student's t over seeds). A run that was broken off goes on where it was.

Training on preference pairs and thumbs is measured by benchmarks.methods; here candidates are lessons.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from pathlib import Path

from benchmarks.learning import measure, tables, world
from benchmarks.learning.arms import LIMIT, QUICK, all_arms
from benchmarks.learning.work import done, perform
from benchmarks.record import append

_ROOT = Path(__file__).parents[2]
_SOURCES = ("core/select", "core/train", "core/validate", "core/capture", "assets/demo", "benchmarks/learning")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=100, help="seeds below 100 were looked at when this was made")
    parser.add_argument("--arms", nargs="*", default=[], metavar="PART", help="only arms whose name holds one of these")
    parser.add_argument("--quick", action="store_true", help="two seeds and few arms; nothing is recorded")
    parser.add_argument("--work", type=Path, help="folder of worlds and results (default: a temporary one, by sources)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of one thread each")
    parser.add_argument("--list", action="store_true", help="name the arms and end")
    given = parser.parse_args()
    wanted = [name for name in all_arms() if not given.arms or any(part in name for part in given.arms)]
    if given.list:
        print("\n".join(wanted))
        return
    if given.quick:
        wanted = [name for name in wanted if name in QUICK]
    seeds = range(given.first_seed, given.first_seed + (2 if given.quick else given.seeds))
    work = given.work or Path(tempfile.gettempdir()) / f"finetune-tui-learning-{_sources()}"
    work.mkdir(parents=True, exist_ok=True)
    jobs = [(name, seed) for seed in seeds for name in wanted]
    print(
        f"{len(wanted)} arms, {len(seeds)} seeds; {measure.STEPS} steps of {measure.BATCH} on {LIMIT} examples, "
        f"{world.ROWS} answers in the log, {world.BUDGET_S / 60:g} minutes of a person, {world.TEST_PROMPTS} test "
        f"prompts; kept in {work}",
        flush=True,
    )
    started = time.monotonic()
    for count, row in enumerate(perform(work, jobs, given.workers), 1):
        passed = time.monotonic() - started
        print(f"{passed:6.0f} s  {count:>3}  seed {row['seed']}  {row['score']:5.1f}  {row['arm']}", flush=True)
    results: dict[str, dict[int, dict[str, object]]] = {name: {} for name in wanted}
    for (name, seed), row in done(work).items():
        if name in results and seed in seeds:
            results[name][seed] = row
    print("\nMean over seeds (95 % interval)\n", *tables.headline(results), sep="\n")
    print("\nEach component by itself: paired differences (95 % interval)\n", *tables.components(results), sep="\n")
    if not given.quick and not given.arms:
        append(
            "learning",
            f"python -m benchmarks.learning --seeds {given.seeds} --first-seed {given.first_seed}",
            tables.as_json(results) | {"seeds": given.seeds, "seconds": round(time.monotonic() - started)},
            ("torch", "transformers", "peft", "numpy"),
        )


def _sources() -> str:
    """A hash of all code that decides a result, so that results of different code never meet."""
    digest = hashlib.blake2b(digest_size=6)
    for part in _SOURCES:
        for path in sorted((_ROOT / part).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
