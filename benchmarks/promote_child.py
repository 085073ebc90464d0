"""The processes of `benchmarks.promote_kills`: copies of its own, with nothing left to import, and quick versions."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from core.backends.backend import Message, Sampling
from core.errors import BackendError
from core.paths import Home
from storage.db import open_store

ROOT: Final = Path(__file__).resolve().parents[1]
VERSIONS: Final = 4


class EchoLocal:
    """Stands for the embedded llama.cpp: answers as the double does when it echoes."""

    bos = "<bos>"
    context = 512

    def __init__(self, _: object, path: Path) -> None:
        from core.paths import sha256_of
        from core.release.gguf_reading import GgufReading

        with GgufReading(path) as reading:
            self.template = str(reading.fields["tokenizer.chat_template"])
        self._sha256 = sha256_of(path)

    def render(self, messages: Sequence[Message]) -> str:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def refuse(words: str) -> None:
            raise TemplateError(words)

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = refuse
        chat = [asdict(message) for message in messages]
        try:
            compiled = environment.from_string(self.template)
            return compiled.render(messages=chat, bos_token=self.bos, eos_token="<end>", add_generation_prompt=True)
        except TemplateError as error:
            raise BackendError(str(error)) from error

    def count(self, messages: Sequence[Message]) -> int:
        return len(self.render(messages).removeprefix(self.bos).split())

    def answer(self, messages: Sequence[Message], sampling: Sampling) -> str:
        words = f"echo of {self._sha256[:8]}: {messages[-1].content}".split(" ")
        return " ".join(words[: sampling.max_tokens])

    def gap(self, messages: Sequence[Message], text: str) -> float:
        return 9.0


def forked(work: Callable[[], object], log: Path) -> int:
    """Begins with work in a process of its own, which has nothing to import any more; its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        with log.open("ab", buffering=0) as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - the boundary of the process: its log says what it was
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def ended(pid: int, seconds: float) -> int | None:
    """The status of a process once it has ended, None where it has not in that time."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.002)


def finetune_tui(home: Home, *arguments: str) -> Callable[[], object]:
    """The command line with these arguments."""

    def work() -> None:
        from tui.__main__ import main

        sys.argv = ["finetune-tui", "--home", str(home.root), *arguments]
        main()

    return work


def make_versions(home: Home) -> None:
    """Proved versions with small real model files."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "core" / "release")]
    from ollama_kit import add_model
    from tiny_llama import save_llama

    from core.release.gguf import export_gguf

    with tempfile.TemporaryDirectory() as folder, open_store(home.store) as store:
        for number in range(VERSIONS):
            model = save_llama(Path(folder) / str(number), seed=number)
            file = export_gguf(model, Path(folder) / f"{number}.f16.gguf", name=f"v{number}")
            add_model(store, home, number, file)
