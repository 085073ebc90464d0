"""Giving a version to Ollama under its own name, and taking it away again.

What was made there counts only once it was checked (`core.release.ollama_checks`); the store then remembers it with
the digest of its manifest, so that a version that is still as it was is not given a second time.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from core.backends.backend import Message
from core.backends.ollama_api import OllamaApi
from core.backends.ollama_era import Era, era_of
from core.categories import load_categories
from core.config import Config, Publish
from core.errors import ExportError, FinetuneError, NotFoundError, ProofError
from core.paths import Home
from core.prove.evaluate import messages_of
from core.release.files import gguf_path, serving_kind, version_problem
from core.release.go_template import derive
from core.release.local_model import Local, LocalModel
from core.release.ollama_checks import Check, Checks, Wanted
from core.release.proof_bounds import BOUNDS
from core.select.held_out import held_out_events
from storage import deployments, versions
from storage.db import Store
from storage.deployments import DeploymentRow
from storage.rows import VersionRow

if TYPE_CHECKING:
    from core.backends.llamacpp import LlamaCppBackend

Note = Callable[[str], object]
Progress = Callable[[int, int], None]
ASKED: Final = 3
_SENT: Final = "sent"
_LONGEST_NAME: Final = 80


@dataclass(frozen=True, slots=True)
class Help:
    """What a publishing may use beside the store.

    progress: (bytes sent, bytes in all). cancelled: ends an upload. backend: an embedded llama.cpp that runs already;
    local: what stands for it, where a caller has something at hand for this very file.
    """

    note: Note = lambda _: None
    progress: Progress | None = None
    cancelled: Callable[[], bool] | None = None
    backend: LlamaCppBackend | None = None
    local: Local | None = None


NO_HELP: Final = Help()


def name_in_ollama(version_name: str) -> str:
    """The name under which Ollama knows a version: lower case, and nothing that it does not take in a name."""
    name = re.sub(r"[^a-z0-9_.-]", "-", version_name.lower()).lstrip(".-") or "version"
    if name == version_name.lower() and len(name) <= _LONGEST_NAME:
        return name
    mark = hashlib.blake2b(version_name.encode(), digest_size=4).hexdigest()
    return f"{name[: _LONGEST_NAME - len(mark) - 1]}-{mark}"


def parameters_of(publish: Publish) -> dict[str, Any]:
    """The sampling parameters that a model carries in Ollama; its own defaults differ between its versions."""
    parameters: dict[str, Any] = {
        "temperature": publish.temperature,
        "top_p": publish.top_p,
        "top_k": publish.top_k,
        "repeat_penalty": publish.repeat_penalty,
        "num_ctx": publish.num_ctx,
        "num_predict": publish.max_tokens,
    }
    return parameters | ({"stop": list(publish.stop)} if publish.stop else {})


class Publisher:
    """Gives versions to one Ollama server; see `publish`."""

    def __init__(self, store: Store, home: Home, config: Config, api: OllamaApi, *, using: Help = NO_HELP) -> None:
        self._store = store
        self._home = home
        self._config = config
        self._api = api
        self._using = using
        self._era: Era | None = None

    @property
    def era(self) -> Era:
        """The server's version, asked for once. Raises BackendError where nobody answers."""
        if self._era is None:
            self._era = era_of(self._api.version())
        return self._era

    def standing(self, version: VersionRow) -> DeploymentRow | None:
        """What the server holds of a version, if it is what this program would give to it today; cheap."""
        row = deployments.get(self._store, version.id, self._api.url)
        if row is None or not version.gguf or row.mode != self.era.renders:
            return None
        sent = next((check["detail"] for check in row.checks if check["name"] == _SENT), "")
        same = sent == _mark(self._config, version, _system_prompt(self._home, version))
        return row if same and self._api.digest_of(row.name) == row.digest else None

    def publish(self, version: VersionRow) -> DeploymentRow:
        """Gives a version to the server, unless it stands there already."""
        row = self.standing(version)
        if row is not None:
            return row
        if not self.era.knows_files:
            raise ExportError(
                f"Ollama {self.era.version} cannot be given a model file over its API.",
                title="Ollama is too old",
                hint='Update it to 0.5.5 or newer, or set backend = "embedded" in [serve].',
            )
        problem = version_problem(self._home, version, thorough=False)
        if problem is not None:
            raise ProofError(f"{problem}.", title=f"{version.name} cannot be given to Ollama")
        with ExitStack() as stack:
            path = gguf_path(self._home, version, serving_kind(version))
            backend = self._using.backend
            if backend is None and self._using.local is None:
                backend = stack.enter_context(self._embedded())
            local = self._using.local or LocalModel(cast("LlamaCppBackend", backend), path)
            row = self._give(version, path, local)
        self._give_again(row)
        return row

    def _embedded(self) -> LlamaCppBackend:
        from core.backends.llamacpp import LlamaCppBackend

        return LlamaCppBackend(num_ctx=self._config.publish.num_ctx, log=self._home.logs / "llamacpp.txt")

    def _give(self, version: VersionRow, path: Path, local: Local) -> DeploymentRow:
        kind, api, note = serving_kind(version), self._api, self._using.note
        file, system, name = version.gguf[kind], _system_prompt(self._home, version), name_in_ollama(version.name)
        go = derive(local.render, source=local.template, bos=local.bos) if self.era.renders == "go" else None
        parameters = parameters_of(self._config.publish)
        wanted = Wanted(str(file["sha256"]), parameters, system, local.template if go is None else go.text)
        note(f"Giving {version.name} to Ollama {self.era.version} ({int(file['bytes']) / 1e6:,.1f} MB).")
        if self.era.note:
            note(self.era.note)
        api.upload(path, wanted.file_sha256, progress=self._using.progress, cancelled=self._using.cancelled)
        try:
            api.create(
                name,
                files={path.name: wanted.file_sha256},
                parameters=parameters,
                system=system,
                template=None if go is None else go.text,
            )
            note(f"Checking what Ollama makes of {version.name}.")
            looking = Checks(
                api,
                self.era,
                name,
                wanted,
                local,
                go=go,
                prompts=self._prompts(version),
                near_tie=BOUNDS[kind].near_tie if kind in BOUNDS else 0.0,
                num_ctx=self._config.publish.num_ctx,
            )
            checks = []
            for check in looking.run():
                if not check.passed:
                    raise _refused(version, check)
                checks.append(asdict(check))
            held = api.digest_of(name)
            if held is None:
                raise _refused(version, Check("name", False, "Ollama does not list it"))
        except BaseException:
            # Half of a model under the name of a whole one is worse than none; where Ollama is gone, the next
            # publishing writes over it.
            with suppress(FinetuneError):
                api.delete(name)
            deployments.remove(self._store, version.id, api.url)
            raise
        return deployments.put(
            self._store,
            version_id=version.id,
            server=api.url,
            name=name,
            digest=held,
            file_sha256=looking.file_sha256,
            mode=self.era.renders,
            server_version=self.era.version,
            checks=[*checks, asdict(Check(_SENT, True, _mark(self._config, version, system)))],
            now=time.time(),
        )

    def _give_again(self, row: DeploymentRow) -> None:
        """Gives the server anew what it holds of the same file with another kind of template: it runs one process for a
        file, and the name that is asked first decides how that process writes the prompts of all."""
        for other in deployments.list_deployments(self._store, self._api.url):
            if other.file_sha256 != row.file_sha256 or other.mode == row.mode:
                continue
            version = versions.get(self._store, other.version_id)
            try:
                self._api.unload(other.name)
                self.publish(version)
            except FinetuneError as error:
                self._using.note(f"{version.name} could not be given to Ollama again: {error.message}")
                unpublish(self._store, version, self._api)

    def _prompts(self, version: VersionRow) -> list[list[Message]]:
        """Some held-out prompts of the version's category, as its models are asked them."""
        own = load_categories(self._home).get(version.category)
        if own is None:
            return []
        percent = self._config.select.held_out_percent
        asked = held_out_events(self._store, own.name, limit=ASKED, held_out_percent=percent)
        return [messages_of(event, own) for event in asked]


def publish(
    store: Store,
    home: Home,
    config: Config,
    version: VersionRow,
    api: OllamaApi,
    *,
    note: Note = lambda _: None,
    progress: Progress | None = None,
) -> DeploymentRow:
    """Gives a version to Ollama under its own name, and checks what has become of it; nothing where it stands already.

    Raises ProofError where its file is not the proved one, ExportError where it cannot be given faithfully or a check
    fails (nothing of that name is left in Ollama then), BackendError where Ollama refuses or is gone.
    """
    return Publisher(store, home, config, api, using=Help(note, progress)).publish(version)


def unpublish(store: Store, version: VersionRow, api: OllamaApi) -> bool:
    """Takes a version out of Ollama and forgets that it was there; whether Ollama held it. Raises BackendError."""
    row = deployments.get(store, version.id, api.url)
    name = row.name if row is not None else name_in_ollama(version.name)
    held = api.digest_of(name) is not None
    if held:
        api.unload(name)  # some systems cannot remove a file that is in memory
        held = api.delete(name)
    deployments.remove(store, version.id, api.url)
    return held


def _system_prompt(home: Home, version: VersionRow) -> str:
    """The category's system prompt; that which the version was made with where there is no such category any more."""
    own = load_categories(home).get(version.category)
    if own is not None:
        return own.system_prompt
    try:
        told = json.loads((home.resolve(version.folder) / "version.json").read_text("utf-8"))["system_prompt"]
    except (OSError, ValueError, KeyError, TypeError, NotFoundError):
        return ""
    return told if isinstance(told, str) else ""


def _mark(config: Config, version: VersionRow, system: str) -> str:
    """Tells whether a version would be given in the same way as it was."""
    file = version.gguf[serving_kind(version)]["sha256"]
    sent: Mapping[str, Any] = {"file": file, "system": system, "parameters": parameters_of(config.publish)}
    return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


def _refused(version: VersionRow, check: Check) -> ExportError:
    return ExportError(
        f"What Ollama made of {version.name} is not that version. {check.name}: {check.detail}.",
        title=f"{version.name} does not hold in Ollama",
        hint='Nothing was changed. Update Ollama, or serve without it: backend = "embedded" in [serve].',
    )
