// Numbers, times and places in words.

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A rate or a count: two digits where it is small. */
export function count(value) {
  if (value === null || value === undefined) return "–";
  if (value > 0 && value < 10 && !Number.isInteger(value)) return value.toFixed(1);
  return NUMBER.format(value);
}

/** A share of one as percent, with as many digits as tell something. */
export function percent(value) {
  if (value === null || value === undefined) return "–";
  const hundred = value * 100;
  if (hundred === 0 || hundred >= 99.995) return `${Math.round(hundred)} %`;
  const digits = hundred >= 10 ? 1 : hundred >= 1 ? 1 : hundred >= 0.01 ? 2 : 3;
  return `${Number(hundred.toFixed(digits))} %`;
}

/** A time to the head, from seconds. */
export function milliseconds(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const ms = seconds * 1000;
  if (ms >= 10_000) return `${seconds.toFixed(0)} s`;
  return ms >= 1000 ? `${seconds.toFixed(1)} s` : `${ms >= 10 ? ms.toFixed(0) : ms.toFixed(1)} ms`;
}

/** How long something lasts, from seconds. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600)
    return whole % 60 && whole < 600
      ? `${Math.floor(whole / 60)} min ${whole % 60} s`
      : `${Math.round(whole / 60)} min`;
  if (whole < 172_800) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.round(whole / 86_400)} days`;
}

/** How long ago a moment is; both in seconds since the epoch. */
export function ago(at, now) {
  const seconds = now - at;
  return seconds < 5 ? "just now" : `${duration(seconds)} ago`;
}

/** A moment on the clock. */
export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString("en-GB");
}

/** How many times as much. */
export function times(value) {
  if (value === null || value === undefined) return "?";
  return `×${value >= 100 ? value.toFixed(0) : Number(value.toPrecision(2))}`;
}

/** Evidence, from its logarithm: how many to one. */
export function odds(log) {
  const value = Math.exp(Math.min(log, 60));
  if (value >= 10_000) return powerOfTen(Math.floor(Math.log10(value)));
  return value >= 10 ? NUMBER.format(value) : String(Number(value.toPrecision(2)));
}

/** Ten to a whole number, as it is written. */
export function powerOfTen(power) {
  return `10${[...String(power)].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("")}`;
}

/** How many times as much it is, at least and at most; null: no bound. */
export function range(low, high) {
  const least = low < 0.01 ? null : low;
  if (least === null && high === null) return "anything";
  if (high === null) return `at least ${times(least)}`;
  return least === null ? `at most ${times(high)}` : `${times(least)} to ${times(high)}`;
}

/** With a capital letter. */
export function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** A JSON pointer as people write places. */
export function place(pointer) {
  return (
    pointer
      .slice(1)
      .split("/")
      .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"))
      .join(".") || "the whole document"
  );
}

/** A value of the config in a few words. */
export function value(pointer, found) {
  if (found === undefined) return "nothing";
  if (pointer.endsWith("/ratio") && typeof found === "number") return percent(found);
  if (typeof found === "boolean") return found ? "on" : "off";
  if (found === null) return "off";
  if (Array.isArray(found))
    return found.length ? found.map((each) => each?.url ?? JSON.stringify(each)).join(", ") : "none";
  const text = typeof found === "string" ? found : JSON.stringify(found);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** A change of the config: place, before and after. */
export function change(each) {
  return `${place(each.pointer)} ${value(each.pointer, each.before)} → ${value(each.pointer, each.after)}`;
}
