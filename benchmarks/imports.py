"""How fast files come in: `python -m benchmarks.imports [--rows 20000] [--repeat 3] [--gigabyte]`.

Everything on (sanitise, validate, score, near-duplicates, full-text index) against `sqlite-utils insert` of the same
file in the same run, for a category with the ER validator and for one without. `--gigabyte` imports a file of a
gigabyte and reports the largest resident size of the importing process and of its children.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.feedback import write
from benchmarks.record import append, spread

WITHOUT_VALIDATOR = '[categories.plain]\nvalidator = "none"\n'
IMPORT = """
import sys
from pathlib import Path
from core.capture.import_rows import ImportOptions
from core.capture.importing import Importer
from core.loop import LearningLoop
with LearningLoop(Path(sys.argv[1])) as loop:
    report = Importer(loop.recorder).run(Path(sys.argv[2]), ImportOptions())
assert report.counts.accepted == report.counts.read == int(sys.argv[3]), report.counts
print(report.seconds)
"""


def ours(file: Path, rows: int, folder: Path) -> tuple[float, _Peak]:
    """Seconds that an import into a new store takes, and the largest resident sizes while it runs."""
    folder.mkdir()
    (folder / "config.toml").write_text(WITHOUT_VALIDATOR)
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORT, str(folder), str(file), str(rows)], stdout=subprocess.PIPE, text=True
    )
    peak = _Peak(process.pid)
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit("the import failed")
    peak.stop()
    return float(out), peak


class _Peak:
    """Watches the resident size of a process and its children, ten times a second."""

    def __init__(self, pid: int) -> None:
        self.parent_mb = self.together_mb = 0.0
        self._process = psutil.Process(pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            try:
                own = self._process.memory_info().rss / 1e6
                children = sum(child.memory_info().rss for child in self._process.children(recursive=True)) / 1e6
            except psutil.NoSuchProcess:
                continue
            self.parent_mb = max(self.parent_mb, own)
            self.together_mb = max(self.together_mb, own + children)

    def stop(self) -> None:
        """Ends the watch."""
        self._done.set()
        self._thread.join()


def theirs(file: Path, folder: Path) -> float:
    """Seconds that `sqlite-utils insert` of the same file takes, its start-up included."""
    command = [
        str(Path(sys.executable).with_name("sqlite-utils")),
        "insert",
        str(folder / "other.db"),
        "rows",
        str(file),
    ]
    started = time.perf_counter()
    subprocess.run([*command, "--nl"], check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--gigabyte", action="store_true")
    args = parser.parse_args()
    result: dict[str, object] = {"rows": args.rows}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.gigabyte:
            result = gigabyte(folder)
        else:
            for category in ("erd", "plain"):
                file = folder / f"{category}.jsonl"
                size = write(file, args.rows, category)
                rates, others, ratios = [], [], []
                for number in range(args.repeat):
                    seconds, _ = ours(file, args.rows, folder / f"{category}{number}")
                    other = theirs(file, folder)
                    (folder / "other.db").unlink()
                    rates.append(args.rows / seconds)
                    others.append(args.rows / other)
                    ratios.append(seconds / other)
                result[category] = {
                    "megabytes": round(size / 1e6, 1),
                    "rows_per_second": spread(rates),
                    "sqlite_utils_rows_per_second": spread(others),
                    "times_as_long": spread(ratios),
                }
    print(result)
    append("imports", " ".join(["python -m benchmarks.imports", *sys.argv[1:]]), result, ("sqlite-utils", "rensa"))


def gigabyte(folder: Path) -> dict[str, object]:
    """Memory on a file of a gigabyte, where flat means: no more than on a tenth of it."""
    found: dict[str, object] = {}
    for label, rows in (("tenth", 130_000), ("whole", 1_300_000)):
        file = folder / f"{label}.jsonl"
        size = write(file, rows, "plain")
        seconds, peak = ours(file, rows, folder / label)
        found[label] = {
            "megabytes": round(size / 1e6),
            "rows": rows,
            "seconds": round(seconds),
            "peak_rss_mb": round(peak.parent_mb),
            "with_children_mb": round(peak.together_mb),
        }
        file.unlink()
        subprocess.run(["rm", "-rf", str(folder / label)], check=True)
    return found


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
