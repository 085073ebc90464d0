"""What still needs the files of a version."""

from __future__ import annotations

from storage.db import Store

_OPEN_RUNS = ("queued", "running", "stopped", "lost")


def in_open_runs(store: Store) -> set[int]:
    """The versions that a run which may go on has made, or goes on from.

    A run that failed is not among them: it is taken up again within hours, or never.
    """
    marks = ", ".join(f"'{status}'" for status in _OPEN_RUNS)
    return _ids(
        store,
        *(
            f"SELECT {column} FROM runs WHERE status IN ({marks})"
            for column in ("version_id", "parent_version", "start_version")
        ),
    )


def in_open_tests(store: Store) -> set[int]:
    """The versions on either side of an A/B test on stored prompts that has no result yet."""
    return _ids(
        store,
        *(
            f"SELECT {column} FROM ab_tests WHERE result IS NULL AND source = 'stored'"
            for column in ("version_a", "version_b")
        ),
    )


def in_open_shadows(store: Store, serving: int | None) -> set[int]:
    """The candidates of shadow tests without a result against the version that serves; where nothing does, of all.

    What serves may be replaced before a shadow test has decided: nobody feeds it then, and it stays open for ever.
    """
    rows = store.rows(
        "SELECT DISTINCT version_b FROM ab_tests WHERE result IS NULL AND source = 'shadow' "
        "AND version_a = coalesce(?, version_a)",
        (serving,),
    )
    return {found for (found,) in rows}


def _ids(store: Store, *queries: str) -> set[int]:
    return {found for (found,) in store.rows(" UNION ".join(queries)) if found is not None}
