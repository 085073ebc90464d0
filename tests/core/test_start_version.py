"""The version that a run goes on from: which one the loop takes by itself, and which ones a person may name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from selection_kit import add_start

from core.config import Config
from core.errors import RunError
from core.paths import Home
from core.release import promote
from core.training import adapter_of, require_start, start_of
from storage import ab_tests
from storage.db import Store
from storage.rows import VersionRow

Make = Callable[..., VersionRow]
Start = Callable[..., str | None]
Compared = Callable[[VersionRow, str], VersionRow]


@pytest.fixture
def make(store: Store, home: Home) -> Make:
    return partial(add_start, store, home)


@pytest.fixture
def compared(store: Store) -> Compared:
    """Ends an A/B test of a version with a verdict, and returns it. Against itself: only the verdict counts."""

    def adder(version: VersionRow, verdict: str) -> VersionRow:
        test = ab_tests.start(
            store, created_at=1.0, category="erd", version_a=version.id, version_b=version.id, seed=0, settings={}
        )
        ab_tests.finish(store, test, {"verdict": verdict, "n": 1}, 2.0)
        return version

    return adder


def serve(store: Store, home: Home, version: VersionRow) -> None:
    promote.promote(store, home, Config(), version.id, who="", why="", evidence={}, now=1.0)


@pytest.fixture
def start(store: Store, home: Home) -> Start:
    """The name of the version that the next run would go on from."""

    def ask(category: str = "erd", base: str = "demo") -> str | None:
        found = start_of(store, home, Config(), category, base)
        return None if found is None else found.name

    return ask


class TestStartOf:
    def test_it_is_the_newest_version_of_the_category_on_that_base(self, make: Make, start: Start) -> None:
        assert start() is None
        make(0)
        assert start() is None, "the untouched base has no adapter"
        make(1)
        make(2)
        make(1, base="other")
        make(1, category="api_docs")
        assert (start(), start(base="other"), start("api_docs")) == (
            "ft-demo-erd-v2", "ft-other-erd-v1", "ft-demo-api_docs-v1",
        )  # fmt: skip
        assert start("workflows") is None

    def test_what_lost_is_not_proved_or_has_no_adapter_is_passed_over(
        self, make: Make, compared: Compared, start: Start
    ) -> None:
        make(1)
        compared(make(2), "need more data")
        make(3, adapter=False)
        make(4, passed=False)
        compared(make(5), "keep")
        assert start() == "ft-demo-erd-v2"

    def test_the_newest_test_counts(self, make: Make, compared: Compared, start: Start) -> None:
        make(1)
        second = compared(make(2), "keep")
        assert start() == "ft-demo-erd-v1"
        compared(second, "promote")
        assert start() == "ft-demo-erd-v2"

    def test_a_test_that_has_not_ended_tells_nothing(self, make: Make, store: Store, start: Start) -> None:
        version = make(1)
        ab_tests.start(
            store, created_at=1.0, category="erd", version_a=version.id, version_b=version.id, seed=0, settings={}
        )
        assert start() == version.name

    def test_never_an_older_one_than_what_serves(
        self, make: Make, store: Store, home: Home, compared: Compared, start: Start
    ) -> None:
        make(1)
        second = compared(make(2), "keep")
        compared(make(3), "keep")
        serve(store, home, second)
        assert start() == second.name, "it serves, whatever a test said"
        adapter_of(home, second).unlink()
        assert start() is None
        fourth = make(4)
        assert start() == fourth.name

    def test_what_serves_on_another_base_is_no_bound(
        self, make: Make, store: Store, home: Home, compared: Compared, start: Start
    ) -> None:
        make(1)
        compared(make(2), "keep")
        serve(store, home, make(1, base="other"))
        assert start() == "ft-demo-erd-v1"


class TestRequireStart:
    def test_a_version_of_the_same_base_is_taken_also_of_another_category(self, make: Make, home: Home) -> None:
        version = make(1, category="api_docs")
        assert require_start(home, version, "demo") == version

    @pytest.mark.parametrize(
        ("number", "over", "words", "hint"),
        [
            (0, {}, "is no version trained on demo", "Name a version of the same base model"),
            (1, {"base": "other"}, "ft-other-erd-v1 is no version trained on demo", "begin with a fresh adapter"),
            (1, {"adapter": False}, "The adapter of ft-demo-erd-v1 is gone", "Leave the version out"),
        ],
    )
    def test_others_are_refused(
        self, make: Make, home: Home, number: int, over: dict[str, Any], words: str, hint: str
    ) -> None:
        with pytest.raises(RunError, match=words) as raised:
            require_start(home, make(number, **over), "demo")
        assert hint in raised.value.hint
