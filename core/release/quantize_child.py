"""The process that quantises: `python -m core.release.quantize_child SOURCE TARGET KIND`; ends with its parent."""

from __future__ import annotations

import ctypes
import os
import sys

import llama_cpp.llama_cpp as native

from core.backends.child_process import read_lines_or_exit
from core.backends.llamacpp_log import log_warnings_only
from core.release.quantize import KINDS


def main() -> int:
    read_lines_or_exit()
    log_warnings_only()
    source, target, kind = sys.argv[1:]
    parameters = native.llama_model_quantize_default_params()
    parameters.ftype = KINDS[kind]
    parameters.only_copy = kind == "f16"
    parameters.nthread = os.cpu_count() or 1
    return int(native.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(parameters)))


if __name__ == "__main__":
    sys.exit(main())
