"""Addresses of wallets: taken only when their checksum holds, or, for Solana, which has none, when the text says so."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from core.capture.private.found import Found, long_words

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUE: Final = {char: value for value, char in enumerate(_BASE58)}
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_VALUE: Final = {char: value for value, char in enumerate(_BECH32)}
_BECH32_CONSTANTS: Final = (1, 0x2BC830A3)
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)

_CANDIDATE: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:(?P<eth>0x[0-9a-fA-F]{40})"
    r"|(?P<bech32>(?:bc|tb|ltc|addr|cosmos|osmo|BC|LTC)1[0-9a-zA-Z]{25,110})"
    r"|(?P<base58>[1-9A-HJ-NP-Za-km-z]{26,44}))(?![A-Za-z0-9])"
)
_SOLANA_SAID: Final = re.compile(r"\b(?:solana|sol|phantom|spl|wallet)\b", re.I)
_HASH_SAID: Final = re.compile(r"(?:sha-?1|commit|hash|digest)\W{0,4}$", re.I)
_CONTEXT_CHARS: Final = 60
# Above so many addresses with mixed case in one text, their checksum (slow in Python) is taken to hold.
_MOST_CHECKED: Final = 200


def addresses(text: str) -> Iterator[Found]:
    """Bitcoin, Litecoin, Dogecoin, Tron, Ethereum, Cardano, Cosmos and Solana addresses."""
    checked: dict[str, bool] = {}
    candidates = (match for start, end in long_words(text, 26) for match in _CANDIDATE.finditer(text, start, end))
    for match in candidates:
        value = match.group()
        before = text[max(0, match.start() - _CONTEXT_CHARS) : match.start()]
        if match.lastgroup == "eth":
            holds = _ethereum(value, checked) and not _HASH_SAID.search(before)
            value = value.lower()
        elif match.lastgroup == "bech32":
            holds = _bech32(value)
            value = value.lower()
        else:
            holds = _base58check(value) or (len(value) >= 43 and _solana(value, before))
        if holds:
            yield Found(match.start(), match.end(), "WALLET", value)


def _solana(value: str, before: str) -> bool:
    """An Ed25519 key of 32 bytes in base 58."""
    return _SOLANA_SAID.search(before) is not None and 249 <= _base58_number(value).bit_length() <= 256


def _base58_number(text: str) -> int:
    number = 0
    for char in text:
        number = number * 58 + _BASE58_VALUE[char]
    return number


def _base58check(text: str) -> bool:
    """Version byte, 20 bytes and, as the last four, the start of their double SHA-256."""
    if len(text) > 35:
        return False
    number = _base58_number(text)
    if number.bit_length() > 200:
        return False
    data = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


def _bech32(text: str) -> bool:
    """BIP 173 and BIP 350."""
    if text != text.lower() and text != text.upper():
        return False
    prefix, _, data = text.lower().partition("1")
    check = 1
    try:
        values = [_BECH32_VALUE[char] for char in data]
    except KeyError:
        return False
    for value in [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix] + values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                check ^= generator
    return check in _BECH32_CONSTANTS


def _ethereum(text: str, checked: dict[str, bool]) -> bool:
    """One letter case throughout, or the mixed case that EIP-55 asks for; the zero and burn addresses are nobody's."""
    digits = text[2:]
    if len(set(digits.lower()[:-4])) == 1:
        return False
    if digits in (digits.lower(), digits.upper()):
        return True
    if text not in checked:
        checked[text] = len(checked) >= _MOST_CHECKED or _eip55(digits)
    return checked[text]


def _eip55(digits: str) -> bool:
    nibbles = _keccak_256(digits.lower().encode("ascii")).hex()
    return all(
        not char.isalpha() or char.isupper() == (nibble >= "8")
        for char, nibble in zip(digits, nibbles[:40], strict=True)
    )


_MASK: Final = (1 << 64) - 1
_ROTATIONS: Final = (
    0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14
)  # fmt: skip


def _keccak_256(message: bytes) -> bytes:
    """Keccak with the padding from before FIPS 202 (which `hashlib` lacks), for messages of one block (< 136 bytes)."""
    block = bytearray(message.ljust(136, b"\0"))
    block[len(message)] ^= 0x01
    block[135] ^= 0x80
    lanes = [int.from_bytes(block[8 * i : 8 * i + 8], "little") for i in range(17)] + [0] * 8
    for constant in _round_constants():
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        mixed = [columns[x - 1] ^ _rotated(columns[(x + 1) % 5], 1) for x in range(5)]
        moved = [0] * 25
        for index, lane in enumerate(lanes):
            x, y = index % 5, index // 5
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = _rotated(lane ^ mixed[x], _ROTATIONS[index])
        lanes = [
            moved[i] ^ (~moved[i - i % 5 + (i + 1) % 5] & _MASK & moved[i - i % 5 + (i + 2) % 5]) for i in range(25)
        ]
        lanes[0] ^= constant
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _rotated(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & _MASK


def _round_constants() -> Iterator[int]:
    """FIPS 202, algorithm 5: bits of a linear feedback shift register at the positions 2^j - 1."""
    state = 1
    for _ in range(24):
        constant = 0
        for j in range(7):
            if state & 1:
                constant |= 1 << ((1 << j) - 1)
            state <<= 1
            if state & 0x100:
                state ^= 0x171
        yield constant
