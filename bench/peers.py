"""The proxies that are measured: how each is started, and where its configuration is.

All do the same: 95 of 100 requests to one server, 5 to the other, over kept-alive connections, on one
thread. In commands, environments and configs `@listen@`, `@stable@`, `@canary@`, `@admin@` and `@kv@` stand
for ports, `@folder@` for the folder of this run. A line of a config, or an argument, that begins with
`@sticky: ` or `@log: ` is for runs with that feature alone; with `@no-sticky: ` or `@no-log: `, for the others.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.support.processes import PYTHON, ROOT, Process

CONFIGS = Path(__file__).parent / "configs"
PACKAGES = Path(sysconfig.get_path("purelib"))
SEARCHED = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]
)
FEATURED = re.compile(r"@(?P<no>no-)?(?P<feature>sticky|log): ")


@dataclass(frozen=True, slots=True)
class Site:
    """Where one run takes place: the ports by their names, and its folder. `features`: of sticky and log."""

    ports: Mapping[str, int]
    folder: Path
    features: frozenset[str] = frozenset()

    def fill(self, text: str) -> str:
        """The text with its placeholders replaced, and only the lines for these features."""
        for name, port in self.ports.items():
            text = text.replace(f"@{name}@", str(port))
        text = text.replace("@folder@", str(self.folder))
        return "".join(FEATURED.sub("", line) for line in text.splitlines(True) if self._wants(line))

    def _wants(self, line: str) -> bool:
        mark = FEATURED.search(line)
        return mark is None or (mark["feature"] in self.features) is (mark["no"] is None)

    def lay(self, config: str) -> None:
        """Writes the config into the folder, filled in."""
        (self.folder / config).write_text(self.fill((CONFIGS / config).read_text()))


@dataclass(frozen=True, slots=True)
class Peer:
    """One proxy. `companion`: arguments of a second process it needs, which is not measured.

    `lacks`: the features it has not.
    """

    name: str
    binary: str
    config: str
    arguments: tuple[str, ...]
    version: tuple[str, ...] = ("--version",)
    env: Mapping[str, str] = field(default_factory=dict)
    companion: tuple[str, ...] = ()
    lacks: frozenset[str] = frozenset()

    def path(self) -> str | None:
        """The program; None when it is not installed."""
        packaged = PACKAGES / self.binary / "_bin" / self.binary
        return str(packaged) if packaged.exists() else shutil.which(self.binary, path=SEARCHED)

    def version_text(self) -> str:
        """The version the program gives itself, as in 1.22.1; "?" when it gives none."""
        if (path := self.path()) is None:
            return "?"
        told = subprocess.run([path, *self.version], cwd=ROOT, capture_output=True, text=True, check=False)
        match = re.search(r"\d+\.\d+\.\d+", told.stdout + told.stderr)
        return match[0] if match else "?"

    def process(
        self, site: Site, core: int, arguments: tuple[str, ...], ready: Callable[[], object] | None
    ) -> Process:
        """The program on one core, with these arguments; not started."""
        command = ["taskset", "--cpu-list", str(core), self.path() or self.binary]
        command += [filled for argument in arguments if (filled := site.fill(argument))]
        env = {name: site.fill(value) for name, value in self.env.items()}
        return Process(command, site.folder / f"{self.name}.log", env=env, ready=ready)


SERVERS = Peer("servers", "nginx", "servers.conf", ("-c", "@folder@/servers.conf", "-g", "daemon off;"))
SERIN = Peer(
    "Serin",
    PYTHON,
    "serin.json",
    ("-m", "app"),
    version=("-c", "import tomllib; print(tomllib.load(open('pyproject.toml', 'rb'))['project']['version'])"),
    env={
        "HOST": "127.0.0.1",
        "PORT": "@listen@",
        "ADMIN_PORT": "@admin@",
        "CONFIG_SERVER": "http://127.0.0.1:@kv@",
        "CONFIG_FILE": "@folder@/serin.json",
        "STATE_DIR": "@folder@/state",
        "KV_PORT": "@kv@",
        "KV_STORE": "memory://",
        "ACCESS_LOG": "@log: @folder@/access.log",
    },
    companion=("-m", "kv"),
)
GUNICORN = ("-m", "gunicorn", "-c", "config/gunicorn.py")
PEERS = (
    SERIN,
    replace(SERIN, name="Serin worker", arguments=(*GUNICORN, "--workers=1")),
    replace(
        SERIN,
        name="Serin gunicorn",
        arguments=(*GUNICORN, "--workers=1", "-k", "gevent", "@log: --access-logfile=@folder@/access.log"),
    ),
    Peer("nginx", "nginx", "nginx.conf", ("-c", "@folder@/nginx.conf", "-g", "daemon off;"), ("-v",)),
    Peer("HAProxy", "haproxy", "haproxy.cfg", ("-db", "-f", "@folder@/haproxy.cfg"), ("-v",)),
    Peer(
        "Envoy",
        "envoy",
        "envoy.yaml",
        (
            "--config-path",
            "@folder@/envoy.yaml",
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "-l",
            "error",
        ),
    ),
    Peer(
        "Traefik",
        "traefik",
        "traefik.yaml",
        (
            "--entryPoints.web.address=127.0.0.1:@listen@",
            "--providers.file.filename=@folder@/traefik.yaml",
            "--providers.file.watch=false",
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
            "--log.level=ERROR",
            "--serversTransport.maxIdleConnsPerHost=512",
            "@log: --accessLog.filePath=@folder@/access.log",
        ),
        ("version",),
        {"GOMAXPROCS": "1"},
    ),
    Peer(
        "Caddy",
        "caddy",
        "Caddyfile",
        ("run", "--adapter", "caddyfile", "--config", "@folder@/Caddyfile"),
        ("version",),
        {"GOMAXPROCS": "1", "XDG_DATA_HOME": "@folder@", "XDG_CONFIG_HOME": "@folder@"},
    ),
    Peer(
        "obvious",
        PYTHON,
        "",
        ("-m", "bench.obvious", "@listen@", "@stable@", "@canary@", "@log: --log"),
        ("-c", "import gevent; print(gevent.__version__)"),
    ),
)
