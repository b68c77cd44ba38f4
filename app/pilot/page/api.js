// What is asked of the pilot, and what it answers, in words.

import * as access from "./access.js";

/** Why the pilot did not do it. `errors`: by JSON pointer; `etag`: of the document that was in the way. */
export class Refusal extends Error {
  constructor(message, status = 0, problem = {}) {
    super(message);
    this.status = status;
    this.errors = problem.errors ?? [];
    this.etag = problem.etag ?? null;
  }
}

/** Ask for something; the decoded answer. Raises Refusal. Who lacks the token is asked for it. */
export async function ask(method, path, { body, etag, note } = {}) {
  let response = await call(method, path, body, etag, note);
  if (response.status === 401 && (await access.demand()))
    response = await call(method, path, body, etag, note);
  const answer = await decoded(response);
  if (!response.ok) throw refusal(response.status, answer);
  return answer;
}

async function call(method, path, body, etag, note) {
  const headers = access.headers();
  if (etag) headers["If-Match"] = `"${etag}"`;
  if (note) headers["X-Note"] = access.asBytes(note);
  try {
    return await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refusal(
      "The pilot does not answer. Whether it was done is not known: look before you try again.",
    );
  }
}

async function decoded(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

function refusal(status, problem) {
  if (status === 401) return new Refusal("Not done: this needs the pilot’s token.", status);
  const detail = problem.detail ?? `the pilot answered ${status}`;
  return new Refusal(`Not done: ${detail}.`.replace(/\.\.$/, "."), status, problem);
}
