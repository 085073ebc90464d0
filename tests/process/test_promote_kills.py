"""kill -9 of a promotion at any moment: whoever comes next finds the store and Ollama agreeing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fake_ollama import set_faults
from process_kit import ROOT, cli, command, environment

sys.path.insert(0, str(ROOT / "tests" / "core" / "release"))

from ollama_kit import add_model, asked_of
from tiny_llama import save_llama

from core.backends.ollama_api import OllamaApi
from core.config import Config
from core.errors import BackendError
from core.paths import Home
from core.release.gguf import export_gguf
from core.release.promote import alias_name, serving
from storage import aliases, deployments
from storage.db import integrity_problems, open_store

pytestmark = pytest.mark.process


class Server:
    """A fake Ollama as a process, which can be killed and started again on the same store and port."""

    def __init__(self, folder: Path, era: str) -> None:
        self.folder, self.era, self.port, self.process = folder, era, 0, None
        self.start(era)

    process: subprocess.Popen[str] | None

    def start(self, era: str) -> None:
        self.stop()
        command = [sys.executable, str(ROOT / "tests" / "fake_ollama"), "--era", era, "--store", str(self.folder)]
        command += ["--port", str(self.port), "--answers", "llamacpp"]
        told = {**environment(), "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=told)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.port = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.process = None


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A base and two versions, each of a model of its own."""
    folder = tmp_path_factory.mktemp("switching")
    made = Home(folder / "home")
    made.ensure()
    with open_store(made.store) as store:
        for number in range(3):
            model = save_llama(folder / f"m{number}", seed=number)
            add_model(store, made, number, export_gguf(model, folder / f"m{number}.f16.gguf", name=f"m{number}"))
    return made


@pytest.fixture
def server(tmp_path: Path, home: Home) -> Iterator[Server]:
    made = Server(tmp_path / "server", "0.34.1")
    home.config.write_text(f'[publish]\nnum_ctx = 512\n[serve]\nollama = "{made.url}"\n', encoding="utf-8")
    yield made
    made.stop()


def truth(home: Home, url: str) -> tuple[str, bool]:
    """What serves by the store, and whether Ollama answers with it."""
    with open_store(home.store) as store, OllamaApi(url) as api:
        assert integrity_problems(store) == []
        alias = aliases.get(store, alias_name(Config(), "erd"))
        current = serving(store, Config(), "erd")
        assert alias is not None and current is not None
        row = deployments.get(store, current.id, api.url)
        return current.name, row is not None and api.digest_of(alias.name) == row.digest == api.digest_of(row.name)


def acknowledged(home: Home) -> int:
    with open_store(home.store) as store:
        return len(aliases.history(store, alias_name(Config(), "erd")))


def test_a_promotion_killed_at_any_moment_leaves_one_truth(home: Home, server: Server) -> None:
    """Killed when Ollama hears a request of each kind, when the store has just changed, and at random."""
    draw = random.Random(11)
    told = cli(home.root, "promote", "ft-demo-erd-v1")
    assert told.stdout == "✓ ft-erd: nothing → ft-demo-erd-v1\n"
    assert "Giving ft-demo-erd-v1 to Ollama 0.34.1" in told.stderr and "ft-erd in Ollama answers" in told.stderr
    assert truth(home, server.url) == ("ft-demo-erd-v1", True)
    late = 0
    moments = ["/api/create", "/api/show", "/api/chat", "the store", "the store", "/api/copy", "/api/generate", ""]
    for moment in moments:
        before = truth(home, server.url)[0]
        after = "ft-demo-erd-v2" if before.endswith("v1") else "ft-demo-erd-v1"
        changes = acknowledged(home)
        with OllamaApi(server.url) as api:
            if moment.startswith("/api/c"):  # so that it has to be given again
                api.delete(after)
        if moment == "the store":
            set_faults(server.url, copy="status", copy_times=3)  # the alias follows, but not at once
        heard = len(asked_of(server.url, moment))
        child = subprocess.Popen(
            command(home.root, "promote", after), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment(), start_new_session=True,
        )  # fmt: skip
        if not moment:
            time.sleep(draw.uniform(0.2, 1.0))
        while moment and child.poll() is None:
            if acknowledged(home) > changes if moment == "the store" else len(asked_of(server.url, moment)) > heard:
                break
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate()
        set_faults(server.url)
        held = acknowledged(home) == changes + 1
        assert held or "✓" not in output
        if moment in ("/api/create", "/api/show", "/api/chat"):
            assert not held  # nothing changes before the version was checked
        late += held and not truth(home, server.url)[1]
        assert cli(home.root, "models").returncode == 0  # any start
        assert truth(home, server.url) == (after if held else before, True)
        told = cli(home.root, "doctor")
        assert "ft-erd in Ollama: agrees" in told.stdout, told.stdout
    assert late  # at least one kill came between the store and Ollama


def test_ollama_killed_in_the_middle_and_updated_is_followed(home: Home, server: Server) -> None:
    draw = random.Random(3)
    assert cli(home.root, "doctor").returncode == 0
    for era in ("0.24.0", "0.34.1"):
        serves = truth_name(home)
        other = "ft-demo-erd-v2" if serves.endswith("v1") else "ft-demo-erd-v1"
        child = subprocess.Popen(
            command(home.root, "promote", other), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment(),
        )  # fmt: skip
        time.sleep(draw.uniform(0.8, 2.5))
        server.stop()
        output, _ = child.communicate(timeout=120)
        assert "Traceback" not in output
        assert (truth_name(home) == other) == (child.returncode == 0), output
        server.start(era)
        told = cli(home.root, "doctor")
        assert told.returncode == 0 and "ft-erd in Ollama: agrees" in told.stdout, told.stdout + told.stderr
        assert truth(home, server.url) == (truth_name(home), True)
        with OllamaApi(server.url) as api, pytest.raises(BackendError):
            api.show("ft-erd:before")


def truth_name(home: Home) -> str:
    with open_store(home.store) as store:
        current = serving(store, Config(), "erd")
        if current is None:
            assert cli(home.root, "promote", "ft-demo-erd-v1").returncode == 0
            return "ft-demo-erd-v1"
        return current.name
