"""Tiny tokenizers of every kind, GGUF files that hold nothing else, and llama.cpp reading those in a process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.release.proof_texts import parity_texts
from core.release.vocabulary import SPLITTERS, GgufTokenizer, read_tokenizer, write_tokenizer
from core.release.vocabulary.loading import load_tokenizer

CONTROL_TOKENS = ("<s>", "</s>", "<unk>", "<pad>", "<|user|>", "<|assistant|>", "<|end|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SENTENCEPIECE_KINDS = ("llama", "gemma", "mistral", "phi-3")
BYTE_LEVEL_KINDS = tuple(splitter.names[0] for splitter in SPLITTERS)
KINDS = (*BYTE_LEVEL_KINDS, *SENTENCEPIECE_KINDS)
MARK = "▁"


def special_tokens(kind: str) -> list[Any]:
    from tokenizers import AddedToken

    keeping = ("<unk>", "<s>", "<|endoftext|>") if kind == "phi-3" else (*CONTROL_TOKENS, "<|endoftext|>")
    return [
        AddedToken(token, normalized=False, special=True, rstrip=token not in keeping)
        for token in (*CONTROL_TOKENS, "<|endoftext|>")
    ]


def user_tokens(kind: str) -> list[Any]:
    from tokenizers import AddedToken

    return [
        AddedToken(token, normalized=False, special=False, rstrip=kind == "phi-3")
        for token in ("<tool_call>", "[TABLE]", "erDiagram\n")
    ]


def save_kind(folder: Path, kind: str) -> Any:
    """A tokenizer folder of a kind: one of llama.cpp's `pre` names, or of `SENTENCEPIECE_KINDS`."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = _sentencepiece(kind) if kind in SENTENCEPIECE_KINDS else _byte_level(kind)
    tokenizer.add_special_tokens(special_tokens(kind))
    tokenizer.add_tokens(user_tokens(kind))
    if kind in ("llama-bpe", "llama", "gemma", "mistral"):
        from tokenizers.processors import TemplateProcessing

        tokenizer.post_processor = TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>" if kind in SENTENCEPIECE_KINDS else None,
        chat_template=TEMPLATE,
    )
    fast.save_pretrained(folder)
    ends = [fast.convert_tokens_to_ids(token) for token in ("</s>", "<|end|>")]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    return fast


def read_kind(folder: Path, *, extra_rows: int = 3) -> GgufTokenizer:
    """The folder's tokenizer with a few rows of the embedding left over."""
    stored = json.loads((folder / "tokenizer.json").read_text())
    ids = [*stored["model"].get("vocab", {}).values(), *(token["id"] for token in stored["added_tokens"])]
    return read_tokenizer(folder, {}, max(ids) + 1 + extra_rows)


def save_vocabulary(tokenizer: GgufTokenizer, path: Path, name: str = "tiny", **fields: Any) -> Path:
    """A GGUF file with this tokenizer and no tensors; `fields` overwrite `tokenizer.ggml.*`, None leaves one out."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_context_length(512)
    tokenizer.add_to(writer)
    for field, value in fields.items():
        entry = writer.kv_data[0].pop(f"tokenizer.ggml.{field}")
        if value is not None:
            writer.add_key_value(f"tokenizer.ggml.{field}", value, entry.type, entry.sub_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def fields_of(path: Path) -> dict[str, Any]:
    """The key-values of a GGUF file as Python values."""
    import gguf

    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def rebuilt(fields: Mapping[str, Any], folder: Path) -> Any:
    """The tokenizer that Hugging Face loads from what `write_tokenizer` wrote."""
    folder.mkdir()
    write_tokenizer(fields, folder)
    return load_tokenizer(folder)


class Tiny:
    """A kind of tokenizer three times: as Hugging Face has it, as a file, and rebuilt from that file."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.folder = folder / "source"
        self.original = save_kind(self.folder, kind)
        self.read = read_kind(self.folder)
        self.file = save_vocabulary(self.read, folder / f"{kind}.gguf")
        self.rebuilt_folder = folder / "rebuilt"
        self.rebuilt = rebuilt(fields_of(self.file), self.rebuilt_folder)


class LlamaCpp:
    """llama.cpp reading the vocabularies of files, in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def tokenize(self, path: Path, texts: Iterable[str], *, add_special: bool = False) -> list[list[int]]:
        """The tokens of each text, special tokens parsed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"path": str(path), "texts": list(texts), "add_special": add_special}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        answer: list[list[int]] = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def _corpus(beyond: str = "") -> list[str]:
    """Texts to learn from, without the characters that come after `beyond`, so that some are in no token."""
    runs = ["\n".join(" " * n + "x = 1" for n in (1, 2, 4, 8)), "\n\n\n a\n\n b", "hello world " * 3]
    known = [t for t in (*parity_texts(()), *runs) if not beyond or all("\t" <= character < beyond for character in t)]
    return [*known, "你好，世界"] * 3


def _byte_level(kind: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from core.release.vocabulary.splitting import described

    splitter = next(splitter for splitter in SPLITTERS if kind in splitter.names)
    start = Tokenizer(models.BPE(ignore_merges=splitter.ignore_merges))
    stored = json.loads(start.to_str())
    stored["normalizer"] = described(splitter.normalizers, "normalizers")
    stored["pre_tokenizer"] = described(splitter.steps, "pretokenizers")
    stored["decoder"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = Tokenizer.from_str(json.dumps(stored))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_corpus(), trainer)
    trained = json.loads(tokenizer.to_str())
    del trained["model"]["merges"][-50:]  # these words are found whole or, where merges count, not at all
    trained["model"]["vocab"].setdefault("12", len(trained["model"]["vocab"]))
    trained["model"]["merges"].insert(0, ["1", "2"])  # which only counts where digits are not split
    return Tokenizer.from_str(json.dumps(trained))


def _sentencepiece(kind: str) -> Any:
    """Trained word by word, then given every merge that makes a token, as SentencePiece models are converted."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(split=True), pre_tokenizers.Split("\n", "isolated")]
    )
    trainer = trainers.BpeTrainer(vocab_size=900, show_progress=False)
    learner.train_from_iterator(_corpus("\u0900"), trainer)
    learned = [MARK * n for n in (2, 4, 8)] + [piece for piece, _ in sorted(learner.get_vocab().items(), key=_by_id)]
    pieces = list(dict.fromkeys(learned))
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*first, *pieces]))}
    merges = sorted(
        (
            (vocabulary[piece], -cut, (piece[:cut], piece[cut:]))
            for piece in pieces
            for cut in range(1, len(piece))
            if piece[:cut] in vocabulary and piece[cut:] in vocabulary
        ),
    )
    tokenizer = Tokenizer(
        models.BPE(vocabulary, [pair for *_, pair in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if kind == "mistral":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    elif kind == "gemma":
        tokenizer.normalizer = normalizers.Replace(" ", MARK)
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    return tokenizer


def _by_id(item: tuple[str, int]) -> int:
    return item[1]


def _serve() -> None:
    import llama_cpp.llama_cpp as native

    models: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["path"] not in models:
            parameters = native.llama_model_default_params()
            parameters.vocab_only = True
            models[request["path"]] = native.llama_model_load_from_file(request["path"].encode(), parameters)
        vocab = native.llama_model_get_vocab(models[request["path"]])
        answers = []
        for text in request["texts"]:
            data = text.encode()
            room = len(data) + 8
            tokens = (native.llama_token * room)()
            count = native.llama_tokenize(vocab, data, len(data), tokens, room, request["add_special"], True)
            answers.append(list(tokens[:count]))
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
