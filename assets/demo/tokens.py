"""The demonstration model's tokenizer: byte-level BPE with special tokens for turns, and its chat template."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BOS, END, SYSTEM, USER, ASSISTANT = "<pad>", "<bos>", "<end>", "<system>", "<user>", "<assistant>"
SPECIAL = (PAD, BOS, END, SYSTEM, USER, ASSISTANT)

# The comment comes first and is long on purpose: servers that tell chat templates apart by their likeness to
# well-known ones must not take this one for any of those.
CHAT_TEMPLATE = (
    "{#- The template of the demonstration model of finetune-tui, a small model that draws Mermaid diagrams. A "
    "conversation begins with the beginning-of-text token, which only this template writes. Every message is the "
    "marker of its role, then the trimmed text, then the end-of-turn token. There are no line breaks, names or dates "
    "between messages, and no default system message. -#}\n"
    "{{- bos_token -}}\n"
    "{%- for message in messages -%}\n"
    "{%- if message['role'] in ['system', 'user', 'assistant'] -%}\n"
    "{{- '<' + message['role'] + '>' -}}\n"
    "{%- else -%}\n"
    "{{- raise_exception('This model knows only the roles system, user and assistant.') -}}\n"
    "{%- endif -%}\n"
    "{{- message['content'] | trim -}}\n"
    "{{- '" + END + "' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}\n"
    "{{- '" + ASSISTANT + "' -}}\n"
    "{%- endif -%}\n"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of exactly `vocab_size` tokens, learned from `texts`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # GPT-2's own splitting rule, so that llama.cpp's `gpt-2` pre-tokenizer gives the same tokens.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != vocab_size:
        raise ValueError(f"the texts gave only {tokenizer.get_vocab_size()} of {vocab_size} tokens")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer saved in `folder`."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder)
