"""What the environment says, read once at start. Everything that may change later is in the config document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BadSetting(ValueError):
    """A variable of the environment holds something it cannot."""


@dataclass(frozen=True, slots=True)
class Settings:
    """See the table of variables in docs/running.md."""

    host: str = "0.0.0.0"
    port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int = 8081
    config_server: str = "http://127.0.0.1:7001"
    config_key: str = "canary/config"
    config_file: Path = Path("config/canary.json")
    config_token: str | None = None
    config_ca: Path | None = None
    state_dir: Path = Path("var")
    tls_cert: Path | None = None
    tls_key: Path | None = None
    proxy_protocol: bool = False
    access_log: str | None = None
    reuse_port: bool = False
    grace: float = 30.0
    pilot_host: str = "127.0.0.1"
    pilot_port: int = 8090
    pilot_url: str = "http://127.0.0.1:8090"
    pilot_token: str | None = None
    pilot_names: str = ""
    webhook_secret: str | None = None
    prometheus_url: str | None = None
    prometheus_labels: str = ""
    prometheus_token: str | None = None

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise BadSetting("TLS_CERT and TLS_KEY go together: one of them is not set")

    @property
    def service(self) -> str:
        """The service's name: the first part of the document's key."""
        return self.config_key.partition("/")[0]

    @property
    def admin_url(self) -> str | None:
        """Where the admin endpoints are, None: nowhere."""
        host = f"[{self.admin_host}]" if ":" in self.admin_host else self.admin_host
        return f"http://{host}:{self.admin_port}" if self.admin_port else None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables named like the fields, in capitals. Raises BadSetting."""
        given = {name: environ[name.upper()] for name in cls.__slots__ if environ.get(name.upper())}
        return cls(**{name: _READERS.get(name, str)(text) for name, text in given.items()})


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise BadSetting(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdigit() or int(text) > 86400:
        raise BadSetting(f"a time is a whole number of seconds, at most 86400, not {text!r}")
    return float(text)


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise BadSetting(f"a switch is on or off, not {text!r}")
    return text == "on"


def _file(text: str) -> Path:
    try:
        Path(text).open("rb").close()
    except OSError as error:
        raise BadSetting(f"{text} cannot be read: {error.strerror}") from error
    return Path(text)


_READERS: dict[str, Callable[[str], Any]] = {
    "port": _port,
    "admin_port": _port,
    "pilot_port": _port,
    "config_ca": _file,
    "config_file": Path,
    "state_dir": Path,
    "tls_cert": Path,
    "tls_key": Path,
    "proxy_protocol": _switch,
    "reuse_port": _switch,
    "grace": _seconds,
}
