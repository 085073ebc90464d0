"""Which versions of a store the embedded server answers with."""

from __future__ import annotations

import pytest
from versions_kit import add_version

from core.categories import load_categories
from core.paths import Home
from core.serve.embedded_models import Described, StoreModels, described
from core.serve.replies import Refused
from storage.db import Store


def test_proved_versions_by_name(store: Store, home: Home) -> None:
    categories = load_categories(home)
    models = StoreModels(store, home, categories)
    assert models.listed() == []
    first, second = add_version(store, home), add_version(store, home)
    failed = add_version(store, home, passed=False)
    assert [model.name for model in models.listed()] == [first.name, second.name]
    for name in (second.name, f"{second.name}:latest", second.name.upper()):
        found = models.find(name)
        assert (found.name, found.kind, found.bytes) == (second.name, "q8_0", second.gguf["q8_0"]["bytes"])
        assert found.digest == second.gguf["q8_0"]["sha256"]
        assert found.path.stat().st_size == found.bytes
        assert found.system == categories["erd"].system_prompt
    for name, said in ((failed.name, "did not pass"), ("ft-demo-erd-v99", "not found"), ("", "not found")):
        with pytest.raises(Refused, match=said) as caught:
            models.find(name)
        assert caught.value.status == 404


def test_a_version_whose_file_is_gone_is_refused(store: Store, home: Home) -> None:
    models = StoreModels(store, home, {})
    version = add_version(store, home)
    assert models.find(version.name).system == ""
    models.find(version.name).path.unlink()
    with pytest.raises(Refused, match="missing"):
        models.find(version.name)
    assert models.listed() == []


@pytest.mark.parametrize(
    ("parameters", "shown"), [(0, "0"), (999, "999"), (63_400, "63.4K"), (7_241_732_096, "7.2B"), (1_000_000, "1.0M")]
)
def test_size_of_a_model_in_words(parameters: int, shown: str) -> None:
    assert Described("llama", parameters, 0, "", {}).parameter_size == shown


def test_a_file_that_is_no_model_has_no_description(store: Store, home: Home) -> None:
    from core.errors import ModelError
    from core.serve.embedded_listing import tags

    models = StoreModels(store, home, {})
    version = add_version(store, home)
    with pytest.raises(ModelError):
        described(models.find(version.name))
    (entry,) = tags(models.listed())["models"]
    assert entry["details"]["family"] == ""
    assert entry["name"] == f"{version.name}:latest"
