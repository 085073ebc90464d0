"""Ollama's own template language: what is derived from a chat template writes the same prompts, or is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
import pytest
from fake_ollama import go_template
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from core.backends.backend import Message
from core.errors import BackendError, ExportError
from core.release.go_template import GoTemplate, derive, shapes
from core.train import chat_templates

DEMO = Path(__file__).parents[3] / "assets" / "demo" / "model" / "chat_template.jinja"
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Begins with a system prompt of its own where the chat has none.
DEFAULT_SYSTEM = "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}{% endif %}"
# The system prompt stands inside the first question; roles must alternate.
FOLDED = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\\n\\n' %}"
    "{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}"
    "{% endif %}{{ '<start>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' }}"
    "{{ (first if loop.first else '') + (m['content'] | trim) + '<stop>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start>model\\n' }}{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('none') }}{% endif %}"
    "[{{ m.role }}]{{ m.content.rstrip() }}\\n{% endfor %}[assistant]"
)
GOOD = {
    "demo": DEMO.read_text(encoding="utf-8"),
    "chatml": CHATML,
    "default system": DEFAULT_SYSTEM + CHATML,
    "folded": FOLDED,
    "no system": NO_SYSTEM,
    "llama 3": chat_templates.LLAMA_3,
    "mistral": chat_templates.MISTRAL,
    "code llama": chat_templates.CODE_LLAMA,
    "deepseek": chat_templates.DEEPSEEK_CODER,
}
BAD = {
    "date": "{{ strftime_now('%d') }}" + CHATML,
    "place": "{% for m in messages %}{{ loop.index }}: {{ m.content }}\n{% endfor %}",
    "last": "{% for m in messages %}{{ '!' if loop.last }}{{ m.role }}{{ m.content }}{% endfor %}",
    "shouts": "{% for m in messages %}{{ m.role }}{{ m.content | upper }}{% endfor %}",
    "forgets": "{{ messages[-1].content }}|",
    "counts": "{% for m in messages %}{{ m.role }}{{ m.content | length }}{{ m.content }}{% endfor %}",
    "refuses all": "{{ raise_exception('no') }}",
}


def renderer(source: str, bos: str = "<s>") -> Callable[[Sequence[Message]], str]:
    def refuse(why: str) -> None:
        raise jinja2.TemplateError(why)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    template = environment.from_string(source)

    def render(messages: Sequence[Message]) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return template.render(messages=turns, add_generation_prompt=True, bos_token=bos, eos_token="</s>")
        except jinja2.TemplateError as error:
            raise BackendError(str(error)) from error

    return render


@pytest.mark.parametrize("name", GOOD)
def test_the_pieces_write_what_the_template_writes(name: str) -> None:
    render = renderer(GOOD[name])
    made = derive(render, source=GOOD[name])
    compared = 0
    for messages in shapes():
        try:
            expected = render(messages)
        except BackendError:
            continue
        assert made.render(messages) == expected
        compared += 1
    assert compared >= 5


@pytest.mark.parametrize("name", ["demo", "folded", "llama 3"])
def test_a_beginning_that_the_server_adds_is_left_out(name: str) -> None:
    render = renderer(GOOD[name])
    made = derive(render, source=GOOD[name], bos="<s>")
    for messages in shapes():
        assert "<s>" + made.render(messages) == render(messages)
    assert "<s>" not in made.text


def test_a_beginning_that_only_the_server_would_add_is_refused() -> None:
    with pytest.raises(ExportError, match="before every prompt"):
        derive(renderer(CHATML), source=CHATML, bos="<s>")


@pytest.mark.parametrize("name", BAD)
def test_what_depends_on_more_than_the_roles_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ExportError, match="chat template of this model") as refused:
        derive(renderer(BAD[name]), source=BAD[name])
    assert "0.30" in refused.value.hint


def test_neighbours_of_one_role_are_joined_as_ollama_does() -> None:
    made = derive(renderer(CHATML), source=CHATML)
    apart = [Message("user", "a"), Message("user", "b")]
    assert made.render(apart) == made.render([Message("user", "a\n\nb")])


def test_a_role_that_the_template_refuses_is_refused() -> None:
    made = derive(renderer(NO_SYSTEM), source=NO_SYSTEM)
    with pytest.raises(BackendError, match="'system'"):
        made.render([Message("system", "x"), Message("user", "y")])
    assert '"system"' not in made.text


texts = st.text(st.characters(codec="utf-8"), max_size=12)
turns = st.lists(texts, min_size=1, max_size=3)


@given(st.sampled_from(["demo", "chatml", "default system", "llama 3", "folded"]), turns, st.none() | texts)
@settings(max_examples=60)
def test_any_words_are_written_alike(name: str, said: list[str], system: str | None) -> None:
    chat = [] if system is None else [Message("system", system)]
    for number, text in enumerate(said):
        chat += [Message("assistant", f"answer {number}")] * (number > 0) + [Message("user", text)]
    render, made = renderer(GOOD[name]), MADE[name]
    assert made.render(chat) == render(chat)


MADE: dict[str, GoTemplate] = {name: derive(renderer(source), source=source) for name, source in GOOD.items()}


@pytest.mark.parametrize("name", GOOD)
def test_every_action_of_the_text_is_closed(name: str) -> None:
    """Literals are skipped; what remains are the actions alone."""
    text = MADE[name].text
    actions = re.findall(r'\{\{ ((?:[^"{}]|"(?:[^"\\]|\\.)*")*) \}\}', text)
    assert re.sub(r'\{\{ ((?:[^"{}]|"(?:[^"\\]|\\.)*")*) \}\}', "", text) == ""
    opened = sum(action.startswith(("if ", "range ", "define ")) for action in actions)
    assert opened == actions.count("end") > 0
    assert ".Messages" in text


@pytest.mark.parametrize("name", GOOD)
def test_the_text_runs_and_writes_the_same(name: str) -> None:
    """Read and run by another hand, as Ollama fills templates in."""
    render = renderer(GOOD[name])
    for messages in [*shapes(), (Message("user", "a"), Message("user", "b"))]:
        try:
            render(messages)
        except BackendError:
            continue
        told = [{"role": turn.role, "content": turn.content} for turn in messages]
        assert go_template.render(MADE[name].text, told) == MADE[name].render(messages)
