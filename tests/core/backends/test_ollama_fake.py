"""The fake Ollama is true to what it stands for, as other tests lean on it."""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_ollama import fake_ollama, set_faults
from fake_ollama.go_template import GoTemplate, TemplateError, render
from fake_ollama.prompts import CHATML_JINJA, detected

from core.backends import ollama_manifests
from core.backends.backend import Message, Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.backends.ollama_api import OllamaApi, OllamaError

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Ho"},
    {"role": "user", "content": "Then?"},
]


def call(url: str, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, method=method if body is not None else "GET")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def file_of(folder: Path, content: bytes = b"GGUF of the test") -> tuple[Path, str]:
    path = folder / "v1.gguf"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def published(url: str, path: Path, name: str = "ft-erd:v1", **wanted: Any) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with OllamaApi(url) as api:
        api.upload(path, digest)
        api.create(name, files={path.name: digest}, **{"parameters": {}, **wanted})
    return digest


@contextmanager
def process(era: str, store: Path, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    script = Path(__file__).parents[2] / "fake_ollama"
    arguments = [sys.executable, str(script), "--era", era, "--store", str(store), "--port", str(port)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=store.parent) as child:
        try:
            assert child.stdout is not None
            yield child.stdout.readline().strip(), child
        finally:
            child.kill()


class TestGoTemplates:
    @pytest.mark.parametrize(
        ("template", "prompt"),
        [
            ("{{ .Prompt }}", "HiHoThen?"),
            ("{{ if .System }}[{{ .System }}] {{ end }}<{{ .Prompt }}> {{ .Response }}|",
             "[Be brief.] <Hi> Ho|<Then?> "),
            ("{{ .Prompt }}{{/* of no use */}} ->", "Hi ->HoThen? ->"),
            ("{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}<assistant>",
             "<system>Be brief.<user>Hi<assistant>Ho<user>Then?<assistant>"),
            ('{{- range $i, $m := .Messages -}}\n{{ $i }}{{ if eq $m.Role "user" }}U{{ else if eq .Role "system" `x` }}'
             'S{{ else }}A{{ end }}\n{{- end }} {{ "{{" }}', "0S1U2A3U {{"),
            ("{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}{{ .Content }}"
             "{{ if $last }}!{{ end }}{{ end }}", "Be brief.HiHoThen?!"),
            ('{{ $seen := "" }}{{ range .Messages }}{{ if and (ne .Role "system") (not $seen) }}{{ $seen = .Content }}'
             "{{ continue }}{{ end }}{{ .Content | print }}{{ end }}/{{ $seen }}", "Be brief.HoThen?/Hi"),
            ("{{ with .System }}{{ . }}{{ end }}{{ (index .Messages 1).Content }}", "Be brief.Hi"),
        ],
    )  # fmt: skip
    def test_what_they_make_of_a_chat(self, template: str, prompt: str) -> None:
        assert render(template, CHAT) == prompt

    def test_turns_of_one_role_are_joined(self) -> None:
        turns = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
        assert render("{{ range .Messages }}({{ .Content }}){{ end }}", turns) == "(a\n\nb)"

    @pytest.mark.parametrize("wrong", ["{{ if .System }}", "{{ end }}", "{{ unknown .System }}", "a {{ b", '{{ "a }}'])
    def test_wrong_ones_are_refused(self, wrong: str) -> None:
        with pytest.raises(TemplateError):
            GoTemplate(wrong)


class TestEras:
    def test_own_short_templates_are_taken_for_chatml_and_long_ones_are_not(self) -> None:
        own = "{% for m in messages %}{{'### '+m['role']+':\\n'+m['content']+'\\n'}}{% endfor %}" + (
            "{% if add_generation_prompt %}{{'### assistant:\\n'}}{% endif %}"
        )
        near = detected(CHATML_JINJA)
        assert near is not None
        assert near.name == "chatml"
        assert detected(own) is not None
        assert detected("{# " + "kept as it is " * 20 + "#}" + own) is None
        assert detected("") is None

    @pytest.mark.parametrize(
        ("body", "words"), [({"adapters": {"a": "b"}}, "no longer supported"), ({"quantize": "q8_0"}, "quantization")]
    )
    def test_the_newest_refuses_what_older_ones_took(self, tmp_path: Path, body: dict[str, Any], words: str) -> None:
        with fake_ollama("0.34.1", tmp_path / "ollama") as url:
            status, answer = call(url, "/api/create", {"model": "x", "files": {"a": "sha256:" + "0" * 64}, **body})
        assert status == 400
        assert words in json.loads(answer)["error"]

    def test_an_upgrade_keeps_the_models_and_renders_otherwise(self, tmp_path: Path) -> None:
        path, digest = file_of(tmp_path)
        ask = [Message("user", "Hi")]
        with fake_ollama("0.24.0", tmp_path / "ollama") as url, OllamaApi(url) as api:
            published(url, path)
            assert api.show("ft-erd:v1").template == "{{ .Prompt }}"
            assert api.render_only("ft-erd:v1", ask) == "Hi"
        with fake_ollama("0.34.1", tmp_path / "ollama") as url, OllamaApi(url) as api:
            assert api.show("ft-erd:v1").modelfile_file_sha256 == digest
            rendered = api.render_only("ft-erd:v1", ask)
            assert rendered == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"

    def test_its_store_is_laid_out_as_ollamas(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path, digest = file_of(tmp_path)
        monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
        with fake_ollama("0.34.1", tmp_path / "ollama") as url:
            published(url, path)
        (stored,) = ollama_manifests.every()
        assert (stored.name.short, stored.digest) == ("ft-erd:v1", digest)
        assert stored.model_file().read_bytes() == path.read_bytes()

    def test_files_that_nothing_names_go(self, tmp_path: Path) -> None:
        path, digest = file_of(tmp_path)
        with fake_ollama("0.34.1", tmp_path / "ollama") as url, OllamaApi(url) as api:
            published(url, path)
            api.copy("ft-erd:v1", "ft-erd")
            api.delete("ft-erd:v1")
            assert api.has_blob(digest)
            api.delete("ft-erd")
            assert not api.has_blob(digest)


class TestStreams:
    def test_lines_of_a_chat(self, tmp_path: Path) -> None:
        with fake_ollama("0.34.1", tmp_path / "ollama") as url:
            digest = published(url, file_of(tmp_path)[0])
            status, answer = call(url, "/api/chat", {"model": "ft-erd:v1", "messages": CHAT[-1:]})
            set_faults(url, chat_line="llama runner has terminated")
            broken = call(url, "/api/chat", {"model": "ft-erd:v1", "messages": CHAT[-1:]})[1].splitlines()
        lines = [json.loads(line) for line in answer.splitlines()]
        assert status == 200
        assert "".join(line["message"]["content"] for line in lines) == f"echo of {digest[:8]}: Then?"
        assert [line["done"] for line in lines] == [False] * 4 + [True]
        assert lines[-1]["done_reason"] == "stop"
        assert json.loads(broken[-1]) == {"error": "llama runner has terminated"}

    def test_events_of_openais_chat(self, tmp_path: Path) -> None:
        body = {"model": "ft-erd:v1", "messages": CHAT[-1:], "stream": True, "stream_options": {"include_usage": True}}
        with fake_ollama("0.34.1", tmp_path / "ollama") as url:
            published(url, file_of(tmp_path)[0])
            events = call(url, "/v1/chat/completions", body)[1].decode().split("\n\n")
            missing = call(url, "/v1/chat/completions", {**body, "model": "none"})
        assert events[-2:] == ["data: [DONE]", ""]
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        assert [chunk["object"] for chunk in chunks] == ["chat.completion.chunk"] * 6
        assert chunks[4]["choices"][0]["finish_reason"] == "stop"
        assert chunks[5]["usage"]["completion_tokens"] == 4
        assert missing[0] == 404
        assert json.loads(missing[1])["error"]["type"] == "not_found_error"

    def test_a_client_that_goes_away_is_noticed(self, tmp_path: Path) -> None:
        with fake_ollama("0.34.1", tmp_path / "ollama", delay=0.02) as url:
            published(url, file_of(tmp_path)[0])
            connection = http.client.HTTPConnection(url.removeprefix("http://"))
            body = {"model": "ft-erd:v1", "messages": [{"role": "user", "content": "word " * 500}]}
            connection.request("POST", "/api/chat", json.dumps(body))
            connection.getresponse().readline()
            connection.close()
            for _ in range(200):
                counts = json.loads(call(url, "/_state")[1])
                if counts["cancelled"]:
                    break
                time.sleep(0.02)
        assert counts == {"cancelled": 1, "in_flight": 0}

    def test_vectors(self, tmp_path: Path) -> None:
        with fake_ollama("0.34.1", tmp_path / "ollama") as url:
            published(url, file_of(tmp_path)[0])
            rows = json.loads(call(url, "/api/embed", {"model": "ft-erd:v1", "input": ["a", "b", "a"]})[1])[
                "embeddings"
            ]
            data = json.loads(call(url, "/v1/embeddings", {"model": "ft-erd:v1", "input": "a"})[1])["data"]
        assert rows[0] == rows[2] == data[0]["embedding"]
        assert rows[0] != rows[1]


def test_a_foreign_host_is_refused(tmp_path: Path) -> None:
    with fake_ollama("0.34.1", tmp_path / "ollama") as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        connection.request("GET", "/api/tags", headers={"Host": "attacker.example"})
        assert connection.getresponse().status == 403
        connection.close()


@pytest.mark.process
def test_killed_and_started_again_it_has_what_it_had(tmp_path: Path) -> None:
    path, digest = file_of(tmp_path)
    with process("0.24.0", tmp_path / "ollama") as (url, child):
        published(url, path)
        with OllamaApi(url) as api:
            api.copy("ft-erd:v1", "ft-erd")
            before = api.digest_of("ft-erd")
        child.kill()
    with process("0.40.2", tmp_path / "ollama", int(url.rpartition(":")[2])) as (again, _), OllamaApi(again) as api:
        assert again == url
        assert api.version() == "0.40.2"
        assert api.digest_of("ft-erd") == before
        assert api.show("ft-erd").modelfile_file_sha256 == digest


@pytest.mark.process
class TestAnswersOfTheFile:
    """With `llamacpp`, a chat rendered otherwise than the file says gets another answer, and its tokens are counted."""

    # What the Jinja template of the test's model does; its tokenizer adds no BOS.
    RIGHT = "<bos>{{ range .Messages }}<{{ .Role }}>{{ .Content }}<end>{{ end }}<assistant>"
    ASK = (Message("user", "Draw a library."),)

    @pytest.mark.parametrize(
        ("template", "right"),
        [(RIGHT, True), ("### {{ .Prompt }}", False), ("<bos>" + RIGHT, False), (RIGHT.removeprefix("<bos>"), False)],
    )
    def test_by_go_templates(self, tmp_path: Path, model: str, template: str, right: bool) -> None:
        options = {"temperature": 0, "num_predict": 24}
        with (
            fake_ollama("0.24.0", tmp_path / "ollama", answers="llamacpp") as url,
            OllamaApi(url) as api,
            LlamaCppBackend() as embedded,
        ):
            published(url, Path(model), template=template)
            answer = api.chat("ft-erd:v1", self.ASK, options)
            rendered = embedded.render(model, self.ASK)
            tokens = embedded.tokenize(model, rendered, add_special=False, parse_special=True)
            expected = embedded.generate(model, self.ASK, Sampling(temperature=0.0, max_tokens=24)).text
        assert (answer["prompt_eval_count"] == len(tokens)) is right
        assert (answer["message"]["content"] == expected) is right

    def test_an_unknown_file_is_refused(self, tmp_path: Path) -> None:
        with fake_ollama("0.34.1", tmp_path / "ollama", answers="llamacpp") as url, OllamaApi(url) as api:
            published(url, file_of(tmp_path)[0])
            with pytest.raises(OllamaError) as caught:
                api.chat("ft-erd:v1", self.ASK, {})
        assert caught.value.status == 500
