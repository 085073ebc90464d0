"""Writes `pii_corpus.jsonl`: `python tests/core/capture/make_pii_corpus.py`. Seeded, so it never changes.

The sentences are written by hand in the three text files beside it; only keys, cards, IBANs and wallet addresses,
which have to carry a right checksum, are made here. In the output the first character of every key is written as a
JSON escape, so that no secret scanner takes these invented ones for real.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
MARK: Final = re.compile(r"⟦(\w+)\|(.*?)⟧", re.S)
SEED: Final = 20
ALNUM: Final = string.ascii_letters + string.digits
URL_SAFE: Final = ALNUM + "-_"
BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

chance = random.Random(SEED)


def some(alphabet: str, length: int) -> str:
    """Random characters with a digit and a letter among the last ones."""
    body = "".join(chance.choice(alphabet) for _ in range(length - 2))
    letters = [char for char in alphabet if char.isalpha()] or [alphabet[0]]
    digits = [char for char in alphabet if char.isdigit()] or [alphabet[0]]
    return body + chance.choice(digits) + chance.choice(letters)


def hexa(length: int) -> str:
    return some("0123456789abcdef", length)


def base64_of(length: int) -> str:
    return base64.b64encode(chance.randbytes(length)).decode()


def url_base64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def card() -> str:
    prefix, length = chance.choice(
        [("4", 16), ("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("3530", 16),
         ("36", 14), ("62", 16), ("2204", 16), ("65", 16)]
    )  # fmt: skip
    digits = prefix + "".join(chance.choice(string.digits) for _ in range(length - len(prefix) - 1))
    total = sum(int(d) if i % 2 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(reversed(digits)))
    digits += str(-total % 10)
    gap = chance.choice(["", " ", "-", " "])
    sizes = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[length]
    parts = []
    for size in sizes:
        parts.append(digits[:size])
        digits = digits[size:]
    return gap.join(parts)


def iban() -> str:
    country, form = chance.choice(
        [("DE", "n" * 18), ("GB", "aaaa" + "n" * 14), ("FR", "n" * 10 + "c" * 11 + "nn"), ("NL", "aaaa" + "n" * 10),
         ("ES", "n" * 20), ("IT", "a" + "n" * 10 + "c" * 12), ("CH", "n" * 5 + "c" * 12), ("AT", "n" * 16),
         ("BE", "n" * 12), ("PL", "n" * 24), ("NO", "n" * 11), ("SE", "n" * 20), ("MT", "aaaa" + "n" * 5 + "c" * 18)]
    )  # fmt: skip
    kinds = {"n": string.digits, "a": string.ascii_uppercase, "c": string.ascii_uppercase + string.digits}
    body = "".join(chance.choice(kinds[each]) for each in form)
    check = 98 - int("".join(str(int(char, 36)) for char in f"{body}{country}00")) % 97
    plain = f"{country}{check:02d}{body}"
    if chance.random() < 0.5:
        return plain
    return " ".join(plain[start : start + 4] for start in range(0, len(plain), 4))


def base58check(version: int) -> str:
    data = bytes([version]) + chance.randbytes(20)
    return base58(data + hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4])


def base58(data: bytes) -> str:
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = BASE58[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def bech32() -> str:
    """BIP 173 and BIP 350: version 0 with constant 1, version 1 with 0x2bc830a3."""
    version, constant, size = chance.choice([(0, 1, 32), (0, 1, 52), (1, 0x2BC830A3, 52)])
    data = [version] + [chance.randrange(32) for _ in range(size - 1)] + [chance.randrange(2) * 16]
    values = [ord(char) >> 5 for char in "bc"] + [0] + [ord(char) & 31 for char in "bc"] + data + [0] * 6
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    check ^= constant
    return "bc1" + "".join(BECH32[each] for each in data + [check >> 5 * (5 - i) & 31 for i in range(6)])


# The examples published in EIP-55, and one in small letters.
_CHECKSUMMED: Final = iter(
    ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
     "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
     "0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
     "0xde709f2102306220921060314715629080e2fb77"]
)  # fmt: skip


def pem() -> str:
    name = chance.choice(
        ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY", "PGP PRIVATE KEY BLOCK",
         "ENCRYPTED PRIVATE KEY"]
    )  # fmt: skip
    text = base64_of(chance.randrange(120, 400))
    head = "\nVersion: GnuPG v2\n" if name.startswith("PGP") else ""
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    whole = f"-----BEGIN {name}-----\n{head}{lines}\n-----END {name}-----"
    return whole.replace("\n", "\\n") if chance.random() < 0.3 else whole


VALUES: Final[dict[str, Callable[[], str]]] = {
    "openai": lambda: "sk-" + some(ALNUM, 48),
    "openai_project": lambda: "sk-proj-" + some(URL_SAFE, 100),
    "anthropic": lambda: "sk-ant-api03-" + some(URL_SAFE, 93) + "AA",
    "github": lambda: f"gh{chance.choice('posur')}_" + some(ALNUM, 36),
    "github_fine": lambda: "github_pat_" + some(ALNUM, 22) + "_" + some(ALNUM, 59),
    "gitlab": lambda: "glpat-" + some(URL_SAFE, 20),
    "aws_id": lambda: chance.choice(["AKIA", "ASIA"]) + some(string.ascii_uppercase + "234567", 16),
    "aws_secret": lambda: some(ALNUM + "/+", 40),
    "google": lambda: "AIza" + some(URL_SAFE, 35),
    "slack": lambda: f"xox{chance.choice('bpa')}-{chance.randrange(10**11, 10**12)}-{some(ALNUM, 24)}",
    "stripe": lambda: f"{chance.choice(['sk', 'rk', 'pk'])}_{chance.choice(['live', 'test'])}_{some(ALNUM, 24)}",
    "hf": lambda: "hf_" + some(ALNUM, 34),
    "npm": lambda: "npm_" + some(ALNUM, 36),
    "pypi": lambda: "pypi-AgEIcHlwaS5vcmc" + some(URL_SAFE, 80),
    "sendgrid": lambda: f"SG.{some(URL_SAFE, 22)}.{some(URL_SAFE, 43)}",
    "twilio": lambda: "SK" + hexa(32),
    "telegram": lambda: f"{chance.randrange(10**8, 10**10)}:AA{some(URL_SAFE, 33)}",
    "discord": lambda: f"M{some(ALNUM, 23)}.{some(URL_SAFE, 6)}.{some(URL_SAFE, 27)}",
    "jwt": lambda: ".".join(
        [
            url_base64({"alg": "HS256", "typ": "JWT"}),
            url_base64({"sub": hexa(8), "iat": 17}),
            url_base64(chance.randbytes(32)),
        ]
    ),
    "oauth_google": lambda: "GOCSPX-" + some(URL_SAFE, 28),
    "groq": lambda: "gsk_" + some(ALNUM, 52),
    "azure_ad": lambda: f"{some(ALNUM, 3)}8Q~{some(URL_SAFE, 34)}",
    "digitalocean": lambda: "dop_v1_" + hexa(64),
    "databricks": lambda: "dapi" + hexa(32),
    "vault": lambda: "hvs." + some(URL_SAFE, 90),
    "shopify": lambda: "shpat_" + hexa(32),
    "slack_hook": lambda: (
        f"T{some(string.ascii_uppercase + string.digits, 8)}/"
        f"B{some(string.ascii_uppercase + string.digits, 10)}/{some(ALNUM, 24)}"
    ),
    "discord_hook": lambda: f"{chance.randrange(10**17, 10**18)}/{some(URL_SAFE, 68)}",
    "azure_storage": lambda: base64_of(64),
    "base64_44": lambda: base64_of(32),
    "sas": lambda: base64_of(32).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
    "hex32": lambda: hexa(32),
    "hex40": lambda: hexa(40),
    "hex64": lambda: hexa(64),
    "base62": lambda: some(ALNUM, chance.randrange(24, 44)),
    "card": card,
    "iban": iban,
    "pem": pem,
    "btc_legacy": lambda: base58check(0),
    "btc_script": lambda: base58check(5),
    "litecoin": lambda: base58check(48),
    "tron": lambda: base58check(65),
    "doge": lambda: base58check(30),
    "bech32": bech32,
    "eth_lower": lambda: "0x" + hexa(40),
    "eth_checksum": lambda: next(_CHECKSUMMED),
    "solana": lambda: base58(b"\x80" + chance.randbytes(31)),
}


def value_of(text: str) -> str:
    return VALUES[text[1:]]() if text.startswith("$") and text[1:] in VALUES else text


def rows_from_values() -> list[tuple[str, str]]:
    """(text with marks, set): the values of each kind in its carriers in turn; every third carrier is held out."""
    made = []
    for section in (HERE / "pii_positives.txt").read_text(encoding="utf-8").split("## ")[1:]:
        kind = section.split("\n", 1)[0]
        parts = re.split(r"^= (carriers|values).*\n", section.split("\n", 1)[1], flags=re.M)[1:]
        for at in range(0, len(parts), 4):
            carriers = [line for line in parts[at + 1].split("\n") if line]
            values = [value for line in parts[at + 3].split("\n") if line for value in repeated(line)]
            groups = {"held_out": carriers[2::3], "tuning": [c for i, c in enumerate(carriers) if i % 3 != 2]}
            for index, value in enumerate(values):
                name = "held_out" if index % 3 == 1 else "tuning"
                carrier = groups[name][index // 3 * (1 if name == "held_out" else 2) % len(groups[name])]
                made.append((carrier.replace("\\n", "\n").replace("{}", f"⟦{kind}|{value}⟧"), name))
    return made


def repeated(line: str) -> list[str]:
    name, _, count = line.rpartition(" x")
    return [value_of(name) for _ in range(int(count))] if name.startswith("$") else [line]


def rows_from_sentences(name: str) -> list[tuple[str, str]]:
    lines = [
        line.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\")
        for line in (HERE / name).read_text(encoding="utf-8").split("\n")
        if line and not re.match(r"# [a-zA-Z ,]+$|# \w.*;|# One text", line)
    ]
    return [
        (MARK.sub(lambda match: f"⟦{match[1]}|{value_of(match[2])}⟧", line), "held_out" if index % 3 == 1 else "tuning")
        for index, line in enumerate(lines)
    ]


def labelled(marked: str, name: str) -> dict[str, Any]:
    text, spans, at = "", [], 0
    for match in MARK.finditer(marked):
        text += marked[at : match.start()]
        spans.append([len(text), len(text) + len(match[2]), match[1]])
        text += match[2]
        at = match.end()
    return {"text": text + marked[at:], "spans": spans, "set": name}


def line_of(row: dict[str, Any]) -> str:
    """One JSON line in which the first character of each secret is an escape."""
    text, pieces, at = row["text"], [], 0
    for start, end, kind in row["spans"]:
        if kind in ("api_key", "private_key"):
            first = start + (5 if text.startswith("-----", start) else 0)
            pieces += [json.dumps(text[at:first], ensure_ascii=False)[1:-1], f"\\u{ord(text[first]):04x}"]
            at = first + 1
        assert end > start
    pieces.append(json.dumps(text[at:], ensure_ascii=False)[1:-1])
    rest = json.dumps({"spans": row["spans"], "set": row["set"]})
    return f'{{"text": "{"".join(pieces)}", {rest[1:]}'


def main() -> None:
    marked = rows_from_values() + rows_from_sentences("pii_sentences.txt") + rows_from_sentences("pii_lookalikes.txt")
    lines = [line_of(labelled(text, name)) for text, name in marked]
    (HERE / "pii_corpus.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
