"""The command line called as a user calls it, in this process."""

from __future__ import annotations

import io
import sys

import pytest
from cli_kit import Outcome, Run

from tui.__main__ import main


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("runs", "3", stdin="…")`; the home is that of the test."""

    def call(*arguments: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["finetune-tui", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        assert "Traceback" not in written.out + written.err
        return Outcome(int(ended.value.code or 0), written.out, written.err)

    return call
