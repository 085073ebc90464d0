"""The tokenizer part of a GGUF file, and what llama.cpp makes of it beyond what the file says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gguf

# tokenizer.ggml.token_type
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
# Kinds of token that are found in a text before it is split; they never take part in a merge.
WHOLE = frozenset((UNKNOWN, CONTROL, USER_DEFINED))

# tokenizer.ggml.model
BYTE_LEVEL, SENTENCEPIECE = "gpt2", "llama"

BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))

# Tokens that llama.cpp takes for the end of an answer, and for control tokens, by their text alone.
END_NAMES = frozenset((
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>", "</s>",
    "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>",
    "<｜end▁of▁sentence｜>",
))  # fmt: skip
# Control tokens by their text alone: the parts of a gap that code models fill.
FILL_NAMES = frozenset((
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|fim_suffix|>",
    "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|fim_middle|>", "<fim-middle>",
    "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]",
    "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
))  # fmt: skip

# llama.cpp drops the spaces after special tokens, but for these, in models that have Phi-3 in their name.
PHI_3_NAMES = ("phi-3", "phi3")
PHI_3_KEEPS_SPACES = frozenset(("<unk>", "<s>", "<|endoftext|>"))


def named_phi_3(name: str) -> bool:
    """Does llama.cpp take a model of this name for a Phi-3?"""
    return any(part in name.lower() for part in PHI_3_NAMES)


def filler(token_id: int) -> str:
    """The text of a row of the embedding for which there is no token."""
    return f"[PAD{token_id}]"


@dataclass(frozen=True, slots=True)
class GgufTokenizer:
    """What goes under `tokenizer.` in the file. Ids are None where the model has no such token.

    model: `BYTE_LEVEL` (merges say what is joined) or `SENTENCEPIECE` (scores do: the highest first). pre: llama.cpp's
    name for the way text is split into words. eos: ends an answer; eot, eom: a second and third token that does.
    add_bos, add_eos: what plain encoding puts around a text. add_space_prefix: SentencePiece's space before a text and
    after each special token. strips_after: spaces after special tokens are dropped, as in Phi-3.
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
    model: str = BYTE_LEVEL
    scores: list[float] = field(default_factory=list)
    unk: int | None = None
    eom: int | None = None
    add_space_prefix: bool = False
    strips_after: bool = False

    def add_to(self, writer: gguf.GGUFWriter) -> None:
        """Write it into a file whose name (`general.name`) is already set.

        llama.cpp tells by that name whether spaces after special tokens count, so a name that says otherwise than the
        tokenizer does is changed: `Phi-3` is added, or written with a space.
        """
        self._settle_name(writer)
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        if self.model == SENTENCEPIECE:
            writer.add_token_scores(self.scores)
            writer.add_add_space_prefix(self.add_space_prefix)
            writer.add_remove_extra_whitespaces(False)
        else:
            writer.add_token_merges(self.merges)
        writer.add_token_types(self.types)
        for add, token in (
            (writer.add_bos_token_id, self.bos),
            (writer.add_eos_token_id, self.eos),
            (writer.add_eot_token_id, self.eot),
            (writer.add_eom_token_id, self.eom),
            (writer.add_unk_token_id, self.unk),
            (writer.add_pad_token_id, self.pad),
        ):
            if token is not None:
                add(token)
        writer.add_add_bos_token(self.add_bos)
        writer.add_add_eos_token(self.add_eos)
        if self.chat_template:
            writer.add_chat_template(self.chat_template)

    def _settle_name(self, writer: gguf.GGUFWriter) -> None:
        entry = writer.kv_data[0].get("general.name")
        name = str(entry.value) if entry else ""
        if named_phi_3(name) == self.strips_after:
            return
        if entry is None:
            writer.add_name("Phi-3")
        elif self.strips_after:
            entry.value = f"{name} (Phi-3)"
        else:
            import re

            entry.value = re.sub("(?i)(phi)-?(3)", r"\1 \2", name)
