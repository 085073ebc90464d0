"""Tokenizers between Hugging Face folders and GGUF files, both directions, by one table of what llama.cpp knows."""

from core.release.vocabulary.folder import read_tokenizer
from core.release.vocabulary.from_file import write_tokenizer
from core.release.vocabulary.prefix import Prefix, space_prefix
from core.release.vocabulary.splitting import LLAMA_3_PATTERN, SPLITTERS, pre_tokenizer
from core.release.vocabulary.stored import read_json
from core.release.vocabulary.template import SHORTEST_COMMENT, TEMPLATE_COMMENT, original_template, padded_template
from core.release.vocabulary.tokenizer import GgufTokenizer

__all__ = [
    "LLAMA_3_PATTERN",
    "SHORTEST_COMMENT",
    "SPLITTERS",
    "TEMPLATE_COMMENT",
    "GgufTokenizer",
    "Prefix",
    "original_template",
    "padded_template",
    "pre_tokenizer",
    "read_json",
    "read_tokenizer",
    "space_prefix",
    "write_tokenizer",
]
