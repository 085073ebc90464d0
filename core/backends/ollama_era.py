"""What the releases of Ollama do differently with a model made of a GGUF file.

Up to 0.24 Ollama rendered every prompt with a Go template. Since 0.30.0 (June 2026) llama.cpp's own server runs the
models, and renders the GGUF file's Jinja template where no Go template was given. From 0.30.0 to 0.34.0 every file is
also written anew by `llama-quantize … COPY` when a model is created; since 0.34.1 (September 2026) it is kept as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from core.backends.ollama_http import clean

_NUMBERS: Final = re.compile(r"\s*v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")
_FILES_SINCE: Final = (0, 5, 5)
_RENDER_ONLY_SINCE: Final = (0, 11, 5)
_LOGPROBS_SINCE: Final = (0, 12, 11)
_NATIVE_SINCE: Final = (0, 30, 0)
_AS_IS_SINCE: Final = (0, 34, 1)
# What Ollama's developers build for themselves calls itself 0.0.0.
_DEVELOPMENT: Final = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Era:
    """What one version does.

    renders: "go", the Go template given at `create` only; "native", the GGUF file's own where none was given.
    rewrites_files: the file behind a model may have another SHA-256 than the one uploaded. knows_files: `create` takes
    uploaded files. knows_render_only: a chat may be rendered without an answer. knows_logprobs: answers may tell the
    log-probabilities of their tokens. note: why an unknown version is taken for the newest, else empty.
    """

    version: str
    renders: Literal["go", "native"]
    rewrites_files: bool
    knows_files: bool
    knows_render_only: bool
    knows_logprobs: bool
    note: str = ""


def era_of(version: str) -> Era:
    """The era of a version as /api/version tells it: "0.34.1", "v0.30.0-rc2", "0.0.0" or anything else.

    A candidate for a release counts as the release. What has no number, or is a developer's own build, is taken for
    the newest, with a note that says so.
    """
    told = clean(version)
    match = _NUMBERS.match(told)
    number = (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None
    if number is None or number == _DEVELOPMENT:
        note = f"Ollama's version {told!r} tells no release; it is taken for the newest."
        return Era(told, "native", False, True, True, True, note)
    return Era(
        version=told,
        renders="native" if number >= _NATIVE_SINCE else "go",
        rewrites_files=_NATIVE_SINCE <= number < _AS_IS_SINCE,
        knows_files=number >= _FILES_SINCE,
        knows_render_only=number >= _RENDER_ONLY_SINCE,
        knows_logprobs=number >= _LOGPROBS_SINCE,
    )
