"""What llama.cpp says, cut down to warnings and errors. Imported only in child processes."""

from __future__ import annotations

import os

import llama_cpp.llama_cpp as native

# ggml.h: none 0, debug 1, info 2, warning 3, error 4, and 5 goes on with the line before.
WARNING, CONTINUED = 3, 5

_last_level = 0


@native.llama_log_callback  # type: ignore[untyped-decorator]
def _write(level: int, text: bytes, _: object) -> None:
    global _last_level  # noqa: PLW0603 - a C callback has no other place for its state
    if level != CONTINUED:
        _last_level = level
    if _last_level >= WARNING:
        os.write(2, text)


def log_warnings_only() -> None:
    """Send warnings and errors of llama.cpp to standard error, and drop the rest."""
    native.llama_log_set(_write, None)
