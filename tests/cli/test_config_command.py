"""`config` lists, shows, sets and checks settings."""

from __future__ import annotations

import pytest
from cli_kit import Run

from core.config import load_config
from core.paths import Home


def test_all_settings_are_listed_with_their_origin(run: Run, home: Home) -> None:
    home.config.write_text("[ab]\nmin_tests = 7\n[categories.erd]\nmin_tier = 'gold'\n")
    listed = run("config", "--json").json["settings"]
    by_name = {one["name"]: one for one in listed}
    assert len(by_name) > 100
    assert by_name["ab.min_tests"]["value"] == 7 and by_name["ab.min_tests"]["default"] == 100
    assert by_name["ab.min_tests"]["range"] == [1, 1_000_000]
    assert by_name["categories.erd.min_tier"]["value"] == "gold"
    changed = run("config", "--changed", "--json").json["settings"]
    assert {one["name"] for one in changed} == {"ab.min_tests", "categories.erd.min_tier"}
    told = run("config", "--changed").out
    assert "● min_tests" in told and "● erd.min_tier" in told and "evidence" not in told
    assert "changes nothing" in run("config", "--changed", "--category", "workflows").out


def test_setting_and_unsetting(run: Run, home: Home) -> None:
    assert "was 100" in run("config", "set", "ab.min_tests", "50").out
    assert load_config(home).ab.min_tests == 50
    assert run("config", "get", "ab.min_tests").out == "50\n"
    assert run("config", "set", "publish.stop", "END, ##", "--json").json["value"] == ["END", "##"]
    assert "default" in run("config", "unset", "ab.min_tests").out
    assert load_config(home).ab.min_tests == 100 and load_config(home).publish.stop == ("END", "##")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("set", "ab.min_tests", "0"), "whole number from 1 to 1,000,000"),
        (("set", "ab.mintests", "3"), "no setting"),
        (("unset", "ab.mintests"), "no setting"),
        (("get", "nothing"), "no setting"),
        (("set", "categories.erd.validator", "xx"), "one of"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    run: Run, home: Home, arguments: tuple[str, ...], named: str
) -> None:
    refused = run("config", *arguments, "--json")
    assert refused.code == 1 and named in refused.error["message"]
    assert not home.config.exists()


def test_a_secret_is_never_printed(run: Run, home: Home) -> None:
    told = run("config", "set", "serve.token", "-", stdin="hunter2\n")
    assert load_config(home).serve.token == "hunter2"
    for other in (("config",), ("config", "--json"), ("config", "get", "serve.token", "--json"), ("config", "check")):
        told_now = run(*other)
        assert "hunter2" not in told.out + told_now.out + told_now.err
    home.config.write_text("[serve]\ntoken = 12345678\n")
    assert "12345678" not in run("config", "check").out


def test_check_lists_every_problem(run: Run, home: Home) -> None:
    assert run("config", "check").code == 0
    home.config.write_text("[ab]\nmin_tests = 'x'\nfoo = 1\n[tain]\na = 1\n")
    told = run("config", "check", "--json")
    assert told.code == 1 and len(told.json["problems"]) == 3
    home.config.write_text("[ab\n")
    assert run("config", "check").code == 1
    assert run("config").code == 1


def test_the_path_is_told(run: Run, home: Home) -> None:
    assert run("config", "path").out.strip() == str(home.config)


def test_a_faulty_file_can_be_mended(run: Run, home: Home) -> None:
    home.config.write_text("[ab]\nmin_tests = 'x'\n[loop]\nauto_trai = 1\n")
    assert run("config", "set", "ab.min_tests", "5").code == 0
    assert run("config", "unset", "loop.auto_trai").code == 0
    assert load_config(home).ab.min_tests == 5
