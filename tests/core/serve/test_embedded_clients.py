"""The embedded server, as the `ollama` and `openai` packages see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import ollama
import openai
import pytest
from embedded_kit import Files, running, served
from tiny_llama import CHATS, save_llama

from core.config import Config, Publish
from core.release.gguf import export_gguf

pytestmark = pytest.mark.process
ASK, ANSWER = CHATS[1]
EXACT = {"temperature": 0}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("embedded")
    save_llama(folder / "model", train=90, max_position_embeddings=1024)
    path = export_gguf(folder / "model", folder / "model.gguf").path
    config = Config(publish=Publish(temperature=0.0, num_ctx=1024))
    with running(Files(served("ft-demo-erd-v1", path)), config) as (url, _):
        yield url


@pytest.fixture
def theirs(url: str) -> Iterator[ollama.Client]:
    with ollama.Client(url, trust_env=False) as client:
        yield client


@pytest.fixture
def openais(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


class TestOllama:
    def test_chat(self, theirs: ollama.Client) -> None:
        found = theirs.chat("ft-demo-erd-v1", [{"role": "user", "content": ASK}], options=EXACT)
        assert (found.message.role, found.message.content) == ("assistant", ANSWER)
        assert (found.model, found.done, found.done_reason) == ("ft-demo-erd-v1", True, "stop")
        assert found.created_at is not None and found.created_at.endswith("Z")
        assert found.prompt_eval_count and found.eval_count
        parts = [found.load_duration, found.prompt_eval_duration, found.eval_duration]
        assert all(isinstance(part, int) and part >= 0 for part in parts)
        assert found.total_duration == sum(part for part in parts if part is not None)

    def test_chat_in_parts(self, theirs: ollama.Client) -> None:
        parts = list(theirs.chat("ft-demo-erd-v1:latest", [{"role": "user", "content": ASK}], stream=True))
        assert len(parts) > 5
        assert "".join(part.message.content or "" for part in parts) == ANSWER
        assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
        assert parts[-1].done_reason == "stop"
        assert parts[-1].eval_count

    def test_generate(self, theirs: ollama.Client) -> None:
        whole = theirs.generate("ft-demo-erd-v1", ASK)
        assert whole.response == ANSWER
        parts = list(theirs.generate("ft-demo-erd-v1", ASK, stream=True))
        assert "".join(part.response or "" for part in parts) == ANSWER
        assert parts[-1].done_reason == "stop"

    def test_options(self, theirs: ollama.Client) -> None:
        short = theirs.generate("ft-demo-erd-v1", ASK, options={"num_predict": 3, "mirostat": 1})
        assert (short.done_reason, short.eval_count) == ("length", 3)
        stopped = theirs.generate("ft-demo-erd-v1", ASK, options={"stop": ["BOOK"], "num_predict": -1})
        assert stopped.response == ANSWER.split("BOOK")[0]
        loose = {"temperature": 1.5, "top_p": 1.0, "top_k": 0, "num_predict": 30}
        told = [theirs.generate("ft-demo-erd-v1", ASK, options={**loose, "seed": 5}).response for _ in range(2)]
        assert told[0] == told[1]
        assert len({theirs.generate("ft-demo-erd-v1", ASK, options=loose).response for _ in range(5)}) > 1

    def test_loading_and_letting_go(self, theirs: ollama.Client) -> None:
        loaded = theirs.generate("ft-demo-erd-v1")
        assert (loaded.response, loaded.done, loaded.done_reason) == ("", True, "load")
        gone = theirs.chat("ft-demo-erd-v1", [], keep_alive=0)
        assert (gone.message.content, gone.done_reason) == ("", "unload")

    def test_lists(self, theirs: ollama.Client) -> None:
        (model,) = theirs.list().models
        assert model.model == "ft-demo-erd-v1:latest"
        assert model.size and model.digest and model.modified_at and model.details
        assert (model.details.format, model.details.family) == ("gguf", "llama")
        assert (model.details.parameter_size or "").endswith("K")
        theirs.generate("ft-demo-erd-v1")
        (loaded,) = theirs.ps().models
        assert (loaded.model, loaded.context_length) == ("ft-demo-erd-v1:latest", 1024)
        shown = theirs.show("ft-demo-erd-v1")
        assert "no tools" in (shown.template or "")
        assert "completion" in (shown.capabilities or [])
        assert (shown.modelinfo or {})["general.architecture"] == "llama"
        assert "num_predict" in (shown.parameters or "")

    def test_vectors(self, theirs: ollama.Client) -> None:
        found = theirs.embed("ft-demo-erd-v1", ["a book", "a shelf"])
        rows = np.array(found.embeddings)
        assert rows.shape[0] == 2
        assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1], abs=1e-5)
        assert found.prompt_eval_count
        assert list(theirs.embeddings("ft-demo-erd-v1", "a book").embedding) == pytest.approx(rows[0])
        assert np.linalg.norm(theirs.embed("ft-demo-erd-v1", "x", dimensions=4).embeddings) == pytest.approx(
            1, abs=1e-5
        )

    @pytest.mark.parametrize(
        ("fields", "status", "said"),
        [
            ({"model": "nobody"}, 404, "not found"),
            ({"tools": [{"type": "function", "function": {"name": "x"}}]}, 400, "tools"),
            ({"think": True}, 400, "thinking"),
            ({"format": "json"}, 400, "format"),
            ({"options": {"temperature": -1}}, 400, "temperature"),
            ({"messages": [{"role": "tool", "content": "x"}]}, 400, "tools"),
            ({"messages": [{"role": "judge", "content": "x" * 4000}]}, 400, "tokens"),
        ],
    )
    def test_refusals(self, theirs: ollama.Client, fields: dict[str, object], status: int, said: str) -> None:
        for stream in (False, True):
            with pytest.raises(ollama.ResponseError, match=said) as caught:
                answer = theirs.chat(
                    **{  # type: ignore[call-overload]
                        "model": "ft-demo-erd-v1",
                        "messages": [{"role": "user", "content": ASK}],
                        "stream": stream,
                        **fields,
                    }
                )
                list(answer)
            assert caught.value.status_code == status


class TestOpenAi:
    def test_chat(self, openais: openai.OpenAI) -> None:
        found = openais.chat.completions.create(
            model="ft-demo-erd-v1", messages=[{"role": "user", "content": ASK}], temperature=0
        )
        (choice,) = found.choices
        assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", ANSWER, "stop")
        assert (found.object, found.model) == ("chat.completion", "ft-demo-erd-v1")
        assert found.id.startswith("chatcmpl-")
        assert found.usage is not None
        assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens > 0
        type(found).model_validate(found.model_dump(), strict=True)

    def test_chat_in_parts(self, openais: openai.OpenAI) -> None:
        parts = list(
            openais.chat.completions.create(
                model="ft-demo-erd-v1",
                messages=[{"role": "user", "content": [{"type": "text", "text": ASK}]}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        for part in parts:
            type(part).model_validate(part.model_dump(), strict=True)
        *said, end, usage = parts
        assert said[0].choices[0].delta.role == "assistant"
        assert "".join(part.choices[0].delta.content or "" for part in said) == ANSWER
        assert all(part.choices[0].finish_reason is None and part.usage is None for part in said)
        assert end.choices[0].finish_reason == "stop"
        assert usage.choices == [] and usage.usage is not None and usage.usage.completion_tokens > 0
        assert len({part.id for part in parts}) == 1

    def test_completions(self, openais: openai.OpenAI) -> None:
        whole = openais.completions.create(model="ft-demo-erd-v1", prompt=ASK)
        type(whole).model_validate(whole.model_dump(), strict=True)
        assert (whole.choices[0].text, whole.choices[0].finish_reason) == (ANSWER, "stop")
        parts = list(openais.completions.create(model="ft-demo-erd-v1", prompt=[ASK], stream=True, max_tokens=4))
        assert ANSWER.startswith("".join(part.choices[0].text for part in parts))
        assert parts[-1].choices[0].finish_reason == "length"

    def test_options(self, openais: openai.OpenAI) -> None:
        told = openais.chat.completions.create(
            model="ft-demo-erd-v1",
            messages=[{"role": "developer", "content": ""}, {"role": "user", "content": ASK}],
            stop="BOOK",
            max_completion_tokens=200,
            seed=3,
            user="someone",
            frequency_penalty=0.0,
        )
        assert "BOOK" not in (told.choices[0].message.content or "")

    def test_models(self, openais: openai.OpenAI) -> None:
        assert [model.id for model in openais.models.list()] == ["ft-demo-erd-v1"]
        assert openais.models.retrieve("ft-demo-erd-v1").owned_by == "finetune-tui"
        with pytest.raises(openai.NotFoundError):
            openais.models.retrieve("nobody")

    def test_vectors(self, openais: openai.OpenAI) -> None:
        packed = openais.embeddings.create(model="ft-demo-erd-v1", input=["a book", "a shelf"])
        plain = openais.embeddings.create(model="ft-demo-erd-v1", input=["a book", "a shelf"], encoding_format="float")
        assert [row.index for row in packed.data] == [0, 1]
        assert packed.data[1].embedding == pytest.approx(plain.data[1].embedding)
        assert packed.usage.total_tokens > 0

    def test_refusals(self, openais: openai.OpenAI) -> None:
        ask = [{"role": "user", "content": ASK}]
        with pytest.raises(openai.NotFoundError, match="nobody"):
            openais.chat.completions.create(model="nobody", messages=ask)  # type: ignore[arg-type]
        for fields in (
            {"tools": [{"type": "function", "function": {"name": "x"}}]},
            {"n": 2},
            {"response_format": {"type": "json_object"}},
            {"logprobs": True},
            {"max_tokens": 0},
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            {"messages": []},
        ):
            with pytest.raises(openai.BadRequestError):
                openais.chat.completions.create(**{"model": "ft-demo-erd-v1", "messages": ask, **fields})  # type: ignore[call-overload]


def test_a_system_prompt_is_added_where_there_is_none(tmp_path: Path) -> None:
    save_llama(tmp_path / "model", max_position_embeddings=1024, initializer_range=0.05)
    path = export_gguf(tmp_path / "model", tmp_path / "model.gguf").path
    models = Files(served("plain", path), served("led", path, "Be brief."))
    with running(models) as (here, _), ollama.Client(here, trust_env=False) as client:
        exact = {"temperature": 0, "num_predict": 12}

        def tokens(model: str, *messages: dict[str, str]) -> tuple[int | None, str | None]:
            found = client.chat(model, messages, options=exact)
            return found.prompt_eval_count, found.message.content

        user, system = {"role": "user", "content": "hi"}, {"role": "system", "content": "Be brief."}
        assert tokens("led", user) == tokens("plain", system, user) == tokens("led", system, user)
        assert tokens("led", user)[0] != tokens("plain", user)[0]
        assert client.generate("led", "hi", options=exact).prompt_eval_count == tokens("led", user)[0]
        assert client.generate("led", "hi", system="No.", options=exact).prompt_eval_count != tokens("led", user)[0]
