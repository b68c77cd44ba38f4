"""The interface as OpenAPI 3.1: the table of routes with a few words to each. A route without words is a KeyError.

Keys, prefixes and scopes have slashes in them, which OpenAPI cannot say of a part of a path: take them as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from werkzeug.routing import Rule

from kv import __version__
from kv.admission import Need
from kv.asked import HISTORY, MAX_WAIT, PAGE
from kv.endpoints.documents import Documents
from kv.endpoints.operations import Operations
from kv.endpoints.schemas import SchemaFiles
from kv.model import KEY_BYTES, MAX_TTL, MIN_TTL
from kv.problem import PROBLEMS
from kv.routes import ROUTES, Endpoint

JSON = "application/json"
Schema = dict[str, Any]

_REVISION: Schema = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_PARAMETERS: dict[str, tuple[str, Schema]] = {
    "rev": ("As of this revision.", _REVISION),
    "wait": (
        "Seconds to wait for anything but If-None-Match.",
        {"type": "number", "minimum": 0, "maximum": MAX_WAIT},
    ),
    "history": ("So many versions, newest first.", {"type": "integer", "minimum": 1, "maximum": HISTORY}),
    "from": ("Write the version of this revision again; takes no body.", _REVISION),
    "ttl": ("Seconds after which the key goes.", {"type": "number", "minimum": MIN_TTL, "maximum": MAX_TTL}),
    "values": ("Whether to show the documents.", {"type": "boolean"}),
    "limit": ("So many keys.", {"type": "integer", "minimum": 1, "maximum": PAGE}),
    "after": ("From the key after this one on.", {"type": "string", "maxLength": KEY_BYTES}),
}
_ANY: Schema = {}
_WRITTEN: Schema = {
    "type": "object",
    "properties": {
        "key": {"type": "string"},
        "revision": {"type": "integer"},
        "etag": {"type": "string"},
        "version": {"type": "integer"},
        "changed": {"type": "boolean"},
        "modified": {"type": "string"},
    },
    "required": ["key", "revision", "etag", "version", "changed", "modified"],
}
_LIST: Schema = {
    "type": "object",
    "properties": {
        "revision": {"type": "integer"},
        "items": {
            "type": "array",
            "items": {"type": "object", "required": ["key", "revision", "etag", "size"]},
        },
        "next": {"type": ["string", "null"]},
    },
    "required": ["revision", "items", "next"],
}
_TRANSACTION: Schema = {
    "type": "object",
    "properties": {
        "if": {"type": "array", "items": {"type": "object"}},
        "do": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["do"],
}
_COMMITTED: Schema = {
    "type": "object",
    "properties": {"revision": {"type": "integer"}, "results": {"type": "array", "items": _WRITTEN}},
    "required": ["revision", "results"],
}
_OBJECT: Schema = {"type": "object"}
_TEXT: Schema = {"type": "string"}
_PROBLEM: Schema = {
    "type": "object",
    "properties": {
        "type": {"enum": [f"/problems/{code}" for code in PROBLEMS]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}


class Words(NamedTuple):
    """What the table of routes does not say. `problems`: codes beside those that every such request may get."""

    summary: str
    answers: dict[int, dict[str, Schema]]
    parameters: tuple[str, ...] = ()
    body: dict[str, Schema] | None = None
    conditional: bool = False
    problems: tuple[str, ...] = ()


_READ = {200: {JSON: _ANY}, 304: {}}
_WRITE = {200: {JSON: _WRITTEN}, 201: {JSON: _WRITTEN}}
_METRICS = {200: {"text/plain": _TEXT, "application/openmetrics-text": _TEXT}}
_STREAM = {"text/event-stream": _TEXT}
_BODY = ("bad-json", "length-required", "too-large", "unsupported-media-type")
_COMMIT = (*_BODY, "invalid-document", "full", "outcome-unknown")

WORDS: dict[Any, Words] = {
    Documents.read: Words(
        "A document, or what became of it",
        {200: {JSON: _ANY, **_STREAM}, 304: {}},
        ("rev", "wait", "history"),
        conditional=True,
        problems=("not-found", "gone", "too-many-watchers"),
    ),
    Documents.scan: Words(
        "The keys under a prefix",
        {200: {JSON: _LIST, **_STREAM}, 304: {}},
        ("values", "limit", "after", "wait"),
        conditional=True,
        problems=("too-many-watchers",),
    ),
    Documents.put: Words(
        "Replace or create a document",
        _WRITE,
        ("from", "ttl"),
        {JSON: _ANY},
        conditional=True,
        problems=(*_COMMIT, "not-found", "gone", "kept", "precondition-failed"),
    ),
    Documents.patch: Words(
        "Change a document",
        {200: {JSON: _WRITTEN}},
        (),
        {
            "application/merge-patch+json": _ANY,
            "application/json-patch+json": {"type": "array", "items": _OBJECT},
        },
        conditional=True,
        problems=(*_COMMIT, "not-found", "bad-patch", "test-failed", "cannot-apply", "precondition-failed"),
    ),
    Documents.delete: Words(
        "Delete a document; its history stays",
        {200: {JSON: _WRITTEN}},
        conditional=True,
        problems=("not-found", "precondition-failed", "full", "outcome-unknown", "too-large"),
    ),
    Documents.transact: Words(
        "Several writes as one",
        {200: {JSON: _COMMITTED}},
        (),
        {JSON: _TRANSACTION},
        problems=(*_COMMIT, "not-found", "kept", "precondition-failed"),
    ),
    SchemaFiles.read: Words("The schema of a scope", _READ, conditional=True, problems=("not-found",)),
    SchemaFiles.list_all: Words("All schemas", {200: {JSON: _LIST}, 304: {}}, conditional=True),
    SchemaFiles.put: Words(
        "Give a scope a schema, which every later write must satisfy",
        _WRITE,
        (),
        {JSON: {"type": ["object", "boolean"]}},
        conditional=True,
        problems=(*_COMMIT, "bad-schema", "precondition-failed"),
    ),
    SchemaFiles.delete: Words(
        "Take a schema away",
        {200: {JSON: _WRITTEN}},
        conditional=True,
        problems=("not-found", "precondition-failed", "full", "outcome-unknown", "too-large"),
    ),
    Operations.alive: Words("Whether the process lives", {200: {JSON: _OBJECT}}),
    Operations.ready: Words("Whether a write would be committed", {200: {JSON: _OBJECT}}),
    Operations.status: Words("What the server says of itself", {200: {JSON: _OBJECT}}),
    Operations.metrics: Words("Figures for Prometheus", _METRICS),
    Operations.backup: Words("All that is kept, as of one moment", {200: {"application/x-ndjson": _TEXT}}),
    Operations.describe: Words("This description", {200: {JSON: _OBJECT}}),
}
_ALWAYS = ("bad-request", "bad-key", "forbidden", "internal", "unavailable")
_READS = ("unauthorized",)
_WRITES = ("unauthorized", "precondition-required", "too-many-requests")
_BY_NEED = {
    Need.NOTHING: (),
    Need.A_TOKEN: _READS,
    Need.READ: _READS,
    Need.READ_ALL: _READS,
    Need.WRITE: _WRITES,
    Need.WRITE_EACH: _WRITES,
}


def description() -> dict[str, Any]:
    """The whole document, as plain JSON values."""
    paths: dict[str, Any] = {}
    for rule in ROUTES:
        for method in sorted((rule.methods or set()) - {"HEAD"}):
            paths.setdefault(_path(rule), {})[method.lower()] = _operation(rule, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Serin's config server", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _path(rule: Rule) -> str:
    """A prefix has its own slash at the end."""
    named = rule.rule.replace("<prefix:key>", "{prefix}/")
    return re.sub(r"<(\w+):key>", r"{\1}", named)


def _operation(rule: Rule, method: str) -> dict[str, Any]:
    endpoint: Endpoint = rule.endpoint
    words = WORDS[endpoint.call]
    operation: dict[str, Any] = {
        "operationId": f"{method.lower()}_{endpoint.part.__name__}_{endpoint.call.__name__}".lower(),
        "summary": words.summary,
        "parameters": [*_in_path(rule), *map(_in_query, words.parameters), *_conditions(words, method)],
        "responses": {str(status): _answer(status, content) for status, content in words.answers.items()}
        | _refusals(_problems(endpoint, words)),
    }
    if words.body:
        body = {name: {"schema": schema} for name, schema in words.body.items()}
        operation["requestBody"] = {"required": "from" not in words.parameters, "content": body}
    if endpoint.need is not Need.NOTHING:
        operation["security"] = [{"token": []}, {}]
    return operation


def _in_path(rule: Rule) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", _path(rule))
    text = {"type": "string", "minLength": 1, "maxLength": KEY_BYTES, "pattern": r"^[A-Za-z0-9_~-]+$"}
    return [{"name": name, "in": "path", "required": True, "schema": text} for name in names]


def _in_query(name: str) -> dict[str, Any]:
    meaning, schema = _PARAMETERS[name]
    return {"name": name, "in": "query", "description": meaning, "schema": schema}


def _conditions(words: Words, method: str) -> list[dict[str, Any]]:
    if not words.conditional:
        return []
    names = ["If-None-Match"] if method == "GET" else ["If-Match", "If-None-Match"]
    etag = {"type": "string", "pattern": r'^(\*|"[!#-~]{1,64}")$'}
    return [{"name": name, "in": "header", "schema": etag} for name in names]


def _answer(status: int, content: dict[str, Schema]) -> dict[str, Any]:
    text = {200: "Done.", 201: "Created.", 304: "It is what If-None-Match names."}[status]
    shown = {name: {"schema": schema} for name, schema in content.items()}
    return {"description": text} | ({"content": shown} if shown else {})


def _problems(endpoint: Endpoint, words: Words) -> Iterable[str]:
    return (*_ALWAYS, *_BY_NEED[endpoint.need], *words.problems)


def _refusals(codes: Iterable[str]) -> dict[str, Any]:
    titles: dict[int, list[str]] = {}
    for code in codes:
        status, title = PROBLEMS[code]
        titles.setdefault(status, []).append(title)
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {"description": f"{'; '.join(texts)}.", "content": content}
        for status, texts in sorted(titles.items())
    }
