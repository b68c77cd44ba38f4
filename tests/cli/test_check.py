from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.support.keys import CONFIG
from tests.support.processes import ROOT


def test_the_example_is_valid(run: Run) -> None:
    result = run("check", str(ROOT / "config" / "canary.json"))
    assert result.exit_code == 0
    assert "is a valid config document" in result.output


def test_every_fault_is_a_pointer_and_a_reason(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps({"ratio": 7, "stable": {"servers": [{"url": "ftp://x"}]}}))
    result = run("check", str(file))
    assert result.exit_code == 1
    assert [line.split(": ")[:2] for line in sorted(result.stderr.splitlines())] == [
        [str(file), "/ratio"],
        [str(file), "/stable/servers/0/url"],
    ]
    told = json.loads(run("check", "--json", str(file)).stdout)
    assert (told["valid"], {fault["pointer"] for fault in told["faults"]}) == (
        False,
        {"/ratio", "/stable/servers/0/url"},
    )


@pytest.mark.parametrize(("text", "status"), [(json.dumps(CONFIG), 0), ("{", 1), ("[]", 1)])
def test_reads_its_input(run: Run, text: str, status: int) -> None:
    assert run("check", "-", input=text).exit_code == status


def test_a_file_that_is_not_there_is_told(run: Run) -> None:
    result = run("check", "/nowhere/at/all")
    assert result.exit_code == 2
    assert "No such file" in result.stderr
