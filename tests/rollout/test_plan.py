from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.json_schema import default_of
from app.config.part import ListOf, Part, Section
from app.errors import InvalidPlan
from app.rollout.plan import FailureGate, Gates, Plan, Ramp, SlowGate, Step
from app.rollout.plan_schema import LARGEST, PlanPart, dump, load, parse

STEPS = [{"ratio": 0.01, "hold": "5m"}, {"ratio": 0.1, "approve": True}, {"ratio": 1}]


def faults(data: Any) -> dict[str, str]:
    with pytest.raises(InvalidPlan) as refusal:
        load(data)
    return refusal.value.faults


def test_what_is_not_given_has_its_default() -> None:
    assert load({}) == Plan()


def test_a_whole_plan() -> None:
    plan = load(
        {
            "steps": STEPS,
            "hold": "10m",
            "approve": False,
            "gates": {"failures": {"tolerance": 1.5, "limit": "off"}, "slow": None},
            "alpha": 0.05,
            "beta": 0.1,
            "warmup": 0,
            "min_requests": 100,
            "no_data": "pause",
            "on_inconclusive": "proceed",
            "webhooks": ["https://hooks.example/a?b=c"],
            "confirm": ["http://10.0.0.1:8000"],
        }
    )
    assert plan == Plan(
        (Step(0.01, 300.0), Step(0.1, None, True), Step(1.0)),
        600.0,
        False,
        Gates(FailureGate(1.5, limit=None), None),
        0.05,
        0.1,
        0.0,
        100,
        "pause",
        "proceed",
        ("https://hooks.example/a?b=c",),
        ("http://10.0.0.1:8000",),
    )
    assert [plan.hold_of(step) for step in range(3)] == [300, 600, 600]
    assert [plan.approve_of(step) for step in range(3)] == [False, True, False]


@pytest.mark.parametrize(
    ("ramp", "ratios"),
    [
        ({"from": 0.01, "to": 1, "steps": 3}, [0.01, 0.1, 1]),
        (
            {"from": 0.01, "to": 1, "steps": 6, "kind": "exponential"},
            [0.01, 0.02512, 0.0631, 0.1585, 0.3981, 1],
        ),
        ({"from": 0.25, "to": 1, "steps": 4, "kind": "linear"}, [0.25, 0.5, 0.75, 1]),
        ({"from": 1 / 3, "to": 2 / 3, "steps": 2}, [1 / 3, 2 / 3]),
        ({"from": 0.5}, [0.5, 0.5743, 0.6598, 0.7579, 0.8706, 1]),
    ],
)
def test_a_ramp_becomes_steps(ramp: dict[str, Any], ratios: list[float]) -> None:
    assert load({"ramp": ramp | {"hold": "30s"}}).steps == tuple(Step(ratio, 30.0) for ratio in ratios)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([], {"": "got a list, must be an object"}),
        ({"setps": []}, {"setps": 'no field is called "setps"; did you mean "steps"?'}),
        ({"steps": []}, {"steps": "got 0 of them, must be a list of 1 to 50 objects"}),
        ({"steps": [{}]}, {"steps[0].ratio": "is missing, must be a number from 0.001 to 1"}),
        ({"steps": [{"ratio": 0}]}, {"steps[0].ratio": "got 0, must be a number from 0.001 to 1"}),
        (
            {"steps": [{"ratio": 0.5}, {"ratio": 0.1}]},
            {"steps[1].ratio": "got 0.1, must be above the step before (0.5)"},
        ),
        ({"steps": STEPS, "ramp": {"from": 0.1}}, {"ramp": "stands only where steps are not given"}),
        ({"ramp": {"from": 0.5, "to": 0.5}}, {"ramp.to": "must be above from (0.5)"}),
        (
            {"ramp": {"from": 0.5, "to": 0.5001, "steps": 9}},
            {"ramp.steps": "are more than fit between from and to"},
        ),
        ({"ramp": {"to": 0.5}}, {"ramp.from": "is missing, must be a number from 0.001 to 1"}),
        (
            {"gates": {"failures": {"margin": 2, "tolerance": 2}}},
            {"gates.failures.margin": "must be above tolerance (2.0)"},
        ),
        (
            {"gates": {"failures": {"tolerance": 3}}},
            {"gates.failures.margin": "must be above tolerance (3.0)"},
        ),
        (
            {"gates": {"slow": {"margin": 1.2, "tolerance": 2}}},
            {"gates.slow.margin": "must be above tolerance (2.0)"},
        ),
        ({"alpha": 0.5}, {"alpha": "got 0.5, must be a number from 0.0001 to 0.2"}),
        ({"no_data": "fail"}, {"no_data": 'got "fail", must be "hold" or "pause"'}),
    ],
)
def test_the_sentence(data: Any, expected: dict[str, str]) -> None:
    assert faults(data) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a",
        "ftp://a",
        "http://",
        "http://a b",
        "http://a/ b",
        "http://u:p@a/",
        "http://a/#b",
        7,
        "http://a/" + "b" * 2048,
    ],
)
def test_what_is_no_webhook_is_not_shown(url: Any) -> None:
    (text,) = faults({"webhooks": [url]}).values()
    assert "must be an http:// or https:// URL" in text
    assert not isinstance(url, str) or "got a text" in text


def test_the_plan_in_the_docs_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rollout.md").read_text()
    _, example, _ = re.split(r"```(?:json)?\n", page, maxsplit=2)
    assert [step.approve for step in parse(example.encode()).steps] == [None, True, None, None]


def test_bytes() -> None:
    assert parse(b'{"min_requests": 7}').min_requests == 7
    with pytest.raises(InvalidPlan, match="is not JSON"):
        parse(b"{")
    with pytest.raises(InvalidPlan, match="must be at most 65,536"):
        parse(b" " * (LARGEST + 1))


PLANS = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.sets(st.integers(1, 1000), min_size=1, max_size=50).map(
            lambda ratios: [{"ratio": ratio / 1000} for ratio in sorted(ratios)]
        ),
        "hold": st.floats(0, 1000),
        "approve": st.booleans(),
        "gates": st.fixed_dictionaries(
            {},
            optional={
                "failures": st.none() | st.just({"limit": None}),
                "slow": st.none() | st.just({"over": 0.3}),
            },
        ),
        "alpha": st.floats(1e-4, 0.2),
        "on_inconclusive": st.sampled_from(["hold", "pause", "proceed", "rollback"]),
        "webhooks": st.lists(st.just("https://a/b"), max_size=8),
    },
)


@given(PLANS)
def test_a_dump_loads_as_the_same_plan(data: dict[str, Any]) -> None:
    plan = load(data)
    assert load(json.loads(json.dumps(dump(plan)))) == plan


@given(st.floats(0.001, 0.9), st.integers(2, 50), st.sampled_from(["linear", "exponential"]))
def test_a_ramp_rises_or_is_refused(first: float, steps: int, kind: str) -> None:
    try:
        plan = load({"ramp": {"from": first, "steps": steps, "kind": kind}})
    except InvalidPlan:
        return
    ratios = [step.ratio for step in plan.steps]
    assert ratios == sorted(set(ratios))
    assert (ratios[0], ratios[-1], len(ratios)) == (first, 1.0, steps)
    assert load(dump(plan)) == plan


def parts(part: Part) -> list[Part]:
    inner = [each.inner if isinstance(each, ListOf) else each for each in part.fields.values()]
    return [part, *(below for each in inner if isinstance(each, Section) for below in parts(each.part))]


def test_every_field_has_its_sentence_and_a_default() -> None:
    for part in parts(PlanPart()):
        for name, field in part.fields.items():
            assert field.metadata["description"].endswith("."), name
            assert (
                field.required or name == "ramp" or default_of(part, name) is not None or field.allow_none
            ), name


def test_the_shortest_ramp() -> None:
    assert Ramp(0.1, 0.5, 2).as_steps() == (Step(0.1), Step(0.5))


def test_a_slow_gate_of_its_own() -> None:
    assert load({"gates": {"failures": None, "slow": {"over": "300ms"}}}).gates == Gates(
        None, SlowGate(over=0.3)
    )
