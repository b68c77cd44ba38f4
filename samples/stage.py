"""The processes of the demo, as its Procfile has them: all up and ready, and gone without a trace after.

Their state and their log are in a folder of their own, so every demo begins anew.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
from gevent import socket
from requests import RequestException, Session

ROOT = Path(__file__).resolve().parents[1]
PROCFILE = "config/Procfile.demo"
DOCUMENT = ROOT / "config" / "canary.json"

# By the variable that moves it: who listens there, and where if nobody says.
PORTS = {
    "PORT": ("the proxy", 8080),
    "ADMIN_PORT": ("the proxy's status", 8081),
    "PILOT_PORT": ("the pilot", 8090),
    "KV_PORT": ("the config server", 7001),
    "STABLE_PORT": ("stable", 9001),
    "CANARY_PORT": ("canary", 9002),
}
# Seconds until all is ready, and until all has ended.
_TO_START, _TO_END = 60.0, 15.0


class StageError(Exception):
    """The processes cannot run; the text is for whoever started the demo."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Of all who listen, by variable."""

    numbers: Mapping[str, int]

    def __getitem__(self, variable: str) -> int:
        return self.numbers[variable]

    @classmethod
    def chosen(cls, environ: Mapping[str, str]) -> Ports:
        """The usual ones, or those the environment names. Raises StageError."""
        return cls({variable: _port(variable, environ.get(variable)) for variable in PORTS})

    def require_free(self) -> None:
        """Raises StageError, which names every one that is taken."""
        taken = [variable for variable, number in self.numbers.items() if not _is_free(number)]
        if taken:
            lines = [f"port {self[variable]}, for {PORTS[variable][0]}, is taken" for variable in taken]
            others = " ".join(f"{variable}={self[variable] + 1000}" for variable in taken)
            raise StageError(
                "\n".join([*lines, f"End who listens there, or choose others: make demo {others}"])
            )


class Stage:
    """`start` returns when visitors may come; `stop` when no process is left. `fails`: the canary's share of errors."""

    def __init__(self, ports: Ports, folder: Path, *, fails: float = 0.0) -> None:
        self.ports, self.folder = ports, folder
        self.log = folder / "log"
        self.fails = fails
        self._session = Session()
        self._session.trust_env = False
        self._honcho: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises StageError, with the end of the log, if they do not get ready."""
        (self.folder / "canary.json").write_text(json.dumps(self._document(), indent=2))
        command = [sys.executable, "-m", "honcho", "start", "--no-colour", "--procfile", PROCFILE]
        with self.log.open("wb") as log:
            self._honcho = subprocess.Popen(  # noqa: S603 - our own command
                [*command, "--port", str(self.ports["PORT"])],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us alone: we end them in order
            )
        self._wait(self._ready, _TO_START)

    def stop(self) -> None:
        """Ends them; fine if they have ended."""
        self._session.close()
        if self._honcho is None:
            return
        self._honcho.terminate()
        try:
            self._honcho.wait(_TO_END)
        except subprocess.TimeoutExpired:
            os.killpg(self._honcho.pid, signal.SIGKILL)

    def require_running(self) -> None:
        """Raises StageError, with the end of the log, when they have ended."""
        if self._honcho is None or self._honcho.poll() is not None:
            raise StageError(f"The processes have ended. The end of their log:\n{self._tail()}")

    def state(self) -> dict[str, Any] | None:
        """What the pilot knows; None when it does not answer."""
        return self._ask("GET", "/state")

    def begin(self, plan: bytes) -> None:
        """Starts a rollout. Raises StageError."""
        answer = self._ask("POST", "/rollout", plan)
        if answer is None or "state" not in answer:
            raise StageError(
                f"The pilot starts no rollout: {(answer or {}).get('detail', 'it does not answer')}"
            )

    def _document(self) -> dict[str, Any]:
        """The example's, at which the canary has no share yet, and stable answers for it when it fails."""
        document = json.loads(DOCUMENT.read_text())
        for version in ("stable", "canary"):
            port = self.ports[f"{version.upper()}_PORT"]
            document[version]["servers"] = [{"url": f"http://127.0.0.1:{port}"}]
        server = f"http://127.0.0.1:{self.ports['KV_PORT']}"
        return document | {"config_server": server, "ratio": 0, "sticky_sessions": False, "shield": "safe"}

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **{variable: str(number) for variable, number in self.ports.numbers.items()},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CONFIG_SERVER": f"http://127.0.0.1:{self.ports['KV_PORT']}",
            "CONFIG_KEY": "canary/config",
            "CONFIG_FILE": str(self.folder / "canary.json"),
            "STATE_DIR": str(self.folder),
            "KV_STORE": f"sqlite:///{self.folder / 'kv.db'}",
            "CANARY_FAILS": str(self.fails),
        }

    def _ready(self) -> bool:
        """The pilot leads and hears of the proxy, and both versions answer."""
        self.require_running()
        state = self.state()
        led = state and state["pilot"]["leads"] and state["config"] and state["instances"]
        samples = (self.ports["STABLE_PORT"], self.ports["CANARY_PORT"])
        return bool(led) and not any(map(_is_free, (*samples, self.ports["PORT"])))

    def _wait(self, condition: Callable[[], bool], limit: float) -> None:
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                raise StageError(f"Not ready within {limit:.0f} s. The end of the log:\n{self._tail()}")
            gevent.sleep(0.1)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any] | None:
        url = f"http://127.0.0.1:{self.ports['PILOT_PORT']}{path}"
        try:
            answer: dict[str, Any] = self._session.request(method, url, data=body, timeout=5.0).json()
        except (RequestException, ValueError):
            return None
        return answer

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def _port(variable: str, text: str | None) -> int:
    if not text:
        return PORTS[variable][1]
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise StageError(f"{variable} is a port, a number from 1 to 65535, not {text!r}")
    return int(text)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as who listens there will
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
