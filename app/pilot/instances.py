"""The instances of a service, as they report themselves to the config server."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.config.keys import KeyClient, Listing

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Instance:
    """One proxy process. `etag` and `revision`: the document that it serves by, None: none of the config server's.

    `applied`: for so many seconds, when it said so. `rejected`: the newest document that it will not serve by,
    `{"etag", "faults"}`. `report`: all that it said.
    """

    id: str
    name: str
    etag: str | None
    revision: int | None
    applied: float
    rejected: Mapping[str, Any] | None
    draining: bool
    report: Mapping[str, Any]


def prefix(service: str) -> str:
    """Where in the config server the instances of a service report."""
    return f"{service}/instances/"


def instances(keys: KeyClient, service: str) -> tuple[Instance, ...]:
    """Who lives, sorted by name. Raises ConfigServerError."""
    listing = keys.scan(prefix(service))
    return read(listing) if listing else ()


def read(listing: Listing) -> tuple[Instance, ...]:
    """Who reports; what cannot be read is left out."""
    found = (_instance(entry.key.rpartition("/")[2], entry.value) for entry in listing.entries)
    return tuple(sorted((each for each in found if each), key=lambda each: (each.name, each.id)))


def _instance(identity: str, value: Any) -> Instance | None:
    try:
        worker = value["workers"][0]
        name = f"{value['host']}:{worker['pid']}"
        return Instance(
            identity,
            name,
            worker["etag"],
            worker["revision"],
            float(value.get("applied") or 0.0),
            value["rejected"],
            worker["draining"],
            value,
        )
    except (LookupError, TypeError, ValueError):
        log.warning("the report of instance %s cannot be read", identity)
        return None
