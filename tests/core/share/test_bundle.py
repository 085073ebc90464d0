"""Bundles carry feedback between two stores: all of it, once."""

from __future__ import annotations

import json
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from share_kit import GOOD, NOW, POOR, Person, person

from core.capture.import_rows import Counts
from core.categories import load_categories
from core.errors import FinetuneError
from core.paths import Home
from core.share.definitions import definition
from core.share.unbundle import is_bundle
from storage import judgments, pairs

OWN = """
[categories.haiku]
title = "Haiku \\"5-7-5\\""
system_prompt = "Count.\\nüß\\u007f"
validator = "regex"
validator_options = { pattern = "(?s).*\\\\n.*" }
success_score = 60.5
"""


def fill(one: Person) -> None:
    """Everything that a bundle has to carry."""
    chat = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi", "name": "bot"}]
    one.record("plain", score=72.5, metadata={"expected": {"entities": ["shop"]}, "n": [1, None, {"a": "ü"}]})
    one.record("chat", history=chat, system="Be brief.", context="Shops sell.", latency_ms=12.5, confidence=0.25)
    liked = one.record("liked", verdict="good", note="well named", seconds=3.5)
    one.record("mended", POOR, correction=GOOD, note="keys")
    one.record("failed", POOR, feedback_type="validation_failure", group_key="g1", source="gateway")
    judge = one.recorder.judging
    judge.judge(liked, "bad", note="on second thoughts", seconds=1.0, now=NOW + 10)
    judge.judge(liked, "good", now=NOW + 20)
    judge.judge(one.record("turned down"), "reject", now=NOW + 30)
    judge.judge(one.record("later"), "skip", now=NOW + 40)
    judge.judge(one.record("taken back"), "bad", now=NOW + 50)
    judge.undo(now=NOW + 60)
    better, worse = one.record("ranked"), one.record("ranked", POOR)
    one.rank(better, worse)
    pairs.add(
        one.store, created_at=NOW, category="erd", prompt="p", chosen="yes", rejected="no", margin=0.5, source="import"
    )


def rewritten(path: Path, target: Path, change: Any) -> Path:
    """A copy of a bundle, its members (name → bytes) and manifest changed by `change`; hashes are left alone."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(held["manifest.json"])
    change(held, manifest)
    held["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    return target


def with_line(path: Path, target: Path, member: str, rows: list[Any]) -> Path:
    """A copy of a bundle whose member holds these rows, with a manifest that fits."""
    import hashlib

    def change(held: dict[str, bytes], manifest: dict[str, Any]) -> None:
        text = b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)
        held[member] = text
        manifest["files"][member] = {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}

    return rewritten(path, target, change)


def test_all_of_it_arrives(ann: Person, bob: Person, tmp_path: Path) -> None:
    fill(ann)
    summary = ann.bundle(tmp_path / "a.zip")
    assert is_bundle(tmp_path / "a.zip")
    assert (summary.events, summary.judgments, summary.pairs) == (10, 6, 2)
    report = bob.take(tmp_path / "a.zip")
    assert (report.counts.read, report.counts.accepted, report.counts.rejected) == (10, 10, 0)
    # The two pairs of the bundle, and the one that the correction makes anew.
    assert (report.counts.judged, report.counts.pairs, report.rejects_file) == (6, 3, None)
    assert bob.outputs() == ann.outputs()
    assert bob.pairs() == ann.pairs()


def test_nothing_is_doubled_there_and_back(ann: Person, bob: Person, tmp_path: Path) -> None:
    fill(ann)
    ann.bundle(tmp_path / "a.zip")
    bob.take(tmp_path / "a.zip")
    before = ann.counts(), bob.counts()
    again = bob.take(tmp_path / "a.zip")
    assert (again.counts.accepted, again.counts.merged, again.counts.judged, again.counts.pairs) == (0, 10, 0, 0)
    bob.bundle(tmp_path / "b.zip")
    back = ann.take(tmp_path / "b.zip")
    assert (back.counts.accepted, back.counts.merged, back.counts.judged, back.counts.pairs) == (0, 10, 0, 0)
    assert (ann.counts(), bob.counts()) == before


def test_what_was_taken_back_here_stays_taken_back(ann: Person, bob: Person, tmp_path: Path) -> None:
    ann.record("p", verdict="good")
    ann.bundle(tmp_path / "a.zip")
    bob.take(tmp_path / "a.zip")
    bob.recorder.judging.undo()
    assert bob.take(tmp_path / "a.zip").counts.merged == 1
    assert bob.events()[0].verdict is None


_SAID = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["good", "bad", "reject", "skip", "correct", "undo"])), max_size=6
)


@settings(max_examples=15)
@given(first=_SAID, second=_SAID)
def test_both_end_with_the_same_verdicts(first: Any, second: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("two")
    one, two = person(root / "one"), person(root / "two")
    clock = NOW
    for who, said in ((one, first), (two, second)):
        ids = [who.record("p", POOR), who.record("q", POOR)]
        for at, (which, kind) in enumerate(said):
            clock = NOW + 2 * at + (who is two)
            if kind == "undo":
                who.recorder.judging.undo(now=clock)
            else:
                text = f"{GOOD}\n    shop ||--o{{ item : sells{at}" if kind == "correct" else None
                who.recorder.judging.judge(ids[which], kind, correction=text, now=clock)
    for _ in range(2):
        one.bundle(root / "one.zip")
        two.take(root / "one.zip")
        two.bundle(root / "two.zip")
        one.take(root / "two.zip")
    held = [{(event.prompt, event.verdict, event.correction) for event in who.events()} for who in (one, two)]
    assert held[0] == held[1]
    before = one.counts(), two.counts()
    one.bundle(root / "one.zip")
    two.take(root / "one.zip")
    two.bundle(root / "two.zip")
    one.take(root / "two.zip")
    assert (one.counts(), two.counts()) == before
    one.store.close()
    two.store.close()


def test_what_comes_in_is_sanitised_again(ann: Person, bob: Person, tmp_path: Path) -> None:
    mail = "bob.smith@mail-server.net"
    ann.record(f"write {mail}", f"{POOR} {mail}", sanitize=False)
    ann.recorder.judging.judge(
        ann.events()[0].id, "correct", correction=f"{GOOD} {mail}", note=mail, sanitize=False, now=NOW + 1
    )
    ann.bundle(tmp_path / "a.zip")
    report = bob.take(tmp_path / "a.zip")
    (event,) = bob.events()
    log = judgments.history(bob.store, event.id)
    assert mail not in json.dumps([event.prompt, event.response, event.correction, log[0].note])
    assert report.counts.replaced["email"] == 2
    before = bob.counts()
    assert bob.take(tmp_path / "a.zip").counts.merged == 1
    assert bob.counts() == before
    assert mail in (bob.take(tmp_path / "a.zip", keep_pii=True) and bob.events()[-1].prompt)


def test_a_category_that_is_missing_here(ann: Person, bob: Person, tmp_path: Path) -> None:
    poet = person(tmp_path / "poet", OWN)
    poet.record("spring", "one\ntwo", category="haiku", verdict="good")
    poet.record("shop")
    poet.bundle(tmp_path / "a.zip")
    report = bob.take(tmp_path / "a.zip")
    assert (report.counts.read, report.counts.accepted, report.counts.rejected) == (2, 1, 1)
    assert report.rejects_file is not None
    refused = json.loads(report.rejects_file.read_text())
    assert "haiku" in refused["reason"] and refused["row"]["prompt"] == "spring"
    bob.home.config.write_text(report.definitions["haiku"], encoding="utf-8")
    assert load_categories(bob.home)["haiku"] == poet.recorder.categories["haiku"]
    bob.store.close()
    again = person(bob.home.root)
    assert again.take(tmp_path / "a.zip").counts.accepted == 1
    poet.store.close()
    again.store.close()


def test_every_shipped_definition_can_be_read_back(home: Home) -> None:
    for name, one in load_categories(home).items():
        told = tomllib.loads(definition(one))["categories"][name]
        assert all(getattr(one, key) == value for key, value in told.items())


def test_a_bundle_of_one_category(ann: Person, bob: Person, tmp_path: Path) -> None:
    ann.record("shop")
    ann.record("x = 1", "x = 1", category="code_prototype")
    assert ann.bundle(tmp_path / "a.zip", chosen=["erd", "erd"]).events == 1
    bob.take(tmp_path / "a.zip")
    assert [event.category for event in bob.events()] == ["erd"]
    with pytest.raises(FinetuneError, match="There is no category `edr`"):
        ann.bundle(tmp_path / "b.zip", chosen=["edr"])


def test_an_empty_store_gives_no_bundle(ann: Person, tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match="nothing to put into"):
        ann.bundle(tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip")) and not list(tmp_path.glob(".*"))


EVENT = {"id": 1, "prompt": "p", "response": GOOD, "category": "erd", "model": "m", "created_at": NOW}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"{]\n", "no JSON"),
        (b"[1]\n", "no object"),
        (b"[" * 100_000 + b"\n", "no JSON"),
        ({**EVENT, "metadata": json.loads('{"a":' * 150 + "1" + "}" * 150)}, "nested"),
        ({**EVENT, "evil": 1}, "`evil`"),
        ({**EVENT, "id": "1"}, "`id`"),
        ({**EVENT, "category": []}, "`category`"),
        ({**EVENT, "prompt": 5}, "prompt is int"),
        ({**EVENT, "score": 1e400}, "score"),
        ({**EVENT, "created_at": -1}, "created_at"),
        ({**EVENT, "history": [{"role": 1}]}, "history"),
        ({key: value for key, value in EVENT.items() if key != "model"}, "`model` is missing"),
    ],
)
def test_a_bad_event_is_rejected_with_the_reason(
    ann: Person, bob: Person, tmp_path: Path, row: Any, reason: str
) -> None:
    ann.record("p")
    ann.bundle(tmp_path / "a.zip")
    path = with_line(tmp_path / "a.zip", tmp_path / "b.zip", "events.jsonl", [row, {**EVENT, "prompt": "fine"}])
    report = bob.take(path)
    assert (report.counts.read, report.counts.accepted, report.counts.rejected) == (2, 1, 1)
    assert report.rejects_file is not None
    told = json.loads(report.rejects_file.read_text())
    assert told["line"] == 1 and reason in told["reason"]


@pytest.mark.parametrize(
    "said",
    [
        "good",
        [5],
        [{"kind": []}],
        [{"kind": "good"}],
        [{"kind": "correct", "at": NOW}],
        [{"kind": "good", "at": NOW, "correction": "x"}],
        [{"kind": "good", "at": 1e300}],
        [{"kind": "good", "at": NOW, "seconds": "1"}],
        [{"kind": "good", "at": NOW, "note": None}],
        [{"kind": "undo", "at": NOW}],
    ],
)
def test_a_bad_judgment_leaves_the_event(ann: Person, bob: Person, tmp_path: Path, said: Any) -> None:
    ann.record("p")
    ann.bundle(tmp_path / "a.zip")
    path = with_line(tmp_path / "a.zip", tmp_path / "b.zip", "events.jsonl", [{**EVENT, "judgments": said}])
    report = bob.take(path)
    assert (report.counts.accepted, report.counts.parts, report.counts.judged) == (1, 1, 0)
    assert bob.events()[0].verdict is None


@pytest.mark.parametrize(
    "pair",
    [
        {"margin": 10**400},
        {"margin": True},
        {"source": "correction"},
        {"source": []},
        {"created_at": None},
        {"chosen_event": 99},
        {"chosen_event": 1},
        {"chosen_event": None, "prompt": "p", "chosen": "", "rejected": "b", "category": "erd"},
        {"chosen_event": None, "prompt": "p", "chosen": "a", "rejected": "b", "category": "nowhere"},
        {"chosen_event": None, "prompt": "p", "chosen": "a", "rejected": "b", "category": []},
    ],
)
def test_a_bad_preference_is_told(ann: Person, bob: Person, tmp_path: Path, pair: dict[str, Any]) -> None:
    ann.record("p")
    ann.bundle(tmp_path / "a.zip")
    whole = {"margin": 0.5, "source": "import", "created_at": NOW, "chosen_event": 2, "rejected_event": 1, **pair}
    events = [EVENT, {**EVENT, "id": 2, "response": POOR}]
    path = with_line(tmp_path / "a.zip", tmp_path / "b.zip", "events.jsonl", events)
    path = with_line(path, tmp_path / "c.zip", "pairs.jsonl", [whole, {**whole, **events[0], "chosen_event": {}}])
    report = bob.take(path)
    assert (report.counts.events, report.counts.pairs, report.counts.parts) == (2, 0, 2)


def test_a_line_too_long_is_left_out_and_the_next_is_read(ann: Person, tmp_path: Path) -> None:
    ann.record("p")
    ann.bundle(tmp_path / "a.zip")
    small = person(tmp_path / "small", "[capture]\nmax_chars = 1000\n")
    long = b'{"id": 1, "prompt": "' + b"x" * 100_000 + b'"}\n'
    path = with_line(tmp_path / "a.zip", tmp_path / "b.zip", "events.jsonl", [long, EVENT])
    report = small.take(path)
    assert (report.counts.accepted, report.counts.rejected) == (1, 1)
    small.store.close()


def _set(*path: Any) -> Any:
    """Sets the last of `path` at the place that the others lead to in the manifest."""
    *steps, last, value = path

    def change(_: dict[str, bytes], manifest: dict[str, Any]) -> None:
        at: Any = manifest
        for step in steps:
            at = at[step]
        at[last] = value

    return change


def _bomb(held: dict[str, bytes], manifest: dict[str, Any]) -> None:
    held["events.jsonl"] = bytes(300 << 20)
    manifest["files"]["events.jsonl"]["bytes"] = 300 << 20


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("finetune_tui_bundle", 2), "newer finetune-tui"),
        (_set("finetune_tui_bundle", "1"), "manifest"),
        (_set("files", "events.jsonl", "sha256", "0" * 64), "SHA-256"),
        (_set("files", "events.jsonl", "bytes", 3), "bytes instead of"),
        (_set("files", "events.jsonl", None), "object"),
        (_set("files", {}), "not listed"),
        (_set("files", "../../x", {"sha256": "0" * 64, "bytes": 0}), "no name of a file"),
        (_set("files", "models/0/x.gguf", {"sha256": "0" * 64, "bytes": 0}), "is missing"),
        (_set("versions", [{}]), "missing in its manifest"),
        (_set("counts", "events", -1), "number"),
        (lambda held, _: held.pop("events.jsonl"), "events.jsonl is missing"),
        (lambda held, _: held.update({"events.jsonl": b"tampered"}), "bytes instead of"),
        (_bomb, "unpack"),
    ],
)
def test_an_unsound_bundle_is_refused_before_anything_is_stored(
    ann: Person, bob: Person, tmp_path: Path, change: Any, said: str
) -> None:
    ann.record("p")
    ann.bundle(tmp_path / "a.zip")
    path = rewritten(tmp_path / "a.zip", tmp_path / "b.zip", change)
    assert is_bundle(path)
    with pytest.raises(FinetuneError, match=said):
        bob.take(path)
    assert bob.counts() == (0, 0, 0, 0)


def test_a_cut_off_or_foreign_file(ann: Person, bob: Person, tmp_path: Path) -> None:
    fill(ann)
    ann.bundle(tmp_path / "a.zip")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    assert not is_bundle(tmp_path / "cut.zip") and not is_bundle(tmp_path)
    data[200] ^= 0xFF
    (tmp_path / "bent.zip").write_bytes(data)
    with pytest.raises(FinetuneError, match=r"cannot be used"):
        bob.take(tmp_path / "bent.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("manifest.json", '{"name": "something else"}')
    assert not is_bundle(tmp_path / "other.zip")
    assert bob.counts() == (0, 0, 0, 0)


def test_two_members_of_one_name(ann: Person, bob: Person, tmp_path: Path) -> None:
    ann.record("p")
    ann.bundle(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("events.jsonl", b"")
    with pytest.raises(FinetuneError, match="one name"):
        bob.take(tmp_path / "a.zip")


def test_no_room(ann: Person, bob: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ann.record("p")
    ann.bundle(tmp_path / "a.zip")
    monkeypatch.setattr("core.share.archive.free_bytes", lambda _: 1000)
    with pytest.raises(FinetuneError, match="are free") as caught:
        bob.take(tmp_path / "a.zip")
    assert "--no-models" in caught.value.hint


def test_progress_is_told(ann: Person, bob: Person, tmp_path: Path) -> None:
    ann.record("p")
    said: list[str] = []
    ann.bundle(tmp_path / "a.zip", progress=said.append)
    heard: list[tuple[int, str]] = []

    def hear(counts: Counts, what: str) -> None:
        heard.append((counts.read, what))

    bob.take(tmp_path / "a.zip", progress=hear)
    assert heard[0] == (0, "checking events.jsonl") and (1, "events") in heard
