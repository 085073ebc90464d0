"""The comment at the head of a chat template: it changes no prompt, and no program takes one template for another."""

from __future__ import annotations

import pytest

from core.release.vocabulary import SHORTEST_COMMENT, TEMPLATE_COMMENT, original_template, padded_template


def test_template_comment() -> None:
    import jinja2

    assert TEMPLATE_COMMENT.index("#}") >= SHORTEST_COMMENT
    render = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string
    text = "{% if x %}\na\n{% endif %} {{ x }}"
    assert render(padded_template(text)).render(x=1) == render(text).render(x=1)
    assert padded_template(padded_template(text)) == padded_template(text)
    own = "{#" + "y" * SHORTEST_COMMENT + "#}" + text
    assert padded_template(own) == own


@pytest.mark.parametrize("head", ["", " ", "  ", "\n", "\n\n", "\n  ", "\t", " \n"])
@pytest.mark.parametrize("text", ["{% if x %}A{% endif %}", "{%- if x %}A{% endif %}", "{{ x }}", "{# c #}\nz", "z"])
def test_template_comment_keeps_white_space_at_the_head(head: str, text: str) -> None:
    import jinja2

    render, template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string, head + text
    assert render(padded_template(template)).render(x=1) == render(template).render(x=1)
    assert original_template(padded_template(template)) == template


def test_template_comment_tells_every_template_apart() -> None:
    """Also one that is a part of a well-known one, so that the comment could stand for the rest of it."""
    from fake_ollama.prompts import KNOWN, NEAR
    from rapidfuzz.distance import Levenshtein

    for known in KNOWN:
        for cut in range(0, len(known.jinja) + 1, 7):
            for part in (known.jinja[cut:], known.jinja[:cut]):
                assert Levenshtein.distance(padded_template(part), known.jinja) >= NEAR
