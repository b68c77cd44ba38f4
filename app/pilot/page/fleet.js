// Every server's state, and every instance and what it serves by.

import { el, fill, keep, say, slot } from "./dom.js";
import { count, duration, percent } from "./words.js";

const servers = document.getElementById("servers");
const instances = document.getElementById("instances");
const STATES = ["down", "ejected", "starting"];

/** Show a state. */
export function show(state, figures) {
  const found = listed(state);
  slot(servers, "table").hidden = !found.length;
  slot(servers, "empty").hidden = found.length > 0;
  keep(
    slot(servers, "servers"),
    found,
    (each) => `${each.version} ${each.url}`,
    serverRow,
    (node, each) => showServer(node, each, figures),
  );
  slot(instances, "table").hidden = !state.instances.length;
  slot(instances, "empty").hidden = state.instances.length > 0;
  const behind = state.instances.filter((each) => !each.in_step).length;
  say(slot(instances, "count"), summary(state.instances.length, behind));
  keep(
    slot(instances, "instances"),
    state.instances,
    (each) => each.id,
    instanceRow,
    (node, each) => showInstance(node, each, state),
  );
}

function summary(all, behind) {
  if (!all) return "";
  return behind ? `${all - behind} of ${all} in step` : all === 1 ? "in step" : `all ${all} in step`;
}

/** The servers of the config, and those that have left it but are not idle yet. */
function listed(state) {
  const named = ["stable", "canary"].flatMap((version) =>
    (state.config?.document[version]?.servers ?? []).map((server) => ({
      version,
      url: server.url,
      server,
      load: state.servers[server.url],
    })),
  );
  const urls = new Set(named.map((each) => each.url));
  const leaving = Object.entries(state.servers)
    .filter(([url, load]) => !urls.has(url) && load.in_flight > 0)
    .map(([url, load]) => ({ version: "leaving", url, server: null, load }));
  return [...named, ...leaving].map((each) => ({ ...each, all: state.instances.length }));
}

function cell(name, label, kind = "") {
  return el("td", { class: kind, "data-label": label }, el("span", { "data-slot": name }));
}

function serverRow(each) {
  const mark = el("span", { class: "mark", "aria-hidden": "true" });
  const name = el(
    "th",
    { scope: "row", "data-version": each.version },
    mark,
    el("span", { class: "name", "data-slot": "url" }),
    " ",
    el("span", { class: "faint", "data-slot": "version" }),
  );
  return el(
    "tr",
    {},
    name,
    cell("state", "State"),
    cell("rate", "Requests/s", "number"),
    cell("failures", "No answer", "number"),
    cell("flight", "Under way", "number"),
  );
}

function showServer(node, each, figures) {
  const { load } = each;
  const [word, text] = condition(each);
  slot(node, "state").dataset.condition = word;
  fill(node, {
    url: each.url.replace(/^http:\/\//, ""),
    version: each.version,
    state: text,
    rate: count(figures.server(each.url)),
    failures: load?.requests ? `${count(load.failures)} · ${percent(load.failures / load.requests)}` : "–",
    flight: count(load?.in_flight ?? null),
  });
}

function condition({ server, load, all }) {
  if (!server) return ["drains", "leaving"];
  if (server.drain) return ["drains", "drains"];
  if (!load) return ["unknown", "not seen yet"];
  const word = STATES.find((name) => load[name]);
  if (!word) return ["up", "up"];
  return [word, load[word] < all ? `${word} in ${load[word]} of ${all}` : word];
}

function instanceRow() {
  const name = el(
    "th",
    { scope: "row" },
    el("span", { class: "name", "data-slot": "name" }),
    el("p", { class: "fault", "data-slot": "trouble" }),
  );
  return el(
    "tr",
    {},
    name,
    cell("revision", "Serves by"),
    cell("serin", "Serin"),
    cell("since", "Up for", "number"),
  );
}

function showInstance(node, each, state) {
  slot(node, "revision").dataset.condition = each.draining ? "drains" : each.in_step ? "up" : "starting";
  fill(node, {
    name: each.name,
    trouble: each.trouble ?? "",
    revision: revision(each),
    serin: each.serin ?? "–",
    since: each.since ? duration(state.at - each.since) : "–",
  });
}

function revision(each) {
  if (each.draining) return "drains";
  if (!each.revision) return "no config of the config server";
  return each.in_step ? `revision ${each.revision}` : `revision ${each.revision}, behind`;
}
