"""Which etcd, and what of it: KV_STORE as values. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from kv.errors import BadSetting

DEFAULT_PREFIX = "/serin"
FORM = (
    "an etcd store is etcd://host:2379,host:2379/prefix, with etcds:// over TLS; "
    "user:password@ before the hosts and ?ca=, ?cert= and &key= (PEM files) behind the prefix are optional"
)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True)
class Target:
    """`endpoints` are URLs of members of one cluster, `prefix` begins with a slash and ends with none.

    `credentials`: name and password. `ca`, `cert`, `key`: paths of PEM files, "" for none.
    """

    endpoints: tuple[str, ...]
    prefix: str = DEFAULT_PREFIX
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    ca: str = ""
    cert: str = ""
    key: str = ""


def target_from(scheme: str, rest: str) -> Target:
    """What `scheme://rest` names; `scheme` is http or https. Raises BadSetting, which repeats no password."""
    rest, _, query = rest.partition("?")
    user, _, place = rest.rpartition("@")
    hosts, slash, path = place.partition("/")
    endpoints = tuple(f"{scheme}://{host}" for host in hosts.split(","))
    prefix = slash + path.removesuffix("/")
    if not all(map(_HOST.fullmatch, hosts.split(","))) or not _PREFIX.fullmatch(prefix.removesuffix("/")):
        raise BadSetting(FORM)
    files = _files(query)
    if files and scheme != "https":
        raise BadSetting(f"certificates are for TLS: {FORM}")
    return Target(endpoints, prefix.rstrip("/") or DEFAULT_PREFIX, _credentials(user), **files)


def _files(query: str) -> dict[str, str]:
    files = dict(parse_qsl(query, keep_blank_values=True))
    if not files.keys() <= {"ca", "cert", "key"} or ("cert" in files) != ("key" in files):
        raise BadSetting(FORM)
    return files


def _credentials(user: str) -> tuple[str, str] | None:
    if not user:
        return None
    name, separator, password = user.partition(":")
    if not name or not separator:
        raise BadSetting(FORM)
    return unquote(name), unquote(password)
