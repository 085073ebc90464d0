"""Trainings of a tiny model that are killed at random (kill -9) and resumed until they finish.

python -m benchmarks.training_kills [--kills 50] [--seed N]

Every run must end with the very files and figures of one that nobody disturbed, and lose at most the steps since its
last checkpoint; nothing half-written may stand under the name of a whole thing. What was found is printed and kept in
`results/training_kills.jsonl`; the exit code is 1 when something does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from benchmarks.record import append
from core.train import checkpoints

ROOT: Final = Path(__file__).resolve().parents[1]
SHARED: Final = {"epochs": 3, "learning_rate": 1e-2, "accumulation": 4, "save_every": 2, "eval_every": 3, "rank": 4}
CASES: Final[Mapping[str, Mapping[str, Any]]] = {
    "sft": SHARED,
    "dpo": {**SHARED, "method": "dpo"},
    "qlora, adamw_8bit": {**SHARED, "quantize_base": "on", "optimizer": "adamw_8bit", "rank": 64},
}
PHASES: Final = ("reference", "step", "evaluation", "scoring", "checkpoint", "publishing")
REFERENCE: Final = "reference.safetensors"
LONGEST_WAIT: Final = 0.03  # seconds from the beginning of a phase to the kill


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a run; it kills itself before the file operation `kill_at_file` in its folder (0: never), or where
    `kill_in` says: at the beginning of "PHASE N", the phase for the Nth time. Where `lose_in` says, it kills one of the
    processes that it trains with.

    Its files may not grow over `most_bytes` (0: any size). Where the settings ask for several processes, the others
    find the base model at `base_of_others`, if that is not at the same place.
    """

    base: str
    folder: str
    settings: Mapping[str, Any]
    kill_at_file: int = 0
    kill_in: str = ""
    lose_in: str = ""
    most_bytes: int = 0
    base_of_others: str = ""


@dataclass(slots=True)
class Course:
    """What an attempt has said so far. `status` is None while it goes on; `phases` are those it is in."""

    pid: int = 0
    status: int | None = None
    began: int | None = None
    step: int = 0
    saved: list[int] = field(default_factory=list)
    files: int = 0
    result: str = ""
    error: tuple[str, str] = ("", "")
    phases: list[str] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)

    def hear(self, line: str) -> None:
        """Takes one line of the process."""
        word, _, rest = line.partition(" ")
        self.said[line] += 1
        if word in ("pid", "from", "step", "files", "gone"):
            name = {"from": "began", "gone": "status"}.get(word, word)
            setattr(self, name, int(rest))
        elif word == "saved":
            self.saved.append(int(rest))
        elif word == "begin":
            self.phases.append(rest)
        elif word == "end":
            self.phases.remove(rest)
        elif word == "result":
            self.result = rest
        elif word == "error":
            message, hint = json.loads(rest)
            self.error = (message, hint)


class Trainer:
    """The process that all attempts are forked from."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'core' / 'train'}",
                "OMP_NUM_THREADS": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "HF_HUB_OFFLINE": "1",
                "PYTHONWARNINGS": "ignore::FutureWarning",
            },
        )
        self._course: Course | None = None
        self.base = folder / "tiny"
        if self._ask({"build": str(self.base)}).status:
            raise RuntimeError("The tiny model was not made.")

    def close(self) -> None:
        """Ends the process, and the attempt that is still at work."""
        if self._course is not None:
            kill(self._course)
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def begin(self, attempt: Attempt) -> Iterator[Course]:
        """Gives the course of an attempt after everything that it says, to its end."""
        return self._begin(asdict(attempt))

    def to_end(self, attempt: Attempt) -> Course:
        """An attempt that nobody disturbs but it itself."""
        return self._ask(asdict(attempt))

    def _ask(self, job: Mapping[str, Any]) -> Course:
        *_, course = self._begin(job)
        return course

    def _begin(self, job: Mapping[str, Any]) -> Iterator[Course]:
        stdin = self._process.stdin
        assert stdin is not None
        if self._course is not None:  # one whose listener did not stay to its end would be heard in the next
            kill(self._course)
            deque(self._heard(self._course), maxlen=0)
        stdin.write(json.dumps(job) + "\n")
        stdin.flush()
        self._course = Course()
        yield from self._heard(self._course)

    def _heard(self, course: Course) -> Iterator[Course]:
        stdout = self._process.stdout
        assert stdout is not None
        while course.status is None:
            line = stdout.readline()
            if not line:
                raise RuntimeError("The training process ended by itself.")
            course.hear(line.strip())
            yield course


def kill(course: Course) -> None:
    """kill -9 of an attempt; nothing where it has not begun, or has ended."""
    if course.pid and course.status is None:  # one that has ended unheard is a zombie, so that nobody else has its pid
        os.kill(course.pid, signal.SIGKILL)


@contextmanager
def trainer(folder: Path) -> Iterator[Trainer]:
    """The process that trains, until the block ends."""
    made = Trainer(folder)
    try:
        yield made
    finally:
        made.close()


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A run that was left alone: its files by name, its figures, and how many file operations it took."""

    kept: Mapping[str, bytes]
    result: str
    files: int


@dataclass(slots=True)
class Tally:
    """What all kills together have shown; `problems` is empty when everything holds."""

    kills: int = 0
    runs: int = 0
    most_lost: int = 0
    lost: int = 0
    where: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def published(folder: Path) -> dict[str, bytes]:
    """The files that outlast the training of a run, by their place."""
    found = [*folder.glob("adapter/*"), *folder.glob(REFERENCE)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(found)}


def undisturbed(trainer: Trainer, folder: Path, settings: Mapping[str, Any]) -> Undisturbed:
    """Trains without a disturbance. Raises RuntimeError when that does not end well."""
    done = trainer.to_end(Attempt(str(trainer.base), str(folder), settings))
    if done.status or not done.result:
        raise RuntimeError(f"A run that nobody disturbed ended with {done.status}: {done.error}")
    return Undisturbed(published(folder), done.result, done.files)


def killed(
    trainer: Trainer, folder: Path, expected: Undisturbed, settings: Mapping[str, Any], chance: random.Random
) -> Course:
    """One attempt with a kill at a random moment: a time in some phase, or between two file operations."""
    attempt = Attempt(str(trainer.base), str(folder), settings)
    if chance.random() < 0.5:
        return trainer.to_end(replace(attempt, kill_at_file=chance.randint(1, max(1, expected.files // 2))))
    phase = chance.choice([phase for phase in PHASES if phase != "reference" or REFERENCE in expected.kept])
    waited_for, wait, sent = chance.randint(1, 6 if phase == "step" else 2), chance.random() * LONGEST_WAIT, False
    for course in trainer.begin(attempt):
        if not sent and course.status is None and course.said[f"begin {phase}"] >= waited_for:
            time.sleep(wait)
            kill(course)
            sent = True
    return course


def half_things(folder: Path, expected: Undisturbed) -> list[str]:
    """What stands under the name of a whole thing and is not whole."""
    found = [
        f"{place.name} is not whole"
        for place in folder.glob("checkpoints/step-*")
        if checkpoints.read(place.parent, int(place.name.removeprefix("step-"))) is None
    ]
    there = published(folder)
    if any(expected.kept.get(name) != content for name, content in there.items()):
        found.append("a published file differs")
    if (folder / "adapter").exists() and not there.keys() >= {name for name in expected.kept if "adapter/" in name}:
        found.append("half an adapter is published")
    return found


def disturb(
    trainer: Trainer, folder: Path, name: str, expected: Undisturbed, *, kills: int, chance: random.Random, tally: Tally
) -> None:
    """One run that is killed `kills` times, or until it has finished in spite of them, and then to its end."""
    settings = CASES[name]
    saved = step = 0
    tally.runs += 1

    def check(course: Course) -> None:
        nonlocal saved, step
        if course.began is not None:
            if not saved <= course.began <= step:
                tally.problems.append(f"{name}: begins at {course.began}, saved {saved}, reached {step}")
            tally.most_lost = max(tally.most_lost, step - course.began)
            tally.lost += step - course.began
            step = course.began
        saved, step = max([saved, *course.saved]), max(step, course.step)
        tally.problems.extend(f"{name}: {problem}" for problem in half_things(folder, expected))
        tally.problems.extend(f"{name}: {line}" for line in course.said if line.startswith("damaged"))

    for _ in range(kills):
        course = killed(trainer, folder, expected, settings, chance)
        check(course)
        if course.status != -signal.SIGKILL:
            break
        tally.kills += 1
        place = course.phases[-1] if course.phases else "between"
        tally.where[place] = tally.where.get(place, 0) + 1
    else:
        course = trainer.to_end(Attempt(str(trainer.base), str(folder), settings))
        check(course)
    if course.status or course.result != expected.result:
        tally.problems.append(f"{name}: ended with {course.status} {course.error}: {course.result}")
    if published(folder) != expected.kept:
        tally.problems.append(f"{name}: the files are not those of an undisturbed run")
    litter = [str(path) for path in folder.rglob(".*")]
    if litter:
        tally.problems.append(f"{name}: left behind {litter}")


def kills(folder: Path, count: int, chance: random.Random, *, each: int = 5) -> Tally:
    """Runs of all kinds in turn, each killed at most `each` times, until `count` kills have been done."""
    tally = Tally()
    with trainer(folder) as process:
        expected = {
            name: undisturbed(process, folder / f"undisturbed-{at}", settings)
            for at, (name, settings) in enumerate(CASES.items())
        }
        for name in cycle(CASES):
            if tally.kills >= count:
                return tally
            left = min(each, count - tally.kills)
            disturb(process, folder / f"run-{tally.runs}", name, expected[name], kills=left, chance=chance, tally=tally)
    return tally


def main() -> int:
    """The entry point; the exit code says whether everything held."""
    parser = argparse.ArgumentParser(prog="benchmarks.training_kills")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = asdict(kills(Path(folder), given.kills, random.Random(given.seed)))
    found["seconds"] = round(time.monotonic() - started, 1)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    command = f"python -m benchmarks.training_kills --kills {given.kills} --seed {given.seed}"
    append("training_kills", command, found, ("torch", "transformers", "peft", "bitsandbytes"))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
