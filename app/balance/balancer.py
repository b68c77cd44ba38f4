"""Names the server for a request: override, then visitor, then style.

It never waits and never looks at a clock. What happens to the request afterwards is not its business.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol

from app.balance.facts import Facts
from app.balance.group import Group
from app.balance.overrides import Overrides
from app.balance.server import Load, Server
from app.balance.standing import WHOLE
from app.balance.sticky import Identity, Rendezvous, digester, new_visitor
from app.balance.styles import BY_RATIO, STYLES, Choices, Share
from app.config.model import Config


class Choice(NamedTuple):
    """Where a request goes. `new_visitor`: an id to set by cookie; `how`: `override`, `sticky`, `style`.

    `figures`: where to count what becomes of it; they belong to the floor above.
    """

    server: Server
    new_visitor: bytes | None
    how: str
    figures: Any


class Books(Protocol):
    """Gives what to count in, by version. `apart`: for requests that the ratio has not sent."""

    @property
    def apart(self) -> Mapping[str, Any]: ...

    def book(self, ratio: float, salt: str | None, out: bool) -> Mapping[str, Any]:
        """For what this ratio sends. `salt`: what visitors are drawn by, None where they do not stick; `out`: no
        server of one version is available, so the other one gets all."""


class NoBooks:
    """Nobody counts."""

    apart: Mapping[str, Any] = {"stable": None, "canary": None}

    def book(self, ratio: float, salt: str | None, out: bool) -> Mapping[str, Any]:
        """See Books."""
        return self.apart


class Balancer:
    """One config's way to choose. Only its rotations move; another config is another Balancer.

    `loads` gives the Load of a URL, the same one at every call. `previous` is the Balancer in force until
    now: its rotations and the canary's share go on where they stand. It is not kept.
    `out`: the versions that have servers, of which none is available. `book`: where what the ratio sends is counted.
    `salt`: what visitors are drawn by; None: they do not stick, or not by the ratio.
    """

    __slots__ = (
        "_books",
        "_digest",
        "_groups",
        "_overrides",
        "_pick",
        "_place",
        "_rng",
        "_share",
        "_sticky",
        "_stuck",
        "_styled",
        "book",
        "config",
        "identity",
        "out",
        "salt",
        "servers",
    )

    def __init__(
        self,
        config: Config,
        loads: Callable[[str], Load],
        rng: random.Random,
        previous: Balancer | None = None,
        books: Books | None = None,
    ) -> None:
        self.config = config
        self.servers: tuple[Server, ...] = _servers(config, loads, previous.servers if previous else ())
        self._rng = rng
        self._digest = digester(config.salt.encode())
        self.identity = _identity(config.sticky)
        self._overrides = Overrides(config.overrides) if config.overrides else None
        self._styled: dict[Server, Choice] = {}
        self._stuck: dict[Server, Choice] = {}
        self._sticky = config.sticky_sessions
        self._share: Share = previous._share if previous else Share(rng)
        self._groups: dict[str, Group] = previous._groups if previous else {}
        self._books: Books = books or NoBooks()
        sticks = config.sticky_sessions or config.style == "hash"
        self.salt = config.salt if sticks and config.style in BY_RATIO else None
        self.book: Mapping[str, Any] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take note that the availability of servers has changed. Rotations it does not touch go on."""
        before, self._groups = self._groups, {}
        config, group = self.config, partial(self._group, before)
        servers = {version: _of(version, self.servers) for version in ("stable", "canary")}
        versions = {version: _available(those) for version, those in servers.items()}
        live = _weighed(versions["stable"] + versions["canary"])
        stable = group("stable", config.stable.balance, _of("stable", live))
        canary = group("canary", config.canary.balance, _of("canary", live))
        self.out = tuple([name for name, those in servers.items() if those and not versions[name]])
        self.book = self._open_book()
        self._styled = {server: Choice(server, None, "style", self.book[server.version]) for server in live}
        self._stuck = {server: Choice(server, None, "sticky", self.book[server.version]) for server in live}
        choices = Choices(
            stable=stable or (canary if config.failover == "canary" else stable),
            canary=canary or stable,
            everyone=partial(group, "everyone", config.style, live),
            digest=partial(_digest, self.identity, self._digest),
            ratio=config.ratio,
            share=self._share,
            rng=self._rng,
        )
        style = STYLES[config.style](choices)
        self._pick, self._place = style.pick, style.place

    def choose(self, facts: Facts) -> Choice:
        """The server for this request.

        Raises BalanceError when no server may take it: what is stable's by ratio, chance or point goes to the
        canary instead only if `failover` says so.
        """
        if self._overrides is not None and (server := self._overridden(self._overrides, facts)):
            return Choice(server, None, "override", self._books.apart[server.version])
        if not self._sticky:
            return self._styled[self._pick(facts)]
        visitor = self.identity.of(facts)
        if visitor is not None:
            digest = self._digest(visitor)
            facts.bucket = digest >> 108
            return self._stuck[self._place(digest)]
        visitor = new_visitor(self._rng)
        digest = self._digest(visitor)
        facts.bucket = digest >> 108
        server = self._place(digest)
        return Choice(server, visitor, "sticky", self.book[server.version])

    def serving(self, version: str) -> tuple[Server, ...]:
        """Those of its servers that may be chosen."""
        return self._groups[version].servers

    def another(
        self, version: str, facts: Facts, visitor: bytes | None, tried: Collection[Load]
    ) -> Server | None:
        """A server of `version` for one more try, none of those tried; None when there is no other.

        Who sticks, or is told apart by hash, is placed among what is left; `visitor`: the id of a new visitor.
        """
        left = [server for server in self.serving(version) if server.load not in tried]
        if not left:
            return None
        visitor = visitor or (self.identity.of(facts) if self._sticky else None)
        if visitor is not None:
            return Rendezvous(left).place(self._digest(visitor))
        if self.config.style == "hash":
            return Rendezvous(left).place(_digest(self.identity, self._digest, facts))
        return self._rng.choices(left, [server.weight for server in left])[0]

    def _open_book(self) -> Mapping[str, Any]:
        if self.config.style not in BY_RATIO:
            return self._books.apart
        return self._books.book(self.config.ratio, self.salt, bool(self.out))

    def _overridden(self, overrides: Overrides, facts: Facts) -> Server | None:
        version = overrides.version(facts)
        group = self._groups[version] if version else None
        if not group:
            return None
        # Who already has an id keeps a server within the version too; who has none gets none.
        visitor = self.identity.of(facts) if self._sticky else None
        return group.pick() if visitor is None else group.place(self._digest(visitor))

    def _group(self, before: dict[str, Group], name: str, balance: str, servers: tuple[Server, ...]) -> Group:
        group = before.get(name)
        if group is None or (group.balance, group.servers) != (balance, servers):
            group = Group(servers, balance, self._rng)
        self._groups[name] = group
        return group


_identity = lru_cache(4)(Identity)  # most changes of the config leave it alone


def _digest(identity: Identity, digest: Callable[[bytes], int], facts: Facts) -> int:
    return digest(identity.of(facts) or facts.client)


def _servers(config: Config, loads: Callable[[str], Load], known: tuple[Server, ...]) -> tuple[Server, ...]:
    """The config's servers, stable ones first; those known and unchanged are the same objects as before.

    One that drains has no weight.
    """
    before = {(server.url, server.version, server.weight, id(server.load)): server for server in known}
    servers = []
    for version, part in (("stable", config.stable), ("canary", config.canary)):
        for each in part.servers:
            load, weight = loads(each.url), 0 if each.drain else each.weight
            same = before.get((each.url, version, weight, id(load)))
            servers.append(same or Server(each.url, version, weight, load))
    return tuple(servers)


def _of(version: str, servers: tuple[Server, ...]) -> tuple[Server, ...]:
    return tuple([server for server in servers if server.version == version and server.weight])


def _available(servers: tuple[Server, ...]) -> tuple[Server, ...]:
    """Those that may be chosen. If all that are up have been ejected, all of them serve rather than none."""
    up = tuple([server for server in servers if not server.load.down])
    return tuple([server for server in up if not server.load.ejected]) or up


def _weighed(servers: tuple[Server, ...]) -> tuple[Server, ...]:
    """The servers themselves, or stand-ins whose weights say how far those are that start slowly."""
    if all(server.load.tenths == WHOLE for server in servers):
        return servers
    return tuple([replace(server, weight=server.weight * server.load.tenths) for server in servers])
