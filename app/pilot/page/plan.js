// The dialog that starts a rollout.

import { ask } from "./api.js";
import { answer, say, slot } from "./dom.js";

const dialog = document.getElementById("plan");
const form = dialog.querySelector("form");
const said = slot(dialog, "answer");

/** Show it. */
export function open() {
  clear();
  dialog.showModal();
}

slot(dialog, "cancel").addEventListener("click", () => dialog.close());
form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});

async function start() {
  clear();
  let plan;
  try {
    plan = written();
  } catch (fault) {
    return answer(said, fault.message, "bad");
  }
  try {
    answer(said, "Asking the pilot …");
    await ask("POST", "rollout", { body: plan });
    dialog.close();
  } catch (refusal) {
    tell(refusal);
  }
}

/** The plan that the form spells. Raises Error with a sentence. */
function written() {
  const shares = form.steps.value.split(/[,;\s]+/).filter(Boolean);
  return {
    steps: shares.map((text) => ({
      ratio: number(text.replace("%", ""), "Each step is a share in percent, as in 1, 10, 50, 100.") / 100,
    })),
    hold: form.hold.value.trim(),
    min_requests: number(form.min_requests.value, "The number of requests is a whole number."),
    approve: form.approve.checked,
    ...more(),
  };
}

function number(text, otherwise) {
  const found = Number(text.trim() || NaN);
  if (Number.isNaN(found)) throw new Error(otherwise);
  return found;
}

function more() {
  const text = form.more.value.trim();
  if (!text) return {};
  try {
    return JSON.parse(text);
  } catch (fault) {
    throw new Error(`The other fields are not JSON: ${fault.message}.`, { cause: fault });
  }
}

/** Each fault at its field; what belongs to none at the bottom. */
function tell(refusal) {
  const rest = [];
  for (const { pointer, detail } of refusal.errors) {
    const field = dialog.querySelector(`[data-fault="/${pointer.split("/")[1]}"]`);
    if (field)
      mark(
        field,
        `${pointer.split("/").length > 2 ? `${pointer.slice(1).replaceAll("/", ".")}: ` : ""}${detail}`,
      );
    else rest.push(`${pointer.slice(1)}: ${detail}`);
  }
  answer(
    said,
    refusal.errors.length ? rest.join("; ") || "The plan is not right yet: see above." : refusal.message,
    "bad",
  );
}

function mark(field, text) {
  say(field, text);
  const input = field.parentElement.querySelector("input");
  field.id = `${input.id}-fault`;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", field.id);
}

function clear() {
  answer(said, "");
  for (const field of dialog.querySelectorAll(".fault")) say(field, "");
  for (const input of dialog.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}
