from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.categories import Category
from core.errors import CategoryError
from core.validate.registry import BUILT_IN, GROUP, validated, validator_for, validator_names
from core.validate.validator import Finding, Validation

ROOT = Path(__file__).parents[3]
OPTIONS: dict[str, dict[str, Any]] = {
    "label": {"labels": ["a", "b"]},
    "regex": {"pattern": "a"},
    "language": {"languages": ["en"]},
    "command": {"command": ["true"]},
    "judge": {"model": "m.gguf", "criteria": "Good."},
    "json_schema": {"schema": {"type": "object"}},
}
Install = Callable[..., None]


def category(validator: str, **options: Any) -> Category:
    return Category(name="mine", title="Mine", validator=validator, validator_options=options)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package with one module and its entry points, as a package installer would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def install(package: str, source: str, **points: str) -> None:
        module = f"{package}_module"
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {module}:{factory}" for name, factory in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        made.append(module)
        importlib.invalidate_caches()

    yield install
    for module in made:
        sys.modules.pop(module, None)


GOOD = """
from core.validate.validator import Finding, Validation

class Shouts:
    name = "shouts"
    def __init__(self, share):
        self.share = share
    def validate(self, response, *, prompt="", expected=None):
        if response == "raise":
            raise RuntimeError("no such thing")
        if response == "nothing":
            return None
        if response == "much":
            return Validation(1000.0, True)
        return Validation(100.0 if response.isupper() else 10.0, True, (Finding("prompt", prompt),))

def make(options):
    if set(options) - {"share"}:
        raise TypeError(f"{min(options)!r} is none of share")
    if options.get("share") == "broken":
        raise RuntimeError("cannot")
    return Shouts(options.get("share", 1.0))

def make_nothing(options):
    return 3
"""


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_validator_is_made_and_refuses_unknown_options(name: str) -> None:
    options = OPTIONS.get(name, {})
    assert validator_for(category(name, **options)).name
    with pytest.raises(CategoryError, match=r"`mine`.*nonsense"):
        validator_for(category(name, **options, nonsense=1))


def test_wrong_options_name_category_validator_and_key() -> None:
    with pytest.raises(CategoryError, match=r"`mine`.*`label`.*`labels` is missing"):
        validator_for(category("label"))


def test_an_unknown_validator_names_the_closest() -> None:
    with pytest.raises(CategoryError, match=r"`lable`.*label"):
        validator_for(category("lable"))


def test_a_package_brings_a_validator(install: Install) -> None:
    install("shouting", GOOD, shouts="make")
    assert "shouts" in validator_names()
    validator = validator_for(category("shouts", share=0.5))
    verdict = validated(validator, "LOUD", "ask", {})
    assert verdict == Validation(100.0, True, (Finding("prompt", "ask"),))
    assert validator.name == "shouts"
    with pytest.raises(CategoryError, match=r"`mine`.*'other' is none of share"):
        validator_for(category("shouts", other=1))


@pytest.mark.parametrize(("response", "said"), [("raise", "no such thing"), ("nothing", "NoneType"), ("much", "1000")])
def test_a_faulty_verdict_costs_no_feedback(install: Install, response: str, said: str) -> None:
    install("shouting", GOOD, shouts="make")
    verdict = validator_for(category("shouts")).validate(response)
    assert (verdict.judged, verdict.valid, verdict.findings[0].kind) == (False, True, "validator_failed")
    assert "shouting" in verdict.findings[0].message and said in verdict.findings[0].message


@pytest.mark.parametrize(
    ("source", "factory", "options", "said"),
    [
        ("import no_such_module_at_all", "make", {}, "no_such_module_at_all"),
        ("make = 3", "make", {}, "cannot be called"),
        ("x = 3", "make", {}, "cannot be loaded"),
        ("this is no Python", "make", {}, "SyntaxError"),
        (GOOD, "make", {"share": "broken"}, "cannot be made: RuntimeError: cannot"),
        (GOOD, "make_nothing", {}, "no method `validate`"),
    ],
    ids=["import", "number", "absent", "syntax", "broken", "nothing"],
)
def test_a_faulty_package_is_named(
    install: Install, source: str, factory: str, options: Mapping[str, Any], said: str
) -> None:
    package = "faulty"
    install(package, source, shouts=factory)
    with pytest.raises(CategoryError, match=said) as caught:
        validator_for(category("shouts", **options))
    assert f"`{package}`" in str(caught.value)


def test_a_package_cannot_take_a_built_in_name(install: Install) -> None:
    install("taking", GOOD, none="make", label="make")
    assert validator_for(category("none")).validate("quiet").score == 100.0
    assert not validator_for(category("none")).validate("quiet").judged


def test_two_packages_with_one_name_are_both_named(install: Install) -> None:
    install("first_shouting", GOOD, shouts="make")
    install("second_shouting", GOOD, shouts="make")
    with pytest.raises(CategoryError, match=r"first_shouting.*second_shouting|second_shouting.*first_shouting"):
        validator_for(category("shouts"))


def test_a_plain_length_is_no_judgment() -> None:
    validator = validator_for(category("none", min_chars=3))
    assert not validator.validate("long enough").judged
    assert validator.validate("no").judged
    with pytest.raises(CategoryError, match="max_chars"):
        validator_for(category("none", min_chars=3, max_chars=2))


def test_no_validator_is_imported_before_it_is_asked_for() -> None:
    script = (
        "import sys, core.validate.registry\n"
        "heavy = 'core.validate.', 'core.backends', 'regex', 'py3langid', 'jsonschema'\n"
        "print(*(name for name in sys.modules if name.startswith(heavy)))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT)
    assert set(done.stdout.split()) == {f"core.validate.{name}" for name in ("registry", "plugin", "validator")}
