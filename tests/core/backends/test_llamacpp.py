"""Embedded llama.cpp: answers, their figures, sameness, and what happens when the child or its parent dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from tiny_llama import CHATS, PROMPTS

from core.backends.backend import Backend, Generation, Message, Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.errors import BackendError

pytestmark = pytest.mark.process
GREEDY = Sampling(temperature=0.0, max_tokens=200)
LOOSE = Sampling(temperature=1.5, top_p=1.0, top_k=0, max_tokens=60, seed=7)


@pytest.fixture(scope="module")
def shared() -> Iterator[LlamaCppBackend]:
    with LlamaCppBackend(threads=1) as running:
        yield running


@pytest.fixture
def backend() -> Iterator[LlamaCppBackend]:
    with LlamaCppBackend(threads=1) as running:
        yield running


def same(first: Generation, second: Generation) -> bool:
    return replace(first, seconds=0.0) == replace(second, seconds=0.0)


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


class TestAnswers:
    def test_as_trained(self, shared: LlamaCppBackend, model: str) -> None:
        backend: Backend = shared
        for prompt, (_, answer) in zip(PROMPTS, CHATS, strict=True):
            found = backend.generate(model, prompt, GREEDY)
            assert found.text == answer
            assert found.finish_reason == "stop"
            assert found.prompt_tokens == len(
                shared.tokenize(model, shared.render(model, prompt), add_special=False, parse_special=True)
            )
            assert found.completion_tokens == len(
                shared.tokenize(model, answer, add_special=False, parse_special=False)
            )
            assert found.mean_logprob is not None
            assert -0.2 < found.mean_logprob < 0
            assert found.seconds > 0

    def test_mean_logprob_is_that_of_the_logits(self, shared: LlamaCppBackend, model: str) -> None:
        prompt = shared.tokenize(model, shared.render(model, PROMPTS[1]), add_special=False, parse_special=True)
        answer = shared.greedy(model, prompt, 200)
        logits = shared.logits(model, prompt + answer)[len(prompt) - 1 : -1].astype(np.float64)
        logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        expected = logprobs[range(len(answer)), answer].mean()
        assert shared.generate(model, PROMPTS[1], GREEDY).mean_logprob == pytest.approx(expected, abs=2e-3)

    def test_length(self, shared: LlamaCppBackend, model: str) -> None:
        found = shared.generate(model, PROMPTS[0], replace(GREEDY, max_tokens=3))
        assert (found.finish_reason, found.completion_tokens) == ("length", 3)
        assert CHATS[0][1].startswith(found.text)

    def test_stop_strings(self, shared: LlamaCppBackend, model: str) -> None:
        found = shared.generate(model, PROMPTS[0], replace(GREEDY, stop=("nowhere", "ORD", "STOMER ||")))
        assert found.finish_reason == "stop"
        assert found.text == CHATS[0][1].split("STOMER ||")[0]

    def test_bytes_that_are_no_text(self, shared: LlamaCppBackend, untrained_model: str) -> None:
        found = shared.generate(untrained_model, [Message("user", "\ud800 \x00 <end> 😀")], LOOSE)
        found.text.encode()


class TestSameness:
    def test_seed(self, shared: LlamaCppBackend, untrained_model: str) -> None:
        first = shared.generate(untrained_model, PROMPTS[0], LOOSE)
        assert same(first, shared.generate(untrained_model, PROMPTS[0], LOOSE))
        assert first.text != shared.generate(untrained_model, PROMPTS[0], replace(LOOSE, seed=8)).text

    def test_what_was_asked_before_changes_nothing(
        self, shared: LlamaCppBackend, backend: LlamaCppBackend, untrained_model: str
    ) -> None:
        rules = Message("system", "A long rule that is the same for all. " * 12)
        chats = [[rules, Message("user", f"Question {n} " * n)] for n in (1, 9, 2)]
        before = [shared.generate(untrained_model, chat, LOOSE) for chat in (*chats, chats[0])]
        assert min(answer.prompt_tokens for answer in before) > 256
        shared.logits(untrained_model, [5] * 200)
        for chat in reversed(chats):
            fresh = backend.generate(untrained_model, chat, LOOSE)
            assert same(fresh, before[chats.index(chat)])
            assert same(fresh, shared.generate(untrained_model, chat, LOOSE))

    def test_threads_take_turns(self, shared: LlamaCppBackend, untrained_model: str) -> None:
        expected = [shared.generate(untrained_model, PROMPTS[0], replace(LOOSE, seed=n)).text for n in range(4)]
        found: dict[int, str] = {}

        def ask(n: int) -> None:
            found[n] = shared.generate(untrained_model, PROMPTS[0], replace(LOOSE, seed=n)).text

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [found[n] for n in range(4)] == expected

    def test_repeat_penalty_is_used(self, shared: LlamaCppBackend, untrained_model: str) -> None:
        plain = shared.generate(untrained_model, PROMPTS[0], replace(GREEDY, max_tokens=80))
        punished = shared.generate(untrained_model, PROMPTS[0], replace(GREEDY, max_tokens=80, repeat_penalty=2.0))
        assert plain.text != punished.text


class TestProofTools:
    def test_logits_agree_with_greedy(self, shared: LlamaCppBackend, model: str) -> None:
        tokens = list(range(6, 306))
        logits = shared.logits(model, tokens)
        assert logits.shape == (300, shared.special_tokens(model)["vocabulary"])
        assert logits.dtype == np.float32
        assert shared.greedy(model, tokens, 1) == [int(logits[-1].argmax())]

    @pytest.mark.parametrize("step", [128, 100, 7])
    def test_logits_in_ranges_are_those_of_the_whole(
        self, shared: LlamaCppBackend, untrained_model: str, step: int
    ) -> None:
        tokens = [(n * 37) % 200 + 10 for n in range(300)]
        whole = shared.logits(untrained_model, tokens)
        parts = [shared.logits(untrained_model, tokens, at, at + step) for at in range(0, len(tokens), step)]
        assert np.array_equal(np.concatenate(parts), whole)
        assert np.array_equal(shared.logits(untrained_model, tokens, 260, 290), whole[260:290])
        other = [*tokens[:200], *tokens[:100]]
        assert np.array_equal(shared.logits(untrained_model, other, 128, 200), whole[128:200])
        shared.greedy(untrained_model, other[:150], 8)
        assert np.array_equal(shared.logits(untrained_model, tokens, 256, 300), whole[256:])
        for start, stop in ((5, 5), (-1, 3), (300, 301)):
            with pytest.raises(BackendError, match="do not fit"):
                shared.logits(untrained_model, tokens, start, stop)

    def test_special_tokens(self, shared: LlamaCppBackend, model: str) -> None:
        special = shared.special_tokens(model)
        assert (special["bos"], special["eos"], special["pad"], special["add_bos"]) == (1, 2, 0, 0)
        assert shared.end_tokens(model) == [2]
        assert shared.tokenize(model, "<end>", add_special=False, parse_special=True) == [2]
        assert 2 not in shared.tokenize(model, "<end>", add_special=False, parse_special=False)

    def test_render(self, shared: LlamaCppBackend, model: str) -> None:
        ask = [Message("user", " hi ")]
        assert shared.render(model, ask) == "<bos><user>hi<end><assistant>"
        assert shared.render(model, ask, add_generation_prompt=False) == "<bos><user>hi<end>"


class TestFaults:
    def test_refusals_leave_the_child_running(self, backend: LlamaCppBackend, model: str, tmp_path: Path) -> None:
        with pytest.raises(BackendError, match="no model file"):
            backend.generate(str(tmp_path / "none.gguf"), PROMPTS[0], GREEDY)
        pid = backend.pid
        (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\0" * 100)
        with pytest.raises(BackendError, match=r"cannot read bad\.gguf"):
            backend.generate(str(tmp_path / "bad.gguf"), PROMPTS[0], GREEDY)
        with pytest.raises(BackendError, match="no tools"):
            backend.generate(model, [Message("tool", "x")], GREEDY)
        with pytest.raises(BackendError, match="tokens"):
            backend.generate(model, [Message("user", "1 " * 2000)], GREEDY)
        with pytest.raises(BackendError, match="do not fit"):
            backend.logits(model, [1] * 2000)
        assert backend.generate(model, PROMPTS[0], GREEDY).text == CHATS[0][1]
        assert backend.pid == pid

    def test_full_context_ends_with_length(self, model: str, untrained_model: str) -> None:
        with LlamaCppBackend(threads=1, num_ctx=256) as small:
            found = small.generate(untrained_model, PROMPTS[0], replace(GREEDY, max_tokens=4000))
            assert found.finish_reason == "length"
            assert found.prompt_tokens + found.completion_tokens == 256

    def test_changed_file_is_read_anew(
        self, backend: LlamaCppBackend, model: str, untrained_model: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "model.gguf"
        shutil.copy(untrained_model, path)
        assert backend.generate(str(path), PROMPTS[0], GREEDY).text != CHATS[0][1]
        shutil.copy(model, tmp_path / "new.gguf")
        (tmp_path / "new.gguf").replace(path)
        assert backend.generate(str(path), PROMPTS[0], GREEDY).text == CHATS[0][1]

    def test_more_models_than_stay_loaded(self, backend: LlamaCppBackend, model: str, tmp_path: Path) -> None:
        for n in range(5):
            shutil.copy(model, tmp_path / f"{n}.gguf")
        for n in (0, 1, 2, 3, 4, 0, 4):
            assert backend.generate(str(tmp_path / f"{n}.gguf"), PROMPTS[0], GREEDY).text == CHATS[0][1]

    def test_killed_child(self, untrained_model: str, tmp_path: Path) -> None:
        log = tmp_path / "logs" / "llama.txt"
        with LlamaCppBackend(threads=1, log=log) as backend:
            long = replace(LOOSE, max_tokens=100_000)
            expected = backend.generate(untrained_model, PROMPTS[0], LOOSE)
            pid = backend.pid
            assert pid is not None
            with log.open("a") as file:
                file.write("last words\n")
            threading.Timer(0.01, os.kill, (pid, signal.SIGKILL)).start()
            with pytest.raises(BackendError, match=r"(?s)signal 9.*last words"):
                while True:
                    backend.generate(untrained_model, PROMPTS[0], long)
            assert not psutil.pid_exists(pid)
            assert same(backend.generate(untrained_model, PROMPTS[0], LOOSE), expected)
            assert backend.pid != pid

    def test_close(self, model: str) -> None:
        backend = LlamaCppBackend(threads=1)
        backend.generate(model, PROMPTS[0], GREEDY)
        pid = backend.pid
        assert pid is not None
        backend.close()
        backend.close()
        assert not psutil.pid_exists(pid)
        with pytest.raises(BackendError, match="closed"):
            backend.generate(model, PROMPTS[0], GREEDY)

    def test_close_during_an_answer(self, untrained_model: str) -> None:
        backend = LlamaCppBackend(threads=1)
        backend.end_tokens(untrained_model)
        pid = backend.pid
        assert pid is not None
        failures: list[BackendError] = []

        def ask() -> None:
            try:
                while True:
                    backend.generate(untrained_model, PROMPTS[0], replace(LOOSE, max_tokens=100_000))
            except BackendError as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.05)
        started = time.monotonic()
        backend.close()
        thread.join(10)
        assert time.monotonic() - started < 3
        assert "closed" in str(failures[0])
        assert not psutil.pid_exists(pid)

    def test_death_of_the_parent_ends_the_child(self, untrained_model: str, tmp_path: Path) -> None:
        script = (
            "import sys, threading, time\n"
            "from core.backends.llamacpp import LlamaCppBackend\n"
            "from core.backends.backend import Message, Sampling\n"
            "backend = LlamaCppBackend(threads=1)\n"
            "backend.end_tokens(sys.argv[1])\n"
            "print(backend.pid, flush=True)\n"
            "while True:\n"
            "    backend.generate(sys.argv[1], [Message('user', 'x')], Sampling(temperature=2.0, top_k=0, top_p=1.0))\n"
        )
        root = Path(__file__).parents[3]
        parent = subprocess.Popen(
            [sys.executable, "-c", script, untrained_model],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(tmp_path)},
        )
        with parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert psutil.pid_exists(pid)
            parent.kill()
        assert wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)

    def test_current_folder_holds_another_core(
        self, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "core").mkdir()
        (tmp_path / "core" / "__init__.py").write_text("raise SystemExit('the wrong one')")
        monkeypatch.chdir(tmp_path)
        with LlamaCppBackend(threads=1) as backend:
            assert backend.generate(model, PROMPTS[0], GREEDY).text == CHATS[0][1]
