// The two versions side by side.

import { fill, say, slot } from "./dom.js";
import { sparkline } from "./chart.js";
import { count, milliseconds, percent } from "./words.js";

const NAMES = ["stable", "canary"];
// The failure rates of both are drawn on one log scale.
const LEAST = 1e-4;

const root = document.getElementById("versions");
const cards = Object.fromEntries(NAMES.map((name) => [name, card(name)]));
root.append(...Object.values(cards));

function card(name) {
  const node = document.getElementById("version-card").content.firstElementChild.cloneNode(true);
  node.dataset.version = name;
  say(slot(node, "name"), name === "stable" ? "Stable" : "Canary");
  return node;
}

/** Show a state. */
export function show(state, figures) {
  const series = Object.fromEntries(NAMES.map((name) => [name, figures.series(name)]));
  const top = Math.max(1, ...NAMES.flatMap((name) => series[name].map(([, rate]) => rate)));
  for (const name of NAMES) {
    const now = figures.version(name);
    fill(cards[name], texts(state, name, now));
    sparkline(slot(cards[name], "spark"), series[name], top);
    share(cards[name], asked(state, name), now.share);
    interval(cards[name], rate(state, name));
  }
}

function texts(state, name, now) {
  const version = state.versions[name];
  const sure = rate(state, name);
  const servers = state.config?.document[name]?.servers.length ?? 0;
  return {
    servers: servers === 1 ? "1 server" : `${servers} servers`,
    rate: count(now.rate),
    seen: now.share === null ? "no traffic" : `${percent(now.share)} seen`,
    asked: asked(state, name) === null ? "" : `${percent(asked(state, name))} asked`,
    failing: percent(now.failing),
    sure: sure ? `in this rollout ${percent(sure.rate[1])} to ${percent(sure.rate[2])}` : "in the last 10 s",
    p50: milliseconds(now.p50),
    p95: milliseconds(now.p95),
    p99: milliseconds(now.p99),
    spared: count(Object.values(version.spared).reduce((sum, each) => sum + each, 0)),
  };
}

/** The failure rate with its confidence sequence, where a verdict has one. */
function rate(state, name) {
  const found = state.verdict?.[name];
  return found?.requests ? found : null;
}

function asked(state, name) {
  const config = state.config?.document;
  if (!config || !["ratio", "random", "hash"].includes(config.style)) return null;
  const canary = config.canary?.servers.length ? config.ratio : 0;
  return name === "canary" ? canary : 1 - canary;
}

function share(node, wanted, seen) {
  slot(node, "bar").style.width = `${(seen ?? 0) * 100}%`;
  slot(node, "goal").hidden = wanted === null;
  slot(node, "goal").style.left = `${(wanted ?? 0) * 100}%`;
}

function interval(node, sure) {
  const strip = slot(node, "interval");
  strip.hidden = !sure;
  if (!sure) return;
  const [estimate, low, high] = sure.rate.map((each) => place(each ?? 0));
  strip.style.setProperty("--low", `${low}%`);
  strip.style.setProperty("--width", `${Math.max(high - low, 0.5)}%`);
  strip.style.setProperty("--at", `${estimate}%`);
}

function place(share) {
  return (Math.log(Math.max(share, LEAST) / LEAST) / Math.log(1 / LEAST)) * 100;
}
