"""The front's certificate: only whole pairs come into force, and what is in force stays until there is a better one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from gevent import ssl

from app.certificate import Certificate
from app.settings import BadSetting, Settings
from tests.support.processes import wait_until
from tests.support.tls import issue


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    return issue(tmp_path)


def other_pair(tmp_path: Path) -> tuple[Path, Path]:
    folder = tmp_path / "other"
    folder.mkdir()
    return issue(folder)


def test_speaks_tls_1_2_and_1_3_and_http_1_1(files):
    context = Certificate(*files).context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert not [
        cipher for cipher in context.get_ciphers() if "RC4" in cipher["name"] or "NULL" in cipher["name"]
    ]


def test_stays_while_the_files_do(files):
    certificate = Certificate(*files)
    context = certificate.context
    certificate.refresh()
    assert certificate.context is context


def test_a_new_pair_comes_into_force_only_when_it_is_whole(files, tmp_path, caplog):
    certificate, (new_cert, new_key) = Certificate(*files), other_pair(tmp_path)
    context = certificate.context
    new_cert.replace(files[0])
    for _ in range(3):
        certificate.refresh()
    assert certificate.context is context
    assert [record.message for record in caplog.records] == [
        "TLS_KEY does not belong to TLS_CERT; the certificate in force stays"
    ]
    new_key.replace(files[1])
    certificate.refresh()
    assert certificate.context is not context


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\n"])
def test_files_that_go_bad_change_nothing(files, content, caplog):
    certificate = Certificate(*files)
    context = certificate.context
    if content is None:
        files[0].unlink()
    else:
        files[0].write_text(content)
    for _ in range(3):
        certificate.refresh()
    assert certificate.context is context
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_looks_at_the_files_by_itself(files, tmp_path):
    certificate = Certificate(*files, period=0.01)
    context = certificate.context
    certificate.start()
    for new, old in zip(other_pair(tmp_path), files, strict=True):
        new.replace(old)
    wait_until(lambda: certificate.context is not context, what="the new certificate")
    certificate.stop()


def test_a_file_that_cannot_be_read_is_named(files, tmp_path):
    missing = tmp_path / "missing.pem"
    with pytest.raises(BadSetting, match=r"TLS_KEY: cannot read .*missing.pem: No such file"):
        Certificate(files[0], missing)
    with pytest.raises(BadSetting, match=r"TLS_CERT: cannot read .*: Is a directory"):
        Certificate(tmp_path, files[1])


def test_a_pair_must_belong_together(files, tmp_path):
    with pytest.raises(BadSetting, match="TLS_KEY does not belong to TLS_CERT"):
        Certificate(files[0], other_pair(tmp_path)[1])


def test_a_key_with_a_password_is_refused_and_nobody_asked_for_it(files, tmp_path):
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key(files[1].read_bytes(), None)
    locked = form.BestAvailableEncryption(b"secret")
    files[1].write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked))
    with pytest.raises(BadSetting, match="the key without a password"):
        Certificate(*files)


def test_the_environment_names_both_or_neither():
    both = Settings.from_environ({"TLS_CERT": "a", "TLS_KEY": "b"})
    assert (both.tls_cert, both.tls_key) == (Path("a"), Path("b"))
    assert Settings.from_environ({"TLS_CERT": ""}).tls_cert is None
    with pytest.raises(BadSetting, match="go together"):
        Settings.from_environ({"TLS_KEY": "b"})
