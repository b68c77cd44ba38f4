// Asks before what cannot be taken back at once.

import { fill } from "./dom.js";

const dialog = document.getElementById("confirm");

/** Whether the person means it. `verb` stands on the button. */
export function confirmed(title, text, verb) {
  fill(dialog, { title, text, yes: verb });
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }),
  );
}
