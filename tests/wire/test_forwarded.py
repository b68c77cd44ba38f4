"""Who the client is when proxies stand before us, and what the servers are told of it."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.wire.forwarded import Origin, trace, trust

TRUSTED = ("10.0.0.0/8", "192.0.2.7", "2001:db8:ffff::/48")
EDGE, INNER, STRANGER = "10.0.0.1", "10.0.0.2", "203.0.113.9"
CLIENT, SPOOF = "198.51.100.4", "6.6.6.6"
TRUSTS = trust(TRUSTED)


def origin(
    peer: str = EDGE, scheme: str = "http", host: bytes = b"a.example", **fields: str | list[str]
) -> Origin:
    """What becomes of these fields; a list is several lines of one name."""
    values = {
        name.replace("_", "-").encode(): [
            each.encode() for each in ([value] if isinstance(value, str) else value)
        ]
        for name, value in fields.items()
    }
    return trace(values, peer, scheme, host, TRUSTS)


def told(found: Origin) -> dict[str, str]:
    """The lines for the server, less Via."""
    *lines, via, end = found.lines.decode("latin-1").split("\r\n")
    assert (via, end) == ("Via: 1.1 serin", "")
    pairs = [line.split(": ", 1) for line in lines]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def xff(value: str | list[str], peer: str = EDGE) -> str:
    return origin(peer, x_forwarded_for=value).client.decode()


@pytest.mark.parametrize(
    ("address", "holds"),
    [
        ("10.0.0.0", True), ("10.255.255.255", True), ("11.0.0.0", False), ("192.0.2.7", True), ("192.0.2.8", False),
        ("2001:db8:ffff::1", True), ("2001:DB8:FFFF:0::1", True), ("2001:db8:fffe::1", False),
        ("::ffff:10.1.2.3", True), ("::ffff:11.1.2.3", False), ("::10.1.2.3", False),
        ("unknown", False), ("", False), ("10.0.0.1:80", False), ("10.0.0.01", False), ("10.0.0.1 ", False),
    ],
)  # fmt: skip
def test_trust_is_in_networks(address, holds):
    assert [TRUSTS(address), TRUSTS(address)] == [holds, holds]


def test_trust_in_nobody_and_in_everybody():
    assert not trust([])(EDGE)
    assert trust(["0.0.0.0/0"])(STRANGER)
    assert not trust(["0.0.0.0/0"])("::1")
    assert trust(["10.9.9.9/8"])(EDGE)
    assert trust(["fe80::/10"])("fe80::1%eth0")


# As nginx's realip module reads X-Forwarded-For (recursively).
CLIENTS = {
    "one hop": (CLIENT, CLIENT),
    "two hops": (f"{CLIENT}, {INNER}", CLIENT),
    "a proxy on another network": (f"{CLIENT}, 192.0.2.7, {INNER}", CLIENT),
    "what a client forged": (f"{SPOOF}, {CLIENT}", CLIENT),
    "what a client forged, two hops": (f"{SPOOF}, {CLIENT}, {INNER}", CLIENT),
    "a trusted address that a client forged": (f"{INNER}, {CLIENT}", CLIENT),
    "every hop trusted": ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
    "no spaces": (f"{SPOOF},{CLIENT},{INNER}", CLIENT),
    "odd spaces": (f"{SPOOF} ,\t{CLIENT}  ,  {INNER}\t", CLIENT),
    "empty members": (f",{CLIENT},, {INNER},", CLIENT),
    "several lines": ([SPOOF, f"{CLIENT}, {INNER}"], CLIENT),
    "several lines, the client on the last": ([f"{SPOOF}, {INNER}", CLIENT], CLIENT),
    "an empty line": (["", CLIENT, ""], CLIENT),
    "nothing": ("", EDGE),
    "commas": (",, ,", EDGE),
    "port": (f"{CLIENT}:4711", CLIENT),
    "port of a trusted hop": (f"{CLIENT}:4711, {INNER}:80", CLIENT),
    "IPv6": ("2001:db8::1", "2001:db8::1"),
    "IPv6, spelt oddly": ("2001:DB8:0:0::1", "2001:db8::1"),
    "IPv6 in brackets": ("[2001:db8::1]", "2001:db8::1"),
    "IPv6 with a port": ("[2001:db8::1]:4711", "2001:db8::1"),
    "IPv6 over a trusted IPv6": (f"2001:db8::1, 2001:db8:ffff::2, {INNER}", "2001:db8::1"),
    "IPv4 in IPv6": (f"::ffff:{CLIENT}", CLIENT),
    "a trusted IPv4 in IPv6": (f"{CLIENT}, ::ffff:{INNER}", CLIENT),
    # Garbage ends the walk: the last good one holds.
    "unknown": (f"{CLIENT}, unknown", EDGE),
    "unknown after a hop": (f"{CLIENT}, unknown, {INNER}", INNER),
    "obfuscated": (f"{CLIENT}, _hidden", EDGE),
    "a name": (f"{CLIENT}, localhost, {INNER}", INNER),
    "garbage left of the client": (f"<script>, {CLIENT}", CLIENT),
    "number out of range": (f"{CLIENT}, 1.2.3.256", EDGE),
    "leading zero": (f"{CLIENT}, 1.2.3.04", EDGE),
    "three numbers": (f"{CLIENT}, 1.2.3", EDGE),
    "one number": (f"{CLIENT}, 16909060", EDGE),
    "two addresses": (f"{CLIENT}, 1.2.3.4 5.6.7.8", EDGE),
    "bad port": (f"{CLIENT}, 1.2.3.4:http", EDGE),
    "port without a number": (f"{CLIENT}, 1.2.3.4:", EDGE),
    "bracket left open": (f"{CLIENT}, [2001:db8::1", EDGE),
    "IPv4 in brackets": (f"{CLIENT}, [1.2.3.4]", EDGE),
    "scope": (f"{CLIENT}, fe80::1%eth0", EDGE),
    "mask": (f"{CLIENT}, 10.0.0.0/8", EDGE),
    "quoted": (f'{CLIENT}, "1.2.3.4"', EDGE),
    "another script": (f"{CLIENT}, ١.٢.٣.٤", EDGE),
}


@pytest.mark.parametrize(("value", "client"), CLIENTS.values(), ids=CLIENTS)
def test_the_client_is_the_last_address_that_is_not_trusted(value, client):
    assert xff(value) == client


@pytest.mark.parametrize("value", [each[0] for each in CLIENTS.values()], ids=CLIENTS)
@pytest.mark.parametrize("peer", [STRANGER, "2001:db8::9", "unknown"])
def test_a_stranger_is_the_client_whatever_it_says(value, peer):
    assert xff(value, peer) == peer


FORWARDED = {
    "one hop": (f"for={CLIENT}", CLIENT),
    "with other parameters": (f"by={INNER};for={CLIENT};host=b.example;proto=http", CLIENT),
    "capitals": (f"For={CLIENT};PROTO=http", CLIENT),
    "quoted": (f'for="{CLIENT}"', CLIENT),
    "port": (f'for="{CLIENT}:4711"', CLIENT),
    "obfuscated port": (f'for="{CLIENT}:_a.b-c"', CLIENT),
    "IPv6": ('for="[2001:DB8::1]"', "2001:db8::1"),
    "IPv6 with a port": ('for="[2001:db8::1]:4711"', "2001:db8::1"),
    "IPv6 without brackets": ("for=2001:db8::1", "2001:db8::1"),
    "two hops": (f"for={CLIENT}, for={INNER}", CLIENT),
    "two lines": ([f"for={SPOOF}", f"for={CLIENT},for={INNER}"], CLIENT),
    "what a client forged": (f"for={SPOOF}, for={CLIENT}", CLIENT),
    "every hop trusted": ("for=10.1.1.1, for=10.2.2.2", "10.1.1.1"),
    "white space around the semicolon": (f"proto=http ; for={CLIENT}", CLIENT),
    "empty members and parameters": (f", ;for={CLIENT};, ", CLIENT),
    "a comma and a semicolon in quotes": (f'for={CLIENT};host="a,for={SPOOF};for={SPOOF}"', CLIENT),
    "a quotation mark left open": (f'for="{SPOOF}, for={CLIENT}', CLIENT),
    "left open, and closed by a proxy": (f'for={SPOOF};x=", for={CLIENT};host="a"', CLIENT),
    "left open, two hops": (f'x=", for={CLIENT}, for="{INNER}"', CLIENT),
    # Garbage ends the walk here too.
    "unknown": (f"for={CLIENT}, for=unknown", EDGE),
    "obfuscated": (f"for={CLIENT}, for=_gazonk", EDGE),
    "unknown after a hop": (f"for={CLIENT}, for=unknown, for={INNER}", INNER),
    "no address": (f"for={CLIENT}, proto=http", EDGE),
    "no parameter": (f"for={CLIENT}, {SPOOF}", EDGE),
    "only semicolons": (f"for={CLIENT}, ;;", EDGE),
    "an address twice": (f"for={CLIENT};host=a;for={SPOOF}", EDGE),
    "an address twice in capitals": (f"for={CLIENT};host=a;FOR={SPOOF}", EDGE),
    "space in an element": (f"for={CLIENT} for={SPOOF}", EDGE),
    "space around the equals sign": (f"for = {CLIENT}", EDGE),
    "text after quotes": (f'for="{CLIENT}"x', EDGE),
    "an element of quotes": (f'for={CLIENT}, "for={SPOOF}"', EDGE),
    "quotes left open at the end": (f'for={CLIENT}, for="{SPOOF}', EDGE),
}


@pytest.mark.parametrize(("value", "client"), FORWARDED.values(), ids=FORWARDED)
def test_the_client_by_forwarded_alone(value, client):
    assert origin(forwarded=value).client.decode() == client
    assert origin(STRANGER, forwarded=value).client.decode() == STRANGER


def test_x_forwarded_for_holds_where_forwarded_says_otherwise():
    found = origin(x_forwarded_for=CLIENT, forwarded=f"for={SPOOF};proto=https")
    assert (found.client.decode(), found.secure) == (CLIENT, False)


# (fields, the scheme of our own connection, is the client's secure?)
SCHEMES = [
    ({}, "http", False),
    ({}, "https", True),
    ({"x_forwarded_proto": "https"}, "http", True),
    ({"x_forwarded_proto": "HTTPS"}, "http", True),
    ({"x_forwarded_proto": "wss"}, "http", True),
    ({"x_forwarded_proto": "http"}, "https", False),
    ({"x_forwarded_proto": ""}, "https", True),
    ({"x_forwarded_proto": "garbage"}, "https", False),
    ({"x_forwarded_for": CLIENT}, "https", True),
    ({"x_forwarded_for": CLIENT, "x_forwarded_proto": "https"}, "http", True),
    ({"x_forwarded_for": f"{CLIENT}, {INNER}", "x_forwarded_proto": "https"}, "http", True),
    ({"x_forwarded_for": f"{CLIENT}, {INNER}", "x_forwarded_proto": "https, http"}, "http", True),
    ({"x_forwarded_for": f"{CLIENT}, {INNER}", "x_forwarded_proto": ["https", "http"]}, "http", True),
    ({"x_forwarded_for": f"{CLIENT}, {INNER}", "x_forwarded_proto": "http, https"}, "http", False),
    ({"x_forwarded_for": CLIENT, "x_forwarded_proto": "https, http"}, "http", False),
    ({"x_forwarded_for": f"{SPOOF}, {CLIENT}", "x_forwarded_proto": "https, http"}, "http", False),
    ({"x_forwarded_for": "unknown", "x_forwarded_proto": "https"}, "http", True),
    ({"forwarded": f"for={CLIENT};proto=https"}, "http", True),
    ({"forwarded": f"for={CLIENT};proto=http"}, "https", False),
    ({"forwarded": f"for={CLIENT}"}, "https", True),
    ({"forwarded": "for=_hidden;proto=https"}, "http", True),
    ({"forwarded": f"for={CLIENT};proto=https, for={INNER};proto=http"}, "http", True),
    ({"forwarded": f"for={SPOOF};proto=https, for={CLIENT};proto=http"}, "http", False),
    ({"forwarded": f"for={CLIENT}", "x_forwarded_proto": "https"}, "http", True),
]


@pytest.mark.parametrize(("fields", "scheme", "secure"), SCHEMES)
def test_secure_is_what_the_first_trusted_proxy_was_asked_over(fields, scheme, secure):
    assert origin(EDGE, scheme, **fields).secure is secure
    assert origin(STRANGER, scheme, **fields).secure is (scheme == "https")


OURS = {"X-Forwarded-For": STRANGER, "X-Forwarded-Proto": "http", "X-Forwarded-Host": "a.example"}
FORGED = {
    "x_forwarded_for": SPOOF,
    "x_forwarded_proto": "https",
    "x_forwarded_host": "evil",
    "x_forwarded_port": "443",
    "x_forwarded_prefix": "/admin",
    "x_forwarded_anything": "x",
    "x_real_ip": SPOOF,
}


@pytest.mark.parametrize("name", FORGED)
def test_what_a_stranger_says_is_replaced(name):
    assert told(origin(STRANGER, **{name: FORGED[name]})) == OURS
    assert told(origin(STRANGER, **FORGED)) == OURS


def test_a_stranger_who_sent_forwarded_gets_ours():
    assert told(origin(STRANGER, forwarded=f"for={SPOOF};proto=https", x_forwarded_for=SPOOF)) == OURS | {
        "Forwarded": f'for={STRANGER};proto=http;host="a.example"'
    }


def test_what_a_trusted_proxy_says_is_kept_and_grows_by_one():
    found = origin(
        x_forwarded_for=[SPOOF, f"{CLIENT}:1, {INNER}"],
        x_forwarded_proto="https",
        x_forwarded_host=["first.example", "second.example"],
        x_forwarded_port="443",
        x_real_ip=CLIENT,
        forwarded=[f"for={CLIENT}", "for=unknown"],
    )
    assert told(found) == {
        "X-Forwarded-For": f"{SPOOF}, {CLIENT}:1, {INNER}, {EDGE}",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "first.example, second.example",
        "X-Forwarded-Port": "443",
        "X-Real-Ip": CLIENT,
        "Forwarded": f'for={CLIENT}, for=unknown, for={EDGE};proto=http;host="a.example"',
    }


def test_what_a_trusted_proxy_did_not_say_is_added():
    everything = {"X-Forwarded-For": EDGE, "X-Forwarded-Proto": "http", "X-Forwarded-Host": "a.example"}
    assert told(origin()) == everything
    assert told(origin(x_forwarded_port="80")) == everything | {"X-Forwarded-Port": "80"}
    assert told(origin(x_forwarded_for=["", ""], x_forwarded_host="")) == everything
    assert told(origin(x_forwarded_proto="https")) == everything | {"X-Forwarded-Proto": "https"}


def test_what_only_forwarded_said_is_said_in_x_forwarded_too():
    found = told(origin(forwarded=f"for={SPOOF}, for={CLIENT};proto=https, for={INNER};proto=http"))
    assert found["X-Forwarded-For"] == f"{CLIENT}, {INNER}, {EDGE}"
    assert found["X-Forwarded-Proto"] == "https"


def test_our_element_of_forwarded_quotes_ipv6_and_the_host():
    found = trace({b"forwarded": [b"for=x"]}, "2001:db8::9", "https", b"[::1]:8443", TRUSTS)
    assert told(found)["Forwarded"] == 'for="[2001:db8::9]";proto=https;host="[::1]:8443"'


def test_a_request_without_host_says_nothing_of_one():
    found = told(origin(host=b"", forwarded=""))
    assert found == {
        "X-Forwarded-For": EDGE,
        "X-Forwarded-Proto": "http",
        "Forwarded": f"for={EDGE};proto=http",
    }


def test_our_own_forwarded_is_read_by_the_next_one_of_us():
    """Two instances in a row: the second trusts the first."""
    first = told(origin("2001:db8::9", "https", b"a;for=6.6.6.6,b", forwarded='for="'))
    second = trace({b"forwarded": [first["Forwarded"].encode()]}, EDGE, "http", b"a", TRUSTS)
    assert (second.client, second.secure) == (b"2001:db8::9", True)


# Whatever may stand in a field value (RFC 9110, 5.5), and pieces of what should.
PIECES = [
    CLIENT, SPOOF, EDGE, INNER, "::1", "[2001:db8::1]", ":80", ",", ", ", ";", "=", '"', "\\", "for=", "proto=https",
    "host=", "unknown", "_x", " ", "\t", "\xff", "https", "ffff:" * 9,
]  # fmt: skip
values = st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(
    st.characters(codec="latin-1", exclude_categories=["Cc"]) | st.just("\t"), max_size=40
)
names = st.sampled_from(
    [
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"forwarded",
        b"x-real-ip",
        b"x-forwarded-x",
    ]
)
lines = st.lists(values.map(lambda value: value.strip(" \t").encode("latin-1")), max_size=3)


@settings(deadline=None, max_examples=400)
@given(
    st.dictionaries(names, lines),
    st.sampled_from([EDGE, STRANGER, "::1", "unknown"]),
    st.sampled_from(["http", "https"]),
)
def test_garbage_never_raises_and_gives_whole_lines(fields, peer, scheme):
    found = trace(fields, peer, scheme, b"a.example", TRUSTS)
    sent = told(found)
    assert found.client.decode() == peer or ip_address(found.client.decode())
    assert sent["X-Forwarded-For"].endswith(peer)
    assert not any(character < " " and character != "\t" for value in sent.values() for character in value)
    assert peer == EDGE or found == trace({name: [] for name in fields}, peer, scheme, b"a.example", TRUSTS)


addresses = st.ip_addresses() | st.sampled_from([CLIENT, EDGE, INNER, "2001:db8:ffff::1"]).map(ip_address)


def is_trusted(address: object) -> bool:
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in ip_network(each) for each in TRUSTED)


@given(st.lists(addresses, max_size=6), values, st.booleans())
def test_what_a_client_forged_counts_only_behind_trusted_hops(hops, forged, forwarded):
    """`hops` were added by proxies, each for who asked it; left of them stands what the first one sent."""
    if forwarded:
        named = [f'for="[{hop}]"' if hop.version == 6 else f"for={hop}" for hop in hops]
        client = origin(forwarded=", ".join([forged, *named])).client.decode()
    else:
        client = xff(", ".join([forged, *map(str, hops)]))
    strangers = [hop for hop in hops if not is_trusted(hop)]
    if strangers:
        assert ip_address(client) == (getattr(strangers[-1], "ipv4_mapped", None) or strangers[-1])


SIZE = 1024 * 1024
LONG = {
    "trusted hops": {"x_forwarded_for": "10.0.0.1," * (SIZE // 9)},
    "commas": {"x_forwarded_for": "," * SIZE, "x_forwarded_proto": "," * SIZE, "forwarded": "," * SIZE},
    "one member": {"x_forwarded_for": "1" * SIZE},
    "colons": {"x_forwarded_for": ":" * SIZE},
    "elements": {"forwarded": "for=10.0.0.1," * (SIZE // 13)},
    "parameters": {"forwarded": "a=b;" * (SIZE // 4)},
    "semicolons": {"forwarded": ";" * SIZE},
    "spaces": {"forwarded": "for=10.0.0.1;" + " " * SIZE + ";"},
    "spaces before an end that is none": {"forwarded": "for=10.0.0.1;" + " " * SIZE + '"'},
    "quotation marks": {"forwarded": '"' * (SIZE + 1)},
    "equals signs": {"forwarded": "a=" * (SIZE // 2)},
    "a long name": {"forwarded": "a" * SIZE},
}


@pytest.mark.parametrize("fields", LONG.values(), ids=LONG)
def test_a_megabyte_of_anything_is_read_in_one_pass(fields):
    """Nothing is timed: work that grew with the square of the length would simply take minutes."""
    assert TRUSTS(origin(**fields).client.decode())
