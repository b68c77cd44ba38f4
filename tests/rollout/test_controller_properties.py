"""Whatever happens in whatever order, with pilots killed and held up: what a rollout promises holds."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.errors import CommandRefused
from app.rollout.plan import Plan, Step
from app.rollout.situation import Command
from app.rollout.state import ENDS, Rollout, State
from app.rollout.verdict import INCONCLUSIVE, PASS, ROLLBACK
from tests.rollout.world import Held, World, config

RATIOS = (0.01, 0.1, 0.5, 1.0)
PLANS = st.builds(
    Plan,
    steps=st.lists(st.booleans() | st.none(), min_size=1, max_size=4).map(
        lambda approve: tuple(Step(ratio, None, each) for ratio, each in zip(RATIOS, approve, strict=False))
    ),
    hold=st.sampled_from([0.0, 3.0, 20.0]),
    min_requests=st.sampled_from([0, 100]),
    no_data=st.sampled_from(["hold", "pause"]),
    on_inconclusive=st.sampled_from(["hold", "pause", "proceed", "rollback"]),
    confirm=st.sampled_from([(), ("http://gate",)]),
)


class Rollouts(RuleBasedStateMachine):
    """Each rule is one thing that may happen. `owner`: who has the wheel after a person's change."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.held: list[Held] = []
        self.commanded: set[Command] = set()
        self.steps: list[tuple[int, int]] = []

    @initialize(plan=PLANS)
    def begin(self, plan: Plan) -> None:
        self.world.begin(plan)

    @rule(killed=st.booleans(), seconds=st.sampled_from([0, 1, 4, 60, -30]))
    def look(self, killed: bool, seconds: float) -> None:
        self.world.now += seconds
        self._moment(None, killed)

    @rule(command=st.sampled_from(Command), killed=st.booleans())
    def command(self, command: Command, killed: bool) -> None:
        with suppress(CommandRefused):
            self._moment(command, killed)

    @rule(which=st.integers(0, 5))
    def wake(self, which: int) -> None:
        """A pilot that was held up before it wrote goes on."""
        if which < len(self.held):
            held = self.held.pop(which)
            if self.world.act(held):
                self._check_written(self.world.rollout)

    @rule(outcome=st.sampled_from([PASS, INCONCLUSIVE, ROLLBACK]), confirmed=st.booleans())
    def judge(self, outcome: str, confirmed: bool) -> None:
        self.world.see(outcome=outcome, why="so it is", confirmed=confirmed)

    @rule(alarm=st.sampled_from([None, "too much"]))
    def alarm(self, alarm: str | None) -> None:
        self.world.see(alarm=alarm)

    @rule(requests=st.integers(0, 200))
    def traffic(self, requests: int) -> None:
        self.world.see(requests=self.world.seen.requests + requests)

    @rule(away=st.booleans())
    def config_server(self, away: bool) -> None:
        self.world.away = away

    @rule(
        fields=st.sampled_from(
            [
                {"timeouts": {"connect": 1}},
                {"ratio": 0.9},
                {"canary": {"servers": [{"url": "http://other"}]}},
                {},
            ]
        )
    )
    def somebody_writes(self, fields: dict[str, object]) -> None:
        self.world.change(**fields)

    @rule()
    def somebody_sets_up_a_canary(self) -> None:
        self.world.change(canary=config()["canary"])

    def _moment(self, command: Command | None, killed: bool) -> None:
        before, wrote = self.world.rollout, len(self.world.written)
        held, _ = self.world.decide(before, command)
        after = self.world.rollout
        self._check_step(before, after, command)
        if held and killed:
            self.held.append(held)
        elif held:
            assert self.world.act(held)
            self._check_written(after)
        if before.state in ENDS and command != Command.UNDO:
            assert len(self.world.written) == wrote
            assert after.state == before.state

    def _check_step(self, before: Rollout, after: Rollout, command: Command | None) -> None:
        """A step ends only by its own rules, and is followed by the next."""
        if after.trial != before.trial:
            assert (after.trial, after.step, command) == (before.trial + 1, 0, Command.RESUME)
            return
        passed = after.state == State.PROMOTING != before.state and command != Command.PROMOTE
        if after.step != before.step or passed:
            plan, seen = before.plan, self.world.seen
            assert after.step == before.step + 1 or before.last
            assert before.state == State.RUNNING
            assert command is None
            assert seen.outcome == PASS or (
                seen.outcome == INCONCLUSIVE and plan.on_inconclusive == "proceed"
            )
            assert seen.requests - before.requests >= max(1, plan.min_requests)
            assert before.held + 5 >= plan.hold
            assert before.approved or not plan.approve_of(before.step)
            assert seen.confirmed or not plan.confirm
            assert seen.alarm is None

    def _check_written(self, rollout: Rollout) -> None:
        """No canary gets more than its step says, and who has taken the wheel keeps it."""
        ratio = self.world.config["ratio"]
        assert not rollout.hands_off or rollout.state == State.ABORTING
        assert ratio == (rollout.ratio if rollout.state == State.RUNNING else 0)
        assert rollout.state in {State.RUNNING, State.PROMOTING, State.ABORTING}

    @invariant()
    def the_rollout_can_be_read(self) -> None:
        assert 0 <= self.world.rollout.step < len(self.world.rollout.plan.steps)

    def teardown(self) -> None:
        """Left alone with a good canary, it comes to its end."""
        world = self.world
        world.away = False
        world.see(outcome=PASS, confirmed=True, alarm=None)
        for _ in range(120):
            world.now += 1
            world.see(requests=world.seen.requests + 1000)
            self._moment(self._help(), killed=False)
        assert world.rollout.state in ENDS

    def _help(self) -> Command | None:
        """What a person does who wants it to go on."""
        rollout, servers = self.world.rollout, self.world.config["canary"]["servers"]
        if rollout.state == State.WAITING and not servers:
            self.world.change(canary=config()["canary"])
        if rollout.state == State.PAUSED:
            return Command.RESUME if servers else Command.ABORT
        waits = (
            rollout.state == State.RUNNING and rollout.plan.approve_of(rollout.step) and not rollout.approved
        )
        return Command.APPROVE if waits else None


Rollouts.TestCase.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRollouts = Rollouts.TestCase
