"""Time from process start to the first painted screen: `python -m benchmarks.cold_start [--home DIR] [--repeat 9]`.

Both the app and an empty Textual app start in a pseudo-terminal of their own, in turn; the clock stops when the
screen's own words arrive on it, so what is timed is what a person waits for. Memory is the resident size then.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

from benchmarks.record import append, spread

EMPTY_APP = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("painted-empty")
Empty().run()
"""
FIRST_PAINT_LIMIT_S = 30.0


def first_paint(command: list[str], wanted: bytes, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds until `wanted` is on the terminal, and the process's resident megabytes then."""
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    try:
        while wanted not in seen:
            if time.perf_counter() - started > FIRST_PAINT_LIMIT_S:
                raise TimeoutError(f"{wanted!r} was not painted; the terminal showed: {seen[-2000:]!r}")
            if select.select([terminal], [], [], 0.5)[0]:
                seen += os.read(terminal, 65_536)
        seconds = time.perf_counter() - started
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return seconds, pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="home folder to open (default: an empty one)")
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--wanted", default="Categories", help="words that tell the first screen is painted")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = arguments.home or Path(folder)
        environment = dict(os.environ, FINETUNE_TUI_HOME=str(home), TERM="xterm-256color", COLORTERM="truecolor")
        ours = [sys.executable, "-m", "tui.start"]
        empty = [sys.executable, "-c", EMPTY_APP]
        first_paint(ours, arguments.wanted.encode(), environment)  # warms the disk cache and the byte code
        measured: dict[str, list[tuple[float, float]]] = {"app": [], "empty": []}
        for _ in range(arguments.repeat):
            measured["empty"].append(first_paint(empty, b"painted-empty", environment))
            measured["app"].append(first_paint(ours, arguments.wanted.encode(), environment))
    seconds = {name: spread([run[0] for run in runs]) for name, runs in measured.items()}
    megabytes = {name: spread([run[1] for run in runs]) for name, runs in measured.items()}
    ratio = seconds["app"]["median"] / seconds["empty"]["median"]
    for name in ("app", "empty"):
        print(
            f"{name:>6}: {seconds[name]['median']:.3f} s "
            f"({seconds[name]['min']:.3f}-{seconds[name]['max']:.3f}), {megabytes[name]['median']:.0f} MB"
        )
    print(f" ratio: {ratio:.2f}")
    append(
        "cold_start",
        "python -m benchmarks.cold_start",
        {"seconds": seconds, "resident_mb": megabytes, "ratio": ratio},
        packages=("textual",),
    )


if __name__ == "__main__":
    main()
