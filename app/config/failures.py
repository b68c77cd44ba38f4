"""What may stand in a config document about servers that fail: fields, bounds and sentences."""

from __future__ import annotations

from app.balance.failure import KINDS
from app.config.fields import TCHARS, Duration, Number, Text, Whole
from app.config.model import HealthConfig, OutlierConfig, RescueConfig, RetryConfig
from app.config.origin import HOST_NAME
from app.config.part import ListOf, Part
from app.config.status_field import StatusField

_MINUTE, _HOUR = 60, 3600
_STATUSES = 64


class HealthPart(Part):
    makes = HealthConfig

    path = Text(
        "What each server is asked for now and then, with its query; null: no server is probed.",
        r"/[!-\"$-~]*",
        'a path that begins with "/", printable ASCII without #',
        1024,
        null=True,
    )
    interval = Duration(
        "From the end of one probe of a server to the next, a tenth more or less.", 0.05, _HOUR
    )
    timeout = Duration(
        "How long a probe may take, from the connection to the head of the answer.", 0.01, _MINUTE
    )
    statuses = ListOf(
        StatusField("Statuses.", 100, 599),
        "A probe that is answered by any other status has failed.",
        _STATUSES,
        of="statuses",
        least=1,
    )
    rise = Whole("So many probes in a row must succeed before a server that is down is up.", 1, 100)
    fall = Whole("So many probes in a row must fail before a server that is up is down.", 1, 100)
    host = Text(
        "The Host that probes name, instead of the server's own.",
        rf"(?:{HOST_NAME}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?",
        "a host name or an address, with or without a port",
        255,
        null=True,
    )
    slow_start = Duration(
        "How long a server that was down, or ejected, takes to get its whole share again, from a tenth upwards.",
        1,
        _HOUR,
        off="no delay",
    )


class OutlierPart(Part):
    makes = OutlierConfig

    consecutive = Whole(
        "A server is ejected after so many failures in a row: no connection, no answer in time, a reset, 5xx.",
        1,
        1000,
        off=True,
    )
    rate = Number("A server is ejected when this share of its requests fails.", 0.01, 1, off=True)
    window = Duration("The time over which that share is taken.", 1, _HOUR)
    min_requests = Whole(
        "So many requests must have ended in that time before their share counts.", 1, 1_000_000
    )
    ejection = Duration(
        "How long an ejected server gets no requests. Doubled each time it fails again soon after, up to 16-fold.",
        0.1,
        _HOUR,
    )
    max_ejected = Number(
        "The largest share of a version's servers to be ejected at one time; 0: none ever is.", 0, 1
    )


class RetryPart(Part):
    makes = RetryConfig

    attempts = Whole("How often a request is tried in all, each time at another server; 1: once.", 1, 10)
    on = ListOf(
        StatusField("Failures.", 400, 599, *KINDS),
        "What a request is tried again for. connect: no connection was to be had. reset: it ended without a whole "
        "head, or what came was none. timeout: timeouts.head or retry.try_timeout.",
        _STATUSES,
        of="failures",
    )
    methods = ListOf(
        Text("Methods.", TCHARS, "a token as in RFC 9110 §5.6.2", 32),
        "Methods that may be tried again whatever the failure; all others only when no byte has been sent.",
        32,
        of="methods",
    )
    budget = Number(
        "Second tries of all kinds (retry, shield, rescue) are at most this share of the requests of the last 10 s; "
        "or 20, if that is more.",
        0,
        1,
    )
    try_timeout = Duration(
        "From the end of a request to the head of its answer, when another try may follow; "
        "otherwise timeouts.head holds.",
        0.05,
        _HOUR,
        off=True,
    )
    backoff = Duration(
        "The pause before a second try is drawn from 0 to this, before a third to twice this, and so on.",
        0.001,
        10,
        off="no pause",
    )


class RescuePart(Part):
    makes = RescueConfig

    suffixes = ListOf(
        Text("Suffixes.", r"""[!-"$->@-~]+""", "printable ASCII without ? and #", 64),
        "A GET or HEAD of a path that ends like this and got 404 is tried on the other version.",
        256,
        of="suffixes",
        least=1,
    )
    remember = Duration("How long it is remembered which version has a path.", 1, _HOUR)
