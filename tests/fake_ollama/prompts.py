"""Which template renders a chat, and what comes out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fake_ollama import go_template
from fake_ollama.store import ApiError, Model, facts_of

NEAR = 100
GENERATION_TAG = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
CHATML_JINJA = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' "
    "+ '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Known:
    """A template that is recognised by its likeness to a file's own."""

    name: str
    jinja: str
    go: str
    stop: tuple[str, ...]


# A few of the families, which is enough for what goes wrong: short templates are near to ChatML.
KNOWN = (
    Known(
        "chatml",
        CHATML_JINJA,
        "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n",
        ("<|im_start|>", "<|im_end|>"),
    ),
    Known(
        "alpaca",
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + "
        "'\\n\\n' }}{% elif message['role'] == 'user' %}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}"
        "{% else %}{{ '### Response:\\n' + message['content'] + eos_token }}{% endif %}{% endfor %}",
        "{{ .System }}\n\n### Instruction:\n{{ .Prompt }}\n\n### Response:\n{{ .Response }}\n",
        ("### Instruction:", "### Response:"),
    ),
    Known(
        "llama3-instruct",
        "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
        "message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == "
        "0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{{ '<|start_header_id|>"
        "assistant<|end_header_id|>\\n\\n' }}",
        "{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
)


@dataclass(frozen=True)
class Prompt:
    """A rendered chat. `go` tells that a Go template made it; `messages` are what went in, system prompt included."""

    text: str
    go: bool
    messages: list[dict[str, str]]


def detected(jinja: str) -> Known | None:
    """The known template that is near enough to a file's own."""
    from rapidfuzz.distance import Levenshtein

    if not jinja:
        return None
    nearest = min(KNOWN, key=lambda one: Levenshtein.distance(one.jinja, jinja))
    return nearest if Levenshtein.distance(nearest.jinja, jinja) < NEAR else None


def own_template(model: Model) -> str:
    return str(facts_of(model.file).get("tokenizer.chat_template", ""))


def shown_template(model: Model, native: bool) -> str:
    """What /api/show calls the template: the one that is used."""
    if model.template is not None:
        return model.template
    return (own_template(model) if native else "") or "{{ .Prompt }}"


def chat_prompt(model: Model, messages: Sequence[Mapping[str, Any]], native: bool) -> Prompt:
    whole = [{"role": str(one.get("role", "")), "content": str(one.get("content") or "")} for one in messages]
    if model.system and not (whole and whole[0]["role"] == "system"):
        whole.insert(0, {"role": "system", "content": model.system})
    if model.template is None and native:
        return Prompt(_jinja(model, whole), False, whole)
    try:
        return Prompt(go_template.render(model.template or "{{ .Prompt }}", whole), True, whole)
    except go_template.TemplateError as error:
        raise ApiError(500, str(error)) from error


def _jinja(model: Model, messages: list[dict[str, str]]) -> str:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    facts = facts_of(model.file)
    tokens = facts.get("tokenizer.ggml.tokens") or []

    def text_of(kind: str) -> str:
        place = facts.get(f"tokenizer.ggml.{kind}_token_id")
        return str(tokens[place]) if isinstance(place, int) and place < len(tokens) else ""

    def refuse(words: str) -> None:
        raise jinja2.TemplateError(words)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    source = GENERATION_TAG.sub("", str(facts.get("tokenizer.chat_template", "")) or CHATML_JINJA)
    try:
        return environment.from_string(source).render(
            messages=messages, add_generation_prompt=True, bos_token=text_of("bos"), eos_token=text_of("eos")
        )
    except jinja2.TemplateError as error:
        raise ApiError(500, f"template error: {error}") from error
