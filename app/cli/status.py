"""`status`: the document in force and who serves by it."""

from __future__ import annotations

from typing import Any

import click

from app.cli.output import json_option, print_json, print_table
from app.cli.reach import reached
from app.config.schema import load
from app.pilot.instances import Instance, instances


@click.command()
@json_option
def status(as_json: bool) -> None:
    """The config document, and every instance that serves by it."""
    with reached() as reach:
        stored, document = reach.editor.read()
        found = instances(reach.keys, reach.service)
    load(document)
    told = [_told(each, stored.etag) for each in found]
    if as_json:
        print_json(
            {
                "key": stored.key,
                "etag": stored.etag,
                "revision": stored.revision,
                "document": document,
                "instances": told,
            }
        )
        return
    servers = {name: len(document.get(name, {}).get("servers", ())) for name in ("stable", "canary")}
    click.echo(
        f"{stored.key} at revision {stored.revision}: ratio {document.get('ratio', 0.0)}, "
        f"style {document.get('style', 'ratio')}, {servers['stable']} stable and {servers['canary']} canary servers"
    )
    click.echo(f"{sum(each['in_step'] for each in told)} of {len(told)} instances serve by it")
    columns = ("instance", "revision", "stable", "canary", "failures", "trouble")
    print_table(columns, [[each[name] for name in ("name", *columns[1:])] for each in told])


def _told(instance: Instance, etag: str) -> dict[str, Any]:
    """Requests by version, and all failures, since the instance began."""
    versions = instance.report["counters"]["versions"]
    return {
        "id": instance.id,
        "name": instance.name,
        "revision": instance.revision,
        "etag": instance.etag,
        "in_step": instance.etag == etag,
        "draining": instance.draining,
        "stable": _requests(versions["stable"]),
        "canary": _requests(versions["canary"]),
        "failures": sum(_failures(each) for each in versions.values()),
        "trouble": instance.report["workers"][0]["trouble"],
    }


def _requests(version: dict[str, Any]) -> int:
    return int(sum(version["answered"]) + sum(version["failures"].values()))


def _failures(version: dict[str, Any]) -> int:
    return int(version["answered"][5] + sum(version["failures"].values()))
