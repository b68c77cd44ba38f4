"""What a rollout changes in the config document, and how it tells whether that has been done.

Documents are decoded JSON, with all that is in them. A change depends on nothing but the document it changes, so
it can be made again by whoever finds that it was not made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from app.rollout.state import Mark, Promotion

Document = Mapping[str, Any]
_BY_RATIO = ("ratio", "random", "hash")
# What a rollout is about: whoever changes it takes the wheel.
_STEERED = ("ratio", "style", "salt", "stable", "canary")


def mark(document: Document) -> Mark:
    """The same for equal JSON, whatever the order of names or the white space."""
    return Mark(_print(document), _print({name: document.get(name) for name in _STEERED}))


def canaries(document: Document) -> tuple[str, ...]:
    """The canary's servers. Where one of them is missing later, it is another canary."""
    servers = (document.get("canary") or {}).get("servers") or []
    return tuple(sorted(server["url"] for server in servers))


def with_ratio(document: Document, ratio: float) -> Document:
    """The canary gets this share."""
    return document if document.get("ratio", 0) == ratio else {**document, "ratio": ratio}


def promotion(document: Document) -> Promotion:
    """What a promotion would exchange."""
    return Promotion(document["stable"], document["canary"])


def promoted(document: Document) -> Document:
    """The canary is what everybody gets, and there is none any more."""
    return {**document, "stable": document["canary"], "canary": {"servers": []}, "ratio": 0}


def is_promoted(document: Document, exchanged: Promotion | None) -> bool:
    """Is it so, whatever else has been changed since?"""
    made = exchanged is not None and document.get("stable") == exchanged.new
    return made and not canaries(document) and not document.get("ratio", 0)


def recalled(document: Document, exchanged: Promotion | None) -> Document:
    """Nobody gets the canary; if it has become stable, what was stable is so again."""
    if exchanged and is_promoted(document, exchanged):
        document = {**document, "stable": exchanged.old, "canary": exchanged.new}
    return with_ratio(document, 0)


def unready(document: Document) -> str | None:
    """Why a rollout cannot begin with this document; None: it can."""
    servers = (document.get("canary") or {}).get("servers") or []
    if not any(server.get("weight", 1) for server in servers):
        return "the config has no canary server"
    style = document.get("style", "ratio")
    if style not in _BY_RATIO:
        return f"the style {style} does not use the ratio"
    return None


def _print(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
