"""What a proof feeds to two tokenizers and two chat templates to find out whether they are alike."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import Any

from core.backends.backend import Message
from core.release.vocabulary.prefix import FIRST_ONLY
from core.release.vocabulary.splitting import NFC, steps_of

_WORDS = (
    "", " ", "a", "Hello", "Hello world", " Hello world", "hello  world", "HELLO WORLD", "The quick brown fox.",
    "antidisestablishmentarianism", "naïve café", "Straße", "ÅNGSTRÖM", "łódź", "İstanbul", "ﬁne ﬂow",
)  # fmt: skip
_DIGITS = (
    "0", "7", "42", "123", "1234", "12345", "1234567890", "3.14159", "-17", "1,000,000.00", "0x1F4A9", "1e-9",
    "2024-02-30", "v1.2.3", "50%", "$99.99", "a1b2c3", "007", "1/2", "½ ² Ⅷ ٣ 四",
)  # fmt: skip
_CONTRACTIONS = (
    "don't", "DON'T", "I'm", "I'M", "we've they'll you'd she's it're", "WE'VE THEY'LL YOU'D", "'s 't 're",
    "o'clock", "rock 'n' roll", "’s ’t ’re", "don’t", "l'été", "x'y'z", "''", "'", "'''quoted'''",
)  # fmt: skip
_SPACES = (
    "  ", "   ", "    ", "\t", "\t\t", "\n", "\n\n", "\n\n\n", "\r\n", "\r", " \n", "\n ", " \n \n ", "a\n\nb",
    "a \n b", "a\t b", "  leading", "trailing  ", "a    b     c", "\u00a0", "a\u00a0b", "\u2003em", "\u3000",
    "\u200bzero", "x\u2028y", "\x0b\x0c", "tab\tin\tline", "    indented\n        twice\n", "line\r\nline\r\n",
    "end \n", " " * 16, "x" + " " * 31 + "y", " " * 70, "\n" * 10, "\t" * 9, " \t \t ", "a \u00a0 b",
)  # fmt: skip
_CODE = (
    "def f(x):\n    return x + 1\n", "for (int i = 0; i < 10; ++i) { a[i] *= 2; }",
    "SELECT * FROM t WHERE id = 7;", '{"name": "Ada", "age": 36, "tags": ["a", "b"]}',
    "<div class='x'>&nbsp;</div>", "https://example.org/a?b=c&d=%20#e",
    "erDiagram\n    CUSTOMER ||--o{ ORDER : places\n    ORDER {\n        int id PK\n        string status\n    }\n",
    "```mermaid\nerDiagram\n  A }|..|{ B : has\n```", "graph TD; A-->B; B-->|yes|C",
    "a->b; a::b; a.b; a?.b; a!=b; a===b", "#!/bin/sh\necho \"$HOME\" | sed 's/x/y/g'",
    "CamelCaseName snake_case_name kebab-case-name", "C:\\Users\\name\\file.txt", "\\n is not a newline",
    "user@example.org", "--flag=value -x", "x = y # comment", "/* c */ // d", "(((())))", "[[[]]]{{{}}}",
)  # fmt: skip
_SCRIPTS = (
    "你好，世界", "こんにちは世界", "カタカナ", "안녕하세요 세계", "Привет, мир", "Γειά σου Κόσμε", "שלום עולם",
    "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "Xin chào thế giới", "ᚠᚢᚦᚨᚱᚲ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "中文English混合123", "漢字かな交じり文。", "１２３ＡＢＣ",
)  # fmt: skip
_SYMBOLS = (
    "😀", "😀😀😀", "👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "👍🏽", "a😀b", "→ ← ↔ ⇒", "∑∫√∞≠≤≥", "€ £ ¥ ¢", "— – … « » „ “ ”",
    "•◦▪", "©®™", "!!!", "???", "...", ". . .", "?!?!", "-----", "=====", "*****", "#####", "~~~", "^^^", "|||",
    "@@@", "&&&", "a_b_c", "a--b", "“quoted”", "e\u0301 (two code points)", "é (one code point)", "A\u030a",
    "▁", "a▁b", "▁▁ ▁", "<0x0A>", "<0xe2>", "Ġ", "[PAD0]", "aaaaaaaaaaa", "hahahahaha", "=-=-=-=-=-=",
    "\ufeffmark", "\u202eright to left", "\x00null", "\x1b[31mred", "\x7f", "\ud7ff", "\ufffd", "\U0010ffff",
)  # fmt: skip


def parity_texts(special_tokens: Iterable[str]) -> list[str]:
    """About 200 texts on which tokenizers that are not the same tend to differ, every special token among them."""
    texts = [*_WORDS, *_DIGITS, *_CONTRACTIONS, *_SPACES, *_CODE, *_SCRIPTS, *_SYMBOLS]
    for token in special_tokens:
        texts += [token, f"a{token}b", f"a {token} b", f"{token}{token}", f"{token}\n{token[:-1]}"]
    texts += [" ".join(_DIGITS), " ".join(_CONTRACTIONS), "\n".join(_CODE), "".join(_SCRIPTS), "".join(_SYMBOLS)]
    return texts


def comparable(texts: Iterable[str], tokenizer: Any) -> list[str]:
    """The texts on which llama.cpp can be held to a tokenizer of Hugging Face (a fast one).

    llama.cpp does not fold text into the form NFC: where the tokenizer does, texts in another form are left out. It
    cannot put a space before the first word of a text only: where the tokenizer does, every text begins with the token
    that chats begin with.
    """
    backend = tokenizer.backend_tokenizer
    texts = list(texts)
    if NFC in _steps(backend.normalizer):
        texts = [text for text in texts if unicodedata.is_normalized("NFC", text)]
    if _steps(backend.pre_tokenizer) == FIRST_ONLY and tokenizer.bos_token:
        texts = [text if text.startswith(tokenizer.bos_token) else tokenizer.bos_token + text for text in texts]
    return texts


def _steps(part: Any) -> tuple[tuple[object, ...], ...]:
    return () if part is None else steps_of(json.loads(part.__getstate__()))


def chat_shapes() -> list[tuple[tuple[Message, ...], bool]]:
    """Conversations of the shapes that templates treat differently, each with whether the answer is to follow."""
    ask, rules = Message("user", "Draw a diagram."), Message("system", "Be brief.")
    reply = Message("assistant", "erDiagram\n  A")
    return [
        ((ask,), True),
        ((ask,), False),
        ((rules, ask), True),
        ((rules, ask, reply), False),
        ((ask, reply, Message("user", "Now with keys.")), True),
        ((rules, ask, reply, ask, reply, ask), True),
        ((Message("system", ""), ask), True),
        ((Message("user", ""),), True),
        ((Message("user", "  spaces around \n"),), True),
        ((Message("user", "多言語 😀 ñ"),), True),
        ((Message("user", "{{ 7 * 7 }} {% raw %} <b>&amp;</b> 'quotes' \"both\""),), True),
        ((ask, ask), True),
        ((ask, reply), True),
        ((Message("tool", "42"), ask), True),
    ]
