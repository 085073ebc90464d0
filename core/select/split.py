"""Which side of the split an event stands on: a function of its content, so that nothing ever crosses over.

Hashes carry their scheme: `b2:` is BLAKE2b with 128 bits over normalised UTF-8 text, written as 32 hex digits.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

SCHEME: Final = "b2:"
BUCKETS: Final = 100


def content_hash(prompt: str, response: str) -> str:
    """The hash by which two events are the same: equal prompt and response but for line ends and trailing space."""
    first, second = _lines(prompt), _lines(response)
    return _hash(f"{len(first)}:{first}{second}")


def prompt_hash(prompt: str) -> str:
    """The hash by which two prompts are the same: case, spacing and compatibility forms do not count."""
    return _hash(" ".join(unicodedata.normalize("NFKC", prompt).casefold().split()))


def bucket(prompt_hash: str) -> int:
    """The bucket 0-99 of a prompt, uniform over prompts and stable for ever."""
    return int(prompt_hash.removeprefix(SCHEME)[:16], 16) % BUCKETS


def is_held_out(bucket: int, held_out_percent: int = 20) -> bool:
    """Whether a prompt is kept for testing and never trained on."""
    return bucket < held_out_percent


def is_validation(bucket: int, held_out_percent: int = 20) -> bool:
    """Whether a prompt of the train side watches the training (about a tenth of that side) instead of feeding it."""
    span = BUCKETS - held_out_percent
    return bucket >= BUCKETS - max(1, round(span / 10)) and not is_held_out(bucket, held_out_percent)


def _lines(text: str) -> str:
    plain = unicodedata.normalize("NFC", text)
    return "\n".join(line.rstrip() for line in plain.splitlines()).strip("\n")


def _hash(text: str) -> str:
    # A lone surrogate cannot be written as UTF-8; it still must hash the same every time.
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    return SCHEME + digest.hexdigest()
