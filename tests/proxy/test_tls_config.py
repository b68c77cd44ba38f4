"""TLS settings of servers that change, and those that cannot be used."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import trustme

from app.clock import Clock
from app.config.model import Config, ServerConfig, VersionConfig
from app.errors import InvalidConfig
from app.proxy.fleet import Fleet
from app.proxy.stats import Stats
from app.upstream.pool import Pool
from tests.proxy.peer import LAST_GET
from tests.proxy.rig import Rig
from tests.proxy.secure_peer import SecureUpstream, answering, trusting
from tests.proxy.test_servers import error_of
from tests.support.raw import exchange
from tests.support.tls import AUTHORITY, write_authority


def test_new_settings_want_new_connections(ca):
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
        same = apply(rig, trusting(server.url, ca))
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
        assert server.connections == 1
        apply(rig, trusting(server.url, None))
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls_certificate")
        assert same.load is rig.load(server.url)


def apply(rig: Rig, *servers: ServerConfig):
    """Put these servers in force; gives the first."""
    config = replace(rig.config, stable=VersionConfig(servers))
    rig.gateway.snapshot = rig.fleet.snapshot(config, rig.gateway.snapshot)
    rig.fleet.retire(config)
    return rig.gateway.snapshot.balancer.servers[0]


def test_the_old_connections_serve_until_the_name_is_looked_up_again(ca):
    """Requests do not wait while a config is made ready, so there must be a pool for them at any time."""
    seen: list[bool] = []

    class Watched(Pool):
        def resolve(self) -> None:
            present = fleet.loads.get(url)
            seen.append(present is not None and present.pool is not self)
            super().resolve()

    url = "https://127.0.0.1:1"
    fleet = Fleet(Clock(), random.Random(1), Stats().books, Watched)
    for verify in (True, False):
        fleet.snapshot(Config(VersionConfig((trusting(url, ca, verify=verify),))), None)
    assert seen == [False, True]


def test_a_connection_of_old_settings_that_was_lent_is_not_kept(ca):
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        pool = rig.load(server.url).pool
        lent = pool.connect(1)
        apply(rig, trusting(server.url, None, verify=False))
        pool.give(lent, 60)
        assert pool.take() is None
        assert rig.load(server.url).pool.take() is None


def test_an_authority_whose_file_changes_is_read_again_with_the_next_config(tmp_path):
    strange = write_authority(tmp_path, trustme.CA())
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.url, strange)) as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls_certificate")
        write_authority(tmp_path, AUTHORITY)
        apply(rig, trusting(server.url, strange))
        assert exchange(rig.address, LAST_GET).endswith(b"ok")


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "cannot be read: No such file or directory"), ("no certificate", "holds no certificate")],
)
def test_an_authority_that_cannot_be_used_changes_nothing(tmp_path, ca, content, why):
    bad = tmp_path / "bad.pem"
    if content:
        bad.write_text(content)
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        other = trusting("https://127.0.0.1:1", str(bad))
        with pytest.raises(InvalidConfig) as refused:
            apply(rig, trusting(server.url, None), other)
        assert refused.value.faults == {"stable.servers[1].tls.ca": why}
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
        assert list(rig.fleet.loads) == [server.url]
