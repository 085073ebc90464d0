"""One value changes in config.toml, nothing else does, and never into a file that cannot be read."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from core.config import load_config
from core.errors import CategoryError, ConfigError, ConflictError, FinetuneError
from core.paths import Home
from core.settings_check import faults, line_of
from core.settings_docs import settings
from core.settings_edit import with_value, without_value
from core.settings_file import SettingsFile

TEXT = """# mine

[ab]   # when
# tests
min_tests = 50   # few

min_win_rate = 0.6

# the categories
[categories.erd]
title = "ER"   # short
[categories.erd.select]
curriculum = true

[hooks.chat]
on = "*"
command = ["true"]
"""
PATH = Path("config.toml")


def lines_changed(before: str, after: str) -> tuple[set[str], set[str]]:
    return set(before.splitlines()) - set(after.splitlines()), set(after.splitlines()) - set(before.splitlines())


def test_only_the_one_line_changes(home: Home) -> None:
    home.config.write_text(TEXT)
    file = SettingsFile(home)
    file.set(("ab", "min_tests"), 70)
    assert lines_changed(TEXT, home.config.read_text()) == (
        {"min_tests = 50   # few"}, {"min_tests = 70   # few"},
    )  # fmt: skip
    assert load_config(home).ab.min_tests == 70


def test_a_new_key_stands_below_its_section_not_below_the_comment_of_the_next(home: Home) -> None:
    home.config.write_text(TEXT)
    SettingsFile(home).set(("ab", "evidence"), 10.0)
    after = home.config.read_text()
    assert "min_win_rate = 0.6\nevidence = 10.0\n" in after
    assert "# the categories\n[categories.erd]" in after


def test_what_is_not_there_is_made(home: Home) -> None:
    file = SettingsFile(home)
    file.set(("categories", "mine", "select", "min_score"), 5.0)
    file.set(("loop", "auto_train"), False)
    assert home.config.read_text() == "[categories.mine.select]\nmin_score = 5.0\n\n[loop]\nauto_train = false\n"
    assert home.config.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_is_not_written(home: Home) -> None:
    home.config.write_text(TEXT)
    file = SettingsFile(home)
    with pytest.raises(ConfigError, match="whole number"):
        file.set(("ab", "min_tests"), "many")
    with pytest.raises(CategoryError):
        file.set(("categories", "erd", "min_tier"), "iron")
    with pytest.raises(ConfigError, match="epochs"):
        file.set(("train", "epochs"), 0)
    with pytest.raises(FinetuneError):
        file.set(("hooks", "chat", "timeout"), -1)
    assert home.config.read_text() == TEXT and not file.last_change


def test_somebody_else_was_faster(home: Home) -> None:
    home.config.write_text(TEXT)
    file = SettingsFile(home)
    home.config.write_text(TEXT.replace("50", "51"))
    assert file.is_stale
    with pytest.raises(ConflictError):
        file.set(("ab", "min_tests"), 70)
    assert "min_tests = 51" in home.config.read_text()
    file.set(("ab", "min_tests"), 70)
    assert "min_tests = 70" in home.config.read_text()


def test_undo_puts_every_byte_back(home: Home) -> None:
    file = SettingsFile(home)
    file.set(("ab", "min_tests"), 70)
    file.unset(("ab", "min_tests"))
    assert "ab.min_tests" in file.last_change
    assert "default" in file.undo()
    assert load_config(home).ab.min_tests == 70
    file.undo()
    assert not home.config.exists() and file.undo() == ""


def test_undo_leaves_what_somebody_else_wrote(home: Home) -> None:
    file = SettingsFile(home)
    file.set(("ab", "min_tests"), 70)
    home.config.write_text("[ab]\nmin_tests = 71\n")
    with pytest.raises(ConflictError):
        file.undo()
    assert load_config(home).ab.min_tests == 71


def test_permissions_links_and_line_ends_stay(home: Home, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_bytes(b"[ab]\r\nmin_tests = 3\r\n")
    real.chmod(0o640)
    home.config.symlink_to(real)
    SettingsFile(home).set(("ab", "evidence"), 5.0)
    assert home.config.is_symlink() and real.stat().st_mode & 0o777 == 0o640
    assert real.read_bytes() == b"[ab]\r\nmin_tests = 3\r\nevidence = 5.0\r\n"


def test_an_emptied_section_goes_unless_it_has_comments(home: Home) -> None:
    home.config.write_text("[ab]\n# why\nmin_tests = 3\n\n[loop]\nauto_train = false\n")
    file = SettingsFile(home)
    assert file.unset(("ab", "min_tests")) and file.unset(("loop", "auto_train"))
    assert home.config.read_text().strip() == "[ab]\n# why"
    assert not file.unset(("ab", "min_tests"))


def test_a_faulty_file_may_be_mended_step_by_step(home: Home) -> None:
    home.config.write_text('[ab]\nmin_tests = "x"\nfoo = 1\n')
    file = SettingsFile(home)
    with pytest.raises(FinetuneError):
        file.set(("ab", "evidence"), 5.0)
    file.unset(("ab", "foo"))
    file.set(("ab", "min_tests"), 5)
    assert load_config(home).ab.min_tests == 5


def test_a_full_disk_leaves_the_old_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.config.write_text(TEXT)
    file = SettingsFile(home)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FinetuneError, match="No space"):
        file.set(("ab", "min_tests"), 70)
    assert home.config.read_text() == TEXT
    assert [path.name for path in home.root.iterdir() if path.name.endswith(".tmp")] == []


def test_every_fault_is_found_with_its_line() -> None:
    text = (
        '[ab]\nmin_tests = "x"\nfoo = 1\n[tain]\n[train]\nrank = -1\n[categories.a]\nmin_tier = 3\nvalidator = "xx"\n'
    )
    found = faults(tomllib.loads(text), PATH)
    said = "\n".join(one.message for one in found)
    assert len(found) == 6, said
    for part in ("min_tests", "ab.foo", "[tain]", "`rank`", "min_tier", "`xx`"):
        assert part in said
    lines = [line_of(text.encode(), one.message) for one in found]
    assert lines[:3] == [2, 3, 4]
    assert faults(tomllib.loads(TEXT), PATH) == []


NUMBERS = [one for one in settings() if one.kind == "integer"]


@trying(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(NUMBERS), st.sampled_from([TEXT, "", "[train]\n", "[select] # x\n\n# y\n[ab]\nevidence = 3.0\n"])
)
def test_setting_then_removing_says_what_was_said_before(one: object, text: str) -> None:
    path = one.path  # type: ignore[attr-defined]
    before = tomllib.loads(text)
    after = with_value(text.encode(), path, 3)
    assert tomllib.loads(after.decode())[path[0]][path[1]] == 3
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert all(comment in after.decode() for comment in comments)
    if path[1] not in before.get(path[0], {}):
        back = tomllib.loads(without_value(after, path).decode())
        assert {name: table for name, table in back.items() if table} == {
            name: table for name, table in before.items() if table
        }
