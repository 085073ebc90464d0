from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from core.categories import DEFAULT_WEIGHTS, LABELLING, answer_guidelines, category, load_categories
from core.errors import CategoryError, FinetuneError
from core.paths import Home
from core.train.presets import PRESETS
from core.validate.registry import validator_for

ARCHITECT = {
    "erd": (0.3, "mermaid_er"),
    "api_docs": (0.5, "api_docs"),
    "workflows": (0.6, "mermaid"),
    "architecture": (0.7, "mermaid"),
    "code_prototype": (0.8, "python"),
}
FAST = {"violation_detection", "scam_detection", "intent_classification", "sentiment_analysis"}
REASONING = {"tool_selection", "workflow_parsing"}
OTHERS = {
    "trust_prediction",
    "moderation_decision",
    "policy_interpretation",
    "language_detection",
    "network_analysis",
    "user_profiling",
    "human_correction",
    "rag_enhancement",
}


def test_the_architect_preset_is_whole(home: Home) -> None:
    own = {name: each for name, each in load_categories(home).items() if each.preset == "architect"}
    assert {name: (each.complexity, each.validator) for name, each in own.items()} == ARCHITECT
    assert own["workflows"].validator_options == {"kinds": ["flowchart", "sequence", "state"]}
    assert own["architecture"].validator_options == {"kinds": ["flowchart", "class", "sequence", "state"]}
    assert (own["erd"].system_prompt, own["erd"].base_model) == ("", "demo")


def test_the_moderation_preset_is_whole(home: Home) -> None:
    home.config.write_text('[train]\nbase_model = "mine"\n')
    own = {name: each for name, each in load_categories(home).items() if each.preset == "moderation"}
    assert set(own) == FAST | REASONING | OTHERS and len(own) == 14
    assert {own[name].base_model for name in FAST} == {"qwen3-1.7b"}
    assert {own[name].base_model for name in REASONING} == {"llama-3.2-3b"}
    assert {own[name].base_model for name in OTHERS} == {"mine"}
    assert {"qwen3-1.7b", "llama-3.2-3b"} <= set(PRESETS)
    for each in own.values():
        assert 0.0 < each.complexity < 1.0
        assert each.system_prompt.strip() == each.system_prompt != ""


def test_every_category_can_be_used_and_can_reach_gold(home: Home) -> None:
    for each in load_categories(home).values():
        assert each.title and each.guidelines and each.base_model
        assert (each.success_score, each.min_tier) == (70.0, "bronze")
        assert validator_for(each).validate("").valid is False
        # A right answer that a person confirmed, with all that its kind of output can have of itself.
        own = {"confidence", "score", "reasoning", "outcome", "human", "context"}
        assert sum(weight for part, weight in each.quality_weights.items() if part in own) > 0.90


def test_the_labels_stand_in_the_prompt(home: Home) -> None:
    for each in load_categories(home).values():
        labels = each.validator_options.get("labels", ())
        named = set(re.findall(r"[a-z_]+", each.system_prompt))
        assert each.name == "language_detection" or set(labels) <= named


def test_reading_them_imports_no_validator() -> None:
    code = (
        "import sys; from pathlib import Path; from core.categories import load_categories; "
        "from core.paths import Home; load_categories(Home(Path('nowhere'))); "
        "assert not [name for name in sys.modules if name.startswith('core.validate') or name == 'jsonschema']"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_architect_gives_the_weight_of_reasoning_to_the_score(home: Home) -> None:
    weights = load_categories(home)["erd"].quality_weights
    assert weights == {
        "score": 0.60,
        "outcome": 0.15,
        "human": 0.20,
        "rag": 0.10,
        "precedents": 0.05,
        "edge_case": 0.10,
        "common_pattern": 0.05,
    }


def test_a_user_overrides_and_adds_categories(home: Home) -> None:
    home.config.write_text(
        '[train]\nbase_model = "mine"\n'
        '[categories.erd]\nmin_tier = "gold"\nsuccess_score = 80\n'
        "[categories.poems]\ncomplexity = 1\n"
        '[categories.data_model]\nlike = "erd"\ntitle = "Data models"\n'
    )
    categories = load_categories(home)
    assert (categories["erd"].min_tier, categories["erd"].success_score) == ("gold", 80.0)
    assert categories["erd"].validator == "mermaid_er"
    assert categories["poems"].title == "Poems"
    assert categories["poems"].quality_weights == DEFAULT_WEIGHTS
    assert categories["poems"].base_model == "mine"
    twin = categories["data_model"]
    assert (twin.name, twin.title, twin.validator, twin.min_tier) == ("data_model", "Data models", "mermaid_er", "gold")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[categories.erd]\ncomplexity = 2\n", "from 0 to 1"),
        ('[categories.erd]\ncomplexity = "low"\n', "from 0 to 1"),
        ("[categories.erd]\nsucess_score = 80\n", "success_score"),
        ('[categories.erd]\nmin_tier = "golden"\n', "gold"),
        ("[categories.erd]\nquality_weights = { scores = 1 }\n", "score"),
        ("[categories.erd]\nquality_weights = 3\n", "table"),
        ("[categories.erd]\nvalidator_options = 3\n", "table"),
        ("[categories.erd]\ntitle = 3\n", "text in quotes"),
        ("[categories.'../x']\ntitle = 'x'\n", "starting with a letter"),
        ("[categories.New]\ntitle = 'x'\n", "starting with a letter"),
        ("[categories.mine]\nlike = 'erdd'\n", "erd"),
        ("[categories]\nerd = 3\n", "section"),
        ("[[categories.erd]]\ntitle = 'x'\n", "[categories.erd] in single brackets"),
        ("[[categories]]\nerd = 3\n", "[categories.<name>] in single brackets"),
        ("[categories.mine]\nlike = 3\n", "names no category"),
        ("[categories.sentiment_analysis]\nvalidator_options = { labels = 'good' }\n", "options.labels must be a list"),
        ("[categories.sentiment_analysis]\nvalidator_options = { labels = [1, 2] }\n", "options.labels must be a list"),
        ("[categories.sentiment_analysis]\nvalidator_options = { labels = [] }\n", "options.labels must be a list"),
        ("[categories.sentiment_analysis]\nvalidator_options = { labels = ['a', 'a'] }\n", "has `a` twice"),
        ("[categories.sentiment_analysis]\nvalidator_options = { labels = ['a'], key = 1 }\n", "key must be text"),
        ("[categories.workflows]\nvalidator_options = { kinds = 'state' }\n", 'kinds = ["…", "…"]'),
        (
            "[categories.tool_selection]\nvalidator_options = { schema = 'x' }\n",
            "tool_selection.validator_options.schema]",
        ),
        ("[categories.x]\nvalidator = 'regex'\nvalidator_options = { pattern = 3 }\n", "pattern must be text"),
        ("categories = 3\n", "sections"),
    ],
)
def test_a_wrong_definition_names_file_and_way_out(home: Home, text: str, named: str) -> None:
    home.config.write_text(text)
    with pytest.raises(FinetuneError) as caught:
        load_categories(home)
    assert named in str(caught.value)
    assert str(home.config) in caught.value.message and caught.value.hint


def test_another_validator_starts_without_the_options_of_the_first(home: Home) -> None:
    home.config.write_text("[categories.sentiment_analysis]\nvalidator = 'none'\n")
    assert validator_for(load_categories(home)["sentiment_analysis"]).name == "none"


def test_an_unknown_category_names_the_closest(home: Home) -> None:
    with pytest.raises(CategoryError, match=r"no category `edr`.*erd"):
        category(load_categories(home), "edr")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[categories.erd]\nvalidator = 'mermaid_erd'\n", "mermaid_er"),
        ("[categories.poems]\nvalidator_options = { max = 3 }\n", "min_chars"),
        ("[categories.poems]\nvalidator_options = { min_chars = 'x' }\n", "`min_chars` must be a number"),
        ("[categories.erd]\nvalidator_options = { weights = { nothing = 3 } }\n", "nothing"),
    ],
)
def test_an_unknown_validator_or_option_is_refused(home: Home, text: str, named: str) -> None:
    home.config.write_text(text)
    categories = load_categories(home)
    with pytest.raises(CategoryError, match=named):
        for each in categories.values():
            validator_for(each)


def test_what_is_for_people_who_label_is_told_to_no_model(home: Home) -> None:
    for own in load_categories(home).values():
        told, section = own.guidelines.split(f"\n{LABELLING}\n")
        assert answer_guidelines(own) == told.strip()
        assert 10 <= len(section.strip().splitlines()) <= 15
        assert all(f"- {word}" in section for word in ("Good", "Correct", "Reject", "Skip"))
    own = replace(load_categories(home)["erd"], guidelines="One.\n\n## Two\nthree")
    assert answer_guidelines(own) == own.guidelines
