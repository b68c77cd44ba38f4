from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.errors import CommandRefused
from app.rollout.controller import advance, commands
from app.rollout.document import recalled
from app.rollout.plan import Gates, Plan, Step
from app.rollout.signals import Signal
from app.rollout.situation import Command, Situation, Wait, awaited
from app.rollout.state import ENDS, State
from app.rollout.transitions import TRANSITIONS
from app.rollout.verdict import PASS, ROLLBACK
from tests.rollout.world import PLAN, World, asked, config

GOOD = {"outcome": PASS, "requests": 10**6}


@pytest.fixture
def world() -> World:
    """Step 0 is in force, and the canary does well, with a great deal of traffic."""
    found = World()
    found.begin()
    found.look()
    found.look()
    found.see(outcome=PASS)
    return found


def flow(world: World, seconds: float) -> None:
    """Time goes by, with 100 requests a second to the canary."""
    for _ in range(round(seconds)):
        world.see(requests=world.seen.requests + 100)
        world.run(1)


def test_it_begins_with_the_first_ratio() -> None:
    world = World(config(timeouts={"connect": "2s"}))
    world.begin()
    world.look()
    assert world.rollout.state == State.RUNNING
    assert world.config == config(ratio=0.01, timeouts={"connect": "2s"})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"canary": {"servers": []}}, "no canary server"),
        ({"canary": {"servers": [{"url": "http://c", "weight": 0}]}}, "no canary server"),
        ({"style": "round_robin"}, "round_robin does not use the ratio"),
    ],
)
def test_it_waits_for_a_config_that_can_be_rolled_out(fields: dict[str, Any], reason: str) -> None:
    world = World(config(**fields))
    world.begin()
    world.run(30)
    assert world.rollout.state == State.WAITING
    assert reason in world.rollout.reason
    world.change(**config())
    world.run(1)
    assert world.rollout.state == State.RUNNING


def test_a_good_canary_goes_all_the_way(world: World) -> None:
    flow(world, 40)
    assert world.rollout.state == State.DONE
    assert [each["ratio"] for each in world.written] == [0.01, 0.1, 0.5, 0]
    assert world.config == config(stable=config()["canary"], canary={"servers": []})
    assert [(entry.state, entry.step) for entry in world.rollout.log] == [
        ("running", 0),
        ("running", 1),
        ("running", 2),
        ("promoting", 2),
        ("done", 2),
    ]


def test_no_step_is_shorter_than_its_time(world: World) -> None:
    flow(world, 9)
    assert world.rollout.step == 0
    flow(world, 1)
    assert world.rollout.step == 1
    flow(world, 9)
    assert world.rollout.step == 1


def test_time_counts_only_while_the_ratio_is_in_force_and_somebody_looks() -> None:
    world = World()
    world.begin()
    world.see(**GOOD)
    world.look(killed=True)
    world.now += 3600
    world.look()
    world.now += 3600
    world.look()
    assert world.rollout.held == 5
    world.now -= 7200
    world.look()
    assert world.rollout.held == 5


@pytest.mark.parametrize(
    ("seen", "wait"),
    [
        ({"requests": 99}, Wait.REQUESTS),
        ({"outcome": "inconclusive", "why": "too early"}, Wait.VERDICT),
        ({"alarm": "too many requests"}, Wait.SHARE),
    ],
)
def test_what_a_step_waits_for(world: World, seen: dict[str, Any], wait: Wait) -> None:
    world.see(**{"requests": 1000} | seen)
    world.run(200)
    assert (world.rollout.state, world.rollout.step) == (State.RUNNING, 0)
    assert awaited(world.rollout, replace(world.seen, config=world.config))[0] == wait
    world.see(**GOOD, alarm=None)
    world.run(1)
    assert world.rollout.step == 1


def test_each_step_needs_requests_of_its_own(world: World) -> None:
    world.see(**GOOD)
    world.run(100)
    assert world.rollout.step == 1


def test_no_traffic_is_never_a_pass() -> None:
    world = World()
    world.begin(Plan(min_requests=0, hold=0.0, gates=Gates(None, None), on_inconclusive="proceed"))
    world.see(outcome=PASS)
    world.run(200)
    assert (world.rollout.state, world.rollout.step) == (State.RUNNING, 0)


@pytest.mark.parametrize(
    ("plan", "seen", "state"),
    [
        ({"no_data": "pause"}, {"requests": 99}, State.PAUSED),
        ({"no_data": "hold"}, {"requests": 99}, State.RUNNING),
        ({"on_inconclusive": "pause"}, {"requests": 100}, State.PAUSED),
        ({"on_inconclusive": "rollback"}, {"requests": 100}, State.ROLLED_BACK),
        ({"on_inconclusive": "rollback"}, {"requests": 99}, State.RUNNING),
    ],
)
def test_what_becomes_of_a_step_that_has_lasted_its_time(
    plan: dict[str, Any], seen: dict[str, Any], state: State
) -> None:
    world = World()
    world.begin(replace(PLAN, **plan))
    world.run(9)
    world.see(**seen)
    assert world.rollout.state == State.RUNNING
    world.run(5)
    assert (world.rollout.state, world.rollout.step) == (state, 0)


def test_a_step_that_is_not_decided_may_count_as_passed() -> None:
    world = World()
    world.begin(replace(PLAN, on_inconclusive="proceed"))
    flow(world, 40)
    assert world.rollout.state == State.DONE


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_bad_canary_is_rolled_back_at_once(world: World, step: int) -> None:
    while world.rollout.step < step:
        flow(world, 1)
    world.see(outcome=ROLLBACK, why="it fails")
    world.look()
    assert world.config["ratio"] == 0
    world.look()
    assert world.rollout.state == State.ROLLED_BACK
    assert [entry.reason for entry in world.rollout.log][-2:] == ["it fails", "nobody gets the canary"]
    assert world.config["canary"] == config()["canary"]


def test_a_rollout_that_has_ended_does_nothing(world: World) -> None:
    world.look(Command.ABORT)
    world.run(1)
    written = list(world.written)
    world.change(ratio=0.7)
    for outcome in (ROLLBACK, PASS):
        world.see(outcome=outcome, requests=10**6)
        world.run(100)
    assert world.written == written
    assert world.rollout.state == State.ROLLED_BACK


def test_a_pause_stops_progress_and_not_protection(world: World) -> None:
    world.look(Command.PAUSE, who="ann")
    assert world.rollout.reason == "paused by ann"
    flow(world, 100)
    assert (world.rollout.state, world.rollout.step, world.config["ratio"]) == (State.PAUSED, 0, 0.01)
    world.see(outcome=ROLLBACK)
    world.run(2)
    assert world.rollout.state == State.ROLLED_BACK


def test_who_resumes_begins_the_step_again(world: World) -> None:
    flow(world, 15)
    world.look(Command.PAUSE)
    world.run(5)
    world.look(Command.RESUME)
    assert (world.rollout.state, world.rollout.step, world.rollout.held) == (State.RUNNING, 1, 0)
    flow(world, 9)
    assert world.rollout.step == 1
    flow(world, 2)
    assert world.rollout.step == 2


def test_a_step_may_wait_for_a_person() -> None:
    world = World()
    world.begin(replace(PLAN, steps=(Step(0.1, approve=True), Step(0.5))))
    world.see(outcome=PASS)
    flow(world, 100)
    assert awaited(world.rollout, replace(world.seen, config=world.config))[0] == Wait.APPROVAL
    world.look(Command.APPROVE, who="ann")
    flow(world, 1)
    assert world.rollout.step == 1
    assert not world.rollout.approved
    assert "approved by ann" in [entry.reason for entry in world.rollout.log]


def test_who_approves_early_does_not_end_a_step() -> None:
    world = World()
    world.begin(replace(PLAN, approve=True))
    world.see(outcome=PASS)
    world.run(1)
    world.look(Command.APPROVE)
    flow(world, 5)
    assert world.rollout.step == 0
    flow(world, 8)
    assert world.rollout.step == 1


def test_a_step_may_have_to_be_confirmed() -> None:
    world = World()
    world.begin(replace(PLAN, confirm=("http://gate",)))
    world.see(outcome=PASS, requests=0)
    assert asked(world.run(10)) == 0
    world.see(requests=1000)
    assert asked(world.run(10)) == 10
    world.see(confirmed=True)
    world.run(1)
    assert world.rollout.step == 1


def test_somebody_elses_change_pauses_and_is_kept(world: World) -> None:
    world.change(timeouts={"connect": "3s"})
    flow(world, 100)
    assert world.rollout.state == State.PAUSED
    assert "changed by somebody else" in world.rollout.reason
    assert not world.rollout.hands_off
    assert world.config == config(ratio=0.01, timeouts={"connect": "3s"})
    world.look(Command.RESUME)
    flow(world, 40)
    assert world.rollout.state == State.DONE
    assert world.config["timeouts"] == {"connect": "3s"}


def test_a_change_of_white_space_or_order_is_none(world: World) -> None:
    world.change()
    world.config = dict(reversed(world.config.items()))
    world.run(1)
    assert world.rollout.state == State.RUNNING


@pytest.mark.parametrize(
    "fields",
    [
        {"ratio": 0.3},
        {"salt": "new"},
        {"style": "random"},
        {"stable": {"servers": [{"url": "http://other"}]}},
    ],
)
def test_whoever_changes_what_the_rollout_is_about_has_the_wheel(
    world: World, fields: dict[str, Any]
) -> None:
    world.change(**fields)
    world.run(1)
    assert world.rollout.hands_off
    before = world.config
    world.see(outcome=ROLLBACK)
    world.run(100)
    assert world.config == before
    assert world.rollout.state == State.PAUSED
    world.look(Command.ABORT)
    world.run(1)
    assert world.config == {**before, "ratio": 0}


def test_the_wheel_may_be_taken_during_a_pause(world: World) -> None:
    world.look(Command.PAUSE)
    world.change(timeouts={"connect": "3s"})
    world.run(1)
    assert not world.rollout.hands_off
    world.change(ratio=0.3)
    world.see(outcome=ROLLBACK)
    world.run(1)
    world.run(5)
    assert (world.rollout.state, world.rollout.hands_off) == (State.PAUSED, True)
    assert [entry.reason[:10] for entry in world.rollout.log[1:]] == ["paused by ", "the config"]
    world.look(Command.PROMOTE)
    assert not world.rollout.hands_off


def test_who_resumes_gives_the_wheel_back(world: World) -> None:
    world.change(ratio=0.3)
    world.run(1)
    world.look(Command.RESUME)
    assert world.config["ratio"] == 0.01
    assert not world.rollout.hands_off


def test_another_canary_begins_at_the_first_step_with_no_evidence(world: World) -> None:
    flow(world, 15)
    world.change(canary={"servers": [{"url": "http://other"}]})
    world.run(1)
    world.look(Command.RESUME)
    assert (world.rollout.trial, world.rollout.step, world.rollout.requests) == (2, 0, 0)
    assert world.config["ratio"] == 0.01


def test_more_servers_for_the_canary_make_no_other(world: World) -> None:
    flow(world, 15)
    world.change(canary={"servers": [{"url": "http://canary"}, {"url": "http://more"}]})
    world.run(1)
    world.look(Command.RESUME)
    assert (world.rollout.trial, world.rollout.step) == (1, 1)


def test_while_the_config_server_is_away_nothing_happens(world: World) -> None:
    flow(world, 4)
    world.away = True
    world.see(**GOOD)
    world.run(60)
    world.away = False
    world.run(1)
    assert (world.rollout.state, world.rollout.step) == (State.RUNNING, 0)
    flow(world, 10)
    assert world.rollout.step == 1


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED])
def test_a_person_may_promote_at_once(world: World, state: State) -> None:
    if state == State.PAUSED:
        world.look(Command.PAUSE)
    world.look(Command.PROMOTE, who="ann")
    assert world.config["stable"] == config()["canary"]
    world.run(1)
    assert world.rollout.state == State.DONE


def test_an_undo_brings_back_what_was_stable(world: World) -> None:
    flow(world, 40)
    world.look(Command.UNDO, who="ann")
    assert world.config == config()
    world.run(1)
    assert world.rollout.state == State.ROLLED_BACK


@pytest.mark.parametrize(
    "fields",
    [{"stable": {"servers": [{"url": "http://newer"}]}}, {"canary": config()["canary"]}, {"ratio": 0.1}],
)
def test_there_is_no_undo_once_the_world_has_moved_on(world: World, fields: dict[str, Any]) -> None:
    flow(world, 40)
    world.change(**fields)
    with pytest.raises(CommandRefused, match="no longer as the promotion left it"):
        world.look(Command.UNDO)


def test_what_else_was_changed_since_stays_when_it_is_undone(world: World) -> None:
    flow(world, 40)
    world.change(timeouts={"connect": "3s"})
    world.look(Command.UNDO)
    assert world.config == config(timeouts={"connect": "3s"})


def test_somebody_else_may_write_right_after_the_promotion(world: World) -> None:
    world.look(Command.PROMOTE)
    world.change(timeouts={"connect": "3s"})
    world.run(1)
    assert world.rollout.state == State.DONE


def test_somebody_else_may_write_right_before_the_promotion(world: World) -> None:
    world.look(Command.PROMOTE, killed=True)
    world.change(timeouts={"connect": "3s"})
    world.run(10)
    assert world.rollout.state == State.PAUSED
    assert world.config["stable"] == config()["stable"]
    world.look(Command.RESUME)
    assert world.rollout.promotion is None


def test_an_abort_wins_against_whoever_writes_meanwhile(world: World) -> None:
    world.look(Command.ABORT, killed=True)
    world.change(timeouts={"connect": "3s"}, ratio=0.4)
    world.run(2)
    assert world.rollout.state == State.ROLLED_BACK
    assert world.config == config(timeouts={"connect": "3s"})


def test_an_abort_after_the_promotion_takes_it_back(world: World) -> None:
    world.look(Command.PROMOTE)
    world.look(Command.ABORT)
    world.run(1)
    assert world.config == config()


@pytest.mark.parametrize("kills", [1, 2, 5])
def test_whoever_comes_after_a_pilot_that_was_killed_does_what_that_had_decided(kills: int) -> None:
    world = World()
    world.begin()
    world.see(outcome=PASS)
    for moment in range(200):
        world.see(requests=world.seen.requests + 100)
        world.now += 1
        world.look(killed=moment % (kills + 1) != 0)
    assert world.rollout.state == State.DONE
    assert [each["ratio"] for each in world.written] == [0.01, 0.1, 0.5, 0]
    assert [entry.step for entry in world.rollout.log] == [0, 1, 2, 2, 2]


def test_who_was_held_up_for_long_does_not_act_on_what_was_decided_otherwise_since() -> None:
    world = World()
    world.begin()
    held = world.look(killed=True)
    assert held
    world.look(Command.ABORT)
    world.run(2)
    assert world.rollout.state == State.ROLLED_BACK
    assert not world.act(held)
    assert world.config["ratio"] == 0


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("command", Command)
def test_a_command_is_obeyed_or_refused_with_what_can_be_asked(
    world: World, state: State, command: Command
) -> None:
    rollout = replace(world.rollout, state=state)
    allowed = (state, Signal(command)) in TRANSITIONS
    assert allowed == (command in commands(rollout))
    if not allowed:
        with pytest.raises(CommandRefused, match=f"cannot {command} a rollout that is {state}: "):
            advance(rollout, Situation(world.config, command=command), 0)


@pytest.mark.parametrize("command", [Command.RESUME, Command.PROMOTE])
def test_without_a_canary_there_is_nothing_to_go_on_with(world: World, command: Command) -> None:
    world.look(Command.PAUSE)
    world.change(canary={"servers": []})
    with pytest.raises(CommandRefused, match="no canary server"):
        world.look(command)


def test_nothing_can_be_asked_while_the_config_server_is_away(world: World) -> None:
    world.away = True
    with pytest.raises(CommandRefused, match="cannot be read"):
        world.look(Command.ABORT)


def test_the_ends_are_ends() -> None:
    leaving = {state for state, signal in TRANSITIONS if state in ENDS and signal != Signal.UNDO}
    assert not leaving


def test_from_every_state_that_is_no_end_there_is_an_abort() -> None:
    states = {state for state, signal in TRANSITIONS if signal == Signal.ABORT}
    assert states == set(State) - ENDS - {State.ABORTING}


def test_warm_up_is_of_the_first_step(world: World) -> None:
    assert not world.rollout.counting
    world.run(3)
    assert world.rollout.counting
    flow(world, 8)
    assert (world.rollout.step, world.rollout.held) == (1, 1)
    assert world.rollout.counting


def test_what_was_never_promoted_needs_no_way_back() -> None:
    assert recalled(config(ratio=0.4), None) == config()
