"""The grammar of HTTP/1.1 as compiled patterns, each under the section that states it.

Every quantifier that could be tried again is possessive (`++`, `*+`): a head that does not match fails in
one pass, whatever it holds. Where Serin is laxer or stricter than the RFC, the pattern says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

# RFC 9110, 5.6.2: token = 1*tchar
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"

# RFC 9110, 5.5: field-content is VCHAR, SP, HTAB and obs-text; never CR, LF, NUL or another control.
VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"

# RFC 9112, 5: field-line, with no white space before the colon (5.1) and no obs-fold (5.2).
FIELD_LINE = TOKEN + rb":" + VALUE + rb"\r\n"

# RFC 9112, 3.2: what may stand in a request-target. Stricter than nginx, like RFC 3986: no byte above 0x7e,
# and no "#", for a fragment is never sent.
TARGET = rb"[!\"$-~]++"

# RFC 9112, 3: method SP request-target SP HTTP-version CRLF, then field lines up to the empty one.
REQUEST_HEAD = re.compile(
    rb"(" + TOKEN + rb") (" + TARGET + rb") HTTP/1\.([0-9])\r\n(?:" + FIELD_LINE + rb")*+\r\n"
)

# The beginning of a request line that may still become a whole one.
REQUEST_LINE_PREFIX = re.compile(
    TOKEN + rb"(?: (?:" + TARGET + rb"(?: (?:H(?:T(?:T(?:P(?:/(?:[0-9](?:\.(?:[0-9]\r?)?)?)?)?)?)?)?)?)?)?)?"
)
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (" + TARGET + rb") HTTP/([0-9])\.([0-9])\r\n")


@lru_cache(10)
def origin_line(minor: int) -> Callable[[bytes, int, int], re.Match[bytes] | None]:
    """Matches a request line of HTTP/1.`minor` in origin-form (RFC 9112, 3.2.1), whose target is a path."""
    return re.compile(rb"(?!CONNECT )(%b) (/(?:%b)?+) HTTP/1\.%d\r\n" % (TOKEN, TARGET, minor)).fullmatch


FIELD = re.compile(FIELD_LINE)

# RFC 9112, 4: status-line. Laxer: the SP before an absent reason may be absent too (many servers do that).
RESPONSE_HEAD = re.compile(
    rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: " + VALUE + rb")?\r\n(?:" + FIELD_LINE + rb")*+\r\n"
)

# The request fields a proxy must know or must not pass on, each with the line it stands on: (line, name, value).
REQUEST_FIELDS = re.compile(
    rb"(?i)(\n(host|connection|content-length|transfer-encoding|cookie|expect|upgrade|te|trailer|keep-alive"
    rb"|proxy-connection|proxy-authorization|x-request-id|x-forwarded-[^:\r]*+|forwarded|x-real-ip|http2-settings"
    rb"):[ \t]*+([^\r]*+)\r)"
)

# Field lines with "_" in their name, which an application behind CGI or WSGI cannot tell from "-".
UNDERSCORED = re.compile(rb"\n[^:_\r]*+_[^:\r]*+:[^\r]*+\r")

# Every field line, with its name.
FIELD_LINES = re.compile(rb"(\n([^:\r]++):[^\r]*+\r)")

# The same for responses.
RESPONSE_FIELDS = re.compile(
    rb"(?i)(\n(connection|content-length|transfer-encoding|upgrade|trailer|te|keep-alive|proxy-connection"
    rb"|proxy-authenticate):[ \t]*+([^\r]*+)\r)"
)

# RFC 3986, 3.2.2: IPv6address, one line for each number of groups after the gap.
_H16 = rb"[0-9A-Fa-f]{1,4}"
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_LS32 = rb"(?:%b:%b|%b(?:\.%b){3})" % (_H16, _H16, _OCTET, _OCTET)
_IPV6 = b"|".join(
    form.replace(b"h16", _H16).replace(b"ls32", _LS32)
    for form in (
        rb"(?:h16:){6}ls32",
        rb"::(?:h16:){5}ls32",
        rb"(?:h16)?::(?:h16:){4}ls32",
        rb"(?:(?:h16:){0,1}h16)?::(?:h16:){3}ls32",
        rb"(?:(?:h16:){0,2}h16)?::(?:h16:){2}ls32",
        rb"(?:(?:h16:){0,3}h16)?::h16:ls32",
        rb"(?:(?:h16:){0,4}h16)?::ls32",
        rb"(?:(?:h16:){0,5}h16)?::h16",
        rb"(?:(?:h16:){0,6}h16)?::",
    )
)

# RFC 9110, 7.2 and RFC 3986, 3.2.2: uri-host [ ":" port ], no userinfo. Stricter: no comma, for that is what
# two Hosts folded into one look like; no IPvFuture, no zone.
HOST = re.compile(
    rb"(?:\[(?:%b)\]|(?:[0-9A-Za-z\-._~!$&'()*+;=]|%%[0-9A-Fa-f]{2})++)"
    rb"(?::(?:[0-5]?[0-9]{0,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?" % _IPV6
)

# What Serin keeps of a client's X-Request-ID: one visible word.
REQUEST_ID = re.compile(rb"[!-~]{1,128}")

# RFC 9112, 3.2.2: absolute-form. Only the two schemes a proxy of this kind can be asked for.
ABSOLUTE_FORM = re.compile(rb"(?i)https?://([^/?]*+)([/?]?.*)")

# RFC 9112, 7.1: chunk-size [chunk-ext] CRLF. Stricter: 16 digits at most; extensions must follow the grammar
# of 7.1.1 (with its optional white space) and are dropped.
_QUOTED = rb"\"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+\""
_EXTENSION = rb"[ \t]*+;[ \t]*+" + TOKEN + rb"(?:[ \t]*+=[ \t]*+(?:" + TOKEN + rb"|" + _QUOTED + rb"))?"
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16}+)(?:" + _EXTENSION + rb")*+\r\n")
