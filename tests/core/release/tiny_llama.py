"""Tiny Llama checkpoints with tokenizers of their own, and GGUF files with planted faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.backends.backend import Message
from core.release.vocabulary import LLAMA_3_PATTERN

SPECIAL = ("<pad>", "<bos>", "<end>", "<system>", "<user>", "<assistant>")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'tool' %}{{ raise_exception('no tools') }}"
    "{% endif %}{{ '<' + message['role'] + '>' }}{{ message['content'] | trim }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
CHATS = (
    ("Draw customers and orders.", "erDiagram\n  CUSTOMER ||--o{ ORDER : places"),
    ("Draw a library.", "erDiagram\n  READER }o--o{ BOOK : borrows\n  BOOK }|--|| SHELF : stands"),
    ("Count to 12345.", "1, 12, 123, 1234, 12345. Don't stop; we've 67890 more!"),
)
PROMPTS = tuple((Message("user", ask),) for ask, _ in CHATS)
UNKNOWN_PROMPTS = tuple(
    (Message("system", "Be brief."), Message("user", f"Tell me of the {n} winds.")) for n in range(4)
)


def save_tokenizer(folder: Path, *, llama3: bool = False) -> Any:
    """A byte-level BPE tokenizer of some 400 tokens, splitting text as GPT-2 or as Llama 3 does."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(ignore_merges=llama3))
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(LLAMA_3_PATTERN), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        if llama3
        else pre_tokenizers.ByteLevel(add_prefix_space=False)
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = "123 1234 12345 don't DON'T we've they'll  three   spaces\n\n  erDiagram CUSTOMER places ORDER the quick"
    tokenizer.train_from_iterator([text for chat in CHATS for text in chat] * 3 + [words] * 9, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<end>",
        pad_token="<pad>",
        additional_special_tokens=list(SPECIAL[3:]),
        chat_template=TEMPLATE,
    )
    fast.save_pretrained(folder)
    return fast


def save_llama(folder: Path, *, llama3: bool = False, train: int = 0, seed: int = 0, **changes: Any) -> Path:
    """A float16 LlamaForCausalLM folder; `train` steps teach it the answers of CHATS by heart."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = save_tokenizer(folder, llama3=llama3)
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer) + (13 if llama3 else 0),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "tie_word_embeddings": not llama3,
        "initializer_range": 0.15,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if llama3:
        settings["rope_parameters"] = {
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**{**settings, **changes}))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(train):
        ask, reply = CHATS[step % len(CHATS)]
        chat = [{"role": "user", "content": ask}]
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        ids = torch.tensor([tokenizer.encode(prompt + reply + "<end>", add_special_tokens=False)])
        model(ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.half().save_pretrained(folder)
    return folder


def rewrite(
    source: Path,
    target: Path,
    *,
    fields: Mapping[str, Any] | None = None,
    tensors: Callable[[str, Any], Any] = lambda name, values: values,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """A copy of a GGUF file with other fields, or other tensors (None leaves one out), or with more of them."""
    import gguf

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.get_field("general.architecture").contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = (fields or {}).get(field.name, field.contents())
        writer.add_key_value(field.name, value, field.types[0], field.types[1] if len(field.types) > 1 else None)
    for tensor in reader.tensors:
        values = tensors(tensor.name, np.array(tensor.data))
        if values is not None:
            writer.add_tensor(tensor.name, values)
    for name, values in (more or {}).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
