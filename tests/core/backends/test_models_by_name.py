"""One backend for files and for what Ollama holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from ollama_client_kit import publish

from core.backends.backend import Message, Sampling
from core.backends.by_name import ModelsByName, in_ollama
from core.backends.ollama_api import OllamaApi
from core.errors import BackendError

ASK = [Message("user", "Draw a shop.")]
BRIEF = Sampling(temperature=0.0, max_tokens=8)


@pytest.mark.parametrize(
    ("model", "held"),
    [("ollama:qwen3:4b", "qwen3:4b"), ("OLLAMA: tiny", "tiny"), ("models/ollama:x.gguf", None), ("tiny.gguf", None)],
)
def test_the_name_says_who_holds_a_model(model: str, held: str | None) -> None:
    assert in_ollama(model) == held


def test_ollama_and_a_file_answer_side_by_side(
    url: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", url)
    with OllamaApi(url) as api:
        publish(api, tmp_path, "held:v1")
    with ModelsByName(num_ctx=512) as backend:
        assert backend.generate("ollama:held:v1", ASK, BRIEF).text.startswith("echo of")
        assert not backend.generate(model, ASK, BRIEF).text.startswith("echo of")
        with pytest.raises(BackendError, match="missing:v1"):
            backend.generate("ollama:missing:v1", ASK, BRIEF)


def test_nothing_is_opened_before_it_is_asked_for() -> None:
    with ModelsByName() as backend, pytest.raises(BackendError, match="no model file"):
        backend.generate("/nowhere.gguf", ASK, BRIEF)
