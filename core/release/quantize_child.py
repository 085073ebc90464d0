"""The process that quantises: `python -m core.release.quantize_child SOURCE TARGET KIND`; ends with its parent.

Standard output gets a line "DONE TOTAL" as each tensor begins, standard error is a log for people.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys

import llama_cpp.llama_cpp as native

from core.backends.child_process import read_lines_or_exit
from core.backends.llamacpp_log import CONTINUED, WARNING
from core.release.quantize import KINDS

_TENSOR = re.compile(rb"^\[ *(\d+)/ *(\d+)\]")  # how llama.cpp begins to speak of a tensor

_last_level = 0


@native.llama_log_callback  # type: ignore[untyped-decorator]
def _heard(level: int, text: bytes, _: object) -> None:
    global _last_level  # noqa: PLW0603 - a C callback has no other place for its state
    if level != CONTINUED:
        _last_level = level
    if found := _TENSOR.match(text):
        os.write(1, b"%d %d\n" % (int(found[1]) - 1, int(found[2])))
    elif _last_level >= WARNING:
        os.write(2, text)


def main() -> int:
    read_lines_or_exit()
    native.llama_log_set(_heard, None)
    source, target, kind = sys.argv[1:]
    parameters = native.llama_model_quantize_default_params()
    parameters.ftype = KINDS[kind]
    parameters.only_copy = kind == "f16"
    parameters.nthread = os.cpu_count() or 1
    return int(native.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(parameters)))


if __name__ == "__main__":
    sys.exit(main())
