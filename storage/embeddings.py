"""Embeddings of texts, kept by model and by key of the text, so that no text is embedded twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from storage.columns import LISTED, listed
from storage.db import Store
from storage.errors import ConflictError

_AT_ONCE = 5_000
_BYTES = 2
"""Of one float16."""


def load_many(store: Store, model: str, keys: Iterable[int]) -> dict[int, bytes]:
    """The vectors that are known of these keys (signed 64 bit): float16, little-endian, all of one length."""
    wanted = sorted(set(keys))  # neighbours in the tree are read one after the other
    sql = (
        "SELECT key, vector FROM embeddings WHERE model = (SELECT id FROM embedding_models WHERE name = ?) "
        f"AND key IN {LISTED}"
    )
    found: dict[int, bytes] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        with store.reading(sql, (model, listed(wanted[start : start + _AT_ONCE]))) as rows:
            found.update(rows)
    return found


def save_many(store: Store, model: str, vectors: Mapping[int, bytes]) -> None:
    """Keeps vectors (float16) by key; one that is known already stays as it is.

    Raises ConflictError when they are not all as long as those that are kept of the model.
    """
    if not vectors:
        return
    with store.transaction():
        known = dimensions(store, model)
        if known is None:
            known = len(next(iter(vectors.values()))) // _BYTES
            store.write("INSERT INTO embedding_models (name, dimensions) VALUES (?, ?)", (model, known))
        if any(len(vector) != known * _BYTES for vector in vectors.values()):
            raise ConflictError(
                f"A vector of {model} has not {known} numbers as the others have.",
                hint="Check the embedding model: its files may have changed while it ran.",
            )
        own = store.value("SELECT id FROM embedding_models WHERE name = ?", (model,))
        store.write_many(
            "INSERT OR IGNORE INTO embeddings (model, key, vector) VALUES (?, ?, ?)",
            ((own, key, vectors[key]) for key in sorted(vectors)),
        )


def dimensions(store: Store, model: str) -> int | None:
    """Numbers in each vector of the model; None when nothing was kept of it."""
    found = store.value("SELECT dimensions FROM embedding_models WHERE name = ?", (model,))
    return None if found is None else int(found)


def counts(store: Store) -> dict[str, int]:
    """How many vectors are kept of each model, by its name."""
    rows = store.rows(
        "SELECT m.name, (SELECT count(*) FROM embeddings e WHERE e.model = m.id) FROM embedding_models m "
        "ORDER BY m.name"
    )
    return dict(rows)


def forget(store: Store, model: str) -> int:
    """Removes a model with all its vectors; how many these were."""
    with store.transaction():
        removed = store.write(
            "DELETE FROM embeddings WHERE model = (SELECT id FROM embedding_models WHERE name = ?)", (model,)
        ).rowcount
        store.write("DELETE FROM embedding_models WHERE name = ?", (model,))
    return removed
