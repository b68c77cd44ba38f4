// The history of the config, and the way back.

import { ask } from "./api.js";
import { confirmed } from "./confirm.js";
import { answer, el, fill, keep, slot } from "./dom.js";
import { lost, versions } from "./race.js";
import { ago, change } from "./words.js";

const root = document.getElementById("history");
const list = slot(root, "versions");
const said = slot(root, "answer");
const MOST_CHANGES = 6;

let shown = null;
let known = [];
let current = null;

/** Show a state: what is listed is asked for when the document is another one. */
export async function show(state) {
  current = state.config;
  if (current?.etag !== shown) {
    shown = current?.etag;
    await load(state.at);
  }
  draw(state.at);
}

async function load(at) {
  try {
    known = await versions(20);
  } catch (fault) {
    shown = null;
    if (current) answer(said, `The history cannot be read: ${fault.message}`, "bad");
  }
  draw(at);
}

function draw(at) {
  slot(root, "empty").hidden = known.length > 0;
  keep(
    list,
    known,
    (version) => version.revision,
    item,
    (node, version) => update(node, version, at),
  );
}

function item(version) {
  const back = el(
    "button",
    {
      type: "button",
      class: "quiet small",
      "data-slot": "back",
      "aria-label": `Go back to revision ${version.revision}`,
    },
    "Go back",
  );
  back.addEventListener("click", () => restore(version));
  const changes = (version.changes ?? []).slice(0, MOST_CHANGES).map((each) => el("li", {}, change(each)));
  const more = (version.changes?.length ?? 0) - changes.length;
  if (more > 0) changes.push(el("li", { class: "faint" }, `and ${more} more`));
  return el(
    "li",
    {},
    el(
      "div",
      { class: "who" },
      el("span", { class: "revision" }, String(version.revision)),
      el("span", { class: "author" }, version.author || "somebody"),
      el("time", { class: "faint", "data-slot": "when", datetime: version.modified }),
    ),
    el(
      "div",
      {},
      version.note ? el("p", { class: "note" }, version.note) : null,
      changes.length
        ? el("ul", { class: "changes" }, ...changes)
        : el("p", { class: "faint" }, nothing(version)),
    ),
    back,
  );
}

function nothing(version) {
  if (version.deleted) return "deleted";
  return version.changes ? "nothing that counts" : "the whole document";
}

function update(node, version, at) {
  const now = version.revision === current?.revision;
  node.dataset.now = now;
  fill(node, {
    when: now
      ? `in force · ${ago(Date.parse(version.modified) / 1000, at)}`
      : ago(Date.parse(version.modified) / 1000, at),
  });
  slot(node, "back").hidden = now || version.deleted;
}

async function restore(version) {
  const text = `The config becomes what it was at revision ${version.revision}, all of it. That is a new revision, so it can be taken back as well.`;
  if (!(await confirmed(`Back to revision ${version.revision}?`, text, "Go back"))) return;
  answer(said, "Writing, and waiting for every instance …");
  const { etag, revision } = current;
  try {
    const done = await ask("PUT", `config?from=${version.revision}&wait=3s`, { etag });
    answer(
      said,
      `Back to what revision ${version.revision} was, as revision ${done.revision} ${done.detail}.`,
      done.laggards.length ? "warn" : "good",
    );
  } catch (refusal) {
    answer(said, refusal.etag ? await lost(revision) : refusal.message, "bad");
  }
}
