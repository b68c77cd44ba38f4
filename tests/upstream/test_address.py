import pytest
from gevent import socket

from app.upstream.address import Address


@pytest.mark.parametrize(
    ("url", "address", "literal"),
    [
        ("http://a", Address("a", 80, b"a"), False),
        ("http://a:8080", Address("a", 8080, b"a:8080"), False),
        ("http://127.0.0.1:1", Address("127.0.0.1", 1, b"127.0.0.1:1"), True),
        ("http://[::1]:1", Address("::1", 1, b"[::1]:1"), True),
        ("https://a", Address("a", 443, b"a", "https"), False),
        ("https://a:8443", Address("a", 8443, b"a:8443", "https"), False),
        ("unix:/run/web.sock", Address("/run/web.sock", 0, b"localhost", "unix"), True),
    ],
)
def test_takes_a_url_apart(url, address, literal):
    assert Address.parse(url) == address
    assert address.is_literal is literal


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://127.0.0.1:81", (socket.AF_INET, ("127.0.0.1", 81))),
        ("unix:/run/web.sock", (socket.AF_UNIX, "/run/web.sock")),
    ],
)
def test_resolves_to_endpoints(url, endpoint):
    assert Address.parse(url).resolve() == [endpoint]
