"""Every way the config server says no: a code and a human sentence. `problem` turns codes into HTTP statuses.

`members` are what helps the client further (`key`, `etag`, `errors`), `headers` what HTTP wants beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class KvError(Exception):
    """Root of the family. `code` is a stable word, `detail` one sentence for a human."""

    code = "internal"

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members


class BadRequest(KvError):
    """A parameter, a header or a combination that has no meaning."""

    code = "bad-request"


class BadKey(KvError):
    """Not a key (or prefix) of the grammar in `model`."""

    code = "bad-key"


class BadDocument(KvError):
    """The body is not strict JSON. `errors` in the members: JSON pointers (RFC 6901) and details."""

    code = "bad-json"


class BadPatch(KvError):
    """JSON, but no JSON Patch. `errors` in the members."""

    code = "bad-patch"


class PatchTestFailed(KvError):
    """A `test` of a JSON Patch did. `errors` in the members: which step."""

    code = "test-failed"


class CannotApply(KvError):
    """A JSON Patch that does not fit what is stored. `errors` in the members: which step."""

    code = "cannot-apply"


class Unauthorized(KvError):
    """No token, or none that is known. The header WWW-Authenticate says so to programs (RFC 6750, 3)."""

    code = "unauthorized"


class Forbidden(KvError):
    """A token without the right (`scope` in the members), or what a web page could have been tricked into asking."""

    code = "forbidden"


class NotFound(KvError):
    """No such key, version or path."""

    code = "not-found"


class MethodNotAllowed(KvError):
    """The resource does not know this method; the header Allow says which it knows."""

    code = "method-not-allowed"


class Gone(KvError):
    """The version was there and has been pruned."""

    code = "gone"


class LengthRequired(KvError):
    """A write without a body."""

    code = "length-required"


class Conflict(KvError):
    """A condition does not hold. `key` and `etag` (the one in force) are in the members."""

    code = "precondition-failed"


class Kept(KvError):
    """A ttl for a key that is there without one."""

    code = "kept"


class PreconditionRequired(KvError):
    """A write without a condition, where the server wants one (RFC 6585, 3)."""

    code = "precondition-required"


class TooManyRequests(KvError):
    """More writes than one token may make; Retry-After says when (RFC 6585, 4)."""

    code = "too-many-requests"


class TooLarge(KvError):
    """A value above the limit."""

    code = "too-large"


class BadSchema(KvError):
    """Not a JSON Schema that can be used. `errors` in the members: JSON pointers and details."""

    code = "bad-schema"


class InvalidDocument(KvError):
    """A document that its schema forbids. In the members `key`, `schema` (whose scope) and `errors`, as above."""

    code = "invalid-document"


class UnsupportedMediaType(KvError):
    """A body of a type that has no meaning for this method."""

    code = "unsupported-media-type"


class TooManyWatchers(KvError):
    """No room for one more waiting client."""

    code = "too-many-watchers"


class Unavailable(KvError):
    """The engine cannot commit. Nothing was written."""

    code = "unavailable"


class Unknown(KvError):
    """The engine cannot tell whether the write happened."""

    code = "outcome-unknown"


class Full(KvError):
    """No room for one more key, or on the disk. Nothing was written."""

    code = "full"


class BadBackup(KvError):
    """A file that is no backup, or no longer a whole one."""

    code = "bad-backup"


class CannotStart(KvError):
    """A setting, an address or a store that the process cannot start with."""

    code = "cannot-start"


class BadSetting(CannotStart):
    """A setting that is not what it has to be."""

    code = "bad-setting"
