"""The dashboard's files, as they lie in `page/`. The page may load nothing else, and nobody may frame it."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from app.pilot.answers import Body

FOLDER = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# No HTML can be made of text on this page, by nobody: the browser itself sees to it.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def page(request: Body) -> Response:
    """The file that a path names, `/` the page itself; 304 to whoever has it. Raises NotFound."""
    name = "index.html" if request.path == "/" else request.path.removeprefix("/page/")
    if name not in files():
        raise NotFound("the page has no such file")
    content, etag = files()[name]
    response = Response(content, headers=_HEADERS, content_type=_TYPES[Path(name).suffix])
    response.set_etag(etag)
    return response.make_conditional(request)


@cache
def files() -> dict[str, tuple[bytes, str]]:
    """All there are, by name, each with its ETag; of one moment, so that they fit together."""
    found = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in _TYPES}
    return {name: (content, sha256(content).hexdigest()[:16]) for name, content in found.items()}
