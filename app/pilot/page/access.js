// Who sits here: a name for the history, and the pilot's token. Kept for this tab only.

import { say, slot } from "./dom.js";

const dialog = document.getElementById("access");
const button = document.getElementById("access-button");
const name = document.getElementById("name");
const token = document.getElementById("token");
const WORDS = slot(dialog, "text").textContent;

/** Header fields can carry bytes only: text as UTF-8. */
export function asBytes(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/** The header fields that say who asks. */
export function headers() {
  const kept = sessionStorage.getItem("token");
  const who = sessionStorage.getItem("name");
  return {
    ...(who && { "X-Author": asBytes(who) }),
    ...(kept && { Authorization: `Bearer ${asBytes(kept)}` }),
  };
}

/** Ask for the token because it was missing or wrong; whether one was given. */
export function demand() {
  return open("The pilot asks for its token, the one in PILOT_TOKEN. It is kept in this tab only.", token);
}

function open(words, focus) {
  say(slot(dialog, "text"), words);
  name.value = sessionStorage.getItem("name") ?? "";
  token.value = sessionStorage.getItem("token") ?? "";
  dialog.returnValue = "";
  dialog.showModal();
  focus.focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(take()), { once: true }));
}

function take() {
  if (dialog.returnValue !== "yes") return false;
  for (const field of [name, token]) keepOrForget(field.id, field.value.trim());
  show();
  return true;
}

function keepOrForget(key, value) {
  if (value) sessionStorage.setItem(key, value);
  else sessionStorage.removeItem(key);
}

function show() {
  say(button, sessionStorage.getItem("name") ?? (sessionStorage.getItem("token") ? "Signed in" : "Sign in"));
}

button.addEventListener("click", () => open(WORDS, name));
show();
