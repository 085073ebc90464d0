"""Answers as they are drawn: the same as whole ones, and given up at any moment."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import psutil
import pytest
from tiny_llama import CHATS, PROMPTS

from assets import ASSETS
from core.backends.backend import Generation, Message, Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.errors import BackendError
from core.release.gguf import export_gguf

pytestmark = pytest.mark.process
GREEDY = Sampling(temperature=0.0, max_tokens=200)
LOOSE = Sampling(temperature=1.5, top_p=1.0, top_k=0, max_tokens=60, seed=7)
ENDLESS = replace(LOOSE, max_tokens=100_000)


@pytest.fixture(scope="module")
def shared() -> Iterator[LlamaCppBackend]:
    with LlamaCppBackend(threads=1) as running:
        yield running


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(export_gguf(ASSETS / "demo" / "model", tmp_path_factory.mktemp("shipped") / "demo.gguf").path)


def whole(backend: LlamaCppBackend, model: str, messages: list[Message] | tuple[Message, ...], how: Sampling) -> str:
    """The text of a stream, after looking at what all its pieces must be."""
    pieces = list(backend.stream(model, messages, how))
    assert all(piece.generation is None and piece.text for piece in pieces[:-1])
    last = pieces[-1].generation
    assert last is not None
    assert "".join(piece.text for piece in pieces) == last.text
    assert replace(last, seconds=0.0) == replace(backend.generate(model, messages, how), seconds=0.0)
    return last.text


class TestSameAsWhole:
    def test_as_trained(self, shared: LlamaCppBackend, model: str) -> None:
        for prompt, (_, answer) in zip(PROMPTS, CHATS, strict=True):
            assert whole(shared, model, prompt, GREEDY) == answer

    def test_the_shipped_model_over_many_seeds(self, shared: LlamaCppBackend, shipped: str) -> None:
        ask = (Message("user", "Create an ER diagram of customers, orders and products."),)
        how = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=40)
        texts = {
            whole(shared, shipped, ask, replace(how, seed=seed, stop=("}", "_id F")[: seed % 3])) for seed in range(40)
        }
        assert len(texts) > 30

    def test_any_bytes_and_stop_strings(self, shared: LlamaCppBackend, untrained_model: str) -> None:
        broken = 0
        for seed in range(60):
            plain = whole(shared, untrained_model, PROMPTS[0], replace(LOOSE, seed=seed))
            broken += "\ufffd" in plain
            stop = plain[20:23].replace("\ufffd", "")
            if stop:
                cut = whole(shared, untrained_model, PROMPTS[0], replace(LOOSE, seed=seed, stop=("nowhere", stop)))
                assert stop not in cut
        assert broken > 10

    def test_the_first_piece_comes_before_the_last_is_drawn(
        self, shared: LlamaCppBackend, untrained_model: str
    ) -> None:
        with shared.stream(untrained_model, PROMPTS[0], ENDLESS) as stream:
            first = next(stream)
            assert first.text
            assert first.generation is None


class TestGivenUp:
    def test_the_next_answer_is_what_it_would_have_been(self, shared: LlamaCppBackend, untrained_model: str) -> None:
        chats = [[Message("user", f"Question {n} " * 60)] for n in range(3)]
        with LlamaCppBackend(threads=1) as fresh:
            expected = [fresh.generate(untrained_model, chat, LOOSE) for chat in chats]
        for taken in (0, 1, 2, 7):
            for chat, answer in zip(chats, expected, strict=True):
                with shared.stream(untrained_model, chats[0], ENDLESS) as stream:
                    assert len(list(islice(stream, taken))) == taken
                found = shared.generate(untrained_model, chat, LOOSE)
                assert replace(found, seconds=0.0) == replace(answer, seconds=0.0)

    def test_closed_or_dropped_it_stops_the_child(self, shared: LlamaCppBackend, untrained_model: str) -> None:
        for way in ("closed", "dropped", "never begun"):
            stream = shared.stream(untrained_model, PROMPTS[0], ENDLESS)
            if way != "never begun":
                next(stream)
            if way == "closed":
                stream.close()
                stream.close()
                assert list(stream) == []
            del stream
            pid = shared.pid
            assert shared.generate(untrained_model, PROMPTS[0], replace(LOOSE, max_tokens=1)).completion_tokens == 1
            assert shared.pid == pid

    def test_from_another_thread(self, shared: LlamaCppBackend, untrained_model: str) -> None:
        stream = shared.stream(untrained_model, PROMPTS[0], replace(GREEDY, max_tokens=100_000))
        begun, found = threading.Event(), []

        def read() -> None:
            for piece in stream:
                found.append(piece)
                begun.set()

        thread = threading.Thread(target=read)
        thread.start()
        assert begun.wait(10)
        stream.close()
        thread.join(10)
        assert not thread.is_alive()
        assert all(piece.generation is None for piece in found[:-1])
        assert shared.generate(untrained_model, PROMPTS[0], LOOSE).completion_tokens > 0

    def test_while_it_waits_for_its_turn(self, shared: LlamaCppBackend, untrained_model: str) -> None:
        first = shared.stream(untrained_model, PROMPTS[0], ENDLESS)
        next(first)
        second = shared.stream(untrained_model, PROMPTS[0], ENDLESS)
        found: list[object] = []
        thread = threading.Thread(target=lambda: found.extend(second))
        thread.start()
        time.sleep(0.05)
        second.close()
        first.close()
        thread.join(10)
        assert not thread.is_alive()
        assert found == []

    def test_in_a_race_with_the_end(self, shared: LlamaCppBackend, untrained_model: str) -> None:
        """A cancel may come when the answer is just over: it must not touch the next one."""
        expected = shared.generate(untrained_model, PROMPTS[1], LOOSE)
        for n in range(60):
            stream = shared.stream(untrained_model, PROMPTS[0], replace(LOOSE, max_tokens=2, seed=n))
            thread = threading.Thread(target=list, args=(stream,))
            thread.start()
            time.sleep(n * 1e-4)
            stream.close()
            pieces = list(shared.stream(untrained_model, PROMPTS[1], LOOSE))
            thread.join(10)
            assert pieces[-1].generation is not None
            assert pieces[-1].generation.text == expected.text

    def test_within_a_long_prompt(self, untrained_model: str, tmp_path: Path) -> None:
        with LlamaCppBackend(threads=1) as backend:
            backend.end_tokens(untrained_model)
            chat = [Message("user", "7 " * 450)]
            stream = backend.stream(untrained_model, chat, ENDLESS)
            thread = threading.Thread(target=lambda: list(stream))
            thread.start()
            stream.close()
            thread.join(10)
            assert not thread.is_alive()
            found = backend.generate(untrained_model, chat, LOOSE)
            assert replace(found, seconds=0.0) == replace(backend.generate(untrained_model, chat, LOOSE), seconds=0.0)


class TestFaults:
    def test_refusals_come_with_the_first_piece(self, shared: LlamaCppBackend, model: str, tmp_path: Path) -> None:
        for path, chat, said in (
            (str(tmp_path / "none.gguf"), PROMPTS[0], "no model file"),
            (model, [Message("tool", "x")], "no tools"),
            (model, [Message("user", "1 " * 2000)], "tokens"),
        ):
            with pytest.raises(BackendError, match=said):
                next(shared.stream(path, chat, GREEDY))
        assert whole(shared, model, PROMPTS[0], GREEDY) == CHATS[0][1]

    def test_killed_child(self, untrained_model: str) -> None:
        with LlamaCppBackend(threads=1) as backend:
            expected: Generation = backend.generate(untrained_model, PROMPTS[0], LOOSE)
            stream = backend.stream(untrained_model, PROMPTS[0], replace(GREEDY, max_tokens=100_000))
            next(stream)
            pid = backend.pid
            assert pid is not None
            psutil.Process(pid).suspend()
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(BackendError, match="signal 9"):
                list(stream)
            assert backend.generate(untrained_model, PROMPTS[0], LOOSE).text == expected.text

    def test_killed_child_of_a_stream_that_is_given_up(self, untrained_model: str) -> None:
        with LlamaCppBackend(threads=1) as backend:
            stream = backend.stream(untrained_model, PROMPTS[0], ENDLESS)
            next(stream)
            assert backend.pid is not None
            os.kill(backend.pid, signal.SIGKILL)
            stream.close()
            assert backend.generate(untrained_model, PROMPTS[0], LOOSE).completion_tokens > 0

    def test_closed_backend(self, untrained_model: str) -> None:
        backend = LlamaCppBackend(threads=1)
        stream = backend.stream(untrained_model, PROMPTS[0], ENDLESS)
        next(stream)
        pid = backend.pid
        assert pid is not None
        backend.close()
        with pytest.raises(BackendError, match="closed"):
            list(stream)
        assert not psutil.pid_exists(pid)

    def test_a_file_that_is_removed_meanwhile(self, shared: LlamaCppBackend, model: str, tmp_path: Path) -> None:
        path = tmp_path / "model.gguf"
        shutil.copy(model, path)
        with shared.stream(str(path), PROMPTS[0], GREEDY) as stream:
            first = next(stream)
            path.unlink()
            assert first.text + "".join(piece.text for piece in stream) == CHATS[0][1]
