"""What a server makes of an etcd that is away, silent, full, older than it was, or locked."""

from __future__ import annotations

import itertools
import time
from collections import deque

import gevent
import pytest
from requests import ConnectionError as NoConnection
from requests import Session

from kv.engine.etcd import EtcdEngine
from kv.engine.etcd.pace import Pace
from kv.engine.etcd.target import Target, target_from
from kv.errors import CannotStart, Full, Unavailable, Unknown
from kv.model import Condition, Meta, Reset
from kv.store import Store
from tests.support.etcd import NEEDS_ETCD, coded, etcd
from tests.support.events import EventSource
from tests.support.kv_helpers import client, delete, held, opened, problem, put, serving, serving_store
from tests.support.line import Line
from tests.support.processes import wait_until
from tests.support.tls import issue, write_authority

pytestmark = NEEDS_ETCD

KEY = "/v1/kv/a"
BRISK = Pace(patience=0.8, attempt=0.3, lag=0.3, grace=0.2, audit=0.1)


def over(member, **options):
    """An engine that soon loses its patience."""
    return EtcdEngine(Target((member.url,)), pace=BRISK, **options)


@pytest.fixture
def member():
    """An etcd of one's own, to be ill-treated."""
    with etcd() as (member,):
        yield member


@pytest.fixture
def engine(member):
    with opened(over(member)) as engine:
        yield engine


class Lossy(Session):
    """Loses the answers to the writes whose turn `lost` says, counted from 0: they are carried out all the same."""

    def __init__(self, lost):
        super().__init__()
        self._lost = lost
        self._count = 0

    def send(self, request, **options):
        response = super().send(request, **options)
        if request.url.endswith("/v3/kv/txn") and b'"request_put"' in request.body:
            self._count += 1
            if self._count - 1 in self._lost:
                response.close()
                raise NoConnection("the answer was lost")
        return response


def numbers(engine, key):
    return [version.number for version in engine.history(key, 100)]


# Answers that are lost


def test_a_write_whose_answer_was_lost_is_found(shared_etcd, prefix):
    with opened(EtcdEngine(Target((shared_etcd.url,), prefix), new_session=lambda: Lossy({1, 3}))) as engine:
        first = put(engine, "a", b"1")
        second = put(engine, "a", b"2", Condition("a", frozenset({first.results[0].item.version.etag})))
        third = put(engine, "b", b"3")
        fourth = delete(engine, "a")
        assert [commit.revision for commit in (second, third, fourth)] == [
            first.revision + 1,
            first.revision + 2,
            first.revision + 3,
        ]
        assert (numbers(engine, "a"), numbers(engine, "b")) == ([3, 2, 1], [1])
        engine.close()
        assert len(list(engine.feed())) == 4


def test_even_one_with_a_ttl(shared_etcd, prefix):
    with opened(EtcdEngine(Target((shared_etcd.url,), prefix), new_session=lambda: Lossy({0}))) as engine:
        written = put(engine, "lock", b"1", ttl=60)
        assert engine.get("lock") == written.results[0].item


def test_one_that_cannot_be_found_any_more_is_unknown(shared_etcd, prefix, open_engine):
    """The answer was lost, and before anyone could look the key was written by another."""
    other = open_engine(shared_etcd.url)

    class Overtaken(Lossy):
        def send(self, request, **options):
            try:
                return super().send(request, **options)
            except NoConnection:
                put(other, "lock", b"theirs", ttl=60)
                raise

    with opened(EtcdEngine(Target((shared_etcd.url,), prefix), new_session=lambda: Overtaken({0}))) as engine:
        with pytest.raises(Unknown):
            put(engine, "lock", b"mine", ttl=60)
        assert engine.get("lock").value == b"theirs"


def test_one_with_a_history_is_found_even_then(shared_etcd, prefix, open_engine):
    other = open_engine(shared_etcd.url)

    class Overtaken(Lossy):
        def send(self, request, **options):
            try:
                return super().send(request, **options)
            except NoConnection:
                put(other, "a", b"theirs")
                raise

    with opened(EtcdEngine(Target((shared_etcd.url,), prefix), new_session=lambda: Overtaken({0}))) as engine:
        mine = put(engine, "a", b"mine")
        assert [version.revision for version in engine.history("a", 9)] == [mine.revision + 1, mine.revision]


# Away


def test_it_may_come_later_than_the_server(caplog):
    """Started without an etcd the server is there, and not ready; it goes on by itself."""
    caplog.set_level("INFO")
    with etcd() as (member,):
        member.stop()
        with serving_store(over(member)) as store:
            http = client(store)
            for response in (
                http.get("/-/readyz"),
                http.get(KEY),
                http.put(KEY, data=b"1"),
                http.get("/v1/kv/"),
            ):
                assert (problem(response)["status"], response.headers["Retry-After"]) == (503, "1")
            assert http.get("/-/healthz").status_code == 200
            member.start()
            wait_until(lambda: http.get("/-/readyz").status_code == 200)
            assert http.put(KEY, data=b"1").status_code == 201
            wait_until(lambda: "etcd is here again" in caplog.text)
    assert caplog.text.count("etcd is lost") == 1


def test_what_it_holds_is_there_when_it_comes(member, engine):
    put(engine, "a", b"1")
    member.stop()
    with opened(over(member)) as late:
        with pytest.raises(Unavailable):
            late.get("a")
        member.start()
        wait_until(lambda: answers(late, "a"))
        assert late.get("a").value == b"1"


def answers(engine, key):
    try:
        return engine.get(key) is not None
    except Unavailable:
        return False


def test_a_restart_is_survived(member):
    with serving_store(over(member)) as store:
        http = client(store)
        http.put(KEY, data=b"1")
        member.kill9()
        assert problem(http.put(KEY, data=b"2"))["status"] == 503
        assert problem(http.get(KEY))["status"] == 503
        member.start()
        wait_until(lambda: http.get(KEY).status_code == 200)
        assert http.get(KEY).data == b"1"
        with store.hub.watch("a") as watcher:
            assert http.put(KEY, data=b"3").status_code == 200
            assert watcher.wait(0)


def test_those_who_wait_learn_that_nothing_is_known(member):
    """So that they can ask another server."""
    with serving_store(over(member)) as store:
        http = client(store)
        known = http.put(KEY, data=b"1").headers["ETag"]
        waiting = held(
            lambda: store.hub.watchers, lambda: http.get(f"{KEY}?wait=60", headers={"If-None-Match": known})
        )
        with waiting as reader:
            member.kill9()
            assert problem(reader.get(timeout=20))["status"] == 503


@pytest.mark.parametrize(("path", "present"), [(KEY, 1), ("/v1/kv/", 3)])
def test_streams_end_so_that_their_clients_ask_another_server(member, path, present):
    with serving_store(over(member)) as store, serving(store) as server:
        store.put("a", b"1", (), Meta())
        with EventSource(("127.0.0.1", server.server_port), path) as stream:
            stream.take(present)
            member.kill9()
            with gevent.Timeout(10):  # signs of life would go on for ever
                assert stream.ends()


def test_one_that_stands_still_is_not_waited_for_without_end(member, engine):
    put(engine, "a", b"1")
    member.freeze()
    begun = time.monotonic()
    outcomes = [gevent.spawn(engine.get, "a"), gevent.spawn(put, engine, "a", b"2")]
    gevent.joinall(outcomes, timeout=30)
    assert [type(each.exception) for each in outcomes] == [Unavailable, Unknown]
    assert time.monotonic() - begun < 5 * BRISK.patience
    member.thaw()
    wait_until(lambda: answers(engine, "a"))
    assert put(engine, "a", b"3").revision == engine.get("a").version.revision
    assert engine.get("a").value == b"3"


def test_what_happened_while_the_server_was_cut_off_is_made_up_for(member, engine):
    """By a Reset where etcd no longer knows, otherwise change by change."""
    put(engine, "a", b"1")
    with opened(over(member)) as other:
        events = deque()
        feed = gevent.spawn(lambda: events.extend(other.feed()))
        revision = put(engine, "a", b"2").revision
        wait_until(lambda: len(events) == 1)
        other._follower.move()
        put(engine, "a", b"3")
        wait_until(lambda: len(events) == 2)
        assert [event.revision for event in events] == [revision, revision + 1]
        wait_until(lambda: other._follower.connected)
    feed.join(5)


def test_after_a_compaction_everything_is_read_anew(member):
    with Line(int(member.url.rpartition(":")[2])) as line, opened(over(line)) as engine:
        put(engine, "a", b"1")
        events = deque()
        feed = gevent.spawn(lambda: events.extend(engine.feed()))
        line.hold("")
        wait_until(lambda: not engine.status()["connected"])
        for number in range(3):
            member.put("/serin/k/b", written(number))
        member.compact()
        line.hold()
        wait_until(lambda: answers(engine, "b"))
        assert engine.get("b").value == b"2"
    feed.join(5)
    first, *others = events
    assert (first.changes[0].key, {type(each) for each in others}) == ("a", {Reset})
    assert others[-1].revision == member.revision


def written(number):
    return f'{{"ver":{number + 1},"ts":0.0,"author":"","note":"","nonce":"","val":{number}}}'


def test_an_etcd_with_an_older_state_is_followed_too(member, engine, caplog):
    """As when a backup of it is restored: what is read is what it has."""
    for number in range(5):
        put(engine, "a", b"%d" % number)
    before = engine.status()["revision"]
    member.stop()
    member.forget()
    member.start()
    wait_until(lambda: engine.status()["connected"] and not answers(engine, "a"))
    wait_until(lambda: answers_nothing(engine, "a"))
    assert put(engine, "a", b"new").revision < before
    assert (engine.get("a").value, numbers(engine, "a")) == (b"new", [1])


def answers_nothing(engine, key):
    try:
        return engine.get(key) is None
    except Unavailable:
        return False


class Deaf(Session):
    """Of the answer to a watch it hears the beginning."""

    def send(self, request, **options):
        response = super().send(request, **options)
        if request.url.endswith("/v3/watch"):
            heard = response.iter_content(None)
            response.iter_content = lambda _size: itertools.chain([next(heard)], iter(gevent.sleep, "never"))
        return response


def test_a_watch_that_went_deaf_is_found_out(member):
    """A change that never came, and never will: the comparison with etcd shows it."""
    with opened(over(member, new_session=Deaf)) as engine:
        with opened(over(member)) as other:
            put(other, "a", b"2")
        wait_until(lambda: (item := engine.peek("a")) and item.value == b"2")


# Full, locked, unfit


def full(engine):
    """Whether one more large value was too much."""
    try:
        put(engine, f"k{engine.status()['revision']}", b'"%b"' % (b"x" * 200_000))
    except Full:
        return True
    return False


def test_an_etcd_that_has_used_up_its_quota(tmp_path):
    with etcd(quota_backend_bytes=str(2 * 1024 * 1024)) as (member,), opened(over(member)) as engine:
        put(engine, "a", b"1")
        wait_until(lambda: full(engine))
        assert engine.get("a").value == b"1"
        with pytest.raises(Full):
            put(engine, "a", b"2")
        wait_until(lambda: any("quota" in warning for warning in engine.status()["warnings"]))


def user(rest):
    return EtcdEngine(target_from("http", rest), pace=BRISK)


def test_a_user_and_a_password(member):
    for path, message in (
        ("user/add", {"name": "root", "password": "r"}),
        ("role/add", {"name": "root"}),
        ("user/grant", {"user": "root", "role": "root"}),
        ("user/add", {"name": "kv", "password": "s3cret"}),
        ("role/add", {"name": "kv"}),
        (
            "role/grant",
            {"name": "kv", "perm": {"permType": "READWRITE", "key": coded("/x/"), "range_end": coded("/x0")}},
        ),
        ("user/grant", {"user": "kv", "role": "kv"}),
        ("enable", {}),
    ):
        member.ask(f"/v3/auth/{path}", message)
    place = member.url.removeprefix("http://")
    with opened(user(f"kv:s3cret@{place}/x")) as engine:
        put(engine, "a", b"1")
        put(engine, "lock", b"1", ttl=60)
        assert engine.get("a").value == b"1"
    for who in ("", "kv:wrong@", "stranger:s3cret@"):
        with (
            opened(user(f"{who}{place}/x")) as engine,
            pytest.raises(Unavailable) as caught,
        ):
            engine.get("a")
        assert "s3cret" not in str(caught.value.detail)


def secure(rest):
    return EtcdEngine(target_from("https", rest), pace=BRISK)


def test_tls_both_ways(tmp_path):
    """etcd shows a certificate, and wants to see one."""
    cert, key = map(str, issue(tmp_path))
    ca = write_authority(tmp_path)
    flags = {"cert_file": cert, "key_file": key, "trusted_ca_file": ca, "client_cert_auth": "true"}
    with etcd(**flags) as (member,):
        place = member.url.removeprefix("https://")
        with opened(secure(f"{place}/x?ca={ca}&cert={cert}&key={key}")) as engine:
            put(engine, "a", b"1")
            assert engine.get("a").value == b"1"
        for files in ("", f"?ca={ca}", f"?ca={cert}&cert={cert}&key={key}"):
            with opened(secure(f"{place}/x{files}")) as engine:
                with pytest.raises(Unavailable):
                    engine.get("a")
                with pytest.raises(Unavailable):
                    put(engine, "a", b"2")


@pytest.mark.parametrize("version", ["3.5.1", "3.3.0"])
def test_an_unfit_version_is_refused(version):
    class Other(Session):
        def get(self, url, **options):
            response = super().get(url, **options)
            response._content = response.content.replace(b"3.4.", version.encode() + b".")
            return response

    with etcd() as (member,), pytest.raises(CannotStart) as caught:
        over(member, new_session=Other).open()
    assert version in caught.value.detail


def test_one_that_turns_out_unfit_later_ends_the_server(tmp_path):
    with etcd() as (member,):
        member.stop()

        class Other(Session):
            def get(self, url, **options):
                response = super().get(url, **options)
                response._content = response.content.replace(b"3.4.", b"3.5.1.")
                return response

        ended = []
        store = Store(over(member, new_session=Other))
        store.start(lambda: ended.append(1))
        member.start()
        wait_until(lambda: ended)
        store.stop()


def test_a_port_of_something_else_is_not_taken_for_an_etcd(tmp_path):
    with serving_store() as other, serving(other) as server:
        stranger = Target((f"http://127.0.0.1:{server.server_port}",))
        with opened(EtcdEngine(stranger, pace=BRISK)) as engine:
            for attempt in (lambda: engine.get("a"), lambda: put(engine, "a", b"1")):
                with pytest.raises(Unavailable):
                    attempt()
