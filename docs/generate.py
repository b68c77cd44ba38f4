"""Write docs/config.md, config/schema.json and the plan's tables in docs/rollout.md out of the schemas, and
docs/commands.md and docs/cli.md out of the commands of `python -m kv` and `python -m app`, and docs/openapi.json
out of the routes of the config server.

With --check, fail if they are stale.

python docs/generate.py [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app import cli  # noqa: E402
from app.config.fields import Duration, Rule  # noqa: E402
from app.config.json_schema import default_of, json_schema  # noqa: E402
from app.config.part import ListOf, Part, Section  # noqa: E402
from app.config.schema import Document, load  # noqa: E402
from app.config.wording import as_duration  # noqa: E402
from app.rollout.plan_schema import PlanPart  # noqa: E402
from docs.commands import commands_page, steering_page  # noqa: E402
from kv.cli import main as kv  # noqa: E402
from kv.openapi import description  # noqa: E402

HEAD = """# The config document

*Written by `python docs/generate.py` out of `app/config/schema.py`, `versions.py` and `failures.py`; change it there.*

One JSON object of at most 512 KiB, UTF-8, each name once. Only `stable` is required; what is not given has its
default. A field that is not in these tables is an error, and so is a value of the wrong type: `"0.5"` is no number.
A document with an error changes nothing: the config server [does not store it](running.md#the-schema-of-the-config);
should it come about all the same, `/status`, the metrics and the log of the proxy say which field is wrong and why.

A duration is a number of seconds, or a text with its unit: `"250ms"`, `"5s"`, `"10m"`, `"2h"` (with at most 12 digits
before and 12 behind a point). A share is a number from 0 to 1. The same rules, as
JSON Schema, are in [config/schema.json](../config/schema.json).
"""

PLAN_BEGINS = (
    "<!-- Written by python docs/generate.py out of app/rollout/plan_schema.py; change it there. -->"
)
PLAN_ENDS = "<!-- End of what is written there. -->"

_COLUMNS = "| field | type | default | allowed | what it is |\n|---|---|---|---|---|"

EXAMPLE: dict[str, Any] = {
    "style": "ratio",
    "ratio": 0.05,
    "sticky_sessions": True,
    "config_server": "http://127.0.0.1:7001",
    "update_rate": "1s",
    "stable": {
        "servers": [{"url": "http://10.0.0.1:9001", "weight": 2}, {"url": "http://10.0.0.2:9001"}],
        "balance": "least_connections",
    },
    "canary": {
        "servers": [
            {"url": "https://canary.internal", "tls": {"ca": "/etc/serin/ca.pem", "name": "shop.internal"}},
            {"url": "unix:/run/canary.sock"},
        ]
    },
    "salt": "spring",
    "sticky": {"cookie": "serin", "ttl": "720h", "key": {"header": "X-User-Id"}},
    "overrides": [
        {"header": "X-Canary", "value": "a secret", "version": "canary"},
        {"cookie": "beta", "version": "canary"},
        {"query": "version", "value": "stable", "version": "stable"},
        {"path_prefix": "/tenants", "value": "acme", "version": "canary"},
    ],
    "timeouts": {"connect": "500ms", "head": "10s", "request": "off", "tunnel_idle": "10m"},
    "limits": {"body_bytes": 10485760, "connections": 20000, "per_server": 200, "queue_time": "2s"},
    "trusted_proxies": ["10.0.0.0/8", "2001:db8::1"],
    "underscored_headers": "refuse",
    "health": {"path": "/healthz", "interval": "1s", "statuses": [200], "slow_start": "30s"},
    "outlier": {"consecutive": 3, "ejection": "5s", "max_ejected": 0.3},
    "retry": {"attempts": 2, "on": ["connect", "reset", "5xx"], "try_timeout": "2s"},
    "shield": "idempotent",
    "rescue": {},
    "failover": "canary",
}


def config_page() -> str:
    tables = "\n".join(_tables(Document(), ""))
    load(EXAMPLE)
    return f"{HEAD}\n{tables}\n## A full example\n\n```json\n{_json(EXAMPLE)}\n```\n"


def rollout_page() -> str:
    """What people wrote on it, with the plan's tables where the marks are."""
    before, _, rest = (ROOT / "docs" / "rollout.md").read_text(encoding="utf-8").partition(PLAN_BEGINS)
    _, _, after = rest.partition(PLAN_ENDS)
    tables = "\n".join(_tables(PlanPart(), "", "### Its fields"))
    return f"{before}{PLAN_BEGINS}\n\n{tables}\n{PLAN_ENDS}{after}"


def _tables(part: Part, path: str, top: str = "## The document") -> Iterator[str]:
    """One table for each object of the document; versions are alike and get one table between them."""
    yield f"{_title(path, top)}\n\n{_note(part)}{_COLUMNS}"
    yield "".join(_row(part, name, path) + "\n" for name in part.fields)
    for name, field in part.fields.items():
        section = field.inner if isinstance(field, ListOf) else field
        if isinstance(section, Section) and name != "canary":
            below = "stable` and `canary" if name == "stable" else f"{path}.{name}".lstrip(".")
            suffix = "[]" if isinstance(field, ListOf) else ""
            yield from _tables(section.part, below + suffix, top)


def _title(path: str, top: str) -> str:
    named = path.replace("stable` and `canary.", "")
    return f"{top.partition(' ')[0]} `{named}`" if path else top


def _note(part: Part) -> str:
    kinds = getattr(part, "kinds", ())
    return f"Exactly one of {', '.join(f'`{kind}`' for kind in kinds)}.\n\n" if kinds else ""


def _row(part: Part, name: str, path: str) -> str:
    field = part.fields[name]
    sentence = field.metadata["description"]
    cells = (f"`{name}`", _type(field), _default(part, name), _allowed(field), sentence)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(part: Part, name: str) -> str:
    field, value = part.fields[name], default_of(part, name)
    if field.required:
        return "required"
    if isinstance(field, ListOf) and isinstance(field.inner, Rule) and value not in (MISSING, ()):
        return ", ".join(f"`{json.dumps(item)}`" for item in value)
    if not isinstance(field, Rule) or value is MISSING:
        return "–"
    if value is None:
        return "`off`" if field.off else "`null`"
    return as_duration(value) if isinstance(field, Duration) else f"`{json.dumps(value)}`"


def _type(field: Any) -> str:
    if isinstance(field, Rule):
        return field.kind
    return "list" if isinstance(field, ListOf) else "object"


def _allowed(field: Any) -> str:
    if isinstance(field, ListOf):
        return f"{f'{field.least} to' if field.least else 'at most'} {field.longest}, {_items(field.inner)}"
    if not isinstance(field, Rule):
        return "see below, or null" if field.allow_none else "see below"
    if isinstance(field, Duration):
        return f"{as_duration(field.low)} to {as_duration(field.high)}{field.alternative}"
    return field.allowed


def _items(inner: Any) -> str:
    return f"each {inner.allowed}" if isinstance(inner, Rule) else "see below"


def _json(value: Any) -> str:
    """Objects one level deep on lines of their own, what is inside them on one line."""
    lines = (f"  {json.dumps(name)}: {_nested(each)}" for name, each in value.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def _nested(value: Any) -> str:
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"    {json.dumps(each)}" for each in value) + "\n  ]"


FILES = {
    ROOT / "docs" / "config.md": config_page,
    ROOT / "docs" / "rollout.md": rollout_page,
    ROOT / "docs" / "commands.md": lambda: commands_page(kv),
    ROOT / "docs" / "cli.md": lambda: steering_page(cli.main, cli.EXITS),
    ROOT / "docs" / "openapi.json": lambda: json.dumps(description(), indent=2) + "\n",
    ROOT / "config" / "schema.json": lambda: json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
}


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale = {path: text for path, make in FILES.items() if (text := make()) != _present(path)}
    for path, text in stale.items():
        if arguments:
            print(f"{path.relative_to(ROOT)} is stale: run python docs/generate.py", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if arguments and stale else 0


def _present(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
