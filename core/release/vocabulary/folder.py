"""Reading the tokenizer of a model folder for a GGUF file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.release.vocabulary.merging import Merge, scores_of
from core.release.vocabulary.prefix import MARK, Prefix, space_prefix, taken_first
from core.release.vocabulary.refusal import refused
from core.release.vocabulary.splitting import pre_tokenizer
from core.release.vocabulary.stored import AddedToken, StoredTokenizer, read_json, stored_tokenizer
from core.release.vocabulary.template import padded_template
from core.release.vocabulary.tokenizer import (
    BYTE,
    BYTE_LEVEL,
    BYTE_TOKENS,
    CONTROL,
    NORMAL,
    SENTENCEPIECE,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    GgufTokenizer,
    filler,
)

# Below every score that a merge gives: tokens that no merge makes.
_NO_SCORE = -1e6


def read_tokenizer(folder: Path, config: Mapping[str, Any], rows: int) -> GgufTokenizer:
    """The tokenizer of a model folder, its vocabulary filled up to `rows`, the rows of the embedding.

    Raises ExportError for a tokenizer that llama.cpp would read differently, or that this exporter cannot tell.
    """
    source = stored_tokenizer(folder)
    sentencepiece = bool(source.model.get("byte_fallback"))
    pre = "default" if sentencepiece else pre_tokenizer(source.stored)
    prefix = space_prefix(source.stored) if sentencepiece else Prefix.NEVER
    _check_added(source, prefix)
    tokens, types = _vocabulary(source, rows)
    ids = {token: i for i, token in enumerate(tokens)}
    merges = _merges(source.model)
    if sentencepiece:
        _check_bytes(source.model, ids)
    ends = _end_ids(folder, config, source.settings, ids)
    if not ends:
        raise refused("it names no end token, so answers would never stop")
    bos = _token_id(source.settings.get("bos_token"), ids)
    before, after = _added_by_encoding(source, bos, ends[0])
    if (before and before != [bos]) or (after and after != [ends[0]]):
        raise refused("its post-processor adds tokens other than the beginning and the end of the text")
    eot, eom = [*ends[1:3], None, None][:2]
    return GgufTokenizer(
        model=SENTENCEPIECE if sentencepiece else BYTE_LEVEL,
        pre=pre,
        tokens=tokens,
        types=types,
        merges=[] if sentencepiece else [" ".join(pair) for pair in merges],
        scores=_scores(source, merges, tokens) if sentencepiece else [],
        bos=bos,
        eos=ends[0],
        eot=eot,
        eom=eom,
        unk=_token_id(source.model.get("unk_token") or source.settings.get("unk_token"), ids),
        pad=_token_id(source.settings.get("pad_token"), ids),
        add_bos=bool(before),
        add_eos=bool(after),
        add_space_prefix=prefix is Prefix.EVERY,
        strips_after=source.strips_after,
        chat_template=_chat_template(folder, source.settings),
    )


def _check_added(source: StoredTokenizer, prefix: Prefix) -> None:
    for token in source.added:
        changed = prefix is Prefix.EVERY or MARK in token.content or " " in token.content
        if source.model.get("byte_fallback") and token.normalized and changed:
            raise refused(f"its token {token.content!r} is looked for in prepared text, which llama.cpp does not do")


def _check_bytes(model: Mapping[str, Any], ids: Mapping[str, int]) -> None:
    if model.get("ignore_merges"):
        raise refused("it is of SentencePiece's kind but ignores merges")
    if any(token not in ids for token in BYTE_TOKENS):
        raise refused("it is of SentencePiece's kind but has no token for each byte")


def _vocabulary(source: StoredTokenizer, rows: int) -> tuple[list[str], list[int]]:
    sentencepiece = bool(source.model.get("byte_fallback"))
    byte_tokens = frozenset(BYTE_TOKENS if sentencepiece else ())
    by_id = {int(i): (token, BYTE if token in byte_tokens else NORMAL) for token, i in source.model["vocab"].items()}
    unknown = source.model.get("unk_token") if sentencepiece else None
    for added in source.added:
        by_id[added.id] = (added.content, _kind(added, unknown))
    if max(by_id, default=-1) >= rows:
        raise refused(f"it has the token id {max(by_id)}, but the model has embeddings for {rows} tokens only")
    filled = [by_id.get(i, (filler(i), UNUSED)) for i in range(rows)]
    tokens = [token for token, _ in filled]
    if len(set(tokens)) < rows:
        raise refused("two of its tokens have the same text")
    cut = next((token for token in tokens if not token or "\0" in token), None)
    if cut is not None:
        raise refused(f"llama.cpp cannot hold its token {cut!r}")
    return tokens, [kind for _, kind in filled]


def _kind(added: AddedToken, unknown: object) -> int:
    if added.special and unknown == added.content:
        return UNKNOWN
    return CONTROL if added.special else USER_DEFINED


def _merges(model: Mapping[str, Any]) -> list[Merge]:
    pairs = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model.get("merges", [])]
    if any(len(pair) != 2 or any(" " in part for part in pair) for pair in pairs):
        raise refused("it has merges that are not pairs of tokens")
    return [(str(left), str(right)) for left, right in pairs]


def _scores(source: StoredTokenizer, merges: list[Merge], tokens: list[str]) -> list[float]:
    whole = frozenset(filter(taken_first, (added.content for added in source.added)))
    inside = [(left, right) for left, right in merges if not whole & {left, right, left + right}]
    scores = scores_of(inside, (token for token in source.model["vocab"] if token not in whole), whole)
    return [scores.get(token, _NO_SCORE) for token in tokens]


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


def _added_by_encoding(source: StoredTokenizer, bos: int | None, eos: int) -> tuple[list[int], list[int]]:
    """Token ids that encoding puts before and after a single text: what the settings say, else the post-processor."""
    settings = source.settings
    if "add_bos_token" in settings or "add_eos_token" in settings:
        before = [bos] if settings.get("add_bos_token") and bos is not None else []
        return before, [eos] if settings.get("add_eos_token") else []
    processor = source.stored.get("post_processor") or {}
    steps = processor.get("processors", []) if processor.get("type") == "Sequence" else [processor]
    around: tuple[list[int], list[int]] = ([], [])
    for step in steps:
        kind = step.get("type")
        if kind == "TemplateProcessing":
            target = around[0]
            for part in step.get("single", []):
                if "Sequence" in part:
                    target = around[1]
                else:
                    target += step["special_tokens"][part["SpecialToken"]["id"]]["ids"]
        elif kind not in (None, "ByteLevel"):
            raise refused(f"its post-processor is a {kind}")
    return around


def _chat_template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    template: object = file.read_text("utf-8") if file.is_file() else settings.get("chat_template")
    if isinstance(template, list):
        template = next((entry.get("template") for entry in template if entry.get("name") == "default"), None)
    return padded_template(template) if isinstance(template, str) and template else None
