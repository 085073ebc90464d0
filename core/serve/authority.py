"""Whom a Host or an Origin header names, read strictly: what no browser and no client writes names nobody."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

# RFC 3986, 3.2: an address in brackets or a name, and a port; no user before it and no path behind it.
_AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{0,5})?", re.ASCII)
_ORIGIN: Final = re.compile(rf"https?://{_AUTHORITY.pattern}", re.ASCII)


def host_of(authority: str) -> str:
    """The name or address in a Host header, lower case and without its port; "" where it is none."""
    return _host(_AUTHORITY, authority)


def host_of_origin(origin: str) -> str:
    """The name or address that a web page came from; "" for `null`, a file, and whatever is no origin."""
    return _host(_ORIGIN, origin)


def is_loopback(host: str) -> bool:
    """Whether a host's name or address always means this machine."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _host(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.fullmatch(text.strip(" \t").lower())
    return found["host"].strip("[]").rstrip(".") if found else ""
