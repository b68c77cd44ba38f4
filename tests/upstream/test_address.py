import pytest
from gevent import socket

from app.upstream.address import Address


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "literal"),
    [
        ("http://a", "a", 80, b"a", False),
        ("http://a:8080", "a", 8080, b"a:8080", False),
        ("http://127.0.0.1:1", "127.0.0.1", 1, b"127.0.0.1:1", True),
        ("http://[::1]:1", "::1", 1, b"[::1]:1", True),
    ],
)
def test_takes_a_url_apart(url, host, port, authority, literal):
    address = Address.parse(url)
    assert (address.host, address.port, address.authority) == (host, port, authority)
    assert address.is_literal is literal


def test_resolves_to_endpoints():
    assert Address.parse("http://127.0.0.1:81").resolve() == [(socket.AF_INET, ("127.0.0.1", 81))]
