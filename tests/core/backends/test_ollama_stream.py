"""Ollama's answers as they are drawn: the same as whole ones, given up at any moment, broken off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_ollama import fake_ollama, requests_of, set_faults
from ollama_client_kit import ASK, publish

from core.backends.backend import Sampling
from core.backends.by_name import ModelsByName
from core.backends.ollama import OllamaBackend
from core.backends.ollama_api import OllamaApi
from core.errors import BackendError

HOW = Sampling(temperature=0.0, max_tokens=20)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    with fake_ollama("0.34.1", tmp_path / "ollama") as url, OllamaApi(url) as api:
        publish(api, tmp_path)
        yield url


def test_the_pieces_make_up_the_whole_answer(served: str) -> None:
    with OllamaBackend(served) as backend:
        pieces = list(backend.stream("ft-erd:v1", ASK, HOW))
        whole = backend.generate("ft-erd:v1", ASK, HOW)
    last = pieces[-1].generation
    assert last is not None
    assert len(pieces) > 3
    assert "".join(piece.text for piece in pieces) == last.text == whole.text
    assert (last.completion_tokens, last.finish_reason) == (whole.completion_tokens, whole.finish_reason)
    assert requests_of(served, "/api/chat")[0]["stream"] is True


def test_nothing_is_asked_before_the_first_piece_is(served: str) -> None:
    with OllamaBackend(served) as backend:
        stream = backend.stream("ft-erd:v1", ASK, HOW)
        stream.cancel()
        assert list(stream) == []
        stream.close()
    assert requests_of(served, "/api/chat") == []


def test_given_up_in_the_middle(served: str) -> None:
    with OllamaBackend(served) as backend:
        stream = backend.stream("ft-erd:v1", ASK, HOW)
        assert next(stream).text
        stream.cancel()
        assert all(piece.generation is None for piece in stream)
        stream.close()
        assert backend.generate("ft-erd:v1", ASK, HOW).text


@pytest.mark.parametrize("fault", [{"chat_line": "out of memory"}, {"chat_cut": True}, {"chat_status": 503}])
def test_what_breaks_off_is_told(fault: dict[str, object], served: str) -> None:
    set_faults(served, **fault)
    with OllamaBackend(served) as backend, pytest.raises(BackendError) as told:
        list(backend.stream("ft-erd:v1", ASK, HOW))
    assert told.value.hint


def test_by_its_name(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", served)
    with ModelsByName() as models:
        assert models.pid is None
        pieces = list(models.stream("ollama:ft-erd:v1", ASK, HOW))
    assert pieces[0].text.startswith("echo")
