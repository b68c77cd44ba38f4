"""The grammar of `origin.split_origin` as patterns, for JSON Schema: a text is an address when it fits all of them.

Several, since without look-around one pattern cannot hold the form of a host and its length at once.
"""

from __future__ import annotations

from app.config.origin import BLANKS, HOST_NAME, LONGEST_HOST, LONGEST_PATH

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_GROUP = "[0-9A-Fa-f]{1,4}"
_END = f"(?:{_GROUP}:{_GROUP}|{_IPV4})"


def _groups(most: int) -> str:
    return f"(?:(?:{_GROUP}:){{0,{most - 1}}}{_GROUP})?" if most else ""


# RFC 3986 §3.2.2, IPv6address.
_IPV6 = "|".join(
    [
        f"(?:{_GROUP}:){{6}}{_END}",
        *(f"{_groups(before)}::(?:{_GROUP}:){{{5 - before}}}{_END}" for before in range(6)),
        f"{_groups(6)}::{_GROUP}",
        f"{_groups(7)}::",
    ]
)
# One whose last label is all digits is taken for an IPv4 address.
_NAME = r"(?:[A-Za-z0-9_.-]*\.)?[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*\.?"
_HOSTS = (
    rf"(?:\[(?:{_IPV6})\]|{_IPV4}|{_NAME})",
    rf"(?:\[[0-9A-Fa-f:.]+\]|{HOST_NAME}\.?)",
    rf"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{{1,{LONGEST_HOST}}})",
)
_PORT = (
    "(?::(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}"
    "|0?[1-9][0-9]{0,3}|00[1-9][0-9]{0,2}|000[1-9][0-9]?|0000[1-9]))?"
)
_URLS = tuple(f"https?://{host}{_PORT}" for host in _HOSTS)
_CHARACTER = "[!-.0-~]"
_SEGMENT = rf"(?:[!-\-0-~]|\.[!-\-0-~]|\.\.{_CHARACTER}){_CHARACTER}*"  # neither "." nor ".." nor empty
_SOCKETS = (f"unix:(?:/(?:{_SEGMENT}))+", f"unix:[!-~]{{1,{LONGEST_PATH}}}", "unix:.*")
_BLANKS = f"[{BLANKS}]*"


def _listed(url: str) -> str:
    one = f"{_BLANKS}{url}/?{_BLANKS}"
    return f"^{one}(?:,{one})*$"


SERVER = tuple(f"^(?:{url}|{socket})$" for url, socket in zip(_URLS, _SOCKETS, strict=True))
LIST = tuple(map(_listed, _URLS))
"""Of http and https addresses, with commas between."""
