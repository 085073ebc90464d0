from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import Config, Train
from core.errors import ConfigError
from core.train.config import TrainSettings, configured, deep
from core.train.presets import PRESETS


def test_a_mapping_gives_the_same_settings_back() -> None:
    settings = TrainSettings(epochs=5, learning_rate=1e-3, quantize=("f16", "q4_k_m"), target_modules=("q_proj",))
    assert TrainSettings.from_mapping(settings.to_mapping()) == settings
    assert TrainSettings.from_mapping({}) == TrainSettings()
    assert deep(TrainSettings(seed=3)).seed == 3


@pytest.mark.parametrize(
    ("values", "named", "allowed"),
    [
        ({"epochs": 0}, "epochs", "whole number from 1 to 1000"),
        ({"epochs": 2.5}, "epochs", "whole number"),
        ({"epochs": True}, "epochs", "whole number"),
        ({"learning_rate": float("nan")}, "learning_rate", "number from 1e-08 to 1"),
        ({"learning_rate": "fast"}, "learning_rate", "number from"),
        ({"precision": "fp8"}, "precision", "auto, fp32, bf16"),
        ({"method": "dpo2"}, "method", "sft"),
        ({"quantize": ["f16", "q1"]}, "quantize", "q8_0"),
        ({"quantize": []}, "quantize", "q8_0"),
        ({"quantize": "f16"}, "quantize", "a list"),
        ({"target_modules": "q_proj"}, "target_modules", "a list of names"),
        ({"target_modules": ["q proj"]}, "target_modules", "a list of names"),
        ({"target_modules": ["q_proj", "lm_head"]}, "target_modules", "the output layer do not learn"),
        ({"epoch": 3}, "epoch", "epochs"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(values: dict[str, Any], named: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainSettings.from_mapping(values)
    assert f"`{named}`" in str(caught.value)
    assert allowed in str(caught.value)


def test_the_file_lies_over_the_preset_and_the_preset_over_the_defaults() -> None:
    own = configured(Config(train=Train(settings={"epochs": 5, "rank": 4})), "demo")
    assert (own["epochs"], own["rank"]) == (5, 4)
    assert own["learning_rate"] == PRESETS["demo"].settings["learning_rate"]
    assert own["dropout"] == TrainSettings().dropout
    assert configured(Config(), "some/folder") == TrainSettings().to_mapping()


def test_a_fault_in_the_file_names_it() -> None:
    with pytest.raises(ConfigError, match=r"config\.toml: \[train\]: .*epochs"):
        configured(Config(train=Train(settings={"epochs": 0})), "demo")


@given(
    examples=st.integers(1, 5000), batch=st.integers(1, 16), accumulation=st.integers(1, 32), epochs=st.integers(1, 10)
)
def test_steps_cover_all_examples(examples: int, batch: int, accumulation: int, epochs: int) -> None:
    settings = TrainSettings(batch_size=batch, accumulation=accumulation, epochs=epochs)
    steps = settings.steps_per_epoch(examples)
    assert (steps - 1) * settings.effective_batch < examples <= steps * settings.effective_batch
    assert settings.total_steps(examples) == epochs * steps
    assert settings.evaluation_interval(examples) >= 1
    assert 5 <= settings.save_interval(examples) <= 50
