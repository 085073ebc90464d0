"""Exports: the right rows, in keys that the named tools read; and back in, what went out."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from share_kit import GOOD, NOW, POOR, Person, person

from assets import ASSETS
from core.capture.import_rows import ImportOptions
from core.capture.importing import Importer
from core.errors import FinetuneError
from core.share.choose import Choice
from core.share.export import ExportReport, export
from core.share.folders import FOLDERS
from core.share.formats import FORMATS
from core.share.writers import spreadsheet_cell
from storage import events, judgments

CHAT = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
CALLS = [
    {"role": "user", "content": "weather?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "function": {"name": "get", "arguments": {"city": "Köln"}}}],
    },
    {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
    {"role": "assistant", "content": "It is sunny."},
]
ALL = Choice(split="all")
SYSTEM = "Draw."


def written(one: Person, path: Path, name: str, choice: Choice = ALL) -> ExportReport:
    return export(one.store, one.recorder.config, one.recorder.categories, path, format_name=name, choice=choice)


def rows(path: Path) -> list[Any]:
    text = path.read_text("utf-8")
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


def read(one: Person, tmp_path: Path, name: str, choice: Choice = ALL) -> list[Any]:
    path = tmp_path / name
    written(one, path, name, choice)
    return rows(path / FOLDERS[name].data if name in FOLDERS else path)


@pytest.fixture
def filled(ann: Person) -> Person:
    """One output of each kind, a chat, and two preferences."""
    ann.record("good", verdict="good", system=SYSTEM)
    ann.record("bad", POOR, verdict="bad", system=SYSTEM)
    ann.record("mended", POOR, correction=GOOD, system=SYSTEM)
    ann.record("chat", verdict="good", system=SYSTEM, history=CHAT)
    better = ann.record("ranked", system=SYSTEM, history=CHAT, score=70)
    worse = ann.record("ranked", POOR, system=SYSTEM, history=CHAT, score=70)
    ann.rank(better, worse)
    return ann


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def test_trl(filled: Person, tmp_path: Path) -> None:
    sft = read(filled, tmp_path, "trl-sft")
    assert [row["messages"][-2]["content"] for row in sft] == ["good", "mended", "chat", "ranked", "ranked"]
    assert sft[1] == {"messages": [message("system", SYSTEM), message("user", "mended"), message("assistant", GOOD)]}
    assert sft[2]["messages"][1:3] == CHAT
    assert read(filled, tmp_path, "openai") == sft
    kto = read(filled, tmp_path, "trl-kto")
    told = [(row["prompt"][-1]["content"], row["completion"][0]["content"], row["label"]) for row in kto]
    assert told == [
        ("good", GOOD, True),
        ("bad", POOR, False),
        ("mended", GOOD, True),
        ("mended", POOR, False),
        ("chat", GOOD, True),
    ]
    dpo = read(filled, tmp_path, "trl-preference")
    assert dpo[1] == {
        "prompt": [message("system", SYSTEM), *CHAT, message("user", "ranked")],
        "chosen": [message("assistant", GOOD)],
        "rejected": [message("assistant", POOR)],
    }
    assert len(dpo) == 2


def test_openai_preference(filled: Person, tmp_path: Path) -> None:
    assert read(filled, tmp_path, "openai-preference")[0] == {
        "input": {
            "messages": [message("system", SYSTEM), message("user", "mended")],
            "tools": [],
            "parallel_tool_calls": True,
        },
        "preferred_output": [message("assistant", GOOD)],
        "non_preferred_output": [message("assistant", POOR)],
    }


def test_sharegpt_alpaca_and_llama_factory(filled: Person, tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "hi"}, {"from": "human", "value": "chat"}]
    row = {"conversations": [*turns, {"from": "gpt", "value": GOOD}], "system": SYSTEM}
    for name in ("sharegpt", "llama-factory"):
        assert read(filled, tmp_path, name)[2] == row
    assert read(filled, tmp_path, "alpaca")[2] == {
        "instruction": "chat",
        "input": "",
        "output": GOOD,
        "system": SYSTEM,
        "history": [["hello", "hi"]],
    }
    kto = read(filled, tmp_path, "llama-factory-kto")
    assert [row["kto_tag"] for row in kto] == [True, False, True, False, True]
    dpo = read(filled, tmp_path, "llama-factory-dpo")[1]
    assert dpo["conversations"] == [*turns[:2], {"from": "human", "value": "ranked"}]
    assert (dpo["chosen"], dpo["rejected"]) == ({"from": "gpt", "value": GOOD}, {"from": "gpt", "value": POOR})
    columns = {"messages": "conversations", "system": "system"}
    for name, more, ranking in (
        ("llama-factory", {}, None),
        ("llama-factory-dpo", {"chosen": "chosen", "rejected": "rejected"}, True),
        ("llama-factory-kto", {"kto_tag": "kto_tag"}, None),
    ):
        told = json.loads((tmp_path / name / "dataset_info.json").read_text())["finetune_tui"]
        assert (told["file_name"], told["formatting"], told["columns"]) == (
            "data.json",
            "sharegpt",
            {**columns, **more},
        )
        assert told.get("ranking") is ranking
        tags = {key: told["tags"][f"{key}_tag"] for key in ("role", "content", "user", "assistant", "function")}
        assert tags == {
            "role": "from",
            "content": "value",
            "user": "human",
            "assistant": "gpt",
            "function": "function_call",
        }


def test_axolotl(filled: Person, tmp_path: Path) -> None:
    import yaml

    assert read(filled, tmp_path, "axolotl") == read(filled, tmp_path, "trl-sft")
    dpo = read(filled, tmp_path, "axolotl-dpo")[0]
    assert dpo == {
        "messages": [message("system", SYSTEM), message("user", "mended")],
        "chosen": message("assistant", GOOD),
        "rejected": message("assistant", POOR),
    }
    told = yaml.safe_load((tmp_path / "axolotl-dpo" / "dataset.yaml").read_text())
    assert told["rl"] == "dpo" and told["datasets"][0]["type"] == "chat_template.default"
    (sft,) = yaml.safe_load((tmp_path / "axolotl" / "dataset.yaml").read_text())["datasets"]
    assert (sft["path"], sft["ds_type"], sft["type"]) == ("data.jsonl", "json", "chat_template")
    assert (sft["field_messages"], sft["roles_to_train"]) == ("messages", ["assistant"])


def test_review_tools(filled: Person, tmp_path: Path) -> None:
    argilla = read(filled, tmp_path, "argilla")
    assert argilla[2]["fields"] == {"prompt": "mended", "response": POOR, "system": SYSTEM}
    assert argilla[2]["suggestions"] == {"correction": {"value": GOOD, "agent": "finetune-tui"}}
    assert argilla[1]["suggestions"] == {"verdict": {"value": "bad", "agent": "finetune-tui"}}
    assert argilla[3]["fields"]["history"] == "user: hello\n\nassistant: hi"
    assert set(argilla[0]) == {"id", "fields", "metadata", "suggestions", "responses", "vectors"}
    tasks = read(filled, tmp_path, "label-studio")
    assert tasks[2]["data"]["prompt"] == "mended" and "predictions" not in tasks[4]
    assert tasks[2]["predictions"][0]["result"] == [
        {"from_name": "correction", "to_name": "response", "type": "textarea", "value": {"text": [GOOD]}}
    ]
    assert tasks[1]["predictions"][0]["result"][0]["value"] == {"choices": ["bad"]}


def test_calls_of_tools(ann: Person, tmp_path: Path) -> None:
    ann.record("and now?", verdict="good", system=SYSTEM, history=CALLS)
    call = {"id": "c1", "type": "function", "function": {"name": "get", "arguments": '{"city": "Köln"}'}}
    (row,) = read(ann, tmp_path, "openai")
    assert row["messages"][2] == {"role": "assistant", "content": "", "tool_calls": [call]}
    assert row["messages"][3] == {"role": "tool", "content": "sunny", "tool_call_id": "c1"}
    (row,) = read(ann, tmp_path, "llama-factory")
    assert [turn["from"] for turn in row["conversations"]] == [
        "human", "function_call", "observation", "gpt", "human", "gpt",
    ]  # fmt: skip
    assert json.loads(row["conversations"][1]["value"]) == call["function"]
    with pytest.raises(FinetuneError, match="No event passes"):
        read(ann, tmp_path, "alpaca")


def test_chats_that_a_format_cannot_hold_are_counted(ann: Person, tmp_path: Path) -> None:
    ann.record("fine", verdict="good")
    ann.record("odd", verdict="good", history=[message("narrator", "once")])
    ann.record("twice", verdict="good", history=[message("user", "hello")])
    ann.record("told", verdict="good", history=[message("system", "be kind"), *CHAT])
    counted = {
        name: written(ann, tmp_path / f"{name}.out", name, replace(ALL, limit=2)).left_out
        for name in ("trl-sft", "alpaca", "llama-factory")
    }
    unknown, turns = "a chat with a role that no other tool knows", "a chat that is not question and answer in turn"
    assert (counted["trl-sft"][unknown], counted["trl-sft"]["beyond the limit"]) == (1, 1)
    for name in ("alpaca", "llama-factory"):
        assert (counted[name][unknown], counted[name][turns]) == (1, 2)
    (row,) = read(ann, tmp_path, "alpaca", replace(ALL, limit=1))
    assert row["instruction"] == "fine"


def test_a_chat_with_a_new_key_comes_first(filled: Person, tmp_path: Path) -> None:
    filled.record("and now?", verdict="good", history=CALLS)
    filled.record("and then?", verdict="good", history=CALLS)
    prompts = [row["messages"][-2]["content"] for row in read(filled, tmp_path, "trl-sft")]
    assert prompts == ["and now?", "good", "mended", "chat", "ranked", "ranked", "and then?"]


OUTCOME = st.sampled_from(["good", "bad", "mended", "none"])


@settings(max_examples=20)
@given(
    outcomes=st.lists(OUTCOME, min_size=1, max_size=12),
    limit=st.one_of(st.none(), st.integers(1, 12)),
    floor=st.sampled_from([None, 0.3]),
)
def test_balance_holds_for_the_rows(
    outcomes: list[str], limit: int | None, floor: float | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("balance")
    one = person(root)
    for number, outcome in enumerate(outcomes):
        said: dict[str, Any] = {"verdict": outcome} if outcome in ("good", "bad") else {}
        said |= {"correction": GOOD} if outcome == "mended" else {}
        one.record(f"p{number}", f"{POOR}\n%% {number}", score=70 if outcome == "none" else number * 8, **said)
    choice = replace(ALL, balanced=True, limit=limit, min_quality=floor)
    for name in ("trl-kto", "csv"):
        try:
            report = written(one, root / name, name, choice)
        except FinetuneError as error:
            assert "No event passes" in error.message
            continue
        kept = rows(root / name) if name == "trl-kto" else None
        by = Counter(row["label"] for row in kept) if kept else report.stats["by_outcome"]
        assert len(by) == 2 and len(set(by.values())) == 1
        assert report.rows == sum(by.values()) and (limit is None or report.rows <= limit)
        if name == "trl-kto":
            assert report.stats["by_outcome"] == {"positive": by[True], "negative": by[False]}
            possible = {event.prompt: event.quality for event in one.events()}
            assert all(possible[row["prompt"][-1]["content"]] >= (floor or 0) for row in kept or ())
    one.store.close()


def test_a_limit_counts_rows_that_can_be_written(filled: Person, tmp_path: Path) -> None:
    for number in range(3):
        filled.record(f"praised but poor {number}", POOR, score=99, verdict="bad")
    assert len(read(filled, tmp_path, "trl-sft", replace(ALL, limit=3))) == 3
    for limit in range(1, 6):
        assert len(read(filled, tmp_path, "trl-kto", replace(ALL, limit=limit))) == limit
    assert len(read(filled, tmp_path, "trl-preference", replace(ALL, limit=1))) == 1


def test_a_category_named_twice_counts_once(filled: Person, tmp_path: Path) -> None:
    for name in ("trl-sft", "trl-preference", "csv"):
        once = written(filled, tmp_path / name, name, replace(ALL, categories=("erd",))).rows
        assert written(filled, tmp_path / name, name, replace(ALL, categories=("erd", "erd"))).rows == once


def test_nothing_to_balance(filled: Person, tmp_path: Path) -> None:
    for name in ("trl-sft", "trl-preference"):
        with pytest.raises(FinetuneError, match=r"nothing to balance|in each row already"):
            written(filled, tmp_path / "x", name, replace(ALL, balanced=True))


def test_what_is_kept_for_testing_stays_here(ann: Person, tmp_path: Path) -> None:
    for number in range(60):
        ann.record(f"p{number}", verdict="good")
    told = {row["messages"][-2]["content"] for row in read(ann, tmp_path, "trl-sft", Choice())}
    tested = {event.prompt for event in ann.events() if event.bucket < 20}
    assert tested and told == {event.prompt for event in ann.events()} - tested
    test = read(ann, tmp_path, "trl-sft", Choice(split="test"))
    assert {row["messages"][-2]["content"] for row in test} == tested


def test_a_refused_export_leaves_nothing(ann: Person, tmp_path: Path) -> None:
    ann.record("p")
    for name in ("trl-kto", "llama-factory-dpo"):
        with pytest.raises(FinetuneError, match="No event passes"):
            written(ann, tmp_path / "out", name)
    assert {path.name for path in tmp_path.iterdir()} == {"ann"}


ODD = ['a "quoted", cell', "two\nlines", "win\r\nlines", "old\rmac", "=1+1", "\ttab", "-5", "@x", "ü漢🎉", " edge "]


def test_a_table_gives_back_every_character(ann: Person, tmp_path: Path) -> None:
    for text in ODD:
        ann.record(text, f"{text}.", note=text, verdict="good")
    written(ann, tmp_path / "t.csv", "csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["prompt"], row["response"], row["note"]) for row in table] == [
        (text, f"{text}.", text) for text in ODD
    ]
    event = ann.events()[0]
    assert float(table[0]["created_at"]) == event.created_at and float(table[0]["quality"]) == event.quality


def test_a_spreadsheet_sees_no_formula(ann: Person, tmp_path: Path) -> None:
    for text in ODD:
        ann.record(text)
    written(ann, tmp_path / "t.csv", "spreadsheet")
    with (tmp_path / "t.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [row["prompt"] for row in csv.DictReader(file)]
    assert [cell for cell in cells if cell.startswith("'")] == ["'=1+1", "'\ttab", "'-5", "'@x"]
    assert [cell.removeprefix("'") for cell in cells] == ODD
    assert (tmp_path / "t.csv").read_bytes().startswith(b"\xef\xbb\xbfid,")
    assert spreadsheet_cell("＝1") == "'＝1" and spreadsheet_cell(-1.5) == -1.5


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"sqlite"}))
def test_the_datasets_library_loads_it(filled: Person, tmp_path: Path, name: str) -> None:
    from datasets import load_dataset

    filled.record("and now?", verdict="good", system=SYSTEM, history=CALLS)
    report = written(filled, tmp_path / "out", name)
    path = tmp_path / "out" / FOLDERS[name].data if name in FOLDERS else tmp_path / "out"
    kind = "csv" if FORMATS[name].shape in ("csv", "spreadsheet") else "json"
    loaded = load_dataset(kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == report.rows > 0
    if kind == "csv":
        assert loaded["prompt"][:3] == ["good", "bad", "mended"]


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
_SOME = _TEXT.filter(str.strip)
_JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), _TEXT
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=5,
)
_TURN = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"]), "content": _SOME})
_EVENT = st.fixed_dictionaries(
    {"prompt": _SOME, "response": _SOME},
    optional={
        "score": st.floats(0, 100),
        "verdict": st.sampled_from(["good", "bad"]),
        "feedback_type": st.sampled_from(["success", "validation_failure", "neutral", "explicit_positive"]),
        "correction": _SOME,
        "confidence": st.floats(0, 1),
        "context": _TEXT,
        "system": _TEXT,
        "note": _TEXT,
        "seconds": st.floats(0, 1e6),
        "group_key": _TEXT,
        "latency_ms": st.floats(0, 1e6),
        "metadata": st.dictionaries(_SOME, _JSON, max_size=3),
        "created_at": st.floats(1e9, 1.9e9),
        "history": st.lists(_TURN, max_size=3),
    },
)


@settings(max_examples=25)
@given(recorded=st.lists(_EVENT, min_size=1, max_size=4), undone=st.booleans())
def test_a_record_comes_back_as_it_was(
    recorded: list[dict[str, Any]], undone: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("back")
    one, two = person(root / "one"), person(root / "two")
    for row in recorded:
        one.recorder.record(**{"category": "human_correction", "model": "m", "created_at": NOW, **row})
    if undone:
        one.recorder.judging.undo(now=NOW)
    written(one, root / "out.jsonl", "record")
    report = Importer(two.recorder, processes=0).run(root / "out.jsonl", ImportOptions())
    assert report.counts.rejected == 0, report.rejects_file and report.rejects_file.read_text()
    kept = (
        "created_at", "category", "model", "prompt", "response", "content_hash", "score", "quality", "tier", "system",
        "context", "confidence", "group_key", "latency_ms", "metadata", "history", "verdict", "correction",
    )  # fmt: skip

    def held(who: Person) -> list[Any]:
        found = []
        for event in who.events():
            said = judgments.current(who.store, event.id)
            note = None if said is None else said.note
            found.append([*(getattr(event, key) for key in kept), note])
        return sorted(found, key=repr)

    assert held(two) == held(one)
    one.store.close()
    two.store.close()


def test_what_was_taken_back_is_not_exported_as_said(ann: Person, bob: Person, tmp_path: Path) -> None:
    ann.record("mended", POOR, correction=GOOD)
    ann.recorder.judging.undo()
    ann.record("liked", POOR, verdict="good")
    ann.recorder.judging.undo()
    event = ann.record("turned down", POOR)
    ann.recorder.judging.judge(event, "reject", note="off topic")
    written(ann, tmp_path / "out.jsonl", "record")
    Importer(bob.recorder, processes=0).run(tmp_path / "out.jsonl", ImportOptions())
    assert [(each.prompt, each.verdict) for each in bob.events()] == [
        ("mended", None),
        ("liked", None),
        ("turned down", "reject"),
    ]
    assert bob.store.value("SELECT note FROM judgments") == "off topic"
    assert events.get(bob.store, 1).feedback_type == events.get(ann.store, 1).feedback_type.replace(
        "user_correction", "validation_failure"
    )


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(ASSETS / "demo" / "model"))


@pytest.mark.process
def test_trl_takes_the_rows(filled: Person, tmp_path: Path, tokenizer: Any) -> None:
    from datasets import load_dataset
    from trl.data_utils import (
        is_conversational,
        maybe_apply_chat_template,
        maybe_extract_prompt,
        unpair_preference_dataset,
    )

    def load(name: str) -> Any:
        written(filled, tmp_path / name, name)
        return load_dataset("json", data_files=str(tmp_path / name), split="train", cache_dir=str(tmp_path / "cache"))

    loaded = {name: load(name) for name in ("trl-sft", "trl-preference", "trl-kto")}
    for name, dataset in loaded.items():
        assert all(is_conversational(row) for row in dataset), name
    texts = [maybe_apply_chat_template(row, tokenizer)["text"] for row in loaded["trl-sft"]]
    assert texts[2].endswith(f"<assistant>{GOOD}<end>") and "<user>hello<end><assistant>hi<end>" in texts[2]
    pair = maybe_apply_chat_template(loaded["trl-preference"][0], tokenizer)
    assert pair["prompt"].endswith("<user>mended<end><assistant>") and pair["chosen"] == f"{GOOD}<end>"
    assert all(maybe_extract_prompt(row) == row for row in loaded["trl-preference"])
    lone = unpair_preference_dataset(loaded["trl-preference"])
    assert set(lone.column_names) == set(loaded["trl-kto"].column_names) == {"prompt", "completion", "label"}
    assert maybe_apply_chat_template(loaded["trl-kto"][1], tokenizer)["label"] is False


@pytest.mark.process
@pytest.mark.parametrize("name", ["trl-sft", "trl-preference", "trl-kto"])
def test_trl_trains_on_them(filled: Person, tmp_path: Path, tokenizer: Any, name: str) -> None:
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

    kinds: dict[str, tuple[Any, Any]] = {
        "trl-sft": (SFTTrainer, SFTConfig),
        "trl-preference": (DPOTrainer, DPOConfig),
        "trl-kto": (KTOTrainer, KTOConfig),
    }
    trainer, config = kinds[name]
    for number in range(2):  # KTO wants more than one row in a batch
        filled.record(f"more {number}", POOR, correction=GOOD, system=SYSTEM)
    written(filled, tmp_path / name, name)
    dataset = load_dataset("json", data_files=str(tmp_path / name), split="train", cache_dir=str(tmp_path / "cache"))
    made = trainer(
        model=AutoModelForCausalLM.from_pretrained(str(ASSETS / "demo" / "model"), dtype="float32"),
        args=config(
            output_dir=str(tmp_path / "run"),
            max_steps=1,
            per_device_train_batch_size=2,
            report_to=[],
            use_cpu=True,
            save_strategy="no",
            bf16=False,
            disable_tqdm=True,
            gradient_checkpointing=False,
        ),
        train_dataset=dataset,
        processing_class=tokenizer,
    )
    loss = made.train().training_loss
    assert 0 < loss < 20 and os.environ["HF_HUB_OFFLINE"] == "1"


def test_a_sqlite_file_can_be_searched(filled: Person, tmp_path: Path) -> None:
    from sqlite_utils import Database

    report = written(filled, tmp_path / "events.db", "sqlite")
    table = Database(tmp_path / "events.db")["events"]
    assert table.count == report.rows == len(filled.events())
    word = filled.events()[0].prompt.split()[0]
    assert any(word in row["prompt"] for row in table.search(f'"{word}"'))
    assert {row["id"]: row["response"] for row in table.rows} == {each.id: each.response for each in filled.events()}
