"""Broken files through the whole way in: `python -m benchmarks.fuzz_imports [--inputs 1000000] [--seed 0]`.

An input is one mutated row, read in memory among sound ones, or one mutated file on the disk; the two are counted
apart. Each goes through opening, detection, reading and judging; some also through an import into a store. What must
hold: opening and detection raise nothing but FinetuneError, every row of the source is answered in its order, no row
takes more than a few seconds of processor time, an import accounts for each row and finds no new output in the same
file, and the store is whole at the end. Mutated inputs that break a rule are kept in a folder that is named at the end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from benchmarks.fuzz_checks import Fuzz, stop
from benchmarks.record import append
from core.capture.formats.detect import FORMATS

_MEMORY: Final = 6 << 30


def work(number: int, args: argparse.Namespace, folder: Path, results: Any) -> None:
    """A process's share of the inputs, reported when it is done or out of time."""
    os.nice(15)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGPROF, stop)
    started = time.monotonic()
    fuzz = Fuzz(f"{args.seed}:{number}", folder / f"process{number}", args.every)
    left = args.inputs // args.processes + (number < args.inputs % args.processes)
    while left and time.monotonic() - started < 60.0 * args.minutes:
        left -= fuzz.batch(left)
    results.put((dict(fuzz.figures), dict(fuzz.formats), fuzz.faults, fuzz.end()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=60.0, help="end after so long, with fewer inputs")
    parser.add_argument("--every", type=int, default=10, help="of so many batches one is imported into a store")
    args = parser.parse_args()
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="fuzz_imports"))
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    processes = [context.Process(target=work, args=(each, args, folder, results)) for each in range(args.processes)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    died = [process.exitcode for process in processes if process.exitcode]
    figures: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    faults: dict[str, list[Any]] = {}
    problems: list[str] = []
    while not results.empty():
        own, seen, found, broken = results.get()
        figures.update(own)
        formats.update(seen)
        problems += broken
        for where, (number, told) in found.items():
            faults.setdefault(where, [0, told])[0] += number
    result: dict[str, Any] = {
        "seed": args.seed,
        "inputs": figures["rows"] + figures["files"],
        **figures,
        "formats": len(formats),
        "formats never read": sorted({each.name for each in FORMATS} - set(formats)),
        "kinds of faults": len(faults),
        "faults": sum(number for number, _ in faults.values()),
        "store problems": problems,
        "processes died": died,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    print(json.dumps(result, indent=1))
    for where, (number, told) in sorted(faults.items(), key=lambda each: -each[1][0]):
        print(f"\n{number} × {where}\n{told}")
    if faults or problems or died:
        print(f"\nwhat broke lies in {folder}")
        raise SystemExit(1)
    shutil.rmtree(folder)
    append("fuzz_imports", " ".join(["python -m benchmarks.fuzz_imports", *sys.argv[1:]]), result)


if __name__ == "__main__":
    main()
