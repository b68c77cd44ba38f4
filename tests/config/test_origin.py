from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.origin import Origin, split_origin, split_origins


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://a", Origin("http", "a", 80)),
        ("http://Example.COM:8080", Origin("http", "example.com", 8080)),
        ("http://web_1.internal.:9001", Origin("http", "web_1.internal.", 9001)),
        ("http://10.0.0.1:65535", Origin("http", "10.0.0.1", 65535)),
        ("http://[::1]:1", Origin("http", "::1", 1)),
        ("http://[2001:DB8:0:0::1]", Origin("http", "2001:db8::1", 80)),
        ("http://[::ffff:10.0.0.1]", Origin("http", "::ffff:a00:1", 80)),
    ],
)
def test_takes_apart(url: str, origin: Origin) -> None:
    assert split_origin(url) == origin


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "not of the form"),
        ("a:80", "not of the form"),
        ("HTTP://a", "not of the form"),
        ("http://a:", "not of the form"),
        ("http://a:b", "not of the form"),
        ("http://a:-1", "not of the form"),
        ("http://a:123456", "not of the form"),
        ("http://a\n", "no valid name"),
        ("http://", "no valid name"),
        ("http://a..b", "no valid name"),
        ("http://-a", "no valid name"),
        ("http://münchen", "no valid name"),
        ("http://a%41", "no valid name"),
        (f"http://{'a' * 64}", "no valid name"),
        (f"http://{'a.' * 127}a", "no valid name"),
        ("http://256.1.1.1", "no valid IP address"),
        ("http://1.2.3", "no valid IP address"),
        ("http://[::g]", "not of the form"),
        ("http://[:::]", "no valid IP address"),
        ("http://[fe80::1%25eth0]", "not of the form"),
        ("http://a:0", "port"),
        ("http://a:65536", "port"),
        ("http://a/", "ends after the port"),
        ("http://a/b", "ends after the port"),
        ("http://a?b", "ends after the port"),
        ("http://a#b", "ends after the port"),
        ("http://user:word@a", "user or password"),
        ("https://a", "https: is not supported"),
        ("ftp://a", "ftp: is not supported"),
        ("unix:/run/web.sock", "unix: sockets"),
    ],
)
def test_says_what_is_wrong(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        split_origin(url)


def test_a_list_may_have_blanks_slashes_and_tls() -> None:
    assert split_origins("http://a:1/, https://b") == ("http://a:1", "https://b")


@given(st.text() | st.text("htp:/[].@?#0123456789ab%-").map("http://".__add__))
@settings(deadline=None)
def test_any_text_is_taken_apart_or_refused(url: str) -> None:
    try:
        origin = split_origin(url)
    except ValueError:
        return
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    assert split_origin(f"{origin.scheme}://{host}:{origin.port}") == origin
