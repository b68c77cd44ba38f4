from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import main
from app.config.keys import KeyClient
from tests.cli.conftest import KEY, Run
from tests.support.keys import CONFIG, put, reported
from tests.support.processes import free_port


def document(keys: KeyClient) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(keys.get(KEY).raw)
    return found


@pytest.mark.parametrize(("text", "ratio"), [("0.5", 0.5), ("25%", 0.25), ("0", 0), ("1", 1)])
def test_ratio(run: Run, keys: KeyClient, text: str, ratio: float) -> None:
    result = run("ratio", text)
    assert result.exit_code == 0
    assert f"ratio 0.1 → {float(ratio)}" in result.output
    assert document(keys) == CONFIG | {"ratio": ratio}


@pytest.mark.parametrize("text", ["7", "-1", "half", "", "nan", "101%"])
def test_what_is_no_share_changes_nothing(run: Run, keys: KeyClient, text: str) -> None:
    result = run("ratio", "--", text)
    assert (result.exit_code, document(keys)) == (2, CONFIG)
    assert "is not a share" in result.output


def test_sets_several_fields_in_one_write(run: Run, keys: KeyClient) -> None:
    before = keys.get(KEY).revision
    assert run("set", "timeouts.head=3s", "stable.servers[0].weight=5", "sticky_sessions=true").exit_code == 0
    after = document(keys)
    assert (after["timeouts"], after["stable"]["servers"][0]["weight"]) == ({"head": "3s"}, 5)
    assert after["sticky_sessions"] is True
    assert keys.get(KEY).revision == before + 1


def test_takes_a_field_out(run: Run, keys: KeyClient) -> None:
    assert run("set", "--remove", "ratio").exit_code == 0
    assert "ratio" not in document(keys)


def test_the_same_again_is_no_change(run: Run, keys: KeyClient) -> None:
    result = run("set", "ratio=0.1")
    assert (result.exit_code, len(keys.history(KEY, 5))) == (0, 1)
    assert "nothing changes" in result.output


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["ratoi=1"], 1, 'did you mean "ratio"'),
        (["ratio=7"], 1, "must be a number from 0 to 1"),
        (["ratio"], 2, "is not of the form PATH=VALUE"),
        (["a..b=1"], 2, "is not a place"),
        (["stable.servers[4].weight=1"], 2, "there is no [4]"),
        (["--remove", "stable.servers[4]"], 2, "there is no [4]"),
        ([], 2, "nothing to set"),
    ],
)
def test_a_wrong_change_is_told_and_not_made(
    run: Run, keys: KeyClient, arguments: list[str], status: int, told: str
) -> None:
    result = run("set", *arguments)
    assert (result.exit_code, document(keys)) == (status, CONFIG)
    assert told in result.output


def test_says_who_and_why_in_the_history(run: Run, keys: KeyClient) -> None:
    run("ratio", "0.2", "--note", "a first look")
    plain, told = run("history"), json.loads(run("history", "--json").output)
    assert told[0]["note"] == "a first look"
    assert "@" in told[0]["author"]
    assert plain.output.splitlines()[0].split() == ["revision", "written", "by", "note"]
    assert len(plain.output.splitlines()) == 3


def test_goes_back(run: Run, keys: KeyClient) -> None:
    first = keys.get(KEY).revision
    run("ratio", "0.2")
    assert run("rollback", str(first)).exit_code == 0
    assert document(keys) == CONFIG
    assert keys.history(KEY, 1)[0]["note"] == f"rollback {first}"


def test_goes_back_to_nothing_that_is_unknown_or_not_valid(run: Run, keys: KeyClient) -> None:
    put(keys, KEY, {"ratio": 7})
    bad = keys.get(KEY).revision
    put(keys, KEY, CONFIG)
    assert run("rollback", str(bad)).exit_code == 1
    assert run("rollback", "99").exit_code == 1
    assert document(keys) == CONFIG


def test_waits_until_all_instances_have_it(run: Run, keys: KeyClient) -> None:
    put(keys, "shop/instances/a", reported(etag="99-0", revision=99))
    result = run("ratio", "0.3", "--wait")
    assert result.exit_code == 0
    assert ", applied by 1 of 1 instance in " in result.output


def test_says_who_does_not_have_it_in_time(run: Run, keys: KeyClient) -> None:
    put(keys, "shop/instances/a", reported(etag="0-0", revision=0))
    result = run("ratio", "0.3", "--wait", "--timeout", "0.05", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 4
    assert (told["complete"], [each["id"] for each in told["laggards"]]) == (False, ["a"])
    assert document(keys)["ratio"] == 0.3


def test_status(run: Run, keys: KeyClient) -> None:
    stored = keys.get(KEY)
    put(keys, "shop/instances/a", reported(etag=stored.etag, revision=stored.revision))
    put(keys, "shop/instances/b", reported(etag="0-0", trouble="it rains"))
    told = json.loads(run("status", "--json").output)
    assert (told["document"], told["etag"]) == (CONFIG, stored.etag)
    assert [(each["id"], each["in_step"]) for each in told["instances"]] == [("a", True), ("b", False)]
    plain = run("status").output
    assert "1 of 2 instances serve by it" in plain
    assert "it rains" in plain


def test_a_config_server_that_is_away_is_told() -> None:
    environ = {"CONFIG_SERVER": f"http://127.0.0.1:{free_port()}"}
    result = CliRunner().invoke(main, ["status"], env=environ)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "cannot be reached" in result.stderr


def test_a_wrong_setting_is_told() -> None:
    result = CliRunner().invoke(main, ["status"], env={"CONFIG_SERVER": "ftp://x"})
    assert result.exit_code == 2
    assert "CONFIG_SERVER" in result.stderr


def test_without_a_document_there_is_no_status(run: Run) -> None:
    assert run("status").exit_code == 1
