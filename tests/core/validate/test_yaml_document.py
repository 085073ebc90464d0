from __future__ import annotations

import pytest

from core.validate.yaml_document import MAX_DEPTH, YamlFault, read_yaml


def test_yaml_has_the_types_of_json() -> None:
    text = "a: NO\nb: 2020-01-01\n200: ~\nc: [1, -2, 1.5, 1e3, true, '7', 007, 1_000]\n"
    text += "d: &d {x: 1}\ne: {<<: *d, y: 2}\nf: *d\n"
    assert read_yaml(text).value == {
        "a": "NO",
        "b": "2020-01-01",
        "200": None,
        "c": [1, -2, 1.5, 1000.0, True, "7", 7, "1_000"],
        "d": {"x": 1},
        "e": {"y": 2, "x": 1},
        "f": {"x": 1},
    }
    assert read_yaml('{"a": "\\ud83d\\ude00"}').value == {"a": "😀"}


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "a: *b",
        "? [a]\n: b",
        "a: !!timestamp 2020-01-01",
        "a: !x b",
        "a:\n\tb: 1",
        "<<: 1",
        "\ud800",
        "a\0",
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    ],
)
def test_yaml_beyond_plain_values_is_refused(text: str) -> None:
    with pytest.raises(YamlFault):
        read_yaml(text)


def test_yaml_knows_the_line_of_a_path() -> None:
    document = read_yaml("a:\n  - b: 1\n  - c:\n      d: 2\n")
    assert document.line(("a", 1, "c", "d")) == 4
    assert document.line(("a", 0, "none")) == 2
    assert document.line(("z",)) is None
