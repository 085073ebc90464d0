"""Giving a version to Ollama under its own name.

What was made there counts only once it was checked (`core.release.ollama_checks`); the store then remembers it with
the digest of its manifest, so that a version that is still as it was is not given a second time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from core.backends.backend import Message
from core.backends.ollama_api import OllamaApi
from core.backends.ollama_era import Era, era_of
from core.categories import load_categories
from core.config import Config
from core.errors import BackendError, ExportError, FinetuneError, ProofError
from core.paths import Home
from core.prove.evaluate import messages_of
from core.release.files import gguf_path, serving_kind, version_problem
from core.release.go_template import derive
from core.release.local_model import Local, LocalModel
from core.release.ollama_checks import Check, Checks, Wanted
from core.release.ollama_names import UNCHECKED_TAG, Ownership, copy_name, name_in_ollama
from core.release.ollama_sent import mark_of, parameters_of, system_prompt_of
from core.release.ollama_turns import turn
from core.release.ollama_unpublish import unpublish
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


class Publisher:
    """Gives versions to one Ollama server; see `publish`."""

    def __init__(self, store: Store, home: Home, config: Config, api: OllamaApi, *, using: Help = NO_HELP) -> None:
        self._store = store
        self._home = home
        self._config = config
        self._api = api
        self._using = using
        self._owner = Ownership(store, home, api)
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
        same = sent == mark_of(self._config, version, system_prompt_of(self._home, version))
        return row if same and self._api.digest_of(row.name) == row.digest else None

    def publish(self, version: VersionRow) -> DeploymentRow:
        """Gives a version to the server, unless it stands there already."""
        row = self.standing(version)
        if row is not None:
            return row
        note = self._using.note
        told = f"Another process gives a version to Ollama; {version.name} waits for its turn."
        with turn(self._home, "giving", waiting=lambda: note(told), check=self._check_cancelled):
            return self._publish(version)

    def _publish(self, version: VersionRow) -> DeploymentRow:
        """In this process's turn."""
        row = self.standing(version)  # somebody may have been faster
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

    def claim(self, name: str) -> None:
        """Raises ExportError where the server holds something under a name that did not come from here."""
        self._owner.require(name)

    def _check_cancelled(self) -> None:
        if self._using.cancelled is not None and self._using.cancelled():
            raise ExportError("Giving a version to Ollama was stopped.", hint="Nothing was changed.")

    def _embedded(self) -> LlamaCppBackend:
        from core.backends.llamacpp import LlamaCppBackend

        return LlamaCppBackend(num_ctx=self._config.publish.num_ctx, log=self._home.logs / "llamacpp.txt")

    def _give(self, version: VersionRow, path: Path, local: Local) -> DeploymentRow:
        """Makes the model aside and lets the version's name mean it once every check has passed: what answers under the
        name meanwhile, as it was given with older settings, goes on answering, and stays where a check fails."""
        api, name = self._api, name_in_ollama(version.name)
        making = name + UNCHECKED_TAG
        for each in (name, making):
            self._owner.require(each)
        before = deployments.get(self._store, version.id, api.url)
        # Known from here on, so that what a kill leaves there is recognised and cleaned up.
        begun = self._keep(version, name, "", (), str(version.gguf[serving_kind(version)]["sha256"]))
        try:
            checks, file_sha256 = self._make(version, making, path, local)
            digest = api.digest_of(making)
            if digest is None:
                raise _refused(version, Check("name", False, "Ollama does not list it"))
            copy_name(api, making, name, digest)
            row = self._keep(version, name, digest, checks, file_sha256)
        except BaseException:
            with suppress(FinetuneError):  # where Ollama is gone, what was begun stays known
                api.unload(making)
                api.delete(making)
                self._forget(begun, before)
            raise
        with suppress(BackendError):  # it is the same model under a second name
            api.delete(making)
        return row

    def _forget(self, begun: DeploymentRow, before: DeploymentRow | None) -> None:
        """Keeps what the server holds under the name after a giving that failed."""
        held = self._api.digest_of(begun.name)
        if before is not None and held == before.digest:
            kept = {field.name: getattr(before, field.name) for field in fields(before)}
            now = kept.pop("published_at")
            deployments.put(self._store, **{key: kept[key] for key in kept if key != "id"}, now=now)
        elif held is None:
            deployments.remove(self._store, begun.version_id, begun.server)

    def _make(self, version: VersionRow, making: str, path: Path, local: Local) -> tuple[list[dict[str, Any]], str]:
        """Makes a model of the version's file and looks at it; the checks, and the SHA-256 of the server's file."""
        kind, api, note = serving_kind(version), self._api, self._using.note
        file, system = version.gguf[kind], system_prompt_of(self._home, version)
        go = derive(local.render, source=local.template, bos=local.bos) if self.era.renders == "go" else None
        parameters = parameters_of(self._config.publish)
        wanted = Wanted(str(file["sha256"]), parameters, system, local.template if go is None else go.text)
        note(f"Giving {version.name} to Ollama {self.era.version} ({int(file['bytes']) / 1e6:,.1f} MB).")
        if self.era.note:
            note(self.era.note)
        api.upload(path, wanted.file_sha256, progress=self._using.progress, cancelled=self._using.cancelled)
        api.create(
            making,
            files={path.name: wanted.file_sha256},
            parameters=parameters,
            system=system,
            template=None if go is None else go.text,
        )
        note(f"Checking what Ollama makes of {version.name}.")
        looking = Checks(
            api,
            self.era,
            making,
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
        checks.append(asdict(Check(_SENT, True, mark_of(self._config, version, system))))
        return checks, looking.file_sha256

    def _keep(
        self, version: VersionRow, name: str, digest: str, checks: Sequence[Mapping[str, Any]], file_sha256: str
    ) -> DeploymentRow:
        return deployments.put(
            self._store,
            version_id=version.id,
            server=self._api.url,
            name=name,
            digest=digest,
            file_sha256=file_sha256,
            mode=self.era.renders,
            server_version=self.era.version,
            checks=checks,
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
                self._publish(version)
            except FinetuneError as error:
                self._using.note(f"{version.name} could not be given to Ollama again: {error.message}")
                unpublish(self._store, self._home, version, self._api)

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


def _refused(version: VersionRow, check: Check) -> ExportError:
    return ExportError(
        f"What Ollama made of {version.name} is not that version. {check.name}: {check.detail}.",
        title=f"{version.name} does not hold in Ollama",
        hint='Nothing was changed. Update Ollama, or serve without it: backend = "embedded" in [serve].',
    )
