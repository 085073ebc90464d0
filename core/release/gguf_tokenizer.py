"""The tokenizer part of a GGUF file: byte-level BPE from a `tokenizer.json`, with its special tokens and template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ExportError

# tokenizer.ggml.token_type
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5

LLAMA_3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# Serving programs may take a short template for a well-known one that looks alike (within 100 edits) and then use
# that instead. A comment of this length at its head keeps every template further away than that.
SHORTEST_COMMENT = 200
TEMPLATE_COMMENT = (
    "{# This is the chat template that the model in this file was trained with, and the only one that fits it. The "
    "comment changes nothing in what the template writes; it is here so that no program takes the template for some "
    "better known one that merely looks like it. #}"
)


@dataclass(frozen=True, slots=True)
class GgufTokenizer:
    """What goes under `tokenizer.` in the file. Ids are None where the model has no such token.

    eos: ends an answer. eot: a second token that does. add_bos: what plain encoding puts before a text.
    """

    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    bos: int | None
    eos: int
    eot: int | None
    pad: int | None
    add_bos: bool
    add_eos: bool
    chat_template: str | None


def read_tokenizer(folder: Path, config: Mapping[str, Any], rows: int) -> GgufTokenizer:
    """The tokenizer of a model folder, its vocabulary filled up to `rows`, the rows of the embedding.

    Raises ExportError for a tokenizer that llama.cpp would read differently, or that this exporter cannot tell.
    """
    stored = read_json(folder / "tokenizer.json")
    settings = read_json(folder / "tokenizer_config.json")
    model = stored.get("model") or {}
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        kind = "BPE with byte fallback (SentencePiece)" if model.get("byte_fallback") else model.get("type")
        raise _refused(f"it is of kind {kind}; only byte-level BPE can be exported")
    pre = pre_tokenizer(stored)
    tokens, types = _vocabulary(stored, rows)
    ids = {token: i for i, token in enumerate(tokens)}
    ends = _end_ids(folder, config, settings, ids)
    if not ends:
        raise _refused("it names no end token, so answers would never stop")
    bos = _token_id(settings.get("bos_token"), ids)
    before, after = _added_by_encoding(stored)
    if (before and before != [bos]) or (after and after != [ends[0]]):
        raise _refused("its post-processor adds tokens other than the beginning and the end of the text")
    return GgufTokenizer(
        pre=pre,
        tokens=tokens,
        types=types,
        merges=_merges(model),
        bos=bos,
        eos=ends[0],
        eot=ends[1] if len(ends) > 1 else None,
        pad=_token_id(settings.get("pad_token"), ids),
        add_bos=bool(before),
        add_eos=bool(after),
        chat_template=_chat_template(folder, settings),
    )


def pre_tokenizer(stored: Mapping[str, Any]) -> str:
    """llama.cpp's name (`tokenizer.ggml.pre`) for the way a tokenizer splits text before merging.

    llama.cpp knows each way by a name that the file must carry; a wrong one gives other tokens for digits or
    contractions and no error. So the splitting rule itself is compared, and an unknown one is refused.
    """
    if stored.get("normalizer"):
        raise _refused("it normalises text first, which llama.cpp does not")
    ignore_merges = bool((stored.get("model") or {}).get("ignore_merges"))
    parts = _flat(stored.get("pre_tokenizer") or {})
    byte_level = parts[-1] if parts else {}
    if byte_level.get("type") == "ByteLevel" and not byte_level.get("add_prefix_space"):
        if len(parts) == 1 and byte_level.get("use_regex", True) and not ignore_merges:
            return "gpt-2"
        if len(parts) == 2 and not byte_level.get("use_regex", True) and ignore_merges:
            split = parts[0]
            if (
                split.get("type") == "Split"
                and split.get("pattern") == {"Regex": LLAMA_3_PATTERN}
                and split.get("behavior") == "Isolated"
                and not split.get("invert")
            ):
                return "llama-bpe"
    raise _refused("the way it splits text into words is none that this exporter knows (GPT-2's and Llama 3's)")


def padded_template(template: str) -> str:
    """The template with a long comment at its head, unless it begins with one of its own."""
    own = template.find("#}") if template.startswith("{#") else -1
    return template if own >= SHORTEST_COMMENT else TEMPLATE_COMMENT + template


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model folder; ExportError where there is none."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ExportError(
            f"There is no {path.name} in {path.parent}.", hint="Check that the model folder is complete."
        ) from error
    except (OSError, ValueError) as error:
        raise ExportError(f"{path} cannot be read: {error}.", hint="Make or copy the model folder again.") from error
    if not isinstance(value, dict):
        raise ExportError(f"{path} holds no JSON object.", hint="Make or copy the model folder again.")
    return value


def _flat(part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if part.get("type") == "Sequence":
        return [inner for child in part.get("pretokenizers", []) for inner in _flat(child)]
    return [part] if part else []


def _vocabulary(stored: Mapping[str, Any], rows: int) -> tuple[list[str], list[int]]:
    by_id = {int(i): (token, NORMAL) for token, i in stored["model"]["vocab"].items()}
    for added in stored.get("added_tokens", []):
        if added.get("lstrip") or added.get("rstrip") or added.get("single_word"):
            raise _refused(f"its token {added['content']!r} swallows the spaces around it, which llama.cpp does not")
        by_id[int(added["id"])] = (added["content"], CONTROL if added.get("special") else USER_DEFINED)
    if max(by_id) >= rows:
        raise _refused(f"it has the token id {max(by_id)}, but the model has embeddings for {rows} tokens only")
    filled = [by_id.get(i, (f"[PAD{i}]", UNUSED)) for i in range(rows)]
    return [token for token, _ in filled], [kind for _, kind in filled]


def _merges(model: Mapping[str, Any]) -> list[str]:
    pairs = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model.get("merges", [])]
    if any(len(pair) != 2 or any(" " in part for part in pair) for pair in pairs):
        raise _refused("it has merges that are not pairs of byte-level tokens")
    return [" ".join(pair) for pair in pairs]


def _token_id(token: object, ids: Mapping[str, int]) -> int | None:
    content = token.get("content") if isinstance(token, dict) else token
    return ids.get(content) if isinstance(content, str) else None


def _end_ids(folder: Path, config: Mapping[str, Any], settings: Mapping[str, Any], ids: Mapping[str, int]) -> list[int]:
    """The tokens that end an answer: the tokenizer's own first, then those that generation stops at."""
    generation_file = folder / "generation_config.json"
    generation = read_json(generation_file) if generation_file.is_file() else {}
    named = generation.get("eos_token_id", config.get("eos_token_id"))
    others = named if isinstance(named, list) else [named]
    candidates = [_token_id(settings.get("eos_token"), ids), *others]
    return list(dict.fromkeys(i for i in candidates if isinstance(i, int) and 0 <= i < len(ids)))


def _added_by_encoding(stored: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Token ids that the post-processor puts before and after a single text."""
    processor = stored.get("post_processor") or {}
    steps = processor.get("processors", []) if processor.get("type") == "Sequence" else [processor]
    before: list[int] = []
    after: list[int] = []
    for step in steps:
        kind = step.get("type")
        if kind == "TemplateProcessing":
            target = before
            for part in step.get("single", []):
                if "Sequence" in part:
                    target = after
                else:
                    target += step["special_tokens"][part["SpecialToken"]["id"]]["ids"]
        elif kind not in (None, "ByteLevel"):
            raise _refused(f"its post-processor is a {kind}")
    return before, after


def _chat_template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    template: object = file.read_text("utf-8") if file.is_file() else settings.get("chat_template")
    if isinstance(template, list):
        template = next((entry.get("template") for entry in template if entry.get("name") == "default"), None)
    return padded_template(template) if isinstance(template, str) and template else None


def _refused(why: str) -> ExportError:
    return ExportError(
        f"The tokenizer cannot be exported: {why}.",
        title="Unsupported tokenizer",
        hint="Choose a base model with a supported tokenizer; nothing was written.",
    )
