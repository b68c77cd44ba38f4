"""The PROXY protocol: what is read from a header, what is refused, and what is still awaited."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.wire.proxy_protocol import MAX_BLOCK, MAX_LINE, SIGNATURE, Header, parse
from tests.wire.heads import refusal

REFUSED = (400, "bad_proxy_header")

LOCAL, PROXY = 0x20, 0x21
NO_FAMILY, TCP4, UDP4, TCP6, UDP6, UNIX = 0x00, 0x11, 0x12, 0x21, 0x22, 0x31
IPV4 = IPv4Address("192.0.2.1").packed + IPv4Address("198.51.100.2").packed + b"\xdc\x04\x01\xbb"
IPV6 = IPv6Address("2001:db8::1").packed + IPv6Address("2001:db8::2").packed + b"\xdc\x04\x01\xbb"
SSL, NOOP, CRC32C = 0x20, 0x04, 0x03
LONGEST = b" ".join([b"PROXY UNKNOWN", *[b"ffff:" * 7 + b"ffff"] * 2, b"65535", b"65535\r\n"])


def line(rest: str) -> bytes:
    return f"PROXY {rest}\r\n".encode()


def binary(command: int, kind: int, block: bytes = b"") -> bytes:
    return SIGNATURE + bytes([command, kind]) + len(block).to_bytes(2) + block


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2) + value


def tls(flags: int) -> bytes:
    return tlv(SSL, bytes([flags]) + b"\0\0\0\1" + tlv(0x21, b"TLSv1.3"))


# name: (header, source, secure)
ACCEPTED = {
    "1 over IPv4": (line("TCP4 192.0.2.1 198.51.100.2 56324 443"), "192.0.2.1", False),
    "1, least of all": (line("TCP4 0.0.0.0 0.0.0.0 0 0"), "0.0.0.0", False),
    "1, most of all": (line("TCP4 255.255.255.255 255.255.255.255 65535 65535"), "255.255.255.255", False),
    "1 over IPv6": (line("TCP6 2001:db8::1 ::1 1 2"), "2001:db8::1", False),
    "1, IPv6 in capitals and in full": (line("TCP6 2001:0DB8:0:0:0:0:0:1 :: 1 2"), "2001:db8::1", False),
    "1, IPv4 in IPv6": (line("TCP6 ::ffff:192.0.2.1 ::1 1 2"), "192.0.2.1", False),
    "1, unknown": (line("UNKNOWN"), None, False),
    "1, unknown with whatever": (line("UNKNOWN ffff::1 \t\0\xff 65536"), None, False),
    "1, unknown and as long as can be": (LONGEST, None, False),
    "2 over IPv4": (binary(PROXY, TCP4, IPV4), "192.0.2.1", False),
    "2 over IPv6": (binary(PROXY, TCP6, IPV6), "2001:db8::1", False),
    "2, IPv4 in IPv6": (
        binary(PROXY, TCP6, IPv6Address("::ffff:192.0.2.1").packed + IPV6[16:]),
        "192.0.2.1",
        False,
    ),
    "2, local": (binary(LOCAL, NO_FAMILY), None, False),
    "2, local with addresses": (binary(LOCAL, TCP4, IPV4 + tls(1)), None, False),
    "2, local of a family yet to come": (binary(LOCAL, 0xFF, b"whatever"), None, False),
    "2, no family": (binary(PROXY, NO_FAMILY), None, False),
    "2, no family with whatever": (binary(PROXY, NO_FAMILY, b"whatever"), None, False),
    "2 over UDP": (binary(PROXY, UDP4, IPV4), None, False),
    "2 over UDP and IPv6": (binary(PROXY, UDP6, IPV6), None, False),
    "2 over unix": (binary(PROXY, UNIX, bytes(216)), None, False),
    "2 with TLVs": (
        binary(PROXY, TCP4, IPV4 + tlv(CRC32C, b"\1\2\3\4") + tlv(NOOP, b"") + tlv(0xEA, b"aws")),
        "192.0.2.1",
        False,
    ),
    "2, client over TLS": (binary(PROXY, TCP4, IPV4 + tlv(NOOP, b"0") + tls(1)), "192.0.2.1", True),
    "2, client over TLS with a certificate": (binary(PROXY, TCP6, IPV6 + tls(7)), "2001:db8::1", True),
    "2, client without TLS": (binary(PROXY, TCP4, IPV4 + tls(0)), "192.0.2.1", False),
    "2, other flags than TLS": (binary(PROXY, TCP4, IPV4 + tls(6)), "192.0.2.1", False),
    "2, as long as can be": (
        binary(PROXY, TCP4, IPV4 + tlv(NOOP, bytes(MAX_BLOCK - len(IPV4) - 3))),
        "192.0.2.1",
        False,
    ),
}


@pytest.mark.parametrize(("data", "source", "secure"), ACCEPTED.values(), ids=ACCEPTED)
@pytest.mark.parametrize("rest", [b"", b"GET / HTTP/1.1\r\n", line("TCP4 1.1.1.1 1.1.1.1 1 1"), b"\0\xff\n"])
def test_accepts(data, source, secure, rest):
    assert parse(data + rest) == Header(len(data), source, secure)


@pytest.mark.parametrize("data", [each[0] for each in ACCEPTED.values()], ids=ACCEPTED)
def test_waits_for_the_last_byte(data):
    assert not any(parse(data[:size]) for size in range(len(data)))


REFUSALS = {
    # not the protocol
    "HTTP": b"GET / HTTP/1.1\r\n",
    "HTTP, begun": b"G",
    "TLS": b"\x16\x03\x01",
    "an empty line": b"\r\nGET / HTTP/1.1",
    "an empty line, begun": b"\r\nG",
    "a PROXY request": b"PROXY / HTTP/1.1\r\n",
    "a word that begins alike": b"PROXY4",
    "small letters": b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "two headers in one": b"PROXY PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    # version 1
    "bare LF": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
    "bare CR": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rGET / HTTP/1.1\r\n",
    "bare CR after unknown": b"PROXY UNKNOWN \r \r\n",
    "two CR": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
    "two spaces": line("TCP4  192.0.2.1 192.0.2.2 1 2"),
    "tab": line("TCP4\t192.0.2.1 192.0.2.2 1 2"),
    "space at the end": line("TCP4 192.0.2.1 192.0.2.2 1 2 "),
    "no family": line("192.0.2.1 192.0.2.2 1 2"),
    "nothing": line(""),
    "unknown family": line("UDP4 192.0.2.1 192.0.2.2 1 2"),
    "unknown, glued": line("UNKNOWNX"),
    "family in small letters": line("tcp4 192.0.2.1 192.0.2.2 1 2"),
    "IPv6 in TCP4": line("TCP4 ::1 ::1 1 2"),
    "IPv4 in TCP6": line("TCP6 192.0.2.1 192.0.2.2 1 2"),
    "bad source": line("TCP4 192.0.2.256 192.0.2.2 1 2"),
    "bad destination": line("TCP4 192.0.2.1 192.0.2.256 1 2"),
    "three numbers": line("TCP4 192.0.2 192.0.2.2 1 2"),
    "leading zero": line("TCP4 192.0.02.1 192.0.2.2 1 2"),
    "two double colons": line("TCP6 1::2::3 ::1 1 2"),
    "scope": line("TCP6 fe80::1%eth0 ::1 1 2"),
    "brackets": line("TCP6 [::1] ::1 1 2"),
    "a name": line("TCP4 localhost 192.0.2.2 1 2"),
    "no ports": line("TCP4 192.0.2.1 192.0.2.2"),
    "one port": line("TCP4 192.0.2.1 192.0.2.2 1"),
    "three ports": line("TCP4 192.0.2.1 192.0.2.2 1 2 3"),
    "port out of range": line("TCP4 192.0.2.1 192.0.2.2 65536 2"),
    "other port out of range": line("TCP4 192.0.2.1 192.0.2.2 1 65536"),
    "port with a leading zero": line("TCP4 192.0.2.1 192.0.2.2 01 2"),
    "port with a sign": line("TCP4 192.0.2.1 192.0.2.2 +1 2"),
    "digits of another script": line("TCP4 192.0.2.1 192.0.2.2 ٣ 2"),
    "one byte too long": LONGEST[:-2] + b"0\r\n",
    "no end in sight": b"PROXY UNKNOWN " + b"a" * (MAX_LINE - 14),
    # version 2
    "signature with one byte wrong": SIGNATURE[:-1] + b"\r" + binary(PROXY, TCP4, IPV4)[12:],
    "version 1 in binary": binary(0x11, TCP4, IPV4),
    "version 3": binary(0x31, TCP4, IPV4),
    "unknown command": binary(0x22, TCP4, IPV4),
    "unknown family in binary": binary(PROXY, 0x41, IPV4),
    "unknown transport": binary(PROXY, 0x13, IPV4),
    "IPv4 cut short": binary(PROXY, TCP4, IPV4[:-1]),
    "IPv6 cut short": binary(PROXY, TCP6, IPV6[:-1]),
    "unix cut short": binary(PROXY, UNIX, bytes(215)),
    "UDP cut short": binary(PROXY, UDP4, IPV4[:-1]),
    "TLV without a length": binary(PROXY, TCP4, IPV4 + b"\4"),
    "TLV with half a length": binary(PROXY, TCP4, IPV4 + b"\4\0"),
    "TLV cut short": binary(PROXY, TCP4, IPV4 + tlv(NOOP, b"ab")[:-1]),
    "second TLV cut short": binary(PROXY, TCP4, IPV4 + tls(1) + tlv(NOOP, b"ab")[:-1]),
    "TLS without its flags": binary(PROXY, TCP4, IPV4 + tlv(SSL, b"\1\0\0\0")),
    "too long": binary(PROXY, TCP4, IPV4 + tlv(NOOP, bytes(MAX_BLOCK - len(IPV4) - 2))),
    "too long, begun": binary(LOCAL, NO_FAMILY, bytes(MAX_BLOCK + 1))[:16],
}


@pytest.mark.parametrize("data", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("rest", [b"", b"\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_refuses(data, rest):
    assert refusal(lambda: parse(data + rest)) == REFUSED


addresses = st.ip_addresses()
ports = st.integers(0, 65535)
others = st.lists(
    st.builds(tlv, st.integers(0, 255).filter(lambda kind: kind != SSL), st.binary(max_size=40)), max_size=5
).map(b"".join)


def source_of(address: object) -> str:
    return str(getattr(address, "ipv4_mapped", None) or address)


@given(st.data(), addresses, ports, ports, st.binary(max_size=20))
def test_what_version_1_says_is_read(data, source, source_port, port, rest):
    destination = data.draw(st.ip_addresses(v=source.version))
    sent = line(f"TCP{source.version} {source} {destination} {source_port} {port}")
    assert parse(sent + rest) == Header(len(sent), source_of(source))


@given(st.data(), addresses, others, st.booleans())
def test_what_version_2_says_is_read(data, source, others, secure):
    destination = data.draw(st.ip_addresses(v=source.version))
    block = source.packed + destination.packed + b"\0\1\0\2" + others + tls(secure)
    sent = binary(PROXY, TCP4 if source.version == 4 else TCP6, block)
    assert parse(sent + b"rest") == Header(len(sent), source_of(source), secure)


PIECES = [
    b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"192.0.2.1 ", b"::1 ", b"1 ", b"65536 ", b"1", b" ", b"\r\n", b"\n",
    b"\r", SIGNATURE, b"\x21\x11\0\x0c", b"\x20\0\0\0", b"\x21\x21\0\x30", IPV4, IPV6, tls(1), b"\0", b"\xff" * 90,
]  # fmt: skip
noise = st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)
nearly_good = st.tuples(
    st.sampled_from([each[0] for each in ACCEPTED.values()]), st.integers(0, 80), st.binary(max_size=2)
).map(lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] + 1 :])


@settings(deadline=None, max_examples=400)
@given(noise | nearly_good | st.binary(max_size=60))
def test_anything_else_is_refused_and_stays_refused(data):
    whole = None
    for size in range(min(len(data), 400) + 1):
        verdict = refusal(lambda: parse(data[:size]))  # noqa: B023
        if verdict is not None:
            assert verdict == REFUSED
            assert whole is None
            assert refusal(lambda: parse(data)) == REFUSED
            return
        header = parse(data[:size])
        assert whole is None or header == whole
        if header is not None:
            assert 0 < header.size <= size
            assert header.source is None or ip_address(header.source)
            whole = header
