"""Ollama behind the one interface of everything that answers prompts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from fake_ollama import fake_ollama, requests_of, set_faults

from core.backends.backend import Backend, Message, Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.backends.ollama import OllamaBackend
from core.backends.ollama_api import OllamaApi
from core.errors import BackendError

ASK = [Message("system", "Be brief."), Message("user", "Draw customers and orders.")]
SAMPLING = Sampling(
    temperature=0.7, top_p=0.8, top_k=20, repeat_penalty=1.1, max_tokens=9, seed=2**32 - 1, stop=("###", "\n\n")
)


def published(url: str, path: Path, name: str = "ft-erd:v1") -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with OllamaApi(url) as api:
        api.upload(path, digest)
        api.create(name, files={path.name: digest}, parameters={"temperature": 1.5, "stop": ["Draw"]})
    return digest


def small_file(folder: Path) -> Path:
    path = folder / "v1.gguf"
    path.write_bytes(b"GGUF of the test")
    return path


def test_nothing_is_left_to_the_defaults_of_the_server(tmp_path: Path) -> None:
    with fake_ollama("0.34.1", tmp_path / "ollama") as url:
        published(url, small_file(tmp_path))
        with OllamaBackend(url, num_ctx=2048) as backend:
            backend.generate("ft-erd:v1", ASK, SAMPLING)
        body = requests_of(url, "/api/chat")[-1]
    assert body["options"] == {
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "min_p": 0.0,
        "repeat_penalty": 1.1,
        "repeat_last_n": 64,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": 2**32 - 1,
        "num_predict": 9,
        "num_ctx": 2048,
        "stop": ["###", "\n\n"],
    }
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Draw customers and orders."},
    ]


def test_no_stop_strings_means_none_of_the_models_own_either(tmp_path: Path) -> None:
    with fake_ollama("0.34.1", tmp_path / "ollama") as url:
        digest = published(url, small_file(tmp_path))
        with OllamaBackend(url) as backend:
            answer = backend.generate("ft-erd:v1", ASK, Sampling())
    assert answer.text == f"echo of {digest[:8]}: Draw customers and orders."


@pytest.mark.parametrize(("era", "told"), [("0.12.10", None), ("0.24.0", -0.25), ("0.34.1", -0.25), ("0.0.0", -0.25)])
def test_an_answer_with_all_that_is_known_of_it(tmp_path: Path, era: str, told: float | None) -> None:
    with fake_ollama(era, tmp_path / "ollama") as url:
        digest = published(url, small_file(tmp_path))
        backend: Backend = OllamaBackend(url)
        with backend:
            whole = backend.generate("ft-erd:v1", ASK, Sampling())
            cut = backend.generate("ft-erd:v1", ASK, Sampling(max_tokens=4))
    assert whole.text == f"echo of {digest[:8]}: Draw customers and orders."
    assert (whole.finish_reason, whole.completion_tokens, whole.mean_logprob) == ("stop", 7, told)
    assert whole.prompt_tokens > 0
    assert whole.seconds > 0
    assert (cut.finish_reason, cut.completion_tokens) == ("length", 4)


def test_failures_are_those_of_a_backend(tmp_path: Path) -> None:
    with fake_ollama("0.34.1", tmp_path / "ollama") as url, OllamaBackend(url) as backend:
        published(url, small_file(tmp_path))
        with pytest.raises(BackendError, match="not found"):
            backend.generate("none", ASK, Sampling())
        set_faults(url, chat_status=500)
        with pytest.raises(BackendError):
            backend.generate("ft-erd:v1", ASK, Sampling())
    with OllamaBackend() as backend, pytest.raises(BackendError) as caught:
        backend.generate("ft-erd:v1", ASK, Sampling())
    assert caught.value.title == "Ollama does not answer"


def test_a_server_that_was_upgraded_meanwhile_still_answers(tmp_path: Path) -> None:
    with fake_ollama("0.12.10", tmp_path / "ollama") as url:
        published(url, small_file(tmp_path))
        backend = OllamaBackend(url)
        before = backend.generate("ft-erd:v1", ASK, Sampling())
    port = int(url.rpartition(":")[2])
    with fake_ollama("0.34.1", tmp_path / "ollama", port=port):
        after = backend.generate("ft-erd:v1", ASK, Sampling())
    backend.close()
    backend.close()
    assert before.text == after.text


@pytest.mark.process
def test_the_same_file_answers_alike_embedded_and_in_ollama(tmp_path: Path, model: str) -> None:
    sampling = Sampling(temperature=0.0, max_tokens=24)
    asks = [ASK, ASK[1:], [Message("user", "Count to 12345.")]]
    with (
        fake_ollama("0.34.1", tmp_path / "ollama", answers="llamacpp") as url,
        OllamaBackend(url) as ollama,
        LlamaCppBackend() as embedded,
    ):
        published(url, Path(model))
        for messages in asks:
            there, here = (
                one.generate(name, messages, sampling) for one, name in ((ollama, "ft-erd:v1"), (embedded, model))
            )
            assert there.text == here.text
            assert (there.prompt_tokens, there.completion_tokens) == (here.prompt_tokens, here.completion_tokens)
            assert there.finish_reason == here.finish_reason
            assert there.mean_logprob == pytest.approx(here.mean_logprob)
