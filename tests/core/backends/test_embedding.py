"""Real embeddings from real child processes: sentence-transformers and llama.cpp, alike and by themselves."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from bert_gguf import write_bert
from hypothesis import given
from hypothesis import strategies as st

from core.backends.embedding import (
    PART_CHARS,
    Embedder,
    GgufEmbedder,
    SentenceEmbedder,
    embed_texts,
    open_embedder,
    parts,
)
from core.backends.embedding_models import find_model
from core.errors import BackendError

CAT, KITTEN, STOCKS = (
    "A cat sits on the mat.",
    "The kitten is resting on a rug.",
    "Share prices fell on Tuesday, 3.5 %.",
)
TEXTS = [CAT, KITTEN, STOCKS, "", "Überraschung, naïve café 日本", "\ud800\x00 broken", "one two three " * 60]


def minilm() -> Path:
    found = find_model("auto")
    assert found is not None
    return found.path


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    running = SentenceEmbedder(minilm(), tmp_path_factory.mktemp("log") / "log.txt")
    yield running
    running.close()


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bert") / "minilm.gguf"
    write_bert(minilm(), path)
    return path


class TestParts:
    @given(st.text(max_size=80), st.integers(0, 120))
    def test_at_most_four_that_hold_both_ends(self, text: str, times: int) -> None:
        whole = text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd") * times
        found = parts(whole)
        assert 1 <= len(found) <= 4
        assert all(len(part) <= PART_CHARS for part in found)
        assert whole.startswith(found[0])
        assert whole.endswith(found[-1])

    @pytest.mark.parametrize("length", [0, 1, 900, 901, 1801, 2702, 3600])
    def test_nothing_is_lost_up_to_four(self, length: int) -> None:
        text = "".join(map(chr, range(0x4E00, 0x4E00 + length)))
        assert set("".join(parts(text))) == set(text)


@pytest.mark.process
class TestSentenceTransformers:
    def test_paraphrases_are_closer_than_unrelated_texts(self, sentences: Embedder) -> None:
        rows = sentences.embed([CAT, KITTEN, STOCKS])
        assert rows.shape == (3, 384)
        assert rows.dtype == np.float32
        assert rows[0] @ rows[1] > 0.5
        assert max(rows[0] @ rows[2], rows[1] @ rows[2]) < 0.2

    def test_unit_rows_in_the_order_asked_and_the_same_again(self, sentences: Embedder) -> None:
        rows = embed_texts(sentences, TEXTS)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
        assert np.array_equal(rows, embed_texts(sentences, TEXTS))
        for at, text in enumerate(TEXTS):
            np.testing.assert_allclose(embed_texts(sentences, [text])[0], rows[at], atol=1e-5)

    def test_the_end_of_a_long_text_counts(self, sentences: Embedder) -> None:
        start = "The invoice lists what the customer ordered. " * 40
        first, second, other = embed_texts(
            sentences, [start, start + "Penguins swim in cold water. " * 30, "Penguins swim in cold water. " * 30]
        )
        assert second @ other > first @ other + 0.1

    def test_a_model_that_cannot_be_loaded(self, tmp_path: Path) -> None:
        shutil.copytree(minilm(), tmp_path / "cut")
        (tmp_path / "cut" / "model.safetensors").write_bytes(b"\x00" * 100)
        embedder = SentenceEmbedder(tmp_path / "cut", tmp_path / "log.txt")
        with pytest.raises(BackendError, match=r"(?i)safetensor") as caught:
            embedder.embed([CAT])
        assert "none" in caught.value.hint
        embedder.close()

    def test_killed_and_asked_again(self, sentences: Embedder) -> None:
        expected = sentences.embed([CAT])
        pid = sentences.pid
        assert pid is not None
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(BackendError, match="signal 9"):
            for number in itertools.count():
                sentences.embed([f"{number} {STOCKS}" * 20] * 64)
        assert not psutil.pid_exists(pid)
        assert np.array_equal(sentences.embed([CAT]), expected)

    def test_it_ends_with_its_parent_and_the_parent_loads_nothing(self, tmp_path: Path) -> None:
        script = (
            "import sys, time, pathlib\n"
            "from core.backends.embedding import SentenceEmbedder\n"
            "embedder = SentenceEmbedder(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
            "embedder.embed(['x'])\n"
            "print(embedder.pid, *sorted({'torch', 'sentence_transformers', 'transformers'} & set(sys.modules)))\n"
            "sys.stdout.flush()\n"
            "time.sleep(60)\n"
        )
        parent = subprocess.Popen(
            [sys.executable, "-c", script, str(minilm()), str(tmp_path / "log.txt")],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        with parent:
            assert parent.stdout is not None
            child, *imported = parent.stdout.readline().split()
            parent.kill()
        assert imported == []
        end = time.monotonic() + 10
        while psutil.pid_exists(int(child)) and time.monotonic() < end:
            if psutil.Process(int(child)).status() == psutil.STATUS_ZOMBIE:
                break
            time.sleep(0.02)
        assert time.monotonic() < end


@pytest.mark.process
class TestLlamaCpp:
    def test_the_same_vectors_as_sentence_transformers(self, sentences: Embedder, bert: Path, tmp_path: Path) -> None:
        embedder = GgufEmbedder(bert, tmp_path / "log.txt")
        texts = [text for text in TEXTS if "\ud800" not in text]
        ours, theirs = embed_texts(embedder, texts), embed_texts(sentences, texts)
        embedder.close()
        assert (ours * theirs).sum(axis=1).min() > 0.9999
        assert "not marked" not in (tmp_path / "log.txt").read_text()

    def test_a_model_that_writes_has_vectors_too(self, model: str, tmp_path: Path) -> None:
        embedder = GgufEmbedder(Path(model), tmp_path / "log.txt")
        long = "customer order " * 400
        rows = embedder.embed([CAT, STOCKS, CAT, long, "\ud800"])
        again = embedder.embed([STOCKS])
        pid = embedder.pid
        embedder.close()
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
        assert np.array_equal(rows[0], rows[2])
        assert np.array_equal(rows[1], again[0])
        assert rows[0] @ rows[1] < 0.999
        assert pid is not None and not psutil.pid_exists(pid)

    def test_a_file_that_is_no_model(self, tmp_path: Path) -> None:
        (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\0" * 100)
        embedder = GgufEmbedder(tmp_path / "bad.gguf", tmp_path / "log.txt")
        with pytest.raises(BackendError, match=r"cannot read bad\.gguf"):
            embedder.embed([CAT])
        embedder.close()


def test_the_kind_of_the_model_decides(tmp_path: Path) -> None:
    found = find_model("auto")
    assert found is not None
    assert isinstance(open_embedder(found, tmp_path / "log.txt"), SentenceEmbedder)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    named = find_model(str(tmp_path / "m.gguf"))
    assert named is not None
    embedder = open_embedder(named, tmp_path / "log.txt")
    assert isinstance(embedder, GgufEmbedder)
    assert embedder.pid is None
    embedder.close()
