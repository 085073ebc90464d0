"""The tokenizer of a model folder as its tokenizer.json describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_tokenizer(folder: Path) -> Any:
    """The fast tokenizer of a folder, taken as it was stored, with the special tokens and the template beside it.

    The class that a model names in its settings may build parts anew and differently: that of Llama puts a space before
    the first word only, where the stored one, and llama.cpp, put one after every special token too. What is trained,
    proved and exported must be one and the same. Raises what transformers raises for a folder without tokenizer.json.
    """
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
