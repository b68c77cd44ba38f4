// The three fields of the config that are changed most.

import { ask } from "./api.js";
import { answer, say, slot } from "./dom.js";
import { lost } from "./race.js";

const root = document.getElementById("config");
const form = slot(root, "form");
const said = slot(root, "answer");
const range = document.getElementById("ratio-range");
const { ratio, style, sticky, note } = form.elements;

let base = null;
let rollout = null;
let busy = false;

/** Show a state; what a person is about to change stays. */
export function show(state) {
  rollout = state.rollout;
  form.hidden = !state.config;
  slot(root, "empty").hidden = Boolean(state.config);
  if (!state.config) return;
  if (!base || (!busy && !dirty())) take(state.config);
  hint(state.config);
}

function take(config) {
  base = config;
  ratio.value = String(Number((config.document.ratio * 100).toPrecision(12)));
  slide(ratio.value);
  style.value = config.document.style;
  sticky.checked = config.document.sticky_sessions;
  hint(config);
}

function slide(percent) {
  range.value = String(percent);
  range.style.setProperty("--at", `${range.value}%`);
}

/** The fields that differ from the document that was shown, as a merge patch. */
function changes() {
  const { document: before } = base;
  const wanted = { ratio: share(), style: style.value, sticky_sessions: sticky.checked };
  return Object.fromEntries(Object.entries(wanted).filter(([name, value]) => value !== before[name]));
}

function share() {
  const text = ratio.value.replace("%", "").replace(",", ".").trim();
  const found = Number(text || NaN);
  return Number.isNaN(found) ? ratio.value : Number((found / 100).toPrecision(12));
}

function dirty() {
  return Object.keys(changes()).length > 0;
}

function hint(config) {
  const changed = dirty();
  const steers = changed && rollout && ["running", "promoting"].includes(rollout.state);
  const outrun = changed && base.etag !== config.etag;
  for (const name of ["apply", "reset"]) slot(root, name).setAttribute("aria-disabled", String(!changed));
  const unused = ["round_robin", "least_connections"].includes(style.value)
    ? "This style does not use the share."
    : "";
  say(
    slot(root, "hint"),
    outrun
      ? "The config has changed meanwhile: see its history."
      : steers
        ? "A rollout is running: it pauses when you change this."
        : unused,
  );
}

async function apply() {
  if (!dirty()) return answer(said, "Nothing is changed yet.");
  busy = true;
  answer(said, "Writing, and waiting for every instance …");
  try {
    const done = await ask("PATCH", "config?wait=3s", {
      body: changes(),
      etag: base.etag,
      note: note.value.trim(),
    });
    answer(
      said,
      `Revision ${done.revision} ${done.detail}.`,
      done.laggards.length || !done.instances ? "warn" : "good",
    );
    base = { ...base, etag: done.etag, document: { ...base.document, ...changes() } };
    note.value = "";
  } catch (refusal) {
    answer(said, refusal.etag ? await lost(base.revision) : refusal.message, "bad");
    if (refusal.etag) base = { ...base, etag: refusal.etag };
  } finally {
    busy = false;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  apply();
});
form.addEventListener("input", (event) => {
  if (event.target === range) ratio.value = range.value;
  if ([ratio, range].includes(event.target)) slide(share() * 100);
  answer(said, "");
  hint(base);
});
slot(root, "reset").addEventListener("click", () => {
  take(base);
  answer(said, "");
});
