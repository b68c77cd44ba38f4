// What somebody else wrote while one was about to write.

import { change } from "./words.js";

/** The newest versions of the config document. Raises when the pilot does not tell. */
export async function versions(count) {
  const response = await fetch(`config/history?count=${count}`);
  if (!response.ok) throw new Error((await response.json()).detail);
  return (await response.json()).versions;
}

/** A sentence about what came after a revision. */
export async function lost(revision) {
  const newer = (await versions(10).catch(() => []))
    .filter((version) => version.revision > revision)
    .toReversed();
  const told = newer.map(
    (version) =>
      `${version.author || "somebody"} wrote ${(version.changes ?? []).map(change).join(", ") || "another document"}`,
  );
  return `Somebody was quicker, so nothing of yours was written: ${told.join("; ") || "the document is another one now"}. Apply again if you still want to.`;
}
