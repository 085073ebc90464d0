"""Vectors come back as they were kept, by model, and only those."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import embeddings
from storage.db import Store, open_store
from storage.errors import ConflictError

KEYS = st.integers(-(2**63), 2**63 - 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(kept=st.dictionaries(KEYS, st.binary(min_size=8, max_size=8), max_size=30), asked=st.lists(KEYS, max_size=20))
def test_what_was_kept_is_found_and_nothing_else(store: Store, kept: dict[int, bytes], asked: list[int]) -> None:
    embeddings.forget(store, "m")
    embeddings.save_many(store, "m", kept)
    assert embeddings.load_many(store, "m", [*kept, *asked]) == kept
    assert embeddings.load_many(store, "other", kept) == {}


def test_more_keys_than_one_statement_takes(store: Store) -> None:
    kept = {key * 7919 - 40_000_000: key.to_bytes(4, "little") for key in range(12_001)}
    embeddings.save_many(store, "m", kept)
    assert embeddings.load_many(store, "m", reversed(list(kept))) == kept
    assert embeddings.load_many(store, "m", []) == {}


def test_models_never_mix(store: Store) -> None:
    embeddings.save_many(store, "a", {1: b"aaaa", 2: b"aaab"})
    embeddings.save_many(store, "b", {1: b"bb"})
    assert embeddings.load_many(store, "a", [1, 2]) == {1: b"aaaa", 2: b"aaab"}
    assert embeddings.load_many(store, "b", [1, 2]) == {1: b"bb"}
    assert embeddings.counts(store) == {"a": 2, "b": 1}
    assert (embeddings.dimensions(store, "a"), embeddings.dimensions(store, "b")) == (2, 1)
    assert embeddings.forget(store, "a") == 2
    assert embeddings.counts(store) == {"b": 1}
    assert embeddings.dimensions(store, "a") is None
    assert embeddings.forget(store, "a") == 0


def test_a_vector_that_is_known_stays(store: Store) -> None:
    embeddings.save_many(store, "m", {1: b"1111"})
    with open_store(store.path) as other:
        embeddings.save_many(other, "m", {1: b"9999", 2: b"2222"})
    assert embeddings.load_many(store, "m", [1, 2]) == {1: b"1111", 2: b"2222"}


def test_vectors_of_another_length_are_refused_whole(store: Store) -> None:
    embeddings.save_many(store, "m", {1: b"1111"})
    with pytest.raises(ConflictError, match="not 2 numbers"):
        embeddings.save_many(store, "m", {2: b"2222", 3: b"333333"})
    with pytest.raises(ConflictError):
        embeddings.save_many(store, "new", {2: b"2222", 3: b"333333"})
    assert embeddings.counts(store) == {"m": 1}


def test_nothing_to_keep_makes_no_model(store: Store) -> None:
    embeddings.save_many(store, "m", {})
    assert embeddings.counts(store) == {}
