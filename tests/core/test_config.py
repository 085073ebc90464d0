from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import Config, Select, config_from, load_config
from core.errors import ConfigError
from core.paths import Home


def test_without_a_file_the_defaults_hold(home: Home) -> None:
    config = load_config(home)
    assert config == Config()
    assert (config.general.prefix, config.capture.max_chars, config.ab.evidence) == ("ft", 1_000_000, 20.0)
    assert (config.select.min_reward, config.select.min_score, config.select.held_out_percent) == (0.3, 70.0, 20)
    assert (config.train.base_model, dict(config.train.settings)) == ("demo", {})
    assert not config.loop.auto_promote


def test_a_file_overrides_only_what_it_names(home: Home) -> None:
    home.config.write_text('[general]\nprefix = "mine"\n[publish]\ntemperature = 1\n[categories.erd]\ntitle = "x"\n')
    config = load_config(home)
    assert config.general.prefix == "mine"
    assert config.publish.temperature == 1.0
    assert isinstance(config.publish.temperature, float)
    assert config.publish.top_k == 40


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[trian]\nepochs = 3\n", ("[trian]", "train")),
        ("[train]\nbase_model = 3\n", ("train.base_model", "text in quotes")),
        ("[ab]\nmin_tests = 1.5\n", ("ab.min_tests", "whole number from 1")),
        ("[ab]\nmin_tests = true\n", ("ab.min_tests", "whole number")),
        ("[ab]\nevidence = nan\n", ("ab.evidence", "number from")),
        ("[capture]\nsanitize = 1\n", ("capture.sanitize", "true or false")),
        ('[select]\nreward = "new"\n', ("select.reward", "tanh, bucket")),
        ("[general]\nauthor = 3\n", ("general.author", "text in quotes")),
        ('[general]\nprefix = "../x"\n', ("general.prefix", "letters a-z")),
        ('[general]\nprefix = ""\n', ("general.prefix", "letters a-z")),
        ("train = 3\n", ("`train`", "section")),
        ("[train\n", ("line 1",)),
    ],
)
def test_every_fault_names_file_key_and_what_is_allowed(home: Home, text: str, named: tuple[str, ...]) -> None:
    home.config.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(home)
    assert str(home.config) in caught.value.message
    assert caught.value.hint
    for part in named:
        assert part in str(caught.value)


def test_a_file_that_is_not_utf8_is_named(home: Home) -> None:
    home.config.write_bytes(b'[general]\nauthor = "\xff"\n')
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(home)


def test_a_folder_in_its_place_is_named(home: Home) -> None:
    home.config.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(home)


@given(
    st.dictionaries(st.sampled_from([each.name for each in fields(Select)]), st.floats() | st.integers() | st.text())
)
def test_any_value_is_taken_within_its_range_or_refused(table: dict[str, object]) -> None:
    try:
        select = config_from({"select": table}, Path("config.toml")).select
    except ConfigError:
        return
    assert 0.5 <= select.decay_per_day <= 1.0
    assert 1 <= select.held_out_percent <= 90
    assert select.reward in ("tanh", "bucket")
