"""What becomes of an answer, of none, and of members that are away; against a gateway of our own making."""

from __future__ import annotations

import json
import random
from contextlib import ExitStack

import gevent
import pytest
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from kv.engine.etcd.gateway import RANGE, WATCH, Compacted, Gateway, LeaseGone, Refused
from kv.engine.etcd.pace import Pace
from kv.engine.etcd.target import Target
from kv.errors import Full, TooLarge, Unavailable, Unknown
from tests.support.processes import free_port

FINE = (200, {"header": {"revision": "7"}})


def fault(code, message, status=500):
    return status, {"error": message, "code": code, "message": message}


class FakeMember:
    """Gives the `answers` one after the other, the last one for ever: a status and what, None for silence.

    What is JSON, or bytes, or pieces of them.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        # With a pool, its end is that of whoever is still silent.
        self._server = WSGIServer(("127.0.0.1", 0), self._serve, log=None, error_log=None, spawn=Pool())

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(timeout=0)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def _serve(self, environ, start_response):
        self.asked.append((environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION")))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            Event().wait()
        status, body = answer
        start_response(f"{status} -", [])
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        return [body] if isinstance(body, bytes) else body


class First(random.Random):
    """The first member first."""

    def randrange(self, *_):
        return 0


@pytest.fixture
def gateway():
    """Makes one over these members (or URLs)."""
    with ExitStack() as opened:

        def make(*members, **options):
            target = Target(tuple(getattr(member, "url", member) for member in members), **options)
            made = Gateway(target, Pace(patience=0.3, attempt=0.2), chance=First())
            opened.callback(made.close)
            return made

        yield make


@pytest.fixture
def member():
    """Makes a member that gives these answers."""
    with ExitStack() as running:
        yield lambda *answers: running.enter_context(FakeMember(*answers))


def away():
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize(
    ("answer", "error", "repeated"),
    [
        (fault(2, "etcdserver: request timed out"), Unknown, True),
        (fault(14, "etcdserver: leader changed", 503), Unknown, True),
        (fault(14, "etcdserver: no leader", 503), Unavailable, True),
        (fault(8, "etcdserver: too many requests", 429), Unavailable, True),
        (fault(8, "etcdserver: mvcc: database space exceeded"), Full, False),
        (fault(3, "etcdserver: request is too large", 400), TooLarge, False),
        (fault(3, "etcdserver: too many operations in txn request", 400), Refused, False),
        (fault(5, "etcdserver: requested lease not found", 404), LeaseGone, False),
        (fault(11, "etcdserver: mvcc: required revision has been compacted", 400), Compacted, False),
        (fault(7, "etcdserver: permission denied", 403), Refused, False),
        (fault(16, "etcdserver: invalid auth token", 401), Refused, False),
        (fault(99, "what is this"), Unknown, True),
        (
            (200, {"error": {"grpc_code": 11, "http_code": 400, "message": "has been compacted"}}),
            Compacted,
            False,
        ),
        ((404, b"<html>nothing here</html>"), Unknown, True),
        ((200, b"[1]"), Unknown, True),
        ((200, b""), Unknown, True),
        (None, Unknown, True),
    ],
)
def test_what_a_fault_means(gateway, member, answer, error, repeated):
    etcd = member(answer)
    with pytest.raises((Unavailable, Unknown, Full, TooLarge)) as caught:
        gateway(etcd).write(RANGE, {})
    assert caught.type is error or (error is Refused and issubclass(caught.type, Refused))
    assert (len(etcd.asked) > 1) == repeated


def test_a_read_is_never_doubtful(gateway, member):
    with pytest.raises(Unavailable):
        gateway(member(fault(2, "etcdserver: request timed out"))).read(RANGE, {})


def test_who_was_never_reached_has_done_nothing(gateway):
    with pytest.raises(Unavailable):
        gateway(away(), away()).write(RANGE, {})


def test_one_attempt_without_an_answer_makes_it_doubtful(gateway, member):
    broken = member(fault(2, "etcdserver: request timed out"), FINE)
    assert gateway(broken).write(RANGE, {}).doubtful
    assert not gateway(broken).write(RANGE, {}).doubtful


def test_a_refusal_after_a_doubt_is_no_certainty(gateway, member):
    with pytest.raises(Unknown):
        gateway(member(None, fault(5, "etcdserver: requested lease not found"))).write(RANGE, {})


@pytest.mark.parametrize("first", [None, fault(14, "etcdserver: no leader"), "away"])
def test_another_member_is_asked_and_stays_the_one(gateway, member, first):
    one, other = member(first), member(FINE)
    made = gateway(away() if first == "away" else one, other)
    for _ in range(3):
        assert made.read(RANGE, {}) == FINE[1]
    assert (made.endpoint, len(other.asked)) == (other.url, 3)


def test_those_who_fail_at_once_leave_a_member_once(gateway, member):
    made, left = gateway(member(None), member(FINE), member(FINE)), []
    made.on_leaving = lambda: left.append(made.member)
    gevent.joinall([gevent.spawn(made.read, RANGE, {}) for _ in range(20)], timeout=5, raise_error=True)
    assert left == [1]


def test_once_away_it_is_asked_once_around_until_it_is_back(gateway, member):
    etcd = member(fault(14, "etcdserver: no leader"))
    made = gateway(etcd)
    with pytest.raises(Unavailable):
        made.read(RANGE, {})
    asked = len(etcd.asked)
    with pytest.raises(Unavailable):
        made.read(RANGE, {})
    assert (asked > 1, len(etcd.asked)) == (True, asked + 1)
    etcd.answers = [FINE]
    made.read(RANGE, {})
    etcd.answers = [fault(14, "etcdserver: no leader"), FINE]
    assert made.read(RANGE, {}) == FINE[1]


def test_a_token_is_fetched_when_it_is_wanted_and_when_it_is_old(gateway, member):
    wanted, old = fault(3, "etcdserver: user name is empty"), fault(16, "etcdserver: invalid auth token")
    etcd = member(wanted, (200, {"token": "t1"}), FINE, old, (200, {"token": "t2"}), FINE)
    made = gateway(etcd, credentials=("me", "secret"))
    assert made.read(RANGE, {}) == made.read(RANGE, {}) == FINE[1]
    auth = "/v3/auth/authenticate"
    assert etcd.asked == [
        (RANGE, None),
        (auth, None),
        (RANGE, "t1"),
        (RANGE, "t1"),
        (auth, None),
        (RANGE, "t2"),
    ]


def test_without_credentials_that_is_the_end(gateway, member):
    with pytest.raises(Refused):
        gateway(member(fault(3, "etcdserver: user name is empty"))).read(RANGE, {})


def test_lines_of_a_stream_however_they_are_cut(gateway, member):
    body = b"".join(b'{"result": {"n": %d}}\n' % number for number in range(5))
    for size in (1, 7, 1000):
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        told = [each["n"] for each in gateway(member((200, pieces))).stream(WATCH, {})]
        assert told == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        (200, b""),
        (200, b"{}\n"),
        (200, b"nonsense\n"),
        (200, {"error": {"grpc_code": 14, "message": "etcdserver: no leader"}}),
        fault(2, "context canceled"),
        "away",
    ],
)
def test_a_stream_that_does_not_begin(gateway, member, answer):
    etcd = away() if answer == "away" else member(answer)
    with pytest.raises(Unavailable):
        list(gateway(etcd).stream(WATCH, {}))


def test_a_stream_may_be_silent_once_it_has_begun(gateway, member):
    def lines():
        yield b'{"result": {"n": 1}}\n'
        gevent.sleep(0.5)  # longer than any exchange may take
        yield b'{"result": {"n": 2}}\n'

    assert [each["n"] for each in gateway(member((200, lines()))).stream(WATCH, {})] == [1, 2]


def test_the_version(gateway, member):
    assert gateway(member((200, {"etcdserver": "3.4.23"}))).version() == "3.4.23"
    for etcd in (member((200, b"<html>")), member((404, {})), away()):
        with pytest.raises(Unavailable):
            gateway(etcd).version()


def test_nothing_is_begun_when_it_closes(gateway, member):
    etcd = member(FINE)
    made = gateway(etcd)
    made.closing = True
    with pytest.raises(Unavailable):
        made.write(RANGE, {})
    assert etcd.asked == []
