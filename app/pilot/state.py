"""What the pilot knows, as one JSON document: all that a dashboard needs. docs/pilot.md describes its shape.

Times are seconds since the epoch, durations seconds. Counters are sums over the instances that live: they grow, but
for an instance that leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from app.admin.redact import HIDDEN, shown_config
from app.admin.status import QUANTILES
from app.config.schema import load
from app.histogram import quantile
from app.pilot.instances import Instance
from app.pilot.pilot import Pilot
from app.pilot.view import View
from app.proxy.stats import BOUNDS
from app.rollout import journal
from app.rollout.controller import commands
from app.rollout.situation import awaited
from app.rollout.state import Rollout


def state(pilot: Pilot) -> dict[str, Any]:
    """As of the last look."""
    view = pilot.view
    return {
        "service": pilot.service,
        "at": view.at,
        "pilot": {
            "id": pilot.lease.identity,
            "leads": view.leads,
            "leader": view.leader,
            "trouble": view.trouble,
        },
        "config": _config(view),
        "instances": [_instance(each, view) for each in view.instances],
        "versions": {name: _version(view.instances, name) for name in ("stable", "canary")},
        "bounds": BOUNDS,
        "servers": _servers(view.instances),
        "rollout": _rollout(view),
        "verdict": _verdict(view),
    }


def _config(view: View) -> dict[str, Any] | None:
    if view.config is None or view.document is None:
        return None
    shown = shown_config(load(view.document))
    return {"etag": view.config.etag, "revision": view.config.revision, "document": shown}


def _instance(instance: Instance, view: View) -> dict[str, Any]:
    report = instance.report
    return {
        "id": instance.id,
        "name": instance.name,
        "etag": instance.etag,
        "revision": instance.revision,
        "in_step": view.config is not None and instance.etag == view.config.etag,
        "draining": instance.draining,
        "trouble": report["workers"][0].get("trouble"),
        "serin": report.get("serin"),
        "admin": report.get("admin"),
        "since": report.get("since"),
    }


def _version(found: tuple[Instance, ...], name: str) -> dict[str, Any]:
    counters = [each.report["counters"]["versions"][name] for each in found]
    buckets = [sum(column) for column in zip(*(each["buckets"] for each in counters), strict=True)]
    answered = [sum(column) for column in zip(*(each["answered"] for each in counters), strict=True)]
    failures = _summed(each["failures"] for each in counters)
    seconds = {key: quantile(share, buckets, BOUNDS) for key, share in QUANTILES.items()}
    return {
        "requests": sum(answered) + sum(failures.values()),
        "failed": sum(answered[5:6]) + sum(failures.values()),
        "answered": {f"{first}xx": count for first, count in enumerate(answered) if count},
        "failures": failures,
        "aborts": sum(each["aborts"] for each in counters),
        "spared": _summed(each["spared"] for each in counters),
        "head_seconds": seconds,
        "buckets": buckets,
    }


def _servers(found: tuple[Instance, ...]) -> dict[str, dict[str, int]]:
    """By URL: counters, and in how many instances it is down, ejected or starting."""
    urls: dict[str, dict[str, int]] = {}
    for instance in found:
        for part in ("counters", "gauges"):
            for url, figures in instance.report[part]["servers"].items():
                urls[url] = _summed([urls.get(url, {}), figures])
    return urls


def shown(rollout: Rollout) -> dict[str, Any]:
    """All of it but where its webhooks go: many of their addresses are secrets in themselves."""
    told = journal.dump(rollout)
    return told | {name: [HIDDEN] * len(told[name]) for name in ("webhooks", "confirm")}


def _rollout(view: View) -> dict[str, Any] | None:
    rollout = view.shown
    if rollout is None:
        return None
    told = shown(rollout) | {
        "ratio": rollout.ratio,
        "commands": [command.value for command in commands(rollout)] if view.away is None else [],
    }
    if view.stands_still:
        told["waits_for"] = {"what": "config_server", "why": rollout.reason}
    elif view.situation is not None:
        what, why = awaited(rollout, view.situation)
        told["waits_for"] = {"what": what.value, "why": why}
    return told


def _verdict(view: View) -> dict[str, Any] | None:
    if view.verdict is None or view.shown is None:
        return None
    verdict = view.verdict.held(f"paused: {view.shown.reason}") if view.stands_still else view.verdict
    return asdict(verdict)


def _summed(counts: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    each: Mapping[str, int]
    for each in counts:
        for key, count in each.items():
            total[key] = total.get(key, 0) + count
    return total
