// The page: what the pilot tells goes to all parts of it.

import * as config from "./config.js";
import { say, slot } from "./dom.js";
import * as evidence from "./evidence.js";
import { Figures } from "./figures.js";
import * as fleet from "./fleet.js";
import * as history from "./history.js";
import * as rollout from "./rollout.js";
import { follow } from "./stream.js";
import * as versions from "./versions.js";
import { clock } from "./words.js";

const figures = new Figures();
const link = document.getElementById("link");
const banner = document.getElementById("banner");
const news = document.getElementById("news");

let latest = null;
let live = false;
let told = null;

function show(state) {
  latest = state;
  figures.take(state);
  say(document.getElementById("service"), state.service);
  for (const part of [rollout, versions, evidence, config, history, fleet]) part.show(state, figures);
  document.title = `${rollout.sentence(state).split(":")[0]} · ${state.service} · Serin`;
  announce(rollout.sentence(state));
  warn();
}

/** To those who listen: only what is new, and not what was so when the page was opened. */
function announce(sentence) {
  if (told !== null && told !== sentence) say(news, sentence);
  told = sentence;
}

function connected(word) {
  if (word === "live" && live) return;
  live = word === "live";
  link.dataset.link = word;
  say(slot(link, "word"), live ? "Live" : "No connection");
  document.body.dataset.stale = String(!live);
  warn();
}

/** What is wrong with what is shown, if anything is. */
function warn() {
  const text = trouble();
  banner.hidden = !text;
  say(banner, text);
}

function trouble() {
  if (!latest) return live ? "" : "The pilot does not answer. Trying again …";
  if (!live) return `The pilot does not answer. What you see is from ${clock(latest.at)}. Trying again …`;
  const { pilot } = latest;
  if (pilot.trouble) return `No look at the service lately: ${pilot.trouble}. Traffic goes on as it is.`;
  if (!pilot.leads)
    return `This pilot stands by: ${pilot.leader ?? "nobody yet"} leads. Rollouts are steered there.`;
  return "";
}

follow("events", show, connected);
