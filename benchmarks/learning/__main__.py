"""`python -m benchmarks.learning [--seeds 5] [--arms full first] [--quick] [--work FOLDER]`."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path


def main() -> None:
    from benchmarks.learning.arms import all_arms
    from benchmarks.learning.work import done, perform

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arms", nargs="*", default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    names = [n for n in all_arms() if not given.arms or any(part in n for part in given.arms)]
    jobs = [(n, s) for s in range(given.seeds) for n in names]
    t = time.monotonic()
    for row in perform(given.work, jobs, given.workers):
        print(f"{time.monotonic()-t:6.0f}", row["seed"], f"{row['arm']:45}", {k: round(v, 3) for k, v in row.items() if isinstance(v, float)}, flush=True)


if __name__ == "__main__":
    main()
