"""Writing the tokenizer of a GGUF file as a Hugging Face folder that tokenises as llama.cpp does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.release.vocabulary.merging import merges_of
from core.release.vocabulary.prefix import MARK, STEPS, Prefix, taken_first
from core.release.vocabulary.refusal import unreadable
from core.release.vocabulary.splitting import Splitter, described, splitter_named
from core.release.vocabulary.template import original_template
from core.release.vocabulary.tokenizer import (
    BYTE_LEVEL,
    BYTE_TOKENS,
    CONTROL,
    END_NAMES,
    FILL_NAMES,
    NORMAL,
    PHI_3_KEEPS_SPACES,
    SENTENCEPIECE,
    UNKNOWN,
    UNUSED,
    WHOLE,
    filler,
    named_phi_3,
)

_BYTES_AS_TEXT = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
# llama.cpp's ids where the file names none.
_SENTENCEPIECE_IDS = {"bos": 1, "eos": 2, "unknown": 0}


def write_tokenizer(fields: Mapping[str, Any], folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json, generation_config.json and, where there is one, the chat template.

    fields: the file's key-values as Python values, those under `tokenizer.` and `general.name` among them. The folder
    must exist; files of these names are replaced. The tokenizer then gives the tokens that llama.cpp gives with
    special tokens parsed, but for the text forms that a tokenizer of this kind folds (NFC) and llama.cpp does not.
    Raises ExportError, before anything is written, for a tokenizer that cannot be rebuilt exactly.
    """
    model = fields.get("tokenizer.ggml.model")
    if model not in (BYTE_LEVEL, SENTENCEPIECE):
        raise unreadable(f"it is of kind {model!r}; known are {BYTE_LEVEL!r} and {SENTENCEPIECE!r}")
    vocabulary = _Vocabulary(fields)
    add_bos = model == SENTENCEPIECE
    if model == BYTE_LEVEL:
        splitter = _splitter(fields)
        add_bos = splitter.add_bos
        parts = _byte_level(fields, splitter, vocabulary)
    else:
        parts = _sentencepiece(fields, vocabulary)
    around = [
        vocabulary.special[name] if fields.get(f"tokenizer.ggml.add_{name}_token", default) else None
        for name, default in (("bos", add_bos), ("eos", False))
    ]
    described_whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": vocabulary.added(),
        "post_processor": _post_processor(around[0], around[1], vocabulary.tokens),
        **parts,
    }
    _write(folder / "tokenizer.json", described_whole)
    _write(folder / "tokenizer_config.json", _settings(fields, vocabulary))
    _write(folder / "generation_config.json", _generation(vocabulary))
    template = fields.get("tokenizer.chat_template")
    if template:
        (folder / "chat_template.jinja").write_text(original_template(str(template)), "utf-8")


class _Vocabulary:
    """The tokens of a file, with the types that llama.cpp goes by, and its special ids."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        # llama.cpp reads a token up to a zero byte, and names those of which nothing is left.
        texts = [str(token).partition("\0")[0] for token in fields.get("tokenizer.ggml.tokens") or []]
        self.tokens = [text or f"[EMPTY_{i}]" for i, text in enumerate(texts)]
        if not self.tokens:
            raise unreadable("it has no tokens")
        if len(set(self.tokens)) < len(self.tokens):
            raise unreadable("two of its tokens have the same text")
        types = fields.get("tokenizer.ggml.token_type") or [NORMAL] * len(self.tokens)
        if len(types) != len(self.tokens):
            raise unreadable(f"it has {len(self.tokens)} tokens but {len(types)} types")
        self.sentencepiece = fields.get("tokenizer.ggml.model") == SENTENCEPIECE
        self.types = [
            CONTROL if token in END_NAMES | FILL_NAMES and kind != UNKNOWN else int(kind)
            for token, kind in zip(self.tokens, types, strict=True)
        ]
        self._strips_after = named_phi_3(str(fields.get("general.name", "")))
        defaults = _SENTENCEPIECE_IDS if self.sentencepiece else {}
        names = ("bos", "eos", "eot", "eom", "unknown", "padding")
        self.special = {
            name: self._known(fields.get(f"tokenizer.ggml.{name}_token_id", defaults.get(name))) for name in names
        }
        if self.special["eos"] is None:
            raise unreadable("it names no end token, so answers would never stop")
        self.size = len(self.tokens)
        while self.size and self.types[self.size - 1] == UNUSED and self.tokens[self.size - 1] == filler(self.size - 1):
            self.size -= 1

    def _known(self, token_id: object) -> int | None:
        return int(token_id) if isinstance(token_id, int) and 0 <= token_id < len(self.tokens) else None

    def text(self, name: str) -> str | None:
        """The text of a special token."""
        token = self.special[name]
        return None if token is None else self.tokens[token]

    @property
    def ids(self) -> dict[str, int]:
        """Every token but the fillers at the end, which are there for the embedding's sake."""
        return {token: i for i, token in enumerate(self.tokens[: self.size])}

    def ends(self) -> list[int]:
        """The tokens at which llama.cpp ends an answer, the file's own first."""
        named = [self.special[name] for name in ("eos", "eot", "eom")]
        known = [i for i, token in enumerate(self.tokens) if token in END_NAMES]
        return list(dict.fromkeys(i for i in [*named, *known] if i is not None))

    def added(self) -> list[dict[str, Any]]:
        """The tokens that are found in a text as they are written, before anything else."""
        return [
            {
                "id": i,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": self._strips_after and token not in PHI_3_KEEPS_SPACES,
                "normalized": False,
                "special": kind in (CONTROL, UNKNOWN),
            }
            for i, (token, kind) in enumerate(zip(self.tokens, self.types, strict=True))
            if kind in WHOLE
        ]

    def whole(self) -> frozenset[str]:
        """Tokens that never take part in merging."""
        return frozenset(
            token
            for token, kind in zip(self.tokens, self.types, strict=True)
            if kind in WHOLE and (not self.sentencepiece or taken_first(token))
        )


def _splitter(fields: Mapping[str, Any]) -> Splitter:
    name = str(fields.get("tokenizer.ggml.pre", "not named"))
    splitter = splitter_named(name)
    if splitter is None:
        raise unreadable(f"the way it splits text into words ({name}) is none that this program knows")
    return splitter


def _byte_level(fields: Mapping[str, Any], splitter: Splitter, vocabulary: _Vocabulary) -> dict[str, Any]:
    ids = vocabulary.ids
    pairs = [tuple(str(merge).split(" ")) for merge in fields.get("tokenizer.ggml.merges") or []]
    if any(len(pair) != 2 or not {*pair, "".join(pair)} <= ids.keys() for pair in pairs):
        raise unreadable("it has merges of pieces that are no tokens")
    return {
        "normalizer": described(splitter.normalizers, "normalizers"),
        "pre_tokenizer": described(splitter.steps, "pretokenizers"),
        "decoder": _BYTES_AS_TEXT,
        "model": _model(ids, pairs, ignore_merges=splitter.ignore_merges),
    }


def _sentencepiece(fields: Mapping[str, Any], vocabulary: _Vocabulary) -> dict[str, Any]:
    ids = vocabulary.ids
    if any(token not in ids for token in BYTE_TOKENS):
        raise unreadable("it has no token for each byte")
    scores = fields.get("tokenizer.ggml.scores") or []
    if len(scores) != len(vocabulary.tokens):
        raise unreadable(f"it has {len(vocabulary.tokens)} tokens but {len(scores)} scores")
    whole = vocabulary.whole()
    by_token = {token: float(scores[i]) for token, i in ids.items() if token not in whole}
    prefix = Prefix.EVERY if fields.get("tokenizer.ggml.add_space_prefix", True) else Prefix.NEVER
    decoders: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": MARK}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefix is Prefix.EVERY:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "normalizer": described(STEPS[prefix], "normalizers"),
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": _model(
            ids, merges_of(by_token, whole), unk_token=vocabulary.text("unknown"), fuse_unk=True, byte_fallback=True
        ),
    }


def _model(ids: dict[str, int], merges: list[Any], **flags: object) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        **flags,
        "vocab": ids,
        "merges": [list(pair) for pair in merges],
    }


def _post_processor(bos: int | None, eos: int | None, tokens: list[str]) -> dict[str, Any]:
    """What plain encoding puts around a text, or around each of two."""
    before = [] if bos is None else [tokens[bos]]
    after = [] if eos is None else [tokens[eos]]

    def sequence(name: str, kind: int) -> list[dict[str, Any]]:
        specials = [[{"SpecialToken": {"id": token, "type_id": kind}} for token in part] for part in (before, after)]
        return [*specials[0], {"Sequence": {"id": name, "type_id": kind}}, *specials[1]]

    return {
        "type": "TemplateProcessing",
        "single": sequence("A", 0),
        "pair": [*sequence("A", 0), *sequence("B", 1)],
        "special_tokens": {
            tokens[i]: {"id": tokens[i], "ids": [i], "tokens": [tokens[i]]} for i in (bos, eos) if i is not None
        },
    }


def _settings(fields: Mapping[str, Any], vocabulary: _Vocabulary) -> dict[str, Any]:
    names = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}
    length = fields.get(f"{fields.get('general.architecture')}.context_length")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **({"model_max_length": int(length)} if length else {}),
        **{key: text for key, name in names.items() if (text := vocabulary.text(name)) is not None},
    }


def _generation(vocabulary: _Vocabulary) -> dict[str, Any]:
    ids = {"bos_token_id": vocabulary.special["bos"], "pad_token_id": vocabulary.special["padding"]}
    return {"eos_token_id": vocabulary.ends(), **{key: i for key, i in ids.items() if i is not None}}


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")
