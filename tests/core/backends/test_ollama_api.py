"""The client against servers of all three eras."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from fake_ollama import fake_ollama, requests_of, set_faults
from ollama_client_kit import ASK, gguf, publish

from core.backends.ollama_api import OllamaApi, OllamaError


class TestPublishing:
    def test_a_file_becomes_a_model_that_says_what_it_was_given(self, any_url: str, tmp_path: Path) -> None:
        path, digest = gguf(tmp_path)
        parameters = {"temperature": 0.3, "top_k": 40, "num_ctx": 4096, "stop": ['<|end|>"', "a\nb", "ü"]}
        seen: list[tuple[int, int]] = []
        told: list[str] = []
        with OllamaApi(any_url) as api:
            api.upload(path, digest, progress=lambda done, total: seen.append((done, total)))
            statuses = api.create(
                "ft-erd:v1",
                files={path.name: digest},
                parameters=parameters,
                system='Draw "it".',
                template="{{ .System }}{{ .Prompt }}",
                progress=lambda status, done, total: told.append(status),
            )
            shown = api.show("ft-erd:v1")
            held = api.models()
        assert [done for done, _ in seen] == [1 << 20, 2 << 20, 3 << 20]
        assert {total for _, total in seen} == {3 << 20}
        assert statuses == told
        assert statuses[-1] == "success"
        assert shown.modelfile_file_sha256 == digest
        assert shown.system == 'Draw "it".'
        assert shown.template == "{{ .System }}{{ .Prompt }}"
        assert shown.parameters == {
            "temperature": [0.3],
            "top_k": [40],
            "num_ctx": [4096],
            "stop": ['<|end|>"', "a\nb", "ü"],
        }
        assert [model.name for model in held] == ["ft-erd:v1"]
        assert (
            held[0].digest
            == hashlib.sha256(
                (tmp_path / "ollama/manifests/registry.ollama.ai/library/ft-erd/v1").read_bytes()
            ).hexdigest()
        )
        assert held[0].bytes > 3 << 20

    def test_nothing_is_asked_for_that_releases_differ_in(self, url: str, tmp_path: Path) -> None:
        with OllamaApi(url) as api:
            publish(api, tmp_path, system="")
        (body,) = requests_of(url, "/api/create")
        assert set(body) == {"model", "files", "parameters", "template", "stream"}

    def test_a_file_that_is_there_is_not_sent_again(self, url: str, tmp_path: Path) -> None:
        path, digest = gguf(tmp_path)
        with OllamaApi(url) as api:
            assert not api.has_blob(digest)
            api.upload(path, digest)
            assert api.has_blob(digest)
            path.unlink()
            api.upload(path, digest)

    def test_what_the_rewriting_era_changes_is_seen_in_the_digest(self, tmp_path: Path) -> None:
        with fake_ollama("0.33.0", tmp_path / "ollama") as url, OllamaApi(url) as api:
            set_faults(url, rewrites_change=True)
            digest = publish(api, tmp_path)
            assert api.show("ft-erd:v1").modelfile_file_sha256 not in ("", digest)

    def test_publishing_anew_takes_the_place_of_the_old(self, url: str, tmp_path: Path) -> None:
        with OllamaApi(url) as api:
            publish(api, tmp_path, parameters={"temperature": 0.1})
            first = api.digest_of("ft-erd:v1")
            publish(api, tmp_path, parameters={"temperature": 0.2})
            assert api.digest_of("ft-erd:v1") not in (first, None)
            assert api.show("ft-erd:v1").parameters == {"temperature": [0.2]}


class TestNames:
    def test_an_alias_is_the_same_model(self, any_url: str, tmp_path: Path) -> None:
        with OllamaApi(any_url) as api:
            publish(api, tmp_path)
            api.copy("ft-erd:v1", "ft-erd")
            assert api.digest_of("ft-erd") == api.digest_of("FT-erd:latest") == api.digest_of("ft-erd:v1")
            assert api.delete("ft-erd")
            assert not api.delete("ft-erd")
            assert api.digest_of("ft-erd") is None
            assert api.digest_of("ft-erd:v1")

    def test_a_copy_that_breaks_in_the_middle_is_seen_and_mended(self, url: str, tmp_path: Path) -> None:
        with OllamaApi(url) as api:
            publish(api, tmp_path)
            api.copy("ft-erd:v1", "ft-erd")
            set_faults(url, copy="between", copy_times=1)
            with pytest.raises(OllamaError) as caught:
                api.copy("ft-erd:v1", "ft-erd")
            assert caught.value.status == 500
            assert api.digest_of("ft-erd") is None
            api.copy("ft-erd:v1", "ft-erd")
            assert api.digest_of("ft-erd") == api.digest_of("ft-erd:v1")

    def test_copies_of_nothing(self, url: str) -> None:
        with OllamaApi(url) as api, pytest.raises(OllamaError) as caught:
            api.copy("none", "ft-erd")
        assert caught.value.status == 404
        assert caught.value.title == "Not in Ollama"

    def test_a_name_that_is_gone_for_a_moment(self, url: str, tmp_path: Path) -> None:
        with OllamaApi(url) as api:
            publish(api, tmp_path)
            set_faults(url, vanish="ft-erd:v1")
            assert api.digest_of("ft-erd:v1") is None
            assert api.digest_of("ft-erd:v1")

    def test_a_model_that_is_not_there_cannot_be_shown(self, url: str) -> None:
        with OllamaApi(url) as api, pytest.raises(OllamaError) as caught:
            api.show("none")
        assert caught.value.status == 404


class TestRunning:
    def test_loading_and_letting_go(self, any_url: str, tmp_path: Path) -> None:
        with OllamaApi(any_url) as api:
            publish(api, tmp_path)
            api.copy("ft-erd:v1", "ft-erd")
            assert api.loaded() == []
            api.warm("ft-erd")
            assert api.loaded() == ["ft-erd:latest"]
            api.unload("ft-erd:v1")  # another name of the same file
            assert api.loaded() == []
            api.unload("none")

    def test_a_chat_tells_what_the_server_tells(self, any_url: str, tmp_path: Path) -> None:
        with OllamaApi(any_url) as api:
            digest = publish(api, tmp_path)
            answer = api.chat("ft-erd:v1", ASK, {"num_predict": 4}, logprobs=True)
        assert answer["message"]["content"] == f"echo of {digest[:8]}: How"
        assert answer["done_reason"] == "length"
        assert [entry["logprob"] for entry in answer["logprobs"]] == [-0.25] * 4
        (body,) = requests_of(any_url, "/api/chat")
        assert body["options"] == {"num_predict": 4}
        assert body["stream"] is False

    def test_a_prompt_is_rendered_without_an_answer(self, any_url: str, tmp_path: Path) -> None:
        with OllamaApi(any_url) as api:
            publish(api, tmp_path, template="{{ if .System }}[{{ .System }}]{{ end }}<{{ .Prompt }}>", system="Be.")
            assert api.render_only("ft-erd:v1", ASK) == "[Be.]<How do you do?>"

    def test_an_old_server_does_not_know_that_question(self, tmp_path: Path) -> None:
        with fake_ollama("0.11.4", tmp_path / "ollama") as url, OllamaApi(url) as api:
            publish(api, tmp_path)
            assert api.render_only("ft-erd:v1", ASK) is None
            (body,) = requests_of(url, "/api/chat")
        assert body["options"] == {"num_predict": 1}

    def test_a_busy_server_says_so(self, url: str, tmp_path: Path) -> None:
        with OllamaApi(url) as api:
            publish(api, tmp_path)
            set_faults(url, busy=1)
            with pytest.raises(OllamaError) as caught:
                api.chat("ft-erd:v1", ASK, {})
            assert (caught.value.status, caught.value.title) == (503, "Ollama is busy")
            assert api.chat("ft-erd:v1", ASK, {})["done"]
