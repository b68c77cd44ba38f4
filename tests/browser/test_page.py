"""The pilot's page in a real browser: it shows what is so, and what is done on it is done."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import Stage
from tests.support.browser import DESKTOP, NEEDS_CHROMIUM, PHONE
from tests.support.pilot import Pilot
from tests.support.processes import wait_until

pytestmark = [pytest.mark.end_to_end, NEEDS_CHROMIUM]

# What a plan needs beside the fields of the form, for a rollout that is quick.
MORE = '{"warmup": 0, "gates": {"failures": {"acceptable": 0.5}}}'
MOVING = ('#instances [data-slot="since"]', '#servers [data-slot="rate"]')
RATE = '[data-version="stable"] [data-slot="rate"]'

# What the page of another site may try.
UNREACHABLE = """
    const change = {method: "PATCH", body: '{"ratio": 1}'};
    const asked = [fetch(`${arguments[0]}/state`), fetch(`${arguments[0]}/config`, change)];
    return Promise.allSettled(asked).then((all) => all.map((each) => each.status));
"""
FORM = """
    const form = document.createElement("form");
    Object.assign(form, {method: "post", action: `${arguments[0]}/rollout`});
    document.body.append(form);
    form.submit();
"""


@pytest.fixture(autouse=True)
def _home(stage: Stage) -> None:
    stage.home()


def set_share(stage: Stage, percent: str) -> None:
    stage.browser.write("#ratio", percent)
    stage.browser.press('#config [data-slot="apply"]')


def begin(stage: Stage, steps: str, *, approve: bool = False) -> None:
    """Start a rollout on the page."""
    page = stage.browser
    page.press('[data-command="start"]')
    for field, text in (("#steps", steps), ("#hold", "1s"), ("#min_requests", "5")):
        page.write(field, text)
    page.press("#plan summary")
    page.write("#more", MORE)
    if approve:
        page.press("#approve")
    page.press('#plan [type="submit"]')


def confirm(stage: Stage, command: str) -> None:
    stage.browser.press(f'[data-command="{command}"]')
    stage.browser.press('#confirm [data-slot="yes"]')


def test_its_figures_move_and_its_console_is_silent(stage):
    page = stage.browser
    wait_until(lambda: page.text(RATE) not in ("–", "0"), what="a rate", pause=0.05)
    before = (
        page.text("#instances [data-slot=since]"),
        page.run("return document.querySelector('.spark path')"),
    )
    wait_until(
        lambda: page.text("#instances [data-slot=since]") != before[0], what="another figure", pause=0.05
    )
    assert page.text("#instances [data-slot=count]") == "in step"
    assert page.text('[data-version="stable"] [data-slot="seen"]').endswith("% seen")
    assert page.complaints() == []


def test_a_share_set_on_it_reaches_the_traffic(stage):
    page = stage.browser
    page.press("#access-button")
    page.write("#name", "Zoë")
    page.press("#access .primary")
    page.write("#note", "all of them")
    set_share(stage, "100")
    page.wait_text('#config [data-slot="answer"]', "applied by 1 of 1 instance")
    assert stage.stack.version() == "canary"
    page.wait_text("#history li", "ratio 0 % → 100 %")
    newest = page.text("#history li")
    assert "Zoë" in newest
    assert "all of them" in newest
    wait_until(
        lambda: page.text('[data-version="canary"] [data-slot="rate"]') not in ("–", "0"), what="a rate"
    )
    page.press('#history li:nth-child(2) [data-slot="back"]')
    page.press('#confirm [data-slot="yes"]')
    page.wait_text('#history [data-slot="answer"]', "Back to what revision")
    assert stage.stack.document()["ratio"] == 0
    assert page.complaints() == []


def test_a_share_that_cannot_be_is_refused_with_the_reason(stage):
    set_share(stage, "150")
    assert "ratio" in stage.browser.wait_text('#config [data-slot="answer"]', "Not done")
    assert stage.browser.one("#ratio").get_property("value") == "150"
    assert stage.stack.document()["ratio"] == 0


def test_who_is_slower_than_somebody_else_is_told_and_overwrites_nothing(stage):
    page = stage.browser
    page.write("#ratio", "30")
    stage.stack.patch_config({"style": "random"})
    page.wait_text('#config [data-slot="hint"]', "changed meanwhile")
    page.press('#config [data-slot="apply"]')
    assert "style ratio → random" in page.wait_text('#config [data-slot="answer"]', "Somebody was quicker")
    assert stage.stack.document()["ratio"] == 0
    page.press('#config [data-slot="apply"]')
    page.wait_text('#config [data-slot="answer"]', "applied by 1 of 1")
    assert (stage.stack.document()["ratio"], stage.stack.document()["style"]) == (0.3, "random")


def test_a_rollout_is_started_approved_paused_and_aborted_on_it(stage):
    page = stage.browser
    begin(stage, "20, 50, 100", approve=True)
    page.wait_text("#rollout .headline", "20 % to the canary, step 1 of 3")
    page.press('[data-command="approve"]')
    page.wait_text("#rollout .headline", "50 % to the canary, step 2 of 3", 20)
    stage.keep("running")
    page.press('[data-command="pause"]')
    page.wait_text("#rollout .badge", "Paused")
    page.press('[data-command="resume"]')
    page.wait_text("#rollout .badge", "Running")
    confirm(stage, "abort")
    page.wait_text("#rollout .badge", "Rolled back")
    assert stage.stack.document()["ratio"] == 0
    assert page.complaints() == []


def test_a_plan_that_is_wrong_is_refused_at_its_fields(stage):
    page = stage.browser
    begin(stage, "1, 200")
    assert "must be" in page.wait_text('[data-fault="/steps"]', "steps.1.ratio")
    assert page.one("#steps").get_attribute("aria-invalid") == "true"
    assert stage.pilot.rollout()["state"] in ("none", "rolled_back")


def test_a_page_of_another_origin_moves_nothing_and_reads_nothing(stage):
    page, url = stage.browser, stage.pilot.url
    before = stage.stack.document(), stage.pilot.rollout()["log"]
    page.open(f"http://localhost:{stage.stack.stable_port}/")
    assert page.run(UNREACHABLE, url) == ["rejected", "rejected"]
    page.run(FORM, url)
    page.wait_text("body", "a page of another origin may not write here")
    assert (stage.stack.document(), stage.pilot.rollout()["log"]) == before


def test_the_token_is_asked_for_and_stays_in_the_tab_when_the_pilot_goes_and_comes(stage):
    page = stage.browser
    with Pilot(stage.stack, "guarded", {"PILOT_TOKEN": "squeak"}) as guarded:
        page.open(guarded.url)
        page.wait_text("#banner", "stands by")
        set_share(stage, "10")
        page.write("#token", "squeak")
        page.press("#access .primary")
        page.wait_text('#config [data-slot="answer"]', "applied by 1 of 1")
        guarded.kill9()
        page.wait_text("#banner", "The pilot does not answer")
        assert page.text("#link") == "No connection"
        guarded.start()
        page.wait_text("#link", "Live")
        set_share(stage, "20")
        wait_until(lambda: stage.stack.document()["ratio"] == 0.2, what="the share")
    assert page.run("return [sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]


UNREADABLE = """
    const channels = (text) => text.match(/[0-9.]+/g).map(Number);
    const linear = (share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4);
    const light = (channel) => linear(channel / 255);
    const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
    const ground = (node) => {
      for (; node; node = node.parentElement) {
        const found = channels(getComputedStyle(node).backgroundColor);
        if (found.length === 3) return found;
      }
    };
    const contrast = (node) => {
      const [a, b] = [channels(getComputedStyle(node).color), ground(node)].map((each) => luminance(each) + 0.05);
      return Math.max(a, b) / Math.min(a, b);
    };
    const says = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    return [...document.querySelectorAll("body *")]
      .filter((node) => says(node) && node.checkVisibility() && contrast(node) < 4.5)
      .map((node) => `${node.tagName} ${node.className} ${node.textContent} ${contrast(node).toFixed(2)}`);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_of_it_can_be_read(stage, scheme):
    """WCAG 2.2, 1.4.3 (contrast) and 1.4.10 (reflow)."""
    page = stage.browser
    for screen in (DESKTOP, PHONE):
        page.show(screen, scheme)
        wait_until(lambda: page.text(RATE) != "–", what="figures", pause=0.05)
        assert page.run(UNREADABLE) == []
        assert page.run("return document.documentElement.scrollWidth - innerWidth") == 0


def test_all_that_can_be_done_has_a_name_and_is_reached_with_the_keyboard(stage):
    nodes = stage.browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    found = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if any(each["name"] == "focusable" and each["value"]["value"] for each in node.get("properties", []))
    }
    assert not [role for role, name in found if not name]
    assert {
        ("button", "Start a rollout"),
        ("textbox", "The canary’s share"),
        ("switch", "Sticky sessions: visitors stay with their version"),
    } <= found
    stage.browser.run("document.getElementById('ratio-range').focus()")
    for keys in (Keys.TAB, "25", Keys.ENTER):
        stage.browser.driver.switch_to.active_element.send_keys(keys)
    stage.browser.wait_text('#config [data-slot="answer"]', "applied by 1 of 1")
    assert stage.stack.document()["ratio"] == 0.25
