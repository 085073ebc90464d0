from __future__ import annotations

import json
import math
import re
import struct
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from assets import ASSETS
from assets.demo.corpus import examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MODEL = ASSETS / "demo" / "model"


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    from assets.demo.tokens import load_tokenizer

    return load_tokenizer(MODEL)


def config() -> dict[str, Any]:
    return dict(json.loads((MODEL / "config.json").read_text(encoding="utf-8")))


def tensors() -> dict[str, Any]:
    with (MODEL / "model.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return dict(header)


def card() -> str:
    return (MODEL / "MODEL_CARD.md").read_text(encoding="utf-8")


def figure(label: str) -> float:
    """The first number in the card's table row that begins with `label`."""
    row = re.search(rf"^\| {re.escape(label)}[^|]*\| *([\d.,]+)", card(), re.M)
    assert row, f"the card has no row {label!r}"
    return float(row.group(1).replace(",", ""))


def test_all_files_are_there_and_small() -> None:
    names = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}
    present = {path.name for path in MODEL.iterdir()}
    assert names | {"chat_template.jinja", "MODEL_CARD.md"} <= present
    assert not [name for name in present if name.endswith((".bin", ".pt", ".py", ".pkl"))]
    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 16 * 2**20


def test_it_is_a_llama_of_three_to_ten_million_parameters() -> None:
    header = tensors()
    assert {entry["dtype"] for entry in header.values()} == {"F16"}
    count = sum(math.prod(entry["shape"]) for entry in header.values())
    assert 3_000_000 <= count <= 10_000_000
    assert figure("Parameters") == count
    assert config()["architectures"] == ["LlamaForCausalLM"]
    assert config()["hidden_size"] % 256 == config()["intermediate_size"] % 256 == 0
    assert header["model.embed_tokens.weight"]["shape"] == [config()["vocab_size"], config()["hidden_size"]]


def test_the_card_says_that_the_model_is_worth_tuning() -> None:
    assert figure("Valid Mermaid") >= 70
    assert figure("Entities asked for") >= 80
    assert 45 <= figure("Mean validator score") <= 70
    assert figure("Held-out requests") >= 200
    assert "assets.demo.pretrain" in card()


def test_tokens_round_trip() -> None:
    for system, prompt, diagram in islice(examples(11), 50):
        for text in (system, prompt, diagram):
            assert tokenizer().decode(tokenizer().encode(text)) == text
    for text in ("", " ", "\n\n", "Ünïcödé ☃ 漢字 🙂", "a\tb\r\n  c", "customerId'll 12345"):
        assert tokenizer().decode(tokenizer().encode(text)) == text


def test_special_tokens_agree_with_the_configuration() -> None:
    ids = [tokenizer().pad_token_id, tokenizer().bos_token_id, tokenizer().eos_token_id]
    assert ids == [config()["pad_token_id"], config()["bos_token_id"], config()["eos_token_id"]] == [0, 1, 2]
    assert len(tokenizer()) == config()["vocab_size"]
    assert tokenizer().encode("erDiagram")[0] != tokenizer().bos_token_id


def test_names_are_the_same_tokens_in_a_request_and_in_a_diagram() -> None:
    name = tokenizer().encode(" customer")
    assert len(name) == 1
    for text in ("with customer, order", "- customer owns", "erDiagram\n    customer {", "        int customer_id FK"):
        assert name[0] in tokenizer().encode(text)


def render(*turns: tuple[str, str], prompt: bool = False) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    return str(tokenizer().apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt))


def test_the_chat_template_renders_every_role() -> None:
    turns = (("system", "S"), ("user", " U "), ("assistant", "A"), ("user", "V"))
    text = "<bos><system>S<end><user>U<end><assistant>A<end><user>V<end>"
    assert render(*turns) == text
    assert render(*turns, prompt=True) == text + "<assistant>"
    assert tokenizer().encode(text).count(tokenizer().bos_token_id) == 1


def test_the_chat_template_refuses_an_unknown_role() -> None:
    from jinja2.exceptions import TemplateError

    with pytest.raises(TemplateError, match="only the roles"):
        render(("tool", "x"))


def test_the_chat_template_begins_with_a_long_comment() -> None:
    comment = re.match(r"\{#-(.*?)-#\}", (MODEL / "chat_template.jinja").read_text(encoding="utf-8"), re.S)
    assert comment
    assert len(comment.group(1)) >= 200


@pytest.mark.process
def test_it_answers_held_out_requests_as_the_card_says() -> None:
    import torch
    from transformers import LlamaForCausalLM

    from assets.demo.evaluate import measure

    model = LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    measured = measure(model, tokenizer(), count=24, seed=12)
    assert measured.valid >= 0.7
    assert measured.recall >= 0.8
    assert 40 <= measured.score <= 75
