"""What the environment says, checked once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kv.errors import BadSetting


@dataclass(frozen=True, slots=True)
class Settings:
    """`names`: hosts to answer to besides IP addresses and localhost. `port` 0 takes a free one.

    `tokens`: the file of those who may come; None lets everybody. `conditional`: take no write without a condition.
    `insecure`: listen beyond loopback, open to everyone there. `tls`: the files of a certificate and its key.
    """

    host: str = "127.0.0.1"
    port: int = 7001
    store: str = "sqlite:///var/kv.db"
    names: tuple[str, ...] = ()
    tokens: Path | None = None
    conditional: bool = False
    insecure: bool = False
    tls: tuple[Path, Path] | None = None

    @property
    def shown_store(self) -> str:
        """`store` without a password that may be in it."""
        return shown(self.store)


def shown(store: str) -> str:
    """What names a store, without a password that may be in it."""
    return re.sub(r"//[^/]*@", "//", store)


def read_settings(
    environ: Mapping[str, str], *, conditional: bool = False, insecure: bool = False
) -> Settings:
    """KV_HOST, KV_PORT, KV_STORE, KV_NAMES, KV_TOKENS, KV_REQUIRE_PRECONDITIONS, KV_TLS_CERT and KV_TLS_KEY.

    Raises BadSetting.
    """
    default = Settings()
    return Settings(
        environ.get("KV_HOST") or default.host,
        _port(environ.get("KV_PORT") or str(default.port)),
        environ.get("KV_STORE") or default.store,
        _names(environ.get("KV_NAMES", "")),
        _path(environ.get("KV_TOKENS")),
        conditional or _switch("KV_REQUIRE_PRECONDITIONS", environ),
        insecure,
        _pair(environ.get("KV_TLS_CERT"), environ.get("KV_TLS_KEY")),
    )


def check_reach(settings: Settings) -> None:
    """Raises BadSetting for an address beyond loopback, unless there are tokens or --insecure asks for it."""
    if not settings.insecure and not settings.tokens and not is_loopback(settings.host):
        raise BadSetting(
            f"KV_HOST is {settings.host!r}: everyone who reaches it could change the configuration. "
            "Name a file of tokens in KV_TOKENS, or listen on 127.0.0.1, or give --insecure if the network itself is "
            "guarded"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`, a name or an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise BadSetting(f"KV_PORT is {text!r}, not a port")
    return int(text)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _pair(cert: str | None, key: str | None) -> tuple[Path, Path] | None:
    if bool(cert) != bool(key):
        raise BadSetting("KV_TLS_CERT and KV_TLS_KEY go together: one of them is not set")
    return (Path(cert), Path(key)) if cert and key else None


def _switch(name: str, environ: Mapping[str, str]) -> bool:
    text = environ.get(name) or "off"
    if text not in ("on", "off"):
        raise BadSetting(f"{name} is {text!r}, neither on nor off")
    return text == "on"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())
