"""What may stand in a config document about versions and their servers: fields, bounds and sentences.

Whether a file exists or a server answers is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, validates_schema

from app.config.fields import PRINTABLE, Address, Choice, Flag, Text, Whole
from app.config.model import ServerConfig, TlsConfig, VersionConfig
from app.config.origin import HOST_NAME, split_origin
from app.config.part import ListOf, Part, Section

_CA_WITHOUT_USE = "has no use while verify is false"
_NOBODY_SERVES = "must have at least one server with a weight above 0 and without drain"


class TlsPart(Part):
    makes = TlsConfig
    also: ClassVar = {
        "not": {
            "properties": {"ca": {"type": "string"}, "verify": {"const": False}},
            "required": ["ca", "verify"],
        },
        "errorMessage": f"has a ca that {_CA_WITHOUT_USE}",
    }

    ca = Text(
        "Path of a PEM file with the authorities to trust instead of the system's.",
        f"{PRINTABLE}+",
        "the path of a file, without control characters",
        1024,
        null=True,
    )
    name = Text(
        "The host name to ask for (SNI) and to verify, instead of the URL's host.",
        HOST_NAME,
        "a host name without a dot at its end",
        253,
        null=True,
    )
    verify = Flag("Whether the server must prove who it is; false lets anybody in between read along.")

    @validates_schema
    def ca_has_use(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("ca") and data.get("verify") is False:
            raise ValidationError({"ca": [_CA_WITHOUT_USE]})


class ServerPart(Part):
    makes = ServerConfig

    also: ClassVar = {
        "if": {"properties": {"tls": {"type": "object"}}, "required": ["tls"]},
        "then": {
            "properties": {"url": {"pattern": "^https://", "errorMessage": "must be https:// beside tls"}}
        },
    }

    url = Address("Where the server listens: over TCP, with TLS, or on a unix socket.", required=True)
    weight = Whole(
        "The server's part of its version's requests, relative to the others; 0: no new requests.", 0, 1000
    )
    tls = Section(
        TlsPart, "How the server of an https:// URL is verified. Not given: by the defaults.", null=True
    )
    drain = Flag("Whether the server only finishes what it has; its visitors move to others.")

    @validates_schema
    def tls_has_use(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("tls") and not data["url"].startswith("https:"):
            raise ValidationError({"tls": ["stands only beside a url that begins with https://"]})


class VersionPart(Part):
    makes = VersionConfig
    also: ClassVar[Mapping[str, Any]] = {"properties": {"servers": {"uniqueOrigins": "url"}}}

    servers = ListOf(ServerPart, "The version's servers; none twice.", 1000)
    balance = Choice(
        "How the next server inside the version is chosen, by weight.",
        "round_robin",
        "random",
        "least_connections",
    )

    @validates_schema
    def each_once(self, data: dict[str, Any], **_: Any) -> None:
        seen: dict[Any, int] = {}
        for index, server in enumerate(data.get("servers", ())):
            first = seen.setdefault(split_origin(server.url), index)
            if first != index:
                raise ValidationError(
                    {"servers": {index: {"url": [f"is the same server as servers[{first}]"]}}}
                )


def _exactly(name: str, value: Any) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"const": value}}}


class StableVersionPart(VersionPart):
    also: ClassVar = {
        "required": ["servers"],
        "properties": {
            "servers": {
                "contains": {"not": {"anyOf": [_exactly("weight", 0), _exactly("drain", True)]}},
                "errorMessage": _NOBODY_SERVES,
            },
        },
        "allOf": [VersionPart.also],
    }

    @validates_schema
    def serves(self, data: dict[str, Any], **_: Any) -> None:
        if not any(server.weight and not server.drain for server in data.get("servers", ())):
            raise ValidationError({"servers": [_NOBODY_SERVES]})
