from __future__ import annotations

import pytest

from core.categories import DEFAULT_WEIGHTS, category, load_categories
from core.errors import CategoryError, FinetuneError
from core.paths import Home
from core.validate.registry import validator_for

ARCHITECT = {"erd": 0.3, "api_docs": 0.5, "workflows": 0.6, "architecture": 0.7, "code_prototype": 0.8}


def test_the_architect_preset_is_whole(home: Home) -> None:
    categories = load_categories(home)
    assert {name: each.complexity for name, each in categories.items() if each.preset == "architect"} == ARCHITECT
    for each in categories.values():
        assert each.title
        assert each.guidelines
        assert each.base_model
        assert each.success_score == 70.0
        assert validator_for(each).validate("").valid is False


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
        ("categories = 3\n", "sections"),
    ],
)
def test_a_wrong_definition_names_file_and_way_out(home: Home, text: str, named: str) -> None:
    home.config.write_text(text)
    with pytest.raises(FinetuneError) as caught:
        load_categories(home)
    assert named in str(caught.value)


def test_an_unknown_category_names_the_closest(home: Home) -> None:
    with pytest.raises(CategoryError, match=r"no category `edr`.*erd"):
        category(load_categories(home), "edr")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[categories.erd]\nvalidator = 'mermaid'\n", "mermaid_er"),
        ("[categories.poems]\nvalidator_options = { max = 3 }\n", "min_chars"),
        ("[categories.poems]\nvalidator_options = { min_chars = 'x' }\n", "invalid literal"),
        ("[categories.erd]\nvalidator_options = { weights = { nothing = 3 } }\n", "nothing"),
    ],
)
def test_an_unknown_validator_or_option_is_refused(home: Home, text: str, named: str) -> None:
    home.config.write_text(text)
    categories = load_categories(home)
    with pytest.raises(CategoryError, match=named):
        for each in categories.values():
            validator_for(each)
