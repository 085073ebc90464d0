from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.validate.command import make
from core.validate.validator import Validation


def sh(script: str, **options: Any) -> Any:
    return make({"command": ["/bin/sh", "-c", script], **options})


def kind_of(verdict: Validation) -> str:
    return verdict.findings[0].kind


def ends(pid: int) -> bool:
    """Whether a process is gone, or about to be: a signal takes its time."""
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def test_the_response_comes_on_standard_input_and_the_score_goes_out() -> None:
    verdict = sh('[ "$(cat)" = "grüße" ] && echo 87.5').validate("grüße")
    assert (verdict.score, verdict.valid, verdict.judged, verdict.findings) == (87.5, True, True, ())


def test_lines_below_the_score_are_findings() -> None:
    verdict = sh("echo 'score: 12 of 100'; echo; echo 'no title'; printf 'bad\\033[31m end\\n'").validate("x")
    assert (verdict.score, verdict.valid) == (12.0, False)
    assert [finding.message for finding in verdict.findings] == ["no title", "bad [31m end"]


def test_the_prompt_and_what_is_expected_stand_in_the_environment() -> None:
    script = '[ "$FINETUNE_PROMPT" = "ask; rm -rf \\$HOME" ] && [ "$FINETUNE_EXPECTED" = \'{"a": 1}\' ] && echo 100'
    assert sh(script).validate("x", prompt="ask; rm -rf $HOME", expected={"a": 1}).score == 100.0
    assert sh("echo 100").validate("x", prompt="p\0" * 300_000).score == 100.0


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    target = tmp_path / "made"
    make({"command": ["echo", f"100; touch {target}"]}).validate("x")
    assert not target.exists()


def test_json_goes_both_ways(tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    told = {
        "score": 40,
        "valid": True,
        "findings": [{"kind": "No Title!", "message": "none\u001b[0m", "line": 3, "severity": "warning"}, "plain", {}],
    }
    verdict = sh(f"cat > {seen}; echo '{json.dumps(told)}'", input="json").validate("r", prompt="p", expected={"a": 1})
    assert json.loads(seen.read_text()) == {"response": "r", "prompt": "p", "expected": {"a": 1}}
    assert (verdict.score, verdict.valid) == (40.0, True)
    first, second, third = verdict.findings
    assert (first.kind, first.message, first.line, first.severity) == ("no_title", "none [0m", 3, "warning")
    assert (second.kind, second.message, third.message) == ("command", "plain", "no reason given")


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("echo oh no >&2; exit 3", "command_failed", "ended with code 3: oh no"),
        ("kill -TERM $$", "command_failed", "signal 15"),
        ("true", "command_output", "no score"),
        ("echo good", "command_output", "good"),
        ("echo 101", "command_output", "no score"),
        ("echo '{\"score\": true}'", "command_output", "`score`"),
        ("echo '{\"score\": NaN}'", "command_output", "`score`"),
        ('echo \'{"score": 3, "findings": 1}\'', "command_output", "`findings`"),
        ("echo '{\"score\":'", "command_output", "no JSON"),
    ],
)
def test_without_a_score_nothing_is_judged(script: str, kind: str, said: str) -> None:
    verdict = sh(script).validate("x")
    assert (verdict.judged, verdict.valid, kind_of(verdict)) == (False, True, kind)
    assert said in verdict.findings[0].message


def test_a_missing_program_costs_no_feedback() -> None:
    assert kind_of(make({"command": ["no-such-program-here"]}).validate("x")) == "command_missing"


def test_it_runs_in_an_empty_folder_that_is_gone_afterwards(tmp_path: Path) -> None:
    seen = tmp_path / "where"
    assert sh(f'[ -z "$(ls -A)" ] && pwd > {seen} && touch left && echo 100').validate("x").score == 100.0
    where = Path(seen.read_text().strip())
    assert where != Path.cwd() and not where.exists()


def test_all_that_it_started_ends_with_its_time(tmp_path: Path) -> None:
    seen = tmp_path / "pids"
    script = f"sleep 60 & echo $! >> {seen}; echo $$ >> {seen}; echo 100; sleep 60"
    started = time.monotonic()
    verdict = sh(script, timeout=0.3).validate("x")
    assert (verdict.judged, kind_of(verdict)) == (False, "command_timeout")
    assert time.monotonic() - started < 30.0
    assert all(ends(int(pid)) for pid in seen.read_text().split())


def test_what_it_leaves_in_the_background_does_not_delay_the_score(tmp_path: Path) -> None:
    seen = tmp_path / "pid"
    started = time.monotonic()
    assert sh(f"sleep 60 & echo $! > {seen}; echo 100").validate("x").score == 100.0
    assert time.monotonic() - started < 9.0
    assert ends(int(seen.read_text()))


def test_a_flood_of_output_is_cut_and_unread_input_does_no_harm() -> None:
    verdict = sh("echo 55; head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2").validate("y" * 3_000_000)
    assert verdict.score == 55.0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "command"),
        ({"command": "wc -l"}, "command"),
        ({"command": []}, "command"),
        ({"command": ["a", 3]}, "command"),
        ({"command": [f".{os.sep}check"]}, "whole path"),
        ({"command": ["a\0b"]}, "NUL"),
        ({"command": ["a"], "timeout": 0}, "timeout"),
        ({"command": ["a"], "input": "xml"}, "input"),
        ({"command": ["a"], "shell": True}, "'shell'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        make(options)
