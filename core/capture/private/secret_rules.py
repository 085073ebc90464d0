"""Keys, tokens and passwords: by the form that their issuer gives them, by the name they stand behind, or in a URL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from core.capture.private.found import Found, long_words

_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----)){0,20000}?"
    r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
)
# One line for each issuer. The lookbehind keeps a failed search from starting again inside the same run.
_FORMS: Final = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?P<sk>sk-[A-Za-z0-9_-]{16,250})"
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{16,200}|whsec_[A-Za-z0-9+/=]{24,100}"
    r"|gh[opsur]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255}"
    r"|gl(?:pat|dt|rt|ptt|soat)-[A-Za-z0-9_-]{18,200}"
    r"|A(?:KIA|SIA)[A-Z0-9]{16}"
    r"|AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{20,500}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-[A-Za-z0-9-]{20,250}"
    r"|hf_[A-Za-z0-9]{28,200}|npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{50,300}"
    r"|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}|(?:SK|AC)[0-9a-f]{32}|key-[0-9a-f]{32}"
    r"|[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"
    r"|[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}"
    r"|eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,2000}"
    r"|(?:gsk|xai|r8|nvapi|pplx|fw)[-_][A-Za-z0-9_-]{32,120}"
    r"|do[opr]_v1_[0-9a-f]{64}|dapi[0-9a-f]{32}(?:-[0-9])?|hv[sb]\.[A-Za-z0-9_-]{24,300}"
    r"|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|AGE-SECRET-KEY-1[0-9A-Z]{58}"
    r"|(?:lin_api|sntrys|sbp|nfp|ntn|dckr_pat|rubygems)_[A-Za-z0-9_=-]{30,250}"
    r"|[A-Za-z0-9_~.]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}"
    r")(?![A-Za-z0-9_-])"
)
_HOOKS: Final = re.compile(
    r"hooks\.slack\.com/(?:services|workflows)/(T[A-Za-z0-9/]{20,120})"
    r"|discord(?:app)?\.com/api/webhooks/([0-9]{15,21}/[A-Za-z0-9_-]{40,100})"
)

# How the names of secrets begin or, for keys, end. A text without any of these stems has no secret with a name.
_STEMS: Final = ("key", "token", "secret", "pass", "pwd", "kennwort", "contrase", "парол", "bearer ", "authorization")
NEEDED: Final = (*_STEMS, "sig=", "curl ")
_WHOSE_KEY: Final = re.compile(r"(?:api|secret|access|auth|account|signing|encryption|private)[_-]?\Z", re.I)
_PASSWORD: Final = re.compile(
    r"passw(?:or)?[dt]|passphrase|passcode|passe(?<=\bmot de passe)|pwd|kennwort|contraseña|пароль", re.I
)
_VALUE: Final = re.compile(
    r"[\"'\]]{0,3}"
    r"(?:[ \t]{0,4}(?::=|=>|[:=](?!=))[ \t]{0,4}|[ ](?:is|ist|lautet|es|est)(?:[ ]?:)?[ ](?P<prose>))"
    r"(?P<quote>[\"'`]?)(?P<value>(?<=[\"'`])[^\"'`\n]{6,200}(?=[\"'`])|[^\s\"'`<>;,]{6,600})",
    re.I,
)
_HEADER: Final = re.compile(
    r"(?:bearer[ ]+|authorization[\"']?[ ]?[:=][ ]?[\"']?(?:basic|token|apikey)[ ]+)([A-Za-z0-9_\-+/=.~]{12,2000})",
    re.I,
)
_SIGNATURE: Final = re.compile(r"[?&]sig=([A-Za-z0-9%+/=_-]{30,200})")
_LOGIN: Final = re.compile(r"\bcurl [^\n]{0,200}?(?:-u|--user)[ =]?[\"']?[\w.@-]{1,64}:([^\s\"']{4,100})")
_URL_PASSWORD: Final = re.compile(r"://[^\s/:@\"'<>]{0,64}:([^\s/@\"'<>]{2,128})@")

_STAND_IN: Final = re.compile(
    r"[$<{%*\[(#]|your|my[_-]|xxx|\*\*\*|\.\.\.|…|process\.env|environ|getenv|example_|placeholder|redacted|\[[A-Z_]+_\d+\]",
    re.I,
)
_TYPE_NAME: Final = re.compile(
    r"(?:sha|md|base|u?int|float|utf|aes|[rhep]s|varchar|char|argon|pbkdf|bcrypt|str|string|bytes|ascii|oauth)-?\d+\w{0,4}",
    re.I,
)
_COMMON: Final = frozenset({"password", "passwd", "pass", "pwd", "secret", "token", "pw", "key"})
_NAME_LIKE: Final = re.compile(r"[A-Za-z_]+(?:[._-][A-Za-z_]+)*\d{0,3}")


def private_keys(text: str) -> Iterator[Found]:
    """PEM, OpenSSH and PGP blocks, with real or escaped line breaks."""
    for match in _PRIVATE_KEY.finditer(text):
        yield Found(match.start(), match.end(), "PRIVATE_KEY", match.group())


def by_form(text: str) -> Iterator[Found]:
    """Keys that carry the mark of whoever issued them. All of them are in words of 16 characters or more."""
    for start, end in long_words(text, 16):
        for match in _FORMS.finditer(text, start, end):
            if _issued(match):
                yield _key(match.start(), match.group())
    if "hooks" in text:
        for match in _HOOKS.finditer(text):
            yield _key(match.start(match.lastindex or 0), match.group(match.lastindex or 0))


def _issued(match: re.Match[str]) -> bool:
    value = match.group()
    if not any(char.isdigit() for char in value):
        return False
    # `sk-` also begins the names of CSS classes: words joined by hyphens.
    return match["sk"] is None or len(value) >= 60 or max(map(len, re.split("[-_]", value))) >= 16


def by_name(text: str) -> Iterator[Found]:
    """Values behind `password=`, `api_key:`, `Authorization: Bearer` and the like; the name stays."""
    found = [_key(match.start(1), match.group(1)) for match in _SIGNATURE.finditer(text)]
    if " -u" in text or " --user" in text:
        found += [_key(match.start(1), match.group(1)) for match in _LOGIN.finditer(text) if _real(match.group(1))]
    lower = text.lower()
    if len(lower) != len(text):
        # A few letters have a small form of two characters; places must stay the same.
        lower = "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
    for stem in _STEMS:
        at = lower.find(stem)
        while at >= 0:
            one, end = _named(text, at, stem)
            if one is not None:
                found.append(one)
            at = lower.find(stem, end)
    return iter(sorted(found))


def _named(text: str, at: int, stem: str) -> tuple[Found | None, int]:
    """The secret whose name has `stem` at `at`, if there is one, and where to go on looking."""
    end, password = at + len(stem), None
    if stem in ("bearer ", "authorization"):
        header = _HEADER.match(text, at)
        if header is None:
            return None, end
        return (_key(header.start(1), header.group(1)) if _mixed(header.group(1)) else None), header.end()
    if stem == "key":
        if not _WHOSE_KEY.search(text[max(0, at - 12) : at]):
            return None, end
    elif stem not in ("token", "secret"):
        password = _PASSWORD.match(text, at)
        if password is None:
            return None, end
        end = password.end()
    match = _VALUE.match(text, end)
    if match is None:
        return None, end
    value = _trimmed(match["value"], quoted=bool(match["quote"]), prose=match["prose"] is not None)
    start = match.start("value")
    return (_key(start, value) if _secret(value, match, password) else None), start + len(value)


def in_urls(text: str) -> Iterator[Found]:
    """The password of `scheme://user:password@host`; user and host stay."""
    for match in _URL_PASSWORD.finditer(text):
        if _real(match.group(1)):
            yield _key(match.start(1), match.group(1))


def _key(start: int, value: str) -> Found:
    return Found(start, start + len(value), "API_KEY", value)


def _trimmed(value: str, *, quoted: bool, prose: bool) -> str:
    if quoted:
        return value
    following = re.search(r"&\w{1,40}=", value)
    if following:
        value = value[: following.start()]
    return value.rstrip(".,;:)]}" if prose else ",;)]}")


def _real(value: str) -> bool:
    """Not a variable, not a word that stands for a secret."""
    return not _STAND_IN.match(value) and value.lower() not in _COMMON and len(set(value)) > 2


def _mixed(value: str) -> bool:
    return (
        any(char.isdigit() for char in value)
        and any(char.isalpha() for char in value)
        and not _STAND_IN.search(value)
        and len(set(value)) > 5
    )


def _secret(value: str, match: re.Match[str], password: re.Match[str] | None) -> bool:
    if not _mixed(value) or _TYPE_NAME.fullmatch(value) or match.string.startswith(("(", "["), match.end()):
        return False
    if password is not None:
        return len(value) >= 6 and (" " not in value or "phrase" in password.group().lower())
    return len(value) >= 12 and " " not in value and not _NAME_LIKE.fullmatch(value)
