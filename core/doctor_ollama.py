"""Whether Ollama stands: does it answer, and does it agree with the store about what serves?"""

from __future__ import annotations

from collections.abc import Iterator

from core.backends import ollama_store
from core.backends.ollama_api import OllamaApi
from core.checks import Check
from core.config import Config, load_config
from core.errors import BackendError, FinetuneError
from core.paths import Home
from core.release.ollama_serving import Follower
from storage import aliases, deployments
from storage.db import open_store

OLLAMA_SECONDS = 0.5


def ollama_checks(home: Home) -> Iterator[Check]:
    """One line for the server, then one for each alias where versions are to be served there. Changes nothing."""
    try:
        config = load_config(home)
    except FinetuneError:  # the check of the configuration says why
        config = Config()
    with OllamaApi(config.serve.ollama or None, timeout=OLLAMA_SECONDS) as api:
        try:
            version = api.version()
        except BackendError:
            wanted = config.serve.backend == "ollama"
            told = f"does not answer at {api.url}"
            if wanted:
                yield Check("ollama", "problem", f"{told}, and [serve] wants it", "Start it: ollama serve")
            else:
                yield Check("ollama", "info", f"{told}; the embedded llama.cpp serves{_held(home)}")
            return
        yield Check("ollama", "info", f"{version[:40]} answers at {api.url}{_held(home)}")
    if config.serve.backend != "embedded" and home.store.exists():
        yield from _agreement(home, config)


def _agreement(home: Home, config: Config) -> Iterator[Check]:
    with open_store(home.store, create=False) as store, OllamaApi(config.serve.ollama or None) as api:
        follower = Follower(store, home, config, api)
        for alias in aliases.list_aliases(store):
            name = f"{alias.name} in Ollama"
            try:
                problem = follower.is_behind(alias)
            except FinetuneError as error:
                yield Check(name, "warning", error.message, error.hint)
                continue
            if problem is None:
                yield Check(name, "ok", "agrees with the store")
            else:
                yield Check(name, "warning", problem, "`finetune-tui doctor` makes it follow.", "ollama")


def _held(home: Home) -> str:
    """How many models are there to train from; what this program gave to Ollama is none of them."""
    given: set[str] = set()
    if home.store.exists():
        try:
            with open_store(home.store, create=False) as store:
                given = {row.name for row in deployments.list_deployments(store)}
                given |= {alias.name for alias in aliases.list_aliases(store)}
        except FinetuneError:  # the check of the store says why
            pass
    models = sum(model.name.removesuffix(":latest") not in given for model in ollama_store.held())
    return f"; it holds {_models(models)} to train from" if models else ""


def _models(count: int) -> str:
    """The number with its noun."""
    return f"{count} model{'' if count == 1 else 's'}"
