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
        ("https://A.example", Origin("https", "a.example", 443)),
        ("https://[::1]:8443", Origin("https", "::1", 8443)),
        ("unix:/run/web.sock", Origin("unix", "/run/web.sock", 0)),
        ("unix:/run/Web@1:80/..s?#%2e", Origin("unix", "/run/Web@1:80/..s?#%2e", 0)),
        (f"unix:/{'a' * 106}", Origin("unix", f"/{'a' * 106}", 0)),
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
        ("https://user:word@a", "user or password"),
        ("https://a/", "ends after the port"),
        ("unix://a:80", "an empty"),
        ("ftp://a", "ftp: is not supported"),
        ("UNIX:/run/web.sock", "not of the form"),
        ("unix:", "begin with a slash"),
        ("unix:run/web.sock", "begin with a slash"),
        ("unix:./web.sock", "begin with a slash"),
        ("unix:@web", "begin with a slash"),
        ("unix:/", "an empty"),
        ("unix:/run/", "an empty"),
        ("unix:///run/web.sock", "an empty"),
        ("unix:/run/../web.sock", "an empty"),
        ("unix:/run/./web.sock", "an empty"),
        ("unix:/run/..", "an empty"),
        ("unix:/run/web sock", "printable ASCII"),
        ("unix:/run/web\0", "printable ASCII"),
        ("unix:/run/web\n", "printable ASCII"),
        ("unix:/run/wéb", "printable ASCII"),
        (f"unix:/{'a' * 107}", "longer than 107 bytes"),
    ],
)
def test_says_what_is_wrong(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        split_origin(url)


@pytest.mark.parametrize("url", ["https://a", "unix:/run/web.sock"])
def test_a_caller_may_take_fewer_schemes(url: str) -> None:
    with pytest.raises(ValueError, match="is not supported here"):
        split_origin(url, ("http",))


def test_a_list_may_have_blanks_slashes_and_tls() -> None:
    assert split_origins("http://a:1/, https://b") == ("http://a:1", "https://b")


@pytest.mark.parametrize("urls", ["unix:/run/web.sock", "http://a:1,unix:/run/web.sock"])
def test_a_list_has_no_unix_sockets(urls: str) -> None:
    with pytest.raises(ValueError, match="unix: is not supported"):
        split_origins(urls)


STARTS = st.sampled_from(["http://", "https://", "unix:", "unix:/"])


@given(st.text() | st.builds("{}{}".format, STARTS, st.text("htps:/[].@?#0123456789ab%-")))
@settings(deadline=None)
def test_any_text_is_taken_apart_or_refused(url: str) -> None:
    try:
        origin = split_origin(url)
    except ValueError:
        return
    if origin.scheme == "unix":
        assert url == f"unix:{origin.host}"
        return
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    assert split_origin(f"{origin.scheme}://{host}:{origin.port}") == origin
