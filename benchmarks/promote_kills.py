"""Promotions, rollbacks and gateways that are killed at random (kill -9), with the Ollama that they change.

python -m benchmarks.promote_kills [--kills 200] [--seed N]

After every kill one start (`finetune-tui doctor`) must bring the store, the files and Ollama to one truth: the alias in
Ollama answers with the version that the store names, the store holds the change that was asked for or the state before
it, nothing half-made is left in Ollama, and a model there that somebody else made is as it was. Before each command the
settings may change, or Ollama be killed, updated, downgraded or lose a model. Ollama is the double of the tests in a
process of its own; what it echoes is what the embedded side is made to expect, so that a giving takes no time. What was
found is printed and kept in `results/promote_kills.jsonl`; the exit code is 1 when something does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.gateway_kit import Process, free_port
from benchmarks.promote_child import ROOT, EchoLocal, ended, finetune_tui, forked, make_versions
from benchmarks.record import append
from core.backends.ollama_api import OllamaApi
from core.errors import FinetuneError
from core.paths import Home
from core.release.files import version_problem
from core.release.ollama_names import KEPT_TAG, UNCHECKED_TAG
from storage import aliases, deployments, versions
from storage.db import integrity_problems, open_store

CATEGORY, ALIAS = "erd", "ft-erd"
FOREIGN: Final = "somebodys-own"
ERAS: Final = ("0.24.0", "0.34.1", "0.40.2")
LONGEST: Final = {"serve": 1.5, "promote": 0.7, "rollback": 0.4, "undo": 0.4}
"""Seconds in which each command is killed; what has ended by then was faster than its kill."""
PATIENCE: Final = 60.0
MOST_PROBLEMS: Final = 20


@dataclass(slots=True)
class Tally:
    """What all kills together have shown; `problems` is empty when everything holds."""

    kills: int = 0
    too_late: int = 0
    ollama_killed: int = 0
    rivals: int = 0
    """Times that a second command ran beside, and was killed too if it took longer."""
    tampered: int = 0
    changed: int = 0
    """Commands without a rival that were killed when the store had changed already."""
    commands: dict[str, int] = field(default_factory=dict)
    mended: int = 0
    """Starts that had something to bring to one truth."""
    problems: list[str] = field(default_factory=list)


def write_settings(home: Home, url: str, temperature: float) -> None:
    """What the home folder's config.toml says."""
    publish = f"[publish]\nnum_ctx = 512\ntemperature = {temperature}\n"
    home.config.write_text(f'{publish}[serve]\nbackend = "ollama"\nollama = "{url}"\n', encoding="utf-8")


class Trial:
    """One home, one double of Ollama, and what is done to both."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.tally = Tally()
        self.home = Home(folder / "home")
        self.home.ensure()
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = folder / "log.txt"
        if ended(forked(lambda: make_versions(self.home), self._log), PATIENCE) != 0:
            raise RuntimeError(self._log.read_text("utf-8"))
        write_settings(self.home, self.url, 0.3)
        self._double = [sys.executable, str(ROOT / "tests" / "fake_ollama"), "--store", str(folder / "ollama")]
        self._double += ["--port", self.url.rpartition(":")[2], "--era"]
        self.ollama = Process([*self._double, ERAS[1]], self._log, self.url)
        self.ollama.start()
        with open_store(self.home.store) as store, OllamaApi(self.url) as api:
            first = versions.list_versions(store)[0].gguf["f16"]
            api.upload(self.home.resolve(first["path"]), first["sha256"])
            api.create(FOREIGN, files={"m.gguf": first["sha256"]}, parameters={"num_ctx": 64})
            self._foreign = api.digest_of(FOREIGN)
            self._names = {one.name: one.id for one in versions.list_versions(store)}

    def close(self) -> None:
        """Ends the double."""
        self.ollama.end()

    def state(self) -> tuple[int, int]:
        """How many changes of the alias there were, and the version that serves; 0 before the first."""
        with open_store(self.home.store) as store:
            history = aliases.history(store, ALIAS)
        return len(history), history[0].to_version if history else 0

    def disturb(self) -> None:
        """Something that may happen between two commands."""
        what = self.chance.random()
        if what < 0.3:
            write_settings(self.home, self.url, round(self.chance.random(), 2))
        elif what < 0.4:
            with OllamaApi(self.url) as api:
                held = [one.name for one in api.models() if not one.name.startswith(FOREIGN)]
                for name in self.chance.sample(held, min(1, len(held))):
                    api.delete(name)
        else:
            return
        self.tally.tampered += 1

    def slow_down(self) -> None:
        """Widens the moments in which Ollama has done half of something."""
        pause = self.chance.choice((0.0, 0.01, 0.05))
        self._fault(create_pause=pause, copy_pause=pause)

    def _fault(self, **faults: float) -> None:
        import urllib.request

        body = json.dumps(faults).encode()
        asked = urllib.request.Request(f"{self.url}/_fault", body, {"Content-Type": "application/json"})
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=10).close()

    def command(self) -> tuple[str, ...]:
        """What is begun next."""
        kind = self.chance.choices(("promote", "rollback", "undo", "serve"), (6, 2, 1, 2))[0]
        if kind == "promote":
            _, serving = self.state()
            return kind, self.chance.choice([name for name, number in self._names.items() if number != serving])
        return (kind, "--port", str(free_port())) if kind == "serve" else (kind, CATEGORY)

    def kill_one(self) -> None:
        """Begins a command, kills it, and at times Ollama too; then one start, and a look at what is left."""
        self.disturb()
        self.slow_down()
        count, serving = self.state()
        asked = self.command()
        pid = forked(finetune_tui(self.home, *asked), self._log)
        rival = forked(finetune_tui(self.home, *self.command()), self._log) if self.chance.random() < 0.2 else None
        moment = self.chance.random() * LONGEST[asked[0]]
        if self.chance.random() < 0.2:  # Ollama goes first, and comes back as another version
            time.sleep(moment * self.chance.random())
            self.ollama.command[:] = [*self._double, self.chance.choice(ERAS)]
            self.ollama.kill()
            self.tally.ollama_killed += 1
        if ended(pid, moment) is None:
            os.kill(pid, signal.SIGKILL)
            ended(pid, PATIENCE)
            self.tally.kills += 1
            self.tally.commands[asked[0]] = self.tally.commands.get(asked[0], 0) + 1
            self.tally.changed += rival is None and self.state()[0] != count
        else:
            self.tally.too_late += 1
        if rival is not None:
            self.tally.rivals += 1
            if ended(rival, moment) is None:
                os.kill(rival, signal.SIGKILL)
                ended(rival, PATIENCE)
        self._fault()
        after, now = self.state()
        most = (asked[0] != "serve") + (rival is not None)
        if not (after == count and now == serving) and not count < after <= count + most:
            self.tally.problems.append(f"{asked}: {count} changes to {after}, version {serving} to {now}")
        before = set(self.unlike())
        self.tally.mended += bool(before)
        status = ended(forked(finetune_tui(self.home, "doctor"), self._log), PATIENCE)
        self.tally.problems += [f"after {' '.join(asked)}: {one}" for one in self.unlike()]
        if status is None:
            self.tally.problems.append(f"after {' '.join(asked)}: doctor did not end")

    def unlike(self) -> Iterator[str]:
        """What is not as it should be."""
        with open_store(self.home.store) as store, OllamaApi(self.url) as api:
            held = {one.name.removesuffix(":latest"): one.digest for one in api.models()}
            alias = aliases.get(store, ALIAS)
            history = aliases.history(store, ALIAS)
            if alias is not None:
                version = versions.get(store, alias.version_id)
                row = deployments.get(store, version.id, api.url)
                if history[0].to_version != version.id:
                    yield "the alias is not what its history says"
                if row is None or not row.digest:
                    yield f"{version.name} serves and was not given to Ollama"
                elif not held.get(ALIAS) == held.get(row.name) == row.digest:
                    yield f"the alias in Ollama is not {version.name}"
                elif api.show(ALIAS).modelfile_file_sha256 != version.gguf["f16"]["sha256"]:
                    yield f"the file behind the alias in Ollama is not that of {version.name}"
            for row in deployments.list_deployments(store):
                if row.digest and held.get(row.name, row.digest) != row.digest:
                    yield f"{row.name} in Ollama is not what was given"
                if not row.digest and row.name not in held:
                    yield f"{row.name} was begun and never ended"
            for name in held:
                if name.endswith((UNCHECKED_TAG, KEPT_TAG)):
                    yield f"{name} is left in Ollama"
            if held.get(FOREIGN) != self._foreign:
                yield "what somebody else has made is not as it was"
            yield from (
                str(problem)
                for one in versions.list_versions(store)
                if (problem := version_problem(self.home, one)) is not None
            )
            yield from integrity_problems(store)


def kills(folder: Path, count: int, chance: random.Random) -> Tally:
    """Kills until there were `count`."""
    # Everything that a command needs is imported once, here, so that its process begins with its work.
    import tui.__main__ as entry
    from core.release import ollama_publish

    for name in ("promote", "rollback", "undo", "serve", "doctor"):
        __import__(entry.COMMANDS[name][0])
    # The processes are copies of this one, so that what is put in place here holds in them.
    publishing: Any = ollama_publish
    publishing.LocalModel = EchoLocal
    publishing.Publisher._embedded = lambda _: nullcontext()
    trial = Trial(folder, chance)
    try:
        while trial.tally.kills < count:
            try:
                trial.kill_one()
            except FinetuneError as error:
                trial.tally.problems.append(f"{error.message} {error.hint}")
            if len(trial.tally.problems) > MOST_PROBLEMS:
                break
        return trial.tally
    finally:
        trial.close()


def main() -> int:
    """The entry point; the exit code says whether everything held."""
    parser = argparse.ArgumentParser(prog="benchmarks.promote_kills")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="finetune-kills-") as folder:
        found = asdict(kills(Path(folder), given.kills, random.Random(given.seed)))
    found["seconds"] = round(time.monotonic() - started, 1)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    command = f"python -m benchmarks.promote_kills --kills {given.kills} --seed {given.seed}"
    append("promote_kills", command, found, ("httpx", "starlette", "uvicorn"))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
