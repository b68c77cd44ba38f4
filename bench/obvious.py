"""The obvious way to split visitors 95 to 5 in Python: gevent's pywsgi, Werkzeug, and requests for the servers.

    python -m bench.obvious PORT STABLE_PORT CANARY_PORT [--log]

What Serin would be, had nobody minded the cost. It knows no time limits, no health, no changes.
"""

from gevent import monkey

monkey.patch_all()

import random  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterable  # noqa: E402
from typing import Any  # noqa: E402

from gevent.pywsgi import WSGIServer  # noqa: E402
from requests import Session  # noqa: E402
from requests.adapters import HTTPAdapter  # noqa: E402
from werkzeug import Request, Response  # noqa: E402

PORT, STABLE, CANARY = (int(argument) for argument in sys.argv[1:4])
PASSED_ON = ("Host", "User-Agent", "Accept", "Cookie", "Content-Type")

session = Session()
session.trust_env = False
session.mount("http://", HTTPAdapter(pool_maxsize=512))


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Pass one request on to the visitor's version, drawn at the first visit."""
    request = Request(environ)
    drawn = "canary" if random.random() < 0.05 else "stable"
    version = request.cookies.get("version", drawn)
    port = CANARY if version == "canary" else STABLE
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    url = f"http://127.0.0.1:{port}{request.full_path}"
    answer = session.request(request.method, url, headers=headers, data=request.get_data(), timeout=30)
    response = Response(answer.content, answer.status_code, content_type=answer.headers.get("Content-Type"))
    response.set_cookie("version", version)
    if request.headers.get("Connection") == "close":
        response.headers["Connection"] = "close"  # pywsgi closes without a word: an error, to wrk
    return response(environ, start_response)


if __name__ == "__main__":
    log = sys.stdout if "--log" in sys.argv else None
    WSGIServer(("127.0.0.1", PORT), application, backlog=4096, log=log).serve_forever()
