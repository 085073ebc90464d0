"""What a report gathers, against the rows counted one by one; and that nothing on its page can do anything."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from versions_kit import add_version

from core.categories import load_categories
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from core.report import drawing
from core.report.contents import SLICES_MOST, Asked, Contents, contents
from core.report.page import page
from storage import aliases, events, judgments, metrics, runs
from storage.db import Store
from storage.rows import Metric, NewEvent, Tier

NOW = 1_760_000_000.0
DAY = 86_400.0
TIERS: tuple[Tier, ...] = ("gold", "silver", "bronze", "rejected")
HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)>&amp;\x1b[31m\u202e"


def add_events(store: Store, count: int = 40, *, category: str = "erd", finding: str = "missing_pk") -> list[int]:
    rows = [
        NewEvent(
            created_at=NOW - DAY * (count - number), category=category, model="demo", prompt=f"Draw shop {number}",
            response="erDiagram", content_hash=f"{category}{number}", prompt_hash=f"p{number}", bucket=number % 100,
            feedback_type="neutral", score=None if number % 10 == 0 else float(number), valid=True, quality=0.5,
            tier=TIERS[number % 4],
            findings=[{"kind": finding, "severity": "error", "message": "m"}, {"kind": "note", "severity": "info"}],
        )
        for number in range(count)
    ]  # fmt: skip
    return events.add_many(store, rows)


def gather(store: Store, home: Home, asked: Asked | None = None) -> Contents:
    return contents(
        store, home, Config(), load_categories(home), asked or Asked(), next_steps={"erd": "Label some."}, now=NOW
    )


def test_the_figures_are_those_of_the_rows(store: Store, home: Home) -> None:
    ids = add_events(store)
    for place, kind in enumerate(("good", "bad", "bad", "skip")):
        judgments.judge(store, ids[-1 - place], kind, seconds=1.0 + place, now=NOW - 1)  # type: ignore[arg-type]
    judgments.undo(store, now=NOW)
    found = gather(store, home)
    assert found.total == 40
    assert [found.of_tier(tier) for tier in TIERS] == [10, 10, 10, 10]
    assert found.findings == [("missing_pk", 40)]
    assert found.judged.by_verdict == {"bad": 2, "good": 1}
    assert found.judged.median_seconds == 2.0
    assert sum(found.rewards.counts) == found.rewards.of == 40
    assert found.period.count <= SLICES_MOST
    assert {one.number for one in found.slices} <= set(range(found.period.count))
    assert found.next_steps == {"erd": "Label some."}


def test_a_period_and_a_category_leave_the_others_out(store: Store, home: Home) -> None:
    add_events(store)
    add_events(store, 5, category="other")
    found = gather(store, home, Asked(category="erd", since=NOW - 10 * DAY, until=NOW - 3 * DAY))
    rows = [NOW - DAY * (40 - number) for number in range(40)]
    assert found.total == sum(NOW - 10 * DAY <= at < NOW - 3 * DAY for at in rows) == 7
    # Six hours each: seven days are 28 slices; every event of the period lies in one of its own.
    assert found.period.seconds == 6 * 3_600
    assert [one.total for one in found.slices] == [1] * 7


def test_the_mean_is_over_events_not_over_slices(store: Store, home: Home) -> None:
    add_events(store, 40)
    scores = [float(number) for number in range(40) if number % 10]
    found = gather(store, home)
    assert found.mean_score == pytest.approx(sum(scores) / len(scores))


def test_a_version_brings_its_run_and_its_changes(store: Store, home: Home) -> None:
    add_events(store)
    first, second = add_version(store, home), add_version(store, home)
    for version, at in ((first, 1.0), (second, 2.0)):
        aliases.point(
            store, name="ft-erd", category="erd", to_version=version.id, action="promote", who="ada", why="better",
            evidence={}, now=NOW + at,
        )  # fmt: skip
    found = gather(store, home, Asked(version=second.name))
    assert [one.version.name for one in found.versions] == [second.name]
    assert found.versions[0].serves
    assert [(one.before, one.after) for one in found.changes] == [(first.name, second.name)]
    assert second.name in page(found, code_version="1")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(category="nowhere"), "no category"),
        (Asked(since=NOW, until=NOW - DAY), "ends before"),
        (Asked(version="ft-demo-erd-v9"), "ft-demo-erd-v9"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_reason(store: Store, home: Home, asked: Asked, said: str) -> None:
    add_events(store, 3)
    with pytest.raises(FinetuneError, match=said):
        gather(store, home, asked)


def test_an_empty_store_has_no_report(store: Store, home: Home) -> None:
    with pytest.raises(FinetuneError, match="Nothing has been recorded"):
        gather(store, home)


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_hostile_names_stay_text_and_nothing_is_loaded(store: Store, home: Home) -> None:
    add_events(store, finding=HOSTILE)
    version = add_version(store, home)
    aliases.point(
        store, name="ft-erd", category="erd", to_version=version.id, action="promote", who=HOSTILE, why=HOSTILE,
        evidence={}, now=NOW,
    )  # fmt: skip
    html = page(gather(store, home), code_version=HOSTILE)
    parser = Elements()
    parser.feed(html)
    names = {tag for tag, _ in parser.found}
    assert not names & {"script", "img", "link", "iframe", "object", "embed", "base", "form"}
    attributes = {name for _, own in parser.found for name in own}
    assert not {name for name in attributes if name.startswith("on")} | (attributes & {"src", "href", "srcset"})
    assert "&lt;script&gt;" in html
    assert "url(" not in html
    assert "@import" not in html


points = st.lists(st.tuples(st.floats(0, 1), st.floats(-1e6, 1e6, allow_nan=False)), min_size=1, max_size=2_000).map(
    sorted
)


@given(points)
def test_a_thinned_line_keeps_its_extremes_and_its_order(each: list[tuple[float, float]]) -> None:
    values = [value for _, value in each]
    shown = str(drawing.line(each, low=min(values), high=max(values)))
    path = shown.split('d="M', maxsplit=1)[1].split('"', maxsplit=1)[0].split("L")
    heights = [float(spot.split()[1]) for spot in path]
    places = [float(spot.split()[0]) for spot in path]
    assert places == sorted(places)
    assert len(path) <= 402
    if max(values) > min(values):
        assert min(heights) == 0.0
        assert max(heights) == 240.0


def test_stacked_columns_fill_what_they_count() -> None:
    shown = str(drawing.columns([[("gold", 3.0), ("silver", 1.0)], []], high=4.0, titles=["a", "b<"]))
    assert 'height="180.00"' in shown
    assert 'height="60.00"' in shown
    assert "b&lt;" in shown


def test_a_loss_curve_of_a_run_is_read_oldest_first(store: Store, home: Home) -> None:
    from storage import datasets

    add_events(store)
    data = datasets.add(store, created_at=NOW, category="erd", hash="b2:0", seed=0, settings={}, counts={}, items=[])
    run = runs.enqueue(
        store, created_at=NOW, category="erd", base_model="demo", method="sft", settings={}, dataset_id=data,
        parent_version=None, total_steps=3,
    )  # fmt: skip
    assert runs.claim(store, run, pid=1, pid_started=1.0, now=NOW)
    metrics.add_metrics(store, run, [Metric(step, "loss", 3.0 - step, NOW) for step in (1, 2)])
    [shown] = gather(store, home).runs
    assert shown.loss == ((1, 2.0), (2, 1.0))
