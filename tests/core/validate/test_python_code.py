from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.validate.python_code import DEFAULT_WEIGHTS, make
from core.validate.scorecard import INVALID_CAP, MAX_FINDINGS
from core.validate.validator import Validation

GOOD = '''import json


class Store:
    """Keeps items."""

    def load(self, path: str) -> dict[str, int]:
        with open(path) as handle:
            return json.load(handle)


def total(items: dict[str, int]) -> int:
    """The sum of all items."""
    return sum(items.values())
'''


def verdict(text: str, expected: Mapping[str, object] | None = None, **options: Any) -> Validation:
    return make(options).validate(text, expected=expected)


def told(result: Validation) -> list[tuple[str, int | None]]:
    return [(finding.kind, finding.line) for finding in result.findings]


def test_finished_code_is_perfect_bare_and_in_a_fence() -> None:
    asked = {"functions": ["total", "load", "Store.load"], "classes": ["Store"], "imports": ["json"]}
    assert make({}).name == "python"
    assert verdict(GOOD, asked) == Validation(100.0, True, ())
    assert verdict(f"Here:\n\n```python\n{GOOD}```\nDone.", asked) == Validation(100.0, True, ())
    assert verdict(f"Here it is:\n\n{GOOD}", asked) == Validation(100.0, True, ())


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("items.values()", "itms.values()", ("undefined_name", 14)),
        ("import json", "import json\nimport os", ("unused_import", 2)),
        ("    return sum(items.values())", "    pass", ("placeholder", 12)),
        ("    return sum(items.values())", "    ...", ("placeholder", 12)),
        ("    return sum(items.values())", "    raise NotImplementedError('later')", ("placeholder", 12)),
        ("    return sum", "    # TODO: check\n    return sum", ("placeholder", 14)),
        ('    """The sum of all items."""\n', "", ("no_docstring", 12)),
        ("def total", "def total(x):\n    return x\n\n\ndef total", ("redefined", 16)),
        ("sum(items.values())", "f'none'", ("fstring_missing_placeholders", 14)),
    ],
)
def test_each_fault_costs_points_and_names_its_line(old: str, new: str, finding: tuple[str, int]) -> None:
    assert old in GOOD
    result = verdict(GOOD.replace(old, new))
    assert result.valid
    assert INVALID_CAP < result.score < 100
    assert finding in told(result)
    line = next(each for each in result.findings if each.kind == finding[0])
    assert line.message.startswith(f"line {finding[1]}: ")


def test_a_finding_in_a_fence_names_the_line_of_the_response() -> None:
    result = verdict("Sure!\n\n```py\nprint(nothing)\n```")
    assert told(result) == [("undefined_name", 4)]
    counted = sum(DEFAULT_WEIGHTS.values()) - DEFAULT_WEIGHTS["asked"] - DEFAULT_WEIGHTS["docstrings"]
    assert result.score == pytest.approx(100 * (1 - 0.75 * DEFAULT_WEIGHTS["names"] / counted))


def test_one_name_that_is_used_often_is_one_mistake() -> None:
    assert verdict("print(x, x, x)") == verdict("print(x)")
    assert verdict("print(x)").score > verdict("print(x, y)").score > verdict("print(x, y, z)").score


def test_undefined_names_and_stubs_are_no_success() -> None:
    assert verdict("print(missing)").score < 70
    assert verdict("def a():\n    pass\n\n\ndef b():\n    ...\n").score < 70


@pytest.mark.parametrize(
    "code",
    [
        "from abc import ABC, abstractmethod\n\n\nclass A(ABC):\n    @abstractmethod\n    def f(self): ...\n",
        "from typing import Protocol\n\n\nclass A(Protocol):\n    def f(self): ...\n",
        "class A:\n    def f(self):\n        raise NotImplementedError\n\n\nclass B(A):\n    x = 1\n",
        "class Missing(Exception):\n    pass\n",
        "try:\n    print(1)\nexcept ValueError:\n    pass\n",
    ],
)
def test_what_is_meant_to_be_empty_is_no_placeholder(code: str) -> None:
    assert "placeholder" not in [kind for kind, _ in told(verdict(code))]


def test_what_was_asked_for_and_is_missing_is_told() -> None:
    result = verdict(GOOD, {"functions": ["total", "missing"], "classes": ["Other"], "imports": ["os"]})
    assert {kind for kind, _ in told(result)} == {"missing_function", "missing_class", "missing_import"}
    assert result.score == pytest.approx(100 * (100 + 15 / 4) / 115)


def test_a_setter_and_an_overload_replace_nothing() -> None:
    code = (
        "class A:\n    @property\n    def x(self):\n        return self._x\n\n"
        "    @x.setter\n    def x(self, value):\n        self._x = value\n"
    )
    assert told(verdict(code)) == [("no_docstring", 1)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "empty"),
        ("# only a comment", "empty"),
        ("```python\n```", "empty"),
        ("Sorry", "no_code"),
        ("Answer: forty", "no_code"),
        ("I cannot do that.", "syntax"),
        ("def f(:\n    pass", "syntax"),
        ("return 1", "syntax"),
        ("a\0b", "syntax"),
        ("x = '\ud800'", "syntax"),
        ("x = " + "(" * 5_000, "syntax"),
        ("x = " + "-" * 50_000 + "1", "nesting"),
        ("x = a" + ".b" * 40_000, "nesting"),
        ("if x:\n pass\n" + "elif x:\n pass\n" * 4_000, "nesting"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_code_is_not_valid(text: str, kind: str) -> None:
    result = verdict(text)
    assert not result.valid
    assert result.score <= INVALID_CAP
    assert [found.kind for found in result.findings] == [kind]


def test_code_that_breaks_late_was_read_further() -> None:
    late, early = verdict(GOOD + "\ndef f(:\n"), verdict("def f(:\n" + GOOD)
    assert not late.valid
    assert 0 == early.score < 10 < late.score <= INVALID_CAP


def test_code_is_never_run(capsys: pytest.CaptureFixture[str]) -> None:
    verdict("import sys\nprint('ran')\nsys.exit(3)\n")
    assert capsys.readouterr().out == ""


def test_warnings_of_the_compiler_stay_inside() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert verdict("import re\nprint(re.compile('\\d'), 1 is 1)").valid


def test_options() -> None:
    assert verdict("print(ctx)", known_names=["ctx"]).score == 100
    assert verdict("import os\nprint(1)", allow_unused=True).score == 100
    assert not verdict("print(1)", max_chars=3).valid
    docs = verdict("def f():\n    return 1\n", weights={"docstrings": 0})
    assert docs.score == 100
    with pytest.raises(TypeError, match="weight"):
        make({"weight": {}})
    for wrong in ({"weights": {"nope": 1}}, {"weights": {"names": -1}}, {"known_names": "x"}, {"allow_unused": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            make(wrong)


def test_hostile_text_is_refused_or_told_in_short() -> None:
    assert told(verdict("x = 1\n" * 170_000)) == [("too_long", None)]
    many = verdict("\n".join(f"f(x{index})" for index in range(5_000)))
    assert len(many.findings) == MAX_FINDINGS + 1
    assert many.findings[-1].kind == "more"
    assert verdict("#" * 90_000 + "\nprint(1)").score == 100


@settings(max_examples=120)
@given(st.one_of(st.text(max_size=200), st.text(st.sampled_from("def f():\n x=1'\"[{#@.,`*"), max_size=120)))
def test_any_text_gets_a_score(text: str) -> None:
    for response in (text, f"```python\n{text}\n```", f"{GOOD}\n{text}"):
        result = make({}).validate(response, expected={"functions": ["f"]})
        assert 0 <= result.score <= 100
        assert result.valid or result.score <= INVALID_CAP
        assert result.findings or result.score == 100
