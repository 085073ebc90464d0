"""What a training watches so as not to forget it, and what the losses say in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selection_kit import new_event
from versions_kit import add_version

from core.errors import FinetuneError
from core.paths import Home
from core.prove import forgetting as forgets
from core.prove.forgetting import describe, figures_of, findings, forgetting, older_gold, watched_sets
from core.prove.general_set import GENERAL_FILE, GENERAL_HASH, general_hash, general_items
from storage import datasets, events, judgments, runs
from storage.db import Store
from storage.rows import DatasetItem, VersionRow

LOSSES = st.floats(0.01, 12.0)


def item(event_id: int, prompt: str, target: str, position: int = 0, **more: Any) -> DatasetItem:
    values: dict[str, Any] = {"split": "train", "system": "", "weight": 1.0, "difficulty": 0.1, "stage": "easy"}
    return DatasetItem(position, event_id, prompt=prompt, target=target, **(values | more))


class TestTheGeneralSet:
    def test_it_is_varied_distinct_and_as_it_was_shipped(self) -> None:
        found = general_items()
        assert 60 <= len(found) <= 100 and general_hash(found) == GENERAL_HASH
        assert len({each.prompt for each in found}) == len(found)
        kinds = [each.stage for each in found]
        assert {kind: kinds.count(kind) for kind in kinds}.keys() == {
            "knowledge", "arithmetic", "language", "code", "translation", "format",
        }  # fmt: skip
        assert min(kinds.count(kind) for kind in kinds) >= 10
        assert all(each.prompt.strip() == each.prompt and each.target.strip() == each.target for each in found)

    def test_an_altered_or_missing_one_is_refused(self, tmp_path: Path) -> None:
        altered = tmp_path / "general.jsonl"
        altered.write_text(GENERAL_FILE.read_text(encoding="utf-8").replace("Ottawa", "Toronto"), encoding="utf-8")
        with pytest.raises(FinetuneError, match="not the one"):
            general_items(altered)
        for text in ("{", '{"prompt": "a"}\n', "[]\n"):
            altered.write_text(text, encoding="utf-8")
            with pytest.raises(FinetuneError, match="cannot be read"):
                general_items(altered)
        with pytest.raises(FinetuneError, match="cannot be read"):
            general_items(tmp_path / "gone.jsonl")

    def test_windows_line_ends_do_not_alter_it(self, tmp_path: Path) -> None:
        copy = tmp_path / "general.jsonl"
        copy.write_bytes(GENERAL_FILE.read_bytes().replace(b"\n", b"\r\n"))
        assert general_items(copy) == general_items()


Line = Callable[..., VersionRow]


class TestOlderGold:
    @pytest.fixture
    def line(self, store: Store, home: Home, monkeypatch: pytest.MonkeyPatch) -> Line:
        """Adds a version that learned some events, going on from another version or from a fresh adapter."""

        def add(items: list[DatasetItem], start: VersionRow | None = None) -> VersionRow:
            dataset = datasets.add(
                store, created_at=1.0, category="erd", hash=f"b2:{len(datasets_made)}", seed=0, settings={}, counts={},
                items=[replace(each, position=at) for at, each in enumerate(items)],
            )  # fmt: skip
            datasets_made.append(dataset)
            run = runs.enqueue(
                store, created_at=1.0, category="erd", base_model="demo", method="sft", settings={},
                dataset_id=dataset, parent_version=None, total_steps=1, start_version=start.id if start else None,
            )  # fmt: skip
            with store.transaction():
                version = add_version(store, home, run_id=run)
                store.write("UPDATE versions SET dataset_id = ? WHERE id = ?", (dataset, version.id))
            return version

        datasets_made: list[int] = []
        return add

    @staticmethod
    def gold(store: Store, name: str, **over: Any) -> DatasetItem:
        event = events.add(store, new_event(f"ask {name}", f"answer {name}", **({"tier": "gold"} | over)))
        return item(event, f"ask {name}", f"answer {name}")

    def test_what_the_whole_line_learned_and_this_run_does_not_teach(self, store: Store, line: Line) -> None:
        first, second, third = (self.gold(store, name) for name in "abc")
        one = line([first, second])
        two = line([third], one)
        line([self.gold(store, "of another line")])
        assert {each.event_id for each in older_gold(store, "erd", two.id)} == {
            first.event_id, second.event_id, third.event_id,
        }  # fmt: skip
        assert older_gold(store, "erd", one.id, taught={first.event_id}) == [replace(second, position=1)]
        assert older_gold(store, "erd", None) == [] and older_gold(store, "other", two.id) == []

    def test_only_gold_that_still_holds_and_no_variants(self, store: Store, line: Line) -> None:
        kept = self.gold(store, "kept")
        silver = self.gold(store, "silver", tier="silver")
        corrected = self.gold(store, "corrected")
        judgments.judge(store, corrected.event_id, "correct", correction="something else", now=2.0)
        variant = item(kept.event_id, "please ask kept", "answer kept", 5, origin="reworded")
        held_out = item(self.gold(store, "watched").event_id, "ask watched", "answer watched", 6, split="validation")
        version = line([variant, kept, silver, corrected, held_out])
        assert older_gold(store, "erd", version.id) == [replace(kept, position=1)]

    def test_the_limit_draws_by_the_seed_and_not_by_the_order(self, store: Store, line: Line) -> None:
        made = [self.gold(store, f"{number}") for number in range(12)]
        version = line(made)
        few = older_gold(store, "erd", version.id, 4, seed=1)
        assert few == older_gold(store, "erd", version.id, 12, seed=1)[:4]
        assert few != older_gold(store, "erd", version.id, 4, seed=2)
        assert older_gold(store, "erd", version.id, 0) == []

    def test_the_watched_sets_of_a_first_and_of_a_later_run(self, store: Store, line: Line) -> None:
        old, again = self.gold(store, "old"), self.gold(store, "again")
        version = line([old, again])
        assert watched_sets(store, "erd", None, [again]) == {"general": list(general_items())}
        assert watched_sets(store, "erd", version.id, [again])["older"] == [old]
        assert "older" not in watched_sets(store, "erd", version.id, [old, again])


class TestTheWords:
    @pytest.mark.parametrize(
        ("before", "after", "forgot"),
        [
            (1.0, 1.0, False),
            (1.0, 1.1, False),
            (1.0, 1.11, True),
            (2.0, 2.19, False),
            (0.1, 0.149, False),  # by half, but of nearly nothing
            (0.1, 0.16, True),
            (1.5, 0.9, False),
            (2.99, 4.0, True),
            (3.0, 4.0, None),
            (10.6, 30.0, None),
        ],
    )
    def test_when_a_model_forgets(self, before: float, after: float, forgot: bool | None) -> None:
        assert forgetting("general", before, after).forgot is forgot

    @given(LOSSES, LOSSES, st.floats(0.0, 5.0))
    def test_a_higher_loss_never_forgets_less(self, before: float, after: float, more: float) -> None:
        less, worse = forgetting("older", before, after), forgetting("older", before, after + more)
        assert (less.forgot is None) == (worse.forgot is None) == (before >= forgets.MEASURABLE)
        assert not less.forgot or worse.forgot
        assert worse.growth >= less.growth

    @given(st.dictionaries(st.sampled_from(["general", "older"]), st.tuples(LOSSES, LOSSES)))
    def test_figures_give_back_what_was_found(self, watched: dict[str, tuple[float, float]]) -> None:
        figures = figures_of(watched)
        assert len(figures) == 2 * len(watched)
        found = findings({"mean_score": 80.0, **figures})
        assert len(found) == len(watched)
        assert (describe(figures) is None) == (not watched)

    def test_what_is_forgotten_is_told_first_with_its_figures(self) -> None:
        told = describe(figures_of({"general": (1.0, 1.0), "older": (0.5, 0.8)}))
        assert told is not None
        assert told.startswith("The model forgets: its loss on what earlier versions learned grew by 60% (0.50 → 0.80)")
        assert "Nothing is forgotten on the general set: loss 1.00 → 1.00 (+0%)." in told

    def test_a_model_that_never_knew_it_is_not_blamed(self) -> None:
        told = describe(figures_of({"general": (10.63, 14.2)}))
        assert told is not None and "nothing can be said" in told and "10.63 → 14.20" in told
