"""Texts compared by meaning where a model is at hand: what is kept, what is computed, and never two kinds at once."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import psutil
import pytest

from core.backends.embedding import SentenceEmbedder
from core.backends.embedding_models import PACKAGE, EmbeddingModel, find_model
from core.config import Config, Select
from core.doctor import examine
from core.errors import BackendError, ConfigError
from core.paths import Home
from core.select.alike import embedding_cache, meaning
from core.select.alike.embedding_cache import BLOCK, EmbeddingCache, NotCachedError, text_key
from core.select.alike.meaning import PLAIN, Meaning, cached_meaning, fill, open_meaning, preview
from core.select.alike.vectors import Vectors, vectors
from storage import embeddings
from storage.db import Store

CAT, KITTEN, STOCKS = (
    "A cat sits on the mat.",
    "The kitten is resting on a rug.",
    "Share prices fell on Tuesday, 3.5 %.",
)
MINILM = "all-MiniLM-L6-v2"


class FakeEmbedder:
    """Counts what it is asked; a text's numbers come from its hash. `broken` makes every further call fail."""

    def __init__(self) -> None:
        self.blocks: list[list[str]] = []
        self.broken = ""
        self.closed = False
        self.pid = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self.broken:
            raise BackendError(self.broken)
        self.blocks.append(list(texts))
        digests = [hashlib.sha512(text.encode("utf-8", "replace")).digest() for text in texts]
        rows = np.frombuffer(b"".join(digests), np.int8).reshape(len(texts), 64).astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    def close(self) -> None:
        self.closed = True

    @property
    def asked(self) -> list[str]:
        return [text for block in self.blocks for text in block]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    embedder = FakeEmbedder()

    def opened(_model: EmbeddingModel, _log: Path) -> FakeEmbedder:
        return embedder

    monkeypatch.setattr(meaning, "open_embedder", opened)
    return embedder


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names put in here are packages that are not installed."""
    absent: list[str] = []
    find = importlib.util.find_spec

    def finder(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in absent else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", finder)
    return absent


def named(setting: str) -> Config:
    return Config(select=Select(embeddings=setting))


def of_length(length: int, count: int) -> list[str]:
    return [f"{number:04d}".ljust(length, "x") for number in range(count)]


class TestCache:
    def test_only_what_is_missing_is_computed(self, store: Store, home: Home, fake: FakeEmbedder) -> None:
        with open_meaning(store, home, Config()) as first:
            assert (first.label, first.semantic) == (MINILM, True)
            rows = first.embed([CAT, STOCKS, CAT])
            again = first.embed([STOCKS])
        assert fake.closed
        assert sorted(fake.asked) == sorted(["", CAT, STOCKS])
        assert np.array_equal(rows[0], rows[2])
        assert np.array_equal(rows[1], again[0])
        with open_meaning(store, home, Config()) as second:
            kept = second.embed([KITTEN, STOCKS, CAT])
        assert fake.asked.count(KITTEN) == 1
        assert len(fake.asked) == 4
        assert np.array_equal(kept[1:], rows[[1, 0]])

    def test_kept_vectors_are_near_the_computed_ones(self, store: Store, home: Home, fake: FakeEmbedder) -> None:
        texts = of_length(20, 200)
        with open_meaning(store, home, Config()) as opened:
            rows = opened.embed(texts)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
        np.testing.assert_allclose(rows, fake.embed(texts), atol=1e-3)

    def test_alike_lengths_go_together(self, store: Store, home: Home, fake: FakeEmbedder) -> None:
        texts = [text for pair in zip(of_length(10, BLOCK), of_length(700, BLOCK), strict=True) for text in pair]
        assert fill(store, home, Config(), texts) == 2 * BLOCK
        assert [{len(text) for text in block} for block in fake.blocks] == [{700}, {10}]

    def test_what_a_kill_leaves_is_not_computed_again(self, store: Store, home: Home, fake: FakeEmbedder) -> None:
        texts = of_length(30, 3 * BLOCK + 5)

        def stop(done: int, total: int) -> None:
            if done >= 2 * BLOCK:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fill(store, home, Config(), texts, stop)
        assert fake.closed
        seen: list[tuple[int, int]] = []
        assert fill(store, home, Config(), texts, lambda *counts: seen.append(counts)) == BLOCK + 5
        assert seen == [(BLOCK, BLOCK + 5), (BLOCK + 5, BLOCK + 5)]
        assert sorted(fake.asked) == texts
        assert fill(store, home, Config(), texts) == 0

    def test_no_text_at_all(self, store: Store, home: Home, fake: FakeEmbedder) -> None:
        with open_meaning(store, home, Config()) as opened:
            assert opened.embed([]).shape == (0, 64)
            assert (opened.embed([]) @ opened.embed([CAT]).T).shape == (0, 1)
        assert EmbeddingCache(store, "another", fake.embed)([]).shape == (0, 64)

    def test_memory_is_bounded(self, store: Store, fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedding_cache, "_REMEMBERED_BYTES", 10 * 128)
        cache = EmbeddingCache(store, "m", fake.embed)
        texts = of_length(8, 300)
        assert np.array_equal(cache(texts), cache(texts))
        assert len(fake.asked) == 300
        assert len(cache._remembered) == 10

    def test_any_text_has_a_key(self) -> None:
        # The first 8 bytes of BLAKE2b-64 of "abc", by coreutils' b2sum -l 64.
        assert text_key("abc") == int.from_bytes(bytes.fromhex("d8bb14d833d59559"), "big", signed=True)
        assert text_key("\ud800") != text_key("\x00")

    def test_new_files_of_a_model_replace_its_old_vectors(
        self, store: Store, home: Home, fake: FakeEmbedder, tmp_path: Path
    ) -> None:
        file = tmp_path / "mine.gguf"
        file.write_bytes(b"GGUF")
        fill(store, home, named(str(file)), [CAT])
        fill(store, home, Config(), [CAT])
        file.write_bytes(b"GGUF of another training")
        fill(store, home, named(str(file)), [CAT])
        assert fake.asked == [CAT] * 3
        assert len(embeddings.counts(store)) == 2
        file.write_bytes(b"GGUF of a third")
        with open_meaning(store, home, named(str(file))) as opened:
            assert opened.embed([CAT]).shape == (1, 64)
        assert sorted(embeddings.counts(store).values()) == [1, 2]


class TestWithoutModel:
    def check_plain(self, opened: Meaning, why: str) -> None:
        assert not opened.semantic
        assert opened.label == f"character n-grams ({why})"
        assert np.array_equal(opened.embed([CAT, STOCKS]), vectors([CAT, STOCKS]))

    def test_no_model_on_the_machine(self, store: Store, home: Home, without: list[str]) -> None:
        without.append(PACKAGE)
        with open_meaning(store, home, Config()) as opened:
            self.check_plain(opened, "no embedding model on this machine")
        self.check_plain(cached_meaning(store, Config()), "no embedding model on this machine")
        assert fill(store, home, Config(), [CAT]) == 0
        check = next(check for check in examine(home) if check.name == "embeddings")
        assert check.state == "info" and "GGUF" in check.hint

    def test_switched_off(self, store: Store, home: Home) -> None:
        with open_meaning(store, home, named("none")) as opened:
            self.check_plain(opened, "embeddings are switched off")

    def test_sentence_transformers_is_not_installed(self, store: Store, home: Home, without: list[str]) -> None:
        without.append("sentence_transformers")
        with open_meaning(store, home, Config()) as opened:
            self.check_plain(opened, "sentence-transformers is not installed")
        check = next(check for check in examine(home) if check.name == "embeddings")
        assert check.state == "warning" and "pip install sentence-transformers" in check.hint

    def test_a_model_that_does_not_run(self, store: Store, home: Home, fake: FakeEmbedder) -> None:
        fake.broken = "The embedding model was ended by signal 9 during 'embed'.\nIt last said: oh"
        with open_meaning(store, home, Config()) as opened:
            self.check_plain(
                opened, f"{MINILM} does not run: The embedding model was ended by signal 9 during 'embed'."
            )
        assert fake.closed

    def test_a_wrong_setting_is_an_error(self, store: Store, home: Home, tmp_path: Path) -> None:
        config = named(str(tmp_path / "nowhere"))
        with pytest.raises(ConfigError, match="nowhere"), open_meaning(store, home, config):
            pass
        with pytest.raises(ConfigError):
            cached_meaning(store, config)
        home.config.write_text(f"[select]\nembeddings = '{tmp_path / 'nowhere'}'\n", encoding="utf-8")
        check = next(check for check in examine(home) if check.name == "embeddings")
        assert check.state == "problem" and "nowhere" in check.detail and check.hint

    def test_plain_needs_nothing(self) -> None:
        self.check_plain(replace(PLAIN), "no embedding model")


class TestOneKind:
    def test_a_failure_after_the_start_is_an_error(self, store: Store, home: Home, fake: FakeEmbedder) -> None:
        with open_meaning(store, home, Config()) as opened:
            opened.embed([CAT])
            fake.broken = "gone"
            assert opened.embed([CAT]).shape == (1, 64)
            with pytest.raises(BackendError, match="gone"):
                opened.embed([CAT, STOCKS])
            fake.broken = ""
            assert opened.embed([STOCKS]).shape == (1, 64)

    def test_a_preview_is_all_of_one_kind(self, store: Store, home: Home, fake: FakeEmbedder) -> None:
        def work(by: Meaning) -> tuple[str, list[int]]:
            return by.label, [by.embed([text]).shape[1] for text in (CAT, STOCKS)]

        assert preview(store, Config(), work) == (
            f"character n-grams (not all texts are embedded by {MINILM} yet)",
            [256, 256],
        )
        fill(store, home, Config(), [CAT])
        assert preview(store, Config(), work)[1] == [256, 256]
        fill(store, home, Config(), [STOCKS])
        assert preview(store, Config(), work) == (MINILM, [64, 64])
        assert len(fake.asked) == 2

    def test_a_cached_meaning_never_computes(self, store: Store, fake: FakeEmbedder) -> None:
        kept = cached_meaning(store, Config())
        for texts in ([CAT], []):
            with pytest.raises(NotCachedError):
                kept.embed(texts)
        assert fake.asked == []


@pytest.mark.process
class TestRealModel:
    def test_meaning_counts_and_the_second_time_no_process_starts(self, store: Store, home: Home) -> None:
        with open_meaning(store, home, Config()) as opened:
            rows = opened.embed([CAT, KITTEN, STOCKS])
        assert rows.shape == (3, 384)
        assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.3
        before = {child.pid for child in psutil.Process().children()}
        with open_meaning(store, home, Config()) as opened:
            assert np.array_equal(opened.embed([STOCKS, KITTEN, CAT]), rows[::-1])
            assert {child.pid for child in psutil.Process().children()} <= before
        assert preview(store, Config(), lambda by: by.label) == MINILM

    def test_killed_in_the_middle(self, store: Store, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        found = find_model("auto")
        assert found is not None
        embedder = SentenceEmbedder(found.path, home.logs / "embedding.txt")
        monkeypatch.setattr(meaning, "open_embedder", lambda *_: embedder)
        texts = of_length(40, 2 * BLOCK)

        def kill(done: int, total: int) -> None:
            if total > 1 and done == BLOCK and embedder.pid is not None:
                os.kill(embedder.pid, signal.SIGKILL)

        with open_meaning(store, home, Config(), progress=kill) as opened:
            with pytest.raises(BackendError, match="signal 9"):
                opened.embed(texts)
            assert sum(embeddings.counts(store).values()) == BLOCK + 1
            assert opened.embed(texts).shape == (2 * BLOCK, 384)
        assert embedder.pid is None

    def test_a_damaged_model_falls_back(self, store: Store, home: Home, tmp_path: Path) -> None:
        found = find_model("auto")
        assert found is not None
        shutil.copytree(found.path, tmp_path / "mine")
        (tmp_path / "mine" / "model.safetensors").write_bytes(b"\0" * 64)
        with open_meaning(store, home, named(str(tmp_path / "mine"))) as opened:
            assert not opened.semantic
            assert "mine does not run" in opened.label
