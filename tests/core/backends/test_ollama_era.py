"""Which release of Ollama does what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.backends.ollama_era import era_of


@pytest.mark.parametrize(
    ("version", "renders", "rewrites"),
    [
        ("0.5.7", "go", False),
        ("0.24.0", "go", False),
        ("0.29.9", "go", False),
        ("0.30.0-rc1", "native", True),
        ("0.30.0", "native", True),
        ("0.33.0-rc2", "native", True),
        ("0.34.0", "native", True),
        ("0.34.1", "native", False),
        ("0.34.1-rc0", "native", False),
        ("v0.34.4", "native", False),
        ("0.40.2", "native", False),
        ("0.40", "native", False),
        ("1.0.0+cuda12", "native", False),
    ],
)
def test_each_release_has_its_way(version: str, renders: str, rewrites: bool) -> None:
    era = era_of(version)
    assert (era.version, era.renders, era.rewrites_files, era.note) == (version, renders, rewrites, "")


@pytest.mark.parametrize(
    ("version", "files", "render_only", "logprobs"),
    [
        ("0.5.4", False, False, False),
        ("0.5.5", True, False, False),
        ("0.11.4", True, False, False),
        ("0.11.5", True, True, False),
        ("0.12.10", True, True, False),
        ("0.12.11", True, True, True),
    ],
)
def test_what_older_releases_lack(version: str, files: bool, render_only: bool, logprobs: bool) -> None:
    era = era_of(version)
    assert (era.knows_files, era.knows_render_only, era.knows_logprobs) == (files, render_only, logprobs)


@pytest.mark.parametrize("version", ["0.0.0", "0.0.0-dirty", "", "main", "dev-8e2f\x1b[31m", "12"])
def test_a_version_without_a_release_is_taken_for_the_newest_and_says_so(version: str) -> None:
    era, newest = era_of(version), era_of("99.0.0")
    assert (era.renders, era.rewrites_files, era.knows_logprobs) == ("native", False, True)
    assert (newest.renders, newest.rewrites_files, newest.knows_logprobs) == ("native", False, True)
    assert "newest" in era.note
    assert era.note.isprintable()


@given(st.text())
def test_every_text_has_an_era(version: str) -> None:
    assert era_of(version).renders in ("go", "native")


@given(*[st.tuples(*[st.integers(0, 99)] * 3).filter(any)] * 2)
def test_what_a_release_knows_later_ones_know(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    older, newer = (era_of(".".join(map(str, number))) for number in sorted((one, other)))
    for knows in ("knows_files", "knows_render_only", "knows_logprobs"):
        assert getattr(newer, knows) or not getattr(older, knows)
    assert newer.renders == "native" or older.renders == "go"
