from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.capture.import_rows import ImportOptions
from core.capture.importing import Importer, ImportReport
from core.capture.preview import preview
from core.capture.record import Recorder
from core.categories import load_categories
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from storage import events, judgments, pairs
from storage.db import Store, open_store
from storage.rows import EventFilter, EventRow

DIAGRAM = "erDiagram\n    {name} {{\n        int id PK\n        string title\n    }}"
ROWS = [
    {
        "prompt": f"Draw {name}.",
        "response": DIAGRAM.format(name=name),
        "category": "erd",
        "model": "m",
        "created_at": 1e9 + at,
    }
    for at, name in enumerate(("shop", "zebra", "planet", "contract", "violin", "harbour"))
]


@pytest.fixture
def recorder(store: Store, home: Home) -> Recorder:
    home.ensure()
    return Recorder(store, home, Config(), load_categories(home))


def write(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def run(recorder: Recorder, path: Path, **options: Any) -> ImportReport:
    report = Importer(recorder, processes=0).run(path, ImportOptions(**options))
    counts = report.counts
    assert counts.read == counts.accepted + counts.merged + counts.rejected
    return report


def rejects(report: ImportReport) -> list[dict[str, Any]]:
    assert report.rejects_file is not None
    return [json.loads(line) for line in report.rejects_file.read_text(encoding="utf-8").splitlines()]


def stored(store: Store) -> list[EventRow]:
    return list(events.iter_events(store, EventFilter()))


def test_every_row_is_accounted_for(recorder: Recorder, store: Store, tmp_path: Path) -> None:
    rows: list[Any] = [
        *ROWS,
        ROWS[0],
        "{broken",
        {**ROWS[1], "response": ""},
        {**ROWS[2], "category": "erdd"},
        {
            **ROWS[3],
            "response": "erDiagram\n x ||--o{ y : holds",
            "verdict": "bad",
            "correction": DIAGRAM.format(name="y"),
        },
    ]
    report = run(recorder, write(tmp_path / "rows.jsonl", rows))
    counts = report.counts
    assert (counts.read, counts.accepted, counts.merged, counts.rejected) == (11, 7, 1, 3)
    assert (counts.events, counts.judged, counts.pairs) == (7, 1, 1)
    assert [one["line"] for one in rejects(report)] == [8, 9, 10]
    reasons = [one["reason"] for one in rejects(report)]
    assert "empty" in reasons[1] and "erdd" in reasons[2] and "Did you mean erd?" in reasons[2]
    assert rejects(report)[0]["file"] == "rows.jsonl"
    assert (report.rejects_file or tmp_path).stat().st_mode & 0o077 == 0
    assert {event.source for event in stored(store)} == {"import:records"}


def test_the_same_file_twice_adds_nothing(recorder: Recorder, store: Store, tmp_path: Path) -> None:
    rows = [
        {**row, "verdict": verdict}
        for row, verdict in zip(ROWS, ("good", "bad", None, "good", None, "bad"), strict=True)
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    assert run(recorder, path).counts.accepted == 6
    before = stored(store), store.value("SELECT count(*) FROM judgments")
    again = run(recorder, path).counts
    assert (again.accepted, again.merged, again.pairs, again.replaced) == (0, 6, 0, {})
    assert (stored(store), store.value("SELECT count(*) FROM judgments")) == before


def test_a_later_review_is_not_undone_by_importing_again(recorder: Recorder, store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{**ROWS[0], "verdict": "good"}])
    run(recorder, path)
    recorder.judging.judge(1, "bad", now=2e9)
    assert run(recorder, path).counts.merged == 1
    assert events.get(store, 1).verdict == "bad"


def test_an_older_judgment_does_not_replace_a_newer_one(recorder: Recorder, store: Store, tmp_path: Path) -> None:
    newer, older = {**ROWS[0], "verdict": "bad"}, {**ROWS[0], "verdict": "good", "created_at": 1e8}
    run(recorder, write(tmp_path / "newer.jsonl", [newer]))
    assert run(recorder, write(tmp_path / "older.jsonl", [older])).counts.merged == 1
    assert events.get(store, 1).verdict == "bad"


def test_personal_data_is_replaced_and_counted(recorder: Recorder, store: Store, tmp_path: Path) -> None:
    row = {**ROWS[0], "prompt": "Mail jane.doe@firm.org and jane.doe@firm.org", "metadata": {"user_id": "u-17"}}
    report = run(recorder, write(tmp_path / "rows.jsonl", [row]))
    assert report.counts.replaced == {"email": 2, "user_id": 1}
    (event,) = stored(store)
    assert event.prompt == "Mail [EMAIL_1] and [EMAIL_1]"
    assert "u-17" not in str(event.metadata)
    kept = run(recorder, write(tmp_path / "kept.jsonl", [row]), keep_pii=True)
    assert kept.counts.replaced == {} and "jane.doe@firm.org" in stored(store)[1].prompt


def test_preferences_become_pairs_once(recorder: Recorder, store: Store, tmp_path: Path) -> None:
    row = {"prompt": "Draw a shop.", "chosen": DIAGRAM.format(name="shop"), "rejected": "erDiagram\n    SHOP {"}
    path = write(tmp_path / "dpo.jsonl", [row])
    counts = run(recorder, path, category="erd", model="m").counts
    assert (counts.accepted, counts.events, counts.pairs) == (1, 2, 1)
    (pair,) = pairs.list_pairs(store, "erd")
    chosen, rejected = events.get_many(store, [pair.chosen_event or 0, pair.rejected_event or 0])
    assert (pair.chosen, pair.rejected) == (chosen.response, rejected.response)
    assert pair.margin == pytest.approx(((chosen.score or 0) - (rejected.score or 0)) / 100)
    assert run(recorder, path, category="erd", model="m").counts.merged == 1
    assert pairs.count(store, "erd") == 1


def test_rows_without_a_category_need_one(recorder: Recorder, tmp_path: Path) -> None:
    path = write(tmp_path / "chat.jsonl", [{"prompt": "Hello", "completion": "Hi there"}])
    report = run(recorder, path)
    assert report.counts.rejected == 1 and "category" in rejects(report)[0]["reason"]
    assert run(recorder, path, category="erd").counts.accepted == 1


def test_a_chat_keeps_its_turns_and_stands_on_one_side(recorder: Recorder, store: Store, tmp_path: Path) -> None:
    turns = []
    for at in range(4):
        turns += [{"role": "user", "content": f"question {at}"}, {"role": "assistant", "content": f"answer {at}"}]
    report = run(recorder, write(tmp_path / "chat.jsonl", [{"messages": turns}]), category="erd", model="m")
    assert (report.counts.read, report.counts.events) == (1, 4)
    chat = stored(store)
    assert [len(event.history) for event in chat] == [0, 2, 4, 6]
    assert len({event.bucket for event in chat}) == 1
    assert len({event.prompt_hash for event in chat}) == 4
    assert len({event.group_key for event in chat}) <= 4


def test_what_is_broken_off_goes_on(
    recorder: Recorder, store: Store, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.capture.importing.BATCH", 2)
    path = write(tmp_path / "rows.jsonl", [ROWS[0], "{broken", *ROWS[1:3], "[]", *ROWS[3:]])
    seen: list[int] = []

    class Ended(BaseException):
        pass

    def stop(counts: Any, source: str) -> None:
        seen.append(counts.read)
        if counts.read == 4:
            raise Ended

    with pytest.raises(Ended):
        Importer(recorder, processes=0).run(path, ImportOptions(), progress=stop)
    assert seen == [2, 4] and len(stored(store)) == 3
    # What a killed import wrote behind its last batch is not taken for an account.
    file = next(home.imports.iterdir())
    with file.open("ab") as half:
        half.write(b'{"half')
    assert store.rows("SELECT finished_at FROM imports") == [(None,)]
    report = run(recorder, path)
    assert report.resumed
    assert (report.counts.read, report.counts.accepted, report.counts.rejected) == (8, 6, 2)
    assert [one["line"] for one in rejects(report)] == [2, 5]
    assert not run(recorder, path).resumed


def test_children_give_what_this_process_gives(
    recorder: Recorder, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.capture.importing.BATCH", 5)
    rows = [{**ROWS[at % 6], "prompt": f"Draw number {at}.", "verdict": "good" if at % 3 else None} for at in range(20)]
    path = write(tmp_path / "rows.jsonl", [*rows, {**rows[0], "response": " "}])
    alone = run(recorder, path).to_mapping()
    here = stored(store)
    with open_store(tmp_path / "other" / "store.db") as other:
        beside = Recorder(other, recorder.home, Config(), recorder.categories)
        both = Importer(beside, processes=2).run(path, ImportOptions()).to_mapping()
        there = stored(other)
    assert {**alone, "seconds": 0} == {**both, "seconds": 0}
    assert there == here


def test_a_look_stores_nothing(recorder: Recorder, store: Store, tmp_path: Path) -> None:
    rows = [{**ROWS[0], "prompt": "for bob@firm.org"}, "{broken", *ROWS[1:]]
    look = preview(recorder, write(tmp_path / "rows.jsonl", rows), ImportOptions())
    (source,) = look.sources
    assert (source.format, source.rows, source.refused) == ("records", 7, 1)
    assert source.samples[0].prompt == "for [EMAIL_1]" and source.samples[0].replaced == {"email": 1}
    assert source.samples[1].problem
    assert source.mapping["prompt"] == "prompt"
    assert stored(store) == [] and store.value("SELECT count(*) FROM ui_state") == 0


def test_a_folder_is_read_and_what_is_no_feedback_is_named(recorder: Recorder, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    write(folder / "a.jsonl", ROWS[:2])
    write(folder / "b.jsonl", ROWS[2:])
    (folder / "settings.json").write_text('{"colour": "blue"}')
    report = run(recorder, folder)
    assert report.counts.accepted == 6
    assert set(report.formats.values()) == {"records"}
    assert any("settings.json" in name for name in report.left_out)


@pytest.mark.parametrize("content", ["", "not a table", '{"colour": "blue"}\n'])
def test_what_cannot_be_read_at_all_is_an_error_with_a_next_step(
    recorder: Recorder, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "thing.jsonl"
    path.write_text(content)
    with pytest.raises(FinetuneError) as caught:
        run(recorder, path)
    assert caught.value.hint


def test_a_missing_file_is_named(recorder: Recorder, tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match=r"gone\.jsonl"):
        run(recorder, tmp_path / "gone.jsonl")


CASES = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from([None, "good", "bad"]),
        st.sampled_from([None, DIAGRAM.format(name="mended"), DIAGRAM.format(name="better")]),
    ),
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases=CASES, draw=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_what_is_stored(
    cases: list[tuple[int, Any, Any]], draw: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [
        {**ROWS[which], "verdict": verdict, "correction": correction, "created_at": 1e9 + which}
        for which, verdict, correction in cases
    ]
    shuffled = draw.sample(rows, len(rows))
    assert outcome(rows, tmp_path_factory) == outcome(shuffled, tmp_path_factory)


def outcome(rows: list[dict[str, Any]], factory: pytest.TempPathFactory) -> Any:
    if not rows:
        return None
    folder = factory.mktemp("order")
    home = Home(folder)
    home.ensure()
    with open_store(home.store) as store:
        recorder = Recorder(store, home, Config(), load_categories(home))
        run(recorder, write(folder / "rows.jsonl", rows))
        found = [
            (event.prompt, event.response, event.verdict, event.correction, event.tier, event.quality, event.score)
            for event in stored(store)
        ]
        made = [(pair.prompt, pair.chosen, pair.rejected, pair.margin) for pair in pairs.list_pairs(store, "erd")]
        assert all(judgments.current(store, event.id) is not None for event in stored(store) if event.verdict)
        return sorted(found, key=str), sorted(made)


def test_statements_that_contradict_each_other_settle_the_same_way_each_time(
    recorder: Recorder, store: Store, tmp_path: Path
) -> None:
    untimed = {key: value for key, value in ROWS[0].items() if key != "created_at"}
    path = write(tmp_path / "rows.jsonl", [{**untimed, "verdict": "bad"}, {**untimed, "verdict": "good"}])
    run(recorder, path)
    (event,) = stored(store)
    assert (event.verdict, event.created_at) == ("bad", path.stat().st_mtime)
    assert run(recorder, path).counts.merged == 2
    assert stored(store) == [event]


def test_progress_says_how_much_of_a_file_is_read(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.capture.importing.BATCH", 2)
    importer, seen = Importer(recorder, processes=0), list[tuple[int, float | None]]()
    path = write(tmp_path / "rows.jsonl", ROWS)
    importer.run(path, ImportOptions(), progress=lambda counts, _: seen.append((counts.read, importer.share)))
    assert [read for read, _ in seen] == [2, 4, 6]
    assert seen[0][1] == 1.0 and seen[-1][1] in (None, 1.0)  # a small file is read in one go
