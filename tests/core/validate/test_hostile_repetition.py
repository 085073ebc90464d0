"""One unit repeated over 256 KB, as a model that has lost its way writes it: whatever reads an answer is done soon.

A reader whose time grows with the square of the length would need minutes for one of these texts.
"""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import product

import pytest

from core.validate.registry import BUILT_IN

CHARACTERS = 256 * 1024
SECONDS = 20.0
"""Of processor time, for one text."""
UNITS = (
    *" \t\n{[\"'-#|`*a=<(~_:.é0",
    " \n", "a ", "# ", "- a\n", "```\n", "``", "`a", "%%", "<a", '="', "| a ", "---\n", "[{", '{"a":', "@a ", "not ",
    "a@", "[INST]",
)  # fmt: skip
# What a text begins and ends with decides which rule reads the middle.
AROUND: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mermaid": (("---\n", "```", "```mermaid\n", "flowchart TD\n A["), (" x`",)),
    "mermaid_er": (("```", "erDiagram\n A {\n int ", "erDiagram\n title ", "erDiagram\n subgraph a"), (" x`", ":")),
    "openapi": (("```", "~~~", "```yaml\n"), (" x`",)),
    "api_docs": (("#", "path: /", "two or three words ", "endpoint ", "```"), (" x`", "! GET /users")),
    "json_schema": (("```json\n", "~~~", '{"a": "'), (" x`", "]")),
    "python": (("```python\n", "x = "), (" x`",)),
    "transcript": (("Human: a\n\nAssistant: b", "[INST] a [/INST] b"), (" x", " </s>")),
    "sanitize": (("password: ", "https://", "-----BEGIN "), ("@acme.com",)),
}
OPTIONS: dict[str, dict[str, object]] = {
    "python": {"max_chars": 1_000_000},
    "json_schema": {"schema": {"type": "object", "required": ["a"]}},
    "label": {"labels": ["spam", "not spam"]},
    "regex": {"pattern": r"\bANSWER: (?P<value>\d+)"},
    "language": {"languages": ["en", "de"]},
}
OTHERS = ("sanitize", "generic", "quality", "near", "transcript")


def _texts(reader: str) -> Iterator[str]:
    starts, ends = AROUND.get(reader, ((), ("x",)))
    for first, last in [("", ""), *product(("", *starts), ends)]:
        for unit in UNITS:
            yield first + unit * (CHARACTERS // len(unit)) + last


def _read(reader: str) -> None:
    """Lets a reader read each text; the process is ended by a signal where one takes too long."""
    from core.capture.formats.transcripts import turns_of
    from core.capture.sanitize import sanitize
    from core.select.alike.near import near_keys
    from core.validate.generic import is_generic
    from core.validate.quality import Evidence, assess

    if reader in BUILT_IN:
        validator = importlib.import_module(BUILT_IN[reader]).make(OPTIONS.get(reader, {}))
    for text in _texts(reader):
        print(ascii(f"{text[:24]} ... {text[-24:]}"), flush=True)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        if reader == "sanitize":
            sanitize(text)
        elif reader == "generic":
            is_generic("Draw the orders of a shop.", text, ["x" * 5_000])
        elif reader == "quality":
            assess(Evidence(text, None, "neutral", None, None, "", {}), {"reasoning": 1.0})
        elif reader == "near":
            near_keys("shop", text, text)
        elif reader == "transcript":
            turns_of(text)
        else:
            validator.validate(text, prompt="Draw the orders of a shop.")


# `command` and `judge` hand the text to a program and to a model.
@pytest.mark.process
@pytest.mark.parametrize("reader", [*sorted(BUILT_IN.keys() - {"command", "judge"}), *OTHERS])
def test_reads_any_repetition_in_linear_time(reader: str) -> None:
    done = subprocess.run([sys.executable, __file__, reader], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{reader} at {done.stdout[-200:].splitlines()[-1:]}: {done.stderr[-2000:]}"


if __name__ == "__main__":
    _read(sys.argv[1])
