"""HTTPS as operators run it: certificates in files, renewed under load, and plain words when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from requests import Session

from tests.support.processes import Process, fetch, free_port, wait_until
from tests.support.stack import FRONTS, Stack
from tests.support.tls import issue, write_authority

pytestmark = pytest.mark.end_to_end


class SecureStack(Stack):
    """A Stack whose proxy serves HTTPS with the certificate in its folder."""

    def __init__(self, folder: Path, front: str, **options: object) -> None:
        cert, key = issue(folder)
        self.ca = write_authority(folder)
        super().__init__(folder, front=front, env={"TLS_CERT": str(cert), "TLS_KEY": str(key)}, **options)

    @property
    def url(self) -> str:
        return super().url.replace("http:", "https:")

    def ask(self, path: str = "/"):
        """One request on a connection of its own."""
        return fetch("GET", self.url + path, verify=self.ca)


@pytest.mark.parametrize("front", ["fast_lane", "worker"])
def test_a_certificate_is_renewed_while_it_serves(tmp_path, front):
    other = tmp_path / "other"
    other.mkdir()
    with SecureStack(tmp_path, front, config={"ratio": 0}) as stack:
        seen = {name.lower(): value for name, value in stack.ask("/echo").json()["headers"]}
        assert seen["x-forwarded-proto"] == "https"
        serials = {serial(stack)}
        for new, old in zip(issue(other), (tmp_path / "cert.pem", tmp_path / "key.pem"), strict=True):
            new.replace(old)
        wait_until(lambda: serials.add(serial(stack)) or len(serials) > 1, what="the new certificate")
        assert fetch("GET", stack.url.replace("https:", "http:")).text == "400 Bad Request (plain_http)\n"
        size = 3 * 1024 * 1024
        assert stack.ask(f"/?size={size}").content == b"x" * size


def serial(stack: SecureStack) -> str:
    """Of the certificate that a new connection sees."""
    with Session() as session:
        session.trust_env = False
        with session.get(stack.url, verify=stack.ca, stream=True, timeout=10) as response:
            return response.raw.connection.sock.getpeercert()["serialNumber"]


# What gunicorn's master ends with when its worker does not start. One worker: while it ends because of a first one,
# a second would have it end with a traceback of its own.
BOOT_ERROR = 3
ALONE = ["--bind", "127.0.0.1:0", "--workers", "1"]
COMMANDS = {"fast_lane": FRONTS["fast_lane"], "worker": [*FRONTS["worker"], *ALONE]}


@pytest.mark.parametrize(("front", "code"), [("fast_lane", 2), ("worker", BOOT_ERROR)])
def test_a_certificate_that_cannot_be_used_ends_it_with_a_sentence(tmp_path, front, code):
    cert, _ = issue(tmp_path)
    env = {"TLS_CERT": str(cert), "TLS_KEY": str(tmp_path / "none.pem"), "PORT": "0", "ADMIN_PORT": "0"}
    said = ended(Process(COMMANDS[front], tmp_path / "log", env=env), code)
    assert f"TLS_KEY: cannot read {tmp_path}/none.pem: No such file or directory" in said
    assert "Traceback" not in said


def test_the_worker_says_that_it_does_not_take_gunicorns_certificate(tmp_path):
    cert, key = issue(tmp_path)
    command = [*COMMANDS["worker"], "--certfile", str(cert), "--keyfile", str(key)]
    said = ended(Process(command, tmp_path / "log", env={"ADMIN_PORT": "0"}), BOOT_ERROR)
    assert "set TLS_CERT and TLS_KEY" in said


def ended(process: Process, code: int) -> str:
    """What it said before it ended so, by itself."""
    process.start()
    try:
        wait_until(lambda: not process.running, what="the end")
        assert process.terminate() == code
        return process.output()
    finally:
        process.stop()


def test_a_config_whose_authority_cannot_be_read_is_rejected(tmp_path):
    with Stack(tmp_path, config={"ratio": 0}) as stack:
        before = stack.status()["config"]["etag"]
        tls = {"ca": str(tmp_path / "none.pem")}
        stack.patch_config({"stable": {"servers": [{"url": f"https://127.0.0.1:{free_port()}", "tls": tls}]}})
        status = stack.wait_status(lambda status: status["config"]["rejected"], "the rejection")
        faults = status["config"]["rejected"]["faults"]
        assert faults == {"stable.servers[0].tls.ca": "cannot be read: No such file or directory"}
        assert status["config"]["etag"] == before
        assert stack.version() == "stable"
        assert "Traceback" not in stack.web.output()
