"""Base models made of GGUF files: each once, and only after it was proved to be the model that llama.cpp runs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.backends.child_process import command, environment, log_tail
from core.errors import ModelError
from core.paths import Home, sha256_of, write_whole
from core.train.launch import process_started
from storage.files import flush

SOURCE: Final = "source.json"
LOG: Final = "gguf-base.txt"
_DIGEST_IN_NAME: Final = 8
_STAGED: Final = re.compile(r"\..+\.([0-9]+)-[0-9a-f]{8}\.new")

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MadeBase:
    """A folder that was made of a GGUF file and proved. `source` is the content of its source.json."""

    folder: Path
    source: Mapping[str, Any]

    @property
    def origin(self) -> str:
        """What the user named: `ollama:NAME`, or the file's path."""
        return str(self.source.get("origin", ""))


def gguf_base(
    path: Path,
    name: str,
    home: Home,
    *,
    note: Note = lambda _: None,
    chat_template: str | None = None,
    origin: str | None = None,
) -> Path:
    """The model folder of a GGUF file, under `models/base/` in the home folder; made and proved when it is not there.

    It is called `name`, or `name-<start of the file's SHA-256>` where another model has that name: versions may rest on
    the older one, so nothing is replaced. A file that only moved or was touched is known by its SHA-256.
    `chat_template` stands in where the file has none; `origin` is kept beside the path (default: the path).
    Making it takes minutes and 2 bytes of disk for each weight; it happens in a child process that ends with this one.
    `note` is told how far it is. Raises ModelError with the reason where it cannot be made, or a check of the proof
    failed.
    """
    path, origin = path.absolute(), origin or str(path.absolute())
    try:
        if known := known_base(path, home):
            return known
        mark = _mark(path)
        note(f"Reading {path}.")
        digest = sha256_of(path)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}.", hint="Check the path and its permissions."
        ) from error
    source = {"origin": origin, "path": str(path), **mark, "sha256": digest}
    for made in made_bases(home):
        if made.source.get("sha256") == digest:
            _write_source(made.folder, {**made.source, **source})
            return made.folder
    return _make(name, home, source, chat_template, note)


def known_base(path: Path, home: Home) -> Path | None:
    """The folder made of a file, told by its path, size and time alone; None while there is none. Raises OSError."""
    mark = {"path": str(path.absolute()), **_mark(path)}
    found = (made for made in made_bases(home) if all(made.source.get(key) == mark[key] for key in mark))
    return next((made.folder for made in found), None)


def made_bases(home: Home) -> list[MadeBase]:
    """Every folder that was made of a GGUF file, the newest first."""
    folders = [path for path in (home.models / "base").glob("*") if not path.name.startswith(".")]
    found = [MadeBase(path, source) for path in folders if (source := _read_source(path))]
    return sorted(found, key=lambda made: (-float(made.source.get("made_at", 0)), made.folder.name))


def made_of(origin: str, home: Home) -> MadeBase | None:
    """The newest folder made of what the user calls `origin`; its source is neither looked for nor compared."""
    return next((made for made in made_bases(home) if made.origin == origin), None)


def _mark(path: Path) -> dict[str, int]:
    stat = path.stat()
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _make(name: str, home: Home, source: Mapping[str, Any], chat_template: str | None, note: Note) -> Path:
    path = Path(source["path"])
    parent = home.models / "base"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        home.logs.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(parent)
        staged = parent / f".{name}.{os.getpid()}-{secrets.token_hex(4)}.new"
        try:
            outcome = _run_child(
                {"path": str(path), "folder": str(staged), "chat_template": chat_template}, home.logs / LOG, note
            )
            _require_proved(path, outcome["proof"])
            if _mark(path) != {key: source[key] for key in ("bytes", "mtime_ns")}:
                raise ModelError(f"{path} was changed while it was read.", hint="Try again when nothing writes to it.")
            _write_source(staged, {**source, **outcome, "made_at": time.time()})
            return _put(staged, parent, name, str(source["sha256"]))
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except OSError as error:
        raise ModelError(
            f"The base model {name} cannot be written: {error.strerror or error}.",
            hint="Check the free space and the permissions of the home folder.",
        ) from error


def _put(staged: Path, parent: Path, name: str, digest: str) -> Path:
    for target in (parent / name, parent / f"{name}-{digest[:_DIGEST_IN_NAME]}"):
        with contextlib.suppress(OSError):  # the name is taken
            if not target.exists():
                staged.rename(target)
                flush(parent)
                return target
        if _read_source(target).get("sha256") == digest:  # another process was first
            return target
    raise ModelError(
        f"{parent / name} is taken by another model.", hint="Move that folder away, or rename the GGUF file."
    )


def _require_proved(path: Path, proof: list[Mapping[str, Any]]) -> None:
    failed = [check for check in proof if not check["passed"]]
    if failed or not proof:
        first = failed[0] if failed else {"name": "proof", "detail": "nothing was checked"}
        names = ", ".join(str(check["name"]) for check in failed)
        raise ModelError(
            f"{path} was read, but what came of it does not behave like the file itself under llama.cpp "
            f"({names}): {first['detail']}.",
            title="The model file is not proved",
            hint="Train on the model's own folder instead (`finetune-tui models --download`), or choose another file.",
        )


def _read_source(folder: Path) -> dict[str, Any]:
    """The content of source.json; empty where there is none, or a damaged one."""
    try:
        source = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return source if isinstance(source, dict) else {}


def _write_source(folder: Path, source: Mapping[str, Any]) -> None:
    write_whole(folder / SOURCE, json.dumps(source, indent=1))


def _clear_abandoned(parent: Path) -> None:
    """Removes what processes that are gone were making."""
    for folder in parent.glob(".*.new"):
        match = _STAGED.fullmatch(folder.name)
        if match is not None and process_started(int(match[1])) is None:
            shutil.rmtree(folder, ignore_errors=True)
            for partial in parent.glob(f".{folder.name}.*.partial"):
                shutil.rmtree(partial, ignore_errors=True)


def _run_child(task: Mapping[str, Any], log: Path, note: Note) -> dict[str, Any]:
    """What the child says at its end. Raises ModelError with the child's own words, or its last ones."""
    with log.open("wb") as stderr:
        child = subprocess.Popen(
            command("core.train.gguf_base_child"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={
                **environment(),
                "HF_HUB_OFFLINE": "1",
                "TRANSFORMERS_OFFLINE": "1",
                "TOKENIZERS_PARALLELISM": "false",
            },
            start_new_session=True,
        )
    try:
        for message in _messages(child, task):
            if "note" in message:
                note(str(message["note"]))
            elif "error" in message:
                error = message["error"]
                raise ModelError(error["message"], title=error["title"], hint=error["hint"])
            else:
                return dict(message["done"])
    finally:
        child.kill()
        code = child.wait()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
    raise ModelError(
        f"The process that takes {task['path']} apart ended with status {code}. It last said:\n{log_tail(log)}",
        hint=f"The whole story is in {log}. If memory ran out, close other programs and try again.",
    )


def _messages(child: subprocess.Popen[bytes], task: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    assert child.stdin is not None and child.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it died at once; its log says why
        child.stdin.write(json.dumps(task).encode() + b"\n")
        child.stdin.flush()
    for line in child.stdout:
        yield json.loads(line)
