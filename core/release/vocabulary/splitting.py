"""The ways of splitting text into words that both sides know: llama.cpp by a name, `tokenizers` by a description.

llama.cpp knows each way by a name that the file must carry; a wrong one gives other tokens for digits or contractions
and no error. So the splitting rule itself is compared, and an unknown one is refused. Each line of the table stands on
an experiment: both tokenised the same texts alike, all of Unicode's categories among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.release.vocabulary.refusal import refused

Step = tuple[object, ...]

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA_3_PATTERN = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_2_PATTERN = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_3_5_PATTERN = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

NFC: Step = ("NFC",)
_BYTES: Step = ("ByteLevel", False)
_GPT_2: Step = ("ByteLevel", True)
_DIGITS: Step = ("Digits", True)


def _isolated(*patterns: str) -> tuple[Step, ...]:
    return tuple(("Split", "Regex", pattern, "Isolated", False) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Splitter:
    """One way of splitting text into words before merging.

    names: llama.cpp's names for it, the one to write first. steps: the same for `tokenizers`, in order. ignore_merges:
    a word that is a token is taken whole, whatever its merges say. normalizers: what the model's own tokenizer does to
    a text first and llama.cpp does not (NFC; texts in another form differ). add_bos: llama.cpp's habit where the file
    does not say.
    """

    names: tuple[str, ...]
    steps: tuple[Step, ...]
    ignore_merges: bool = False
    normalizers: tuple[Step, ...] = ()
    add_bos: bool = False


SPLITTERS: tuple[Splitter, ...] = (
    Splitter(("gpt-2", "phi-2", "olmo", "mellum", "exaone4"), (_GPT_2,)),
    Splitter(
        ("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"),
        (*_isolated(LLAMA_3_PATTERN), _BYTES),
        ignore_merges=True,
        add_bos=True,
    ),
    Splitter(("smaug-bpe", "dbrx"), (*_isolated(LLAMA_3_PATTERN), _BYTES)),
    Splitter(("qwen2", "deepseek-r1-qwen", "megrez"), (*_isolated(QWEN_2_PATTERN), _BYTES), normalizers=(NFC,)),
    Splitter(("stablelm2",), (*_isolated(QWEN_2_PATTERN), _BYTES)),
    Splitter(("qwen35",), (*_isolated(QWEN_3_5_PATTERN), _BYTES), normalizers=(NFC,)),
    Splitter(
        ("deepseek-coder",),
        (*_isolated("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"), _DIGITS, _BYTES),
    ),
    Splitter(("smollm", "starcoder", "refact", "command-r", "minerva-7b"), (_DIGITS, _GPT_2)),
)


def pre_tokenizer(stored: Mapping[str, Any]) -> str:
    """llama.cpp's name (`tokenizer.ggml.pre`) for the way a tokenizer.json splits text before merging.

    Raises ExportError for an unknown way.
    """
    normalizers = steps_of(stored.get("normalizer"))
    steps = steps_of(stored.get("pre_tokenizer"))
    ignore_merges = bool((stored.get("model") or {}).get("ignore_merges"))
    alike = [s for s in SPLITTERS if s.steps == steps and s.ignore_merges == ignore_merges]
    for splitter in alike:
        if splitter.normalizers == normalizers:
            return splitter.names[0]
    if normalizers:
        raise refused("it normalises text first, which llama.cpp does not")
    if alike:
        return alike[0].names[0]
    known = ", ".join(splitter.names[0] for splitter in SPLITTERS)
    raise refused(f"the way it splits text into words is none that this exporter knows ({known})")


def splitter_named(name: str) -> Splitter | None:
    """The way of splitting that llama.cpp knows by this name; None where this program does not."""
    return next((splitter for splitter in SPLITTERS if name in splitter.names), None)


def steps_of(part: Mapping[str, Any] | None) -> tuple[Step, ...]:
    """A normalizer or pre-tokenizer of a tokenizer.json as flat steps, without what changes offsets only."""
    if not part:
        return ()
    kind = part.get("type")
    if kind == "Sequence":
        children = part.get("pretokenizers") or part.get("normalizers") or []
        return tuple(step for child in children for step in steps_of(child))
    if kind == "ByteLevel":
        if part.get("add_prefix_space", True):
            return (("ByteLevel with a space before the text", part.get("use_regex", True)),)
        return (("ByteLevel", bool(part.get("use_regex", True))),)
    if kind == "Split":
        return (("Split", *_pattern(part), part.get("behavior"), bool(part.get("invert"))),)
    if kind == "Replace":
        return (("Replace", *_pattern(part), part.get("content")),)
    if kind == "Digits":
        return (("Digits", bool(part.get("individual_digits"))),)
    if kind == "Prepend":
        return (("Prepend", part.get("prepend")),)
    if kind == "Metaspace":
        return (("Metaspace", part.get("replacement"), part.get("prepend_scheme"), bool(part.get("split", True))),)
    return ((kind,),)


def described(steps: tuple[Step, ...], sequence: str) -> dict[str, Any] | None:
    """The steps as a tokenizer.json has them; `sequence` is the name of a list there (`pretokenizers` …)."""
    parts = [_part(step) for step in steps]
    return {"type": "Sequence", sequence: parts} if len(parts) > 1 else (parts[0] if parts else None)


def _pattern(part: Mapping[str, Any]) -> tuple[object, object]:
    pattern = part.get("pattern") or {}
    return next(iter(pattern.items()), (None, None))


def _part(step: Step) -> dict[str, Any]:
    kind = step[0]
    if kind == "ByteLevel":
        return {"type": kind, "add_prefix_space": False, "trim_offsets": True, "use_regex": step[1]}
    if kind == "Split":
        return {"type": kind, "pattern": {step[1]: step[2]}, "behavior": step[3], "invert": step[4]}
    if kind == "Replace":
        return {"type": kind, "pattern": {step[1]: step[2]}, "content": step[3]}
    if kind == "Digits":
        return {"type": kind, "individual_digits": step[1]}
    if kind == "Prepend":
        return {"type": kind, "prepend": step[1]}
    return {"type": kind}
