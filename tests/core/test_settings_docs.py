"""Every setting is described once, and what is said of it is what is checked."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from core.categories import Category, load_categories
from core.config import Config, config_from
from core.errors import ConfigError
from core.paths import Home
from core.settings_docs import Setting, category_settings, sections, settings
from core.settings_values import find, held_of_category, held_settings, parsed
from core.train.config import TrainSettings, configured

PATH = Path("config.toml")
NUMBERS = [one for one in settings() if one.kind in ("integer", "number")]


def test_every_field_of_every_section_is_there_with_a_sentence() -> None:
    known = {one.name: one.help for one in settings()}
    expected = {f"train.{entry.name}" for entry in fields(TrainSettings)}
    for section in fields(Config):
        expected |= {f"{section.name}.{entry.name}" for entry in fields(getattr(Config(), section.name))}
    assert set(known) == expected - {"train.settings"}
    assert all(text.endswith(".") and len(text) > 15 for text in known.values())
    assert len(set(known.values())) == len(known)
    assert all(sections().values())


def test_every_key_of_a_category_is_there() -> None:
    named = {one.path[2] for one in category_settings(Category("x", "X"), Config())}
    assert named == {entry.name for entry in fields(Category)} - {"name", "preset"}


def accepts(one: Setting, value: object) -> bool:
    try:
        config = config_from({one.section: {one.path[1]: value}}, PATH)
        configured(config, config.train.base_model)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("one", NUMBERS, ids=lambda one: one.name)
def test_the_range_that_is_told_is_the_one_that_is_checked(one: Setting) -> None:
    whole = one.kind == "integer"
    ends = [int(one.low), int(one.high)] if whole else [one.low, one.high]
    assert all(accepts(one, end) for end in ends)
    step = 1 if whole else 1e-3 * max(1.0, abs(one.high))
    assert not accepts(one, ends[0] - step) and not accepts(one, ends[1] + step)
    for text in (str(ends[0] - step), str(ends[1] + step), "x", "", "nan"):
        with pytest.raises(ConfigError):
            parsed(one, text)
    assert parsed(one, str(ends[0])) == ends[0]


@pytest.mark.parametrize("one", [one for one in settings() if one.kind == "choice"], ids=lambda one: one.name)
def test_every_choice_that_is_told_is_accepted_and_no_other(one: Setting) -> None:
    assert one.default in one.allowed
    assert all(accepts(one, choice) for choice in one.allowed)
    assert not accepts(one, "other")


def test_values_and_where_they_come_from(home: Home) -> None:
    tables = {
        "ab": {"min_tests": 7},
        "train": {"epochs": 2},
        "serve": {"token": "secret"},
        "categories": {"erd": {"select": {"min_score": 40}}},
    }
    held = {one.setting.name: one for one in held_settings(tables, PATH)}
    assert (held["ab.min_tests"].value, held["ab.min_tests"].origin, held["ab.min_tests"].fallback) == (
        7, "config.toml", 100,
    )  # fmt: skip
    assert (held["train.epochs"].value, held["train.epochs"].origin) == (2, "config.toml")
    assert (held["train.learning_rate"].origin, held["train.learning_rate"].value) == ("preset", 2e-3)
    assert held["train.rank"].value == configured(config_from(tables, PATH), "demo")["rank"]
    assert "secret" not in held["serve.token"].shown
    own = {one.setting.key: one for one in held_of_category(tables, PATH, "erd")}
    assert (own["select.min_score"].value, own["select.min_score"].fallback) == (40.0, 70.0)
    assert own["select.min_reward"].origin == "section"
    assert (own["title"].origin, own["title"].value) == ("shipped", load_categories(home)["erd"].title)


def test_an_unknown_name_names_what_is_alike() -> None:
    with pytest.raises(ConfigError) as caught:
        find({}, PATH, "ab.min_test")
    assert "ab.min_tests" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        find({}, PATH, "min_tests")
    assert "ab.min_tests" in caught.value.hint


def test_texts_are_read_as_people_type_them() -> None:
    by_name = {one.name: one for one in settings()}
    assert parsed(by_name["publish.stop"], "END, ###") == ["END", "###"]
    assert parsed(by_name["publish.stop"], '["a, b"]') == ["a, b"]
    assert parsed(by_name["loop.auto_train"], "off") is False
    assert parsed(by_name["train.quantize"], "f16,q8_0") == ["f16", "q8_0"]
    with pytest.raises(ConfigError, match="list of"):
        parsed(by_name["train.quantize"], "q9")
