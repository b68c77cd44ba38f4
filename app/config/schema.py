"""What may stand in a config document: every field, its bounds and its sentence, here and in
`versions` and `failures`, nowhere else.

The docs page and the JSON Schema are walked out of these classes; the defaults are the model's. Knows
nothing of where a document comes from.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, NamedTuple

from marshmallow import ValidationError, validates_schema

from app.config.failures import HealthPart, OutlierPart, RescuePart, RetryPart
from app.config.fields import (
    PRINTABLE,
    TCHARS,
    Addresses,
    Choice,
    Duration,
    Flag,
    Network,
    Number,
    Text,
    Whole,
)
from app.config.model import (
    Config,
    Limits,
    Override,
    StickyConfig,
    StickyKey,
    Timeouts,
    TlsConfig,
    VersionConfig,
)
from app.config.origin import split_origin
from app.config.part import ListOf, OneOf, Part, Reader, Section, decoded, exactly_one_of
from app.config.status_field import StatusField
from app.config.versions import StableVersionPart, VersionPart
from app.errors import InvalidConfig

LARGEST = 512 * 1024
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_KIB, _MIB, _TIB = 2**10, 2**20, 2**40


class Kind(NamedTuple):
    """What the `value` beside one kind of override may be: a pattern and its sentence."""

    pattern: str
    rule: str

    @property
    def sentence(self) -> str:
        return f"could never match: must be {self.rule}"

    def json_schema(self) -> dict[str, str]:
        return {"pattern": f"^{self.pattern}$", "errorMessage": self.sentence}


_PATH = r"""[!-"$->@-~]"""  # printable ASCII but "?" and "#", which end a path (RFC 3986 §3.3)
KINDS = {
    "header": Kind(r"[!-~](?:[ -~]*[!-~])?", "printable ASCII without blanks around it"),  # RFC 9110 §5.5
    "cookie": Kind(
        r"[!#-+\--:<-\[\]-~]+", "printable ASCII without blanks, quotes, commas, semicolons, backslashes"
    ),
    "query": Kind(f"{PRINTABLE}+", "free of control characters"),
    "path_prefix": Kind(r"""[!-"$-.0->@-~]+""", "one path segment: printable ASCII without slash, ? and #"),
}


def _token(description: str, *, required: bool = False) -> Text:
    return Text(description, TCHARS, "a token as in RFC 9110 §5.6.2", 256, required=required)


class StickyKeyPart(OneOf):
    makes = StickyKey
    kinds = ("header", "cookie")
    also: ClassVar = exactly_one_of(*kinds)

    header = _token("The request header that holds the visitor's identity.")
    cookie = _token("The cookie that holds the visitor's identity.")


class StickyPart(Part):
    makes = StickyConfig

    cookie = _token("Name of the cookie that carries a visitor's random id; it never names a version.")
    ttl = Duration("How long a browser keeps that cookie.", 1, 400 * _DAY)
    key = Section(
        StickyKeyPart, "Where requests carry an identity of their own, used before our cookie.", null=True
    )


class OverridePart(OneOf):
    makes = Override
    kinds = tuple(KINDS)
    also: ClassVar = {
        **exactly_one_of(*KINDS),
        "allOf": [
            {"if": {"required": [kind]}, "then": {"properties": {"value": value.json_schema()}}}
            for kind, value in KINDS.items()
        ],
    }

    header = _token("Name of a request header.")
    cookie = _token("Name of a cookie.")
    query = Text("Name of a field of the query.", f"{PRINTABLE}+", "a text without control characters", 256)
    path_prefix = Text(
        'A prefix of the path, in whole segments: "/beta" is a prefix of "/beta/x", not of "/betamax".',
        f"/{_PATH}*",
        'a path that begins with "/", printable ASCII without ? and #',
        1024,
    )
    value = Text(
        "The value the header, cookie or query field must have; with path_prefix, the path's next segment. "
        "Not given: being there is enough. It is never shown in errors, so it may be a secret.",
        f"{PRINTABLE}+",
        "a text without control characters",
        1024,
        secret=True,
        null=True,
    )
    version = Choice("The version that gets the request.", "stable", "canary", required=True)

    @validates_schema
    def value_can_match(self, data: dict[str, Any], **_: Any) -> None:
        rules = [KINDS[kind] for kind in self.kinds if kind in data]
        value = data.get("value")
        if value is not None and any(not re.fullmatch(rule.pattern, value) for rule in rules):
            raise ValidationError({"value": [rules[0].sentence]})


class TimeoutsPart(Part):
    makes = Timeouts

    client_head = Duration("From the first byte of a request to the end of its head.", 0.1, 10 * _MINUTE)
    client_idle = Duration("How long a client's connection may wait for its next request.", 0.1, _HOUR)
    body_rate = Number(
        "The least a body must make, either way, measured while it flows.", 1, 2**30, "bytes/s", off=True
    )
    connect = Duration("To open a connection to a server.", 0.01, _MINUTE)
    head = Duration("From the end of a request to the end of the head of its answer.", 0.01, _HOUR)
    upstream_idle = Duration("How long an unused connection to a server is kept.", 0.1, _HOUR)
    request = Duration(
        "For a whole exchange, from the request's head to the answer's last byte.", 0.1, _DAY, off=True
    )
    tunnel_idle = Duration(
        "How long an upgraded connection (WebSocket) may be silent, both ways.", 0.1, _DAY, off=True
    )


class LimitsPart(Part):
    makes = Limits

    head_bytes = Whole("A request's head: request line and headers.", _KIB, _MIB, "bytes")
    target_bytes = Whole("A request's target: path and query.", 256, _MIB, "bytes")
    headers = Whole("Header fields of a request.", 8, 1000)
    body_bytes = Whole("A request's body.", 0, _TIB, "bytes", off=True)
    connections = Whole(
        "Connections of clients at one time, to one instance; at most 7/8 of the files that it may open.",
        1,
        1_000_000,
    )
    requests = Whole("Requests under way at one time, in one instance.", 1, 1_000_000, off=True)
    per_server = Whole(
        "Requests under way at one time at each server, from one instance.", 1, 1_000_000, off=True
    )
    queue = Whole("Requests that may wait until one of those two limits lets them pass.", 0, 1_000_000)
    queue_time = Duration("How long they wait at most; then they get 503.", 0.01, _MINUTE)


class Document(Part):
    makes = Config

    style = Choice(
        "How the next server is chosen. ratio: the canary gets exactly its share, spread evenly. "
        "random: each request by chance. hash: by visitor. round_robin: all servers in turn. "
        "least_connections: the least busy server. The last two do not use the ratio.",
        "ratio",
        "random",
        "hash",
        "round_robin",
        "least_connections",
    )
    ratio = Number(
        "The canary's share of requests, or of visitors. Without a canary server it goes to stable.", 0, 1
    )
    sticky_sessions = Flag("Whether a visitor stays with one version and one server.")
    config_server = Addresses(
        "Where the next versions of this document are read. Adopted once a valid config has been read there. "
        "null: stay with the present one.",
        null=True,
    )
    update_rate = Duration(
        "Time between two reads of the config server; a change is in force no later.", 0.05, _HOUR
    )
    stable = Section(StableVersionPart, "The version that everybody gets.", required=True)
    canary = Section(VersionPart, "The version that is tried on a few.")
    salt = Text(
        "Draws the visitors who get the canary; a new one draws others.",
        f"{PRINTABLE}*",
        "a text without control characters",
        64,
        secret=True,
    )
    sticky = Section(StickyPart, "How visitors are known.")
    overrides = ListOf(
        OverridePart, "Requests that choose their version themselves; the first that fits holds.", 256
    )
    timeouts = Section(TimeoutsPart, "How long things may take.")
    limits = Section(LimitsPart, "How much a request may weigh, and how many there may be at one time.")
    trusted_proxies = ListOf(
        Network("Addresses of proxies."),
        "Connections from there may say who the client is: their X-Forwarded-* and Forwarded are added to; "
        "anybody else's are replaced.",
        256,
        of="IP addresses and networks",
    )
    underscored_headers = Choice(
        'What becomes of header names with "_", which many applications cannot tell from "-". '
        "drop: they are left out. pass: they go on as they came. refuse: the whole request is refused.",
        "drop",
        "pass",
        "refuse",
    )
    health = Section(HealthPart, "How it is found out whether servers are well.")
    outlier = Section(OutlierPart, "When a server gets no more requests, for what it does to them.")
    retry = Section(RetryPart, "Which requests are tried again, and how often.")
    shield = Choice(
        "Which requests that failed on the canary stable answers instead. They still count as failures of the "
        "canary. safe: GET, HEAD, OPTIONS. idempotent: also PUT, DELETE, TRACE, and any with an Idempotency-Key. "
        "Either: any of which nothing had been sent. Requests that an override sends to the canary have no shield.",
        "off",
        "safe",
        "idempotent",
    )
    shield_on = ListOf(
        StatusField("Statuses.", 500, 599),
        "Answers of the canary that the shield takes for failures, as it does no answer at all.",
        100,
        of="statuses",
    )
    rescue = Section(
        RescuePart,
        "Lets files that only one version has be found whichever version is asked; {} turns it on.",
        null=True,
    )
    failover = Choice(
        "Who answers for stable while none of its servers is available. none: nobody. canary: the canary.",
        "none",
        "canary",
    )

    @validates_schema
    def one_tls_each(self, data: dict[str, Any], **_: Any) -> None:
        """A server in both versions is one server, with one pool of connections."""
        said = {split_origin(server.url): server.tls or TlsConfig() for server in data["stable"].servers}
        for index, server in enumerate(data.get("canary", VersionConfig()).servers):
            tls = server.tls or TlsConfig()
            if said.get(split_origin(server.url), tls) != tls:
                fault = ["is not the same as in stable, which has this server too"]
                raise ValidationError({"canary": {"servers": {index: {"tls": fault}}}})


_DOCUMENT = Document()
_READER = Reader(_DOCUMENT)


def load(data: Any) -> Config:
    """The config that decoded JSON spells; raises InvalidConfig naming every faulty field (20 at most)."""
    config: Config = _READER.read(data, InvalidConfig)
    return config


def parse(raw: bytes) -> Config:
    """The config in `raw`, JSON of at most 512 KiB; raises InvalidConfig."""
    return load(decoded(raw, LARGEST, InvalidConfig))


def dump(config: Config) -> dict[str, Any]:
    """The whole document, defaults and all: `load(dump(config)) == config`. Durations are seconds."""
    return dict(_DOCUMENT.dump(config))
