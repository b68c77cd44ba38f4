// The rollout: where it is, what it waits for, and what can be asked of it.

import { ask } from "./api.js";
import { confirmed } from "./confirm.js";
import { answer, el, fill, keep, say, slot } from "./dom.js";
import { open as openPlan } from "./plan.js";
import { capital, duration, percent } from "./words.js";

const root = document.getElementById("rollout");
const actions = slot(root, "actions");
const said = slot(root, "answer");
const ENDS = ["done", "rolled_back"];

const WORDS = {
  none: "No rollout",
  waiting: "Waiting",
  running: "Running",
  paused: "Paused",
  promoting: "Promoting",
  aborting: "Going home",
  done: "Promoted",
  rolled_back: "Rolled back",
};

const COMMANDS = {
  approve: { word: "Approve", kind: "primary" },
  resume: { word: "Resume", kind: "primary" },
  pause: { word: "Pause", kind: "" },
  promote: {
    word: "Promote",
    kind: "",
    ask: "Give the canary to everybody now? Its servers become stable’s. The verdict is not waited for.",
  },
  abort: {
    word: "Abort",
    kind: "danger",
    ask: "Send everybody back to stable? The canary’s share becomes 0 at once.",
  },
  undo: {
    word: "Undo",
    kind: "danger",
    ask: "Take the promotion back? The former stable servers get all traffic again.",
  },
};

/** Show a state. */
export function show(state) {
  const rollout = state.rollout;
  const name = rollout?.state ?? "none";
  root.dataset.state = name;
  fill(root, { badge: WORDS[name], headline: headline(rollout), why: capital(why(rollout)) });
  keep(
    actions,
    buttons(rollout),
    (key) => key,
    button,
    () => {},
  );
  keep(
    slot(root, "steps"),
    rollout?.steps ?? [],
    (step) => rollout.steps.indexOf(step),
    item,
    (node, step) => progress(node, step, rollout),
  );
}

/** One sentence for who cannot see the page. */
export function sentence(state) {
  const rollout = state.rollout;
  return rollout ? `Rollout ${WORDS[rollout.state].toLowerCase()}: ${rollout.reason}` : "No rollout";
}

function headline(rollout) {
  if (!rollout) return "Everybody gets what the config says";
  const share = `${percent(rollout.ratio)} to the canary`;
  const step = `step ${rollout.step + 1} of ${rollout.steps.length}`;
  return (
    {
      waiting: "The canary is not ready yet",
      promoting: "The canary becomes stable",
      aborting: "The canary is being recalled",
      done: "Everybody gets what was the canary",
      rolled_back: "Nobody gets the canary",
    }[rollout.state] ?? `${share}, ${step}`
  );
}

function why(rollout) {
  if (!rollout)
    return "A rollout takes the canary to everybody step by step, and home by itself when it is worse.";
  const ended = ENDS.includes(rollout.state);
  if (ended) return (rollout.log.at(-2) ?? rollout.log.at(-1))?.reason ?? rollout.reason;
  if (rollout.state !== "running" || !rollout.waits_for) return rollout.reason;
  return `Until the next step: ${rollout.waits_for.why}`;
}

function buttons(rollout) {
  const commands = Object.keys(COMMANDS).filter((command) => rollout?.commands.includes(command));
  const needed = rollout?.waits_for?.what === "approval";
  const shown = commands.filter((command) => command !== "approve" || needed || approves(rollout));
  return !rollout || ENDS.includes(rollout.state) ? ["start", ...shown] : shown;
}

function approves(rollout) {
  const own = rollout.steps[rollout.step].approve;
  return (own ?? rollout.approve) && !rollout.approved;
}

function button(command) {
  const { word, kind } = COMMANDS[command] ?? { word: "Start a rollout", kind: "primary" };
  const node = el("button", { type: "button", class: kind, "data-command": command }, word);
  node.addEventListener("click", () => (command === "start" ? openPlan() : give(command)));
  return node;
}

async function give(command) {
  const { word, ask: question } = COMMANDS[command];
  if (question && !(await confirmed(`${word}?`, question, word))) return;
  answer(said, "Asking the pilot …");
  try {
    const rollout = await ask("POST", command);
    answer(said, `Done: ${rollout.reason}.`, "good");
  } catch (refusal) {
    answer(said, refusal.message, "bad");
  }
}

function item() {
  return el(
    "li",
    {},
    el("span", { class: "track" }, el("span", { "data-slot": "held" })),
    el("strong", { "data-slot": "share" }),
    " ",
    el("span", { class: "faint", "data-slot": "hold" }),
    el("span", { class: "hidden", "data-slot": "told" }),
  );
}

function progress(node, step, rollout) {
  const at = rollout.steps.indexOf(step);
  const part = place(at, rollout);
  const hold = step.hold ?? rollout.hold;
  const held = { done: 1, now: hold ? Math.min(rollout.held / hold, 1) : 1 }[part] ?? 0;
  node.dataset.part = part;
  if (part === "now") node.setAttribute("aria-current", "step");
  else node.removeAttribute("aria-current");
  slot(node, "held").style.width = `${held * 100}%`;
  const person = (step.approve ?? rollout.approve) ? " · approval" : "";
  fill(node, { share: percent(step.ratio), hold: `${hold ? duration(hold) : "no wait"}${person}` });
  say(slot(node, "told"), { done: ", done", now: ", now", failed: ", stopped here", ahead: "" }[part]);
}

function place(at, rollout) {
  if (rollout.state === "done" || at < rollout.step) return "done";
  if (at > rollout.step || rollout.state === "waiting") return "ahead";
  return ["rolled_back", "aborting"].includes(rollout.state) ? "failed" : "now";
}
