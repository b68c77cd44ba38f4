// The verdict: the evidence of each gate over time, and what it has come to.

import { evidenceChart } from "./chart.js";
import { el, fill, keep, say, slot } from "./dom.js";
import { capital, clock, duration, odds, percent, range, times } from "./words.js";

const root = document.getElementById("evidence");
const chart = slot(root, "chart");
const log = document.getElementById("log");
const NAMES = {
  failures: "failures",
  p50: "slower than stable’s p50",
  p90: "slower than stable’s p90",
  p99: "slower than stable’s p99",
  over: "slower than allowed",
};

let trail = { rollout: null, points: [] };
let wanted = null;
let latest = null;

new ResizeObserver(() => latest && draw(latest)).observe(chart);

/** Show a state. */
export function show(state) {
  latest = state;
  follow(state);
  draw(state);
  const { rollout, verdict } = state;
  say(slot(root, "verdict"), sentence(rollout, verdict));
  const rows =
    rollout && verdict
      ? verdict.gates.flatMap((gate) => gate.comparisons.map((each) => ({ gate, each })))
      : [];
  slot(root, "gates-box").hidden = !rows.length;
  keep(
    slot(root, "gates"),
    rows,
    ({ gate, each }) => `${gate.name}/${each.name}`,
    row,
    (node, item) => fill(node, texts(item, rollout)),
  );
  told(rollout);
}

/** The points so far come from the pilot, those after that from its states. */
function follow({ rollout, verdict, at }) {
  if (!rollout) return;
  if (rollout.id !== wanted) {
    wanted = rollout.id;
    trail = { rollout: rollout.id, points: [] };
    fetchTrail(rollout.id);
  }
  const last = trail.points.at(-1);
  if (!verdict || ["done", "rolled_back"].includes(rollout.state) || (last && last.at >= at)) return;
  trail.points.push({
    at,
    ratio: rollout.ratio,
    against: Object.fromEntries(verdict.gates.map((gate) => [gate.name, gate.against])),
  });
  if (trail.points.length > 1500) trail.points = trail.points.filter((_, number) => number % 2 === 0);
}

async function fetchTrail(id) {
  try {
    const found = await (await fetch("trail")).json();
    if (found.rollout !== id || id !== wanted) return;
    const end = found.points.at(-1)?.at ?? 0;
    trail.points = [...found.points, ...trail.points.filter((point) => point.at > end)];
    draw(latest);
  } catch {
    // What is missing is the past; the states to come draw the rest.
  }
}

function draw({ rollout, verdict }) {
  const gates = verdict?.gates ?? [];
  const shown = rollout && gates.length && trail.points.length > 1;
  root.dataset.empty = !shown;
  const legend = shown ? gates : [];
  keep(
    slot(root, "legend"),
    legend,
    (gate) => gate.name,
    key,
    (node, gate) => (node.className = `gate-${gates.indexOf(gate)}`),
  );
  if (shown)
    evidenceChart(
      chart,
      trail.points,
      gates.map((gate) => gate.name),
      gates[0].needed,
    );
  else if (!chart.querySelector(".empty"))
    chart.replaceChildren(
      el(
        "p",
        { class: "empty" },
        "During a rollout the evidence of each gate is drawn here, against what rolls the canary back.",
      ),
    );
}

function key(gate) {
  return el("li", {}, el("span", { class: "swatch" }), gate.name);
}

function sentence(rollout, verdict) {
  if (!rollout) return "There is nothing to judge.";
  if (!verdict) return "There is no verdict yet.";
  const ended = ["done", "rolled_back"].includes(rollout.state);
  const left = verdict.seconds_left;
  const more =
    !ended && verdict.outcome === "inconclusive" && left
      ? `; about ${duration(left)} more at this traffic, if it is as good as stable`
      : "";
  const alarm = verdict.share.alarm ? ` Mind the share: ${verdict.share.alarm}.` : "";
  return `${capital(verdict.reason)}${more}.${alarm}`;
}

function row() {
  const cells = ["theta", "against", "favour"].map((name) => el("td", { "data-slot": name }));
  return el("tr", {}, el("th", { scope: "row", "data-slot": "gate" }), ...cells);
}

function texts({ gate, each }, rollout) {
  const [estimate, low, high] = each.theta;
  const known = each.events > 0;
  return {
    gate: NAMES[each.name] ?? each.name,
    theta: known ? `${estimate ? `${times(estimate)}, ` : ""}${range(low, high)}` : "nothing seen yet",
    against: `${odds(each.against)} of ${odds(gate.needed)}`,
    favour: each.favour === null ? "not needed" : `${odds(each.favour)} of ${odds(-Math.log(rollout.beta))}`,
  };
}

function told(rollout) {
  const entries = (rollout?.log ?? []).toReversed();
  slot(log, "empty").hidden = entries.length > 0;
  keep(
    slot(log, "log"),
    entries,
    (entry) => `${entry.at} ${entry.state}`,
    entryItem,
    (node, entry) => {
      node.dataset.state = entry.state;
      fill(node, {
        at: clock(entry.at),
        reason: capital(entry.reason),
        step: `step ${entry.step + 1} · ${percent(rollout.steps[entry.step]?.ratio)}`,
      });
    },
  );
}

function entryItem() {
  return el(
    "li",
    {},
    el("time", { "data-slot": "at" }),
    el("div", {}, el("p", { "data-slot": "reason" }), el("p", { class: "faint", "data-slot": "step" })),
  );
}
