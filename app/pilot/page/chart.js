// Two small charts in SVG.

import { shape } from "./dom.js";
import { clock, odds, percent, powerOfTen } from "./words.js";

const LN10 = Math.log(10);
const PAD = { top: 20, right: 12, bottom: 24, left: 44 };

/** The last two minutes as a line without axes: `points` are [x, y]. It stretches to the size of its holder. */
export function sparkline(holder, points, top) {
  if (points.length < 2) return holder.replaceChildren();
  const to = points.at(-1)[0];
  const from = Math.max(to - 120, points[0][0]);
  const x = (at) => ((at - from) / (to - from)) * 100;
  const y = (value) => 96 - (value / (top || 1)) * 92;
  const line = path(points.filter(([at]) => at >= from).map(([at, value]) => [x(at), y(value)]));
  const size = { viewBox: "0 0 100 100", preserveAspectRatio: "none" };
  holder.replaceChildren(
    shape("svg", { ...size, "aria-hidden": "true" }, shape("path", { class: "line", d: line })),
  );
}

/** Evidence over time on a log scale, drawn at the size of its holder. `points`: of the trail; `needed`: ln of what rolls back. */
export function evidenceChart(holder, points, gates, needed) {
  const size = { width: holder.clientWidth || 600, height: holder.clientHeight || 240 };
  const scale = scales(points, gates, needed, size);
  const root = shape("svg", {
    ...size,
    viewBox: `0 0 ${size.width} ${size.height}`,
    role: "img",
    "aria-label": told(points, gates, needed),
  });
  root.append(...levels(scale, size), ...moments(scale, size), ...steps(points, scale, size));
  for (const [number, gate] of gates.entries()) root.append(...curve(points, gate, number, scale));
  root.append(...bar(needed, scale, size));
  holder.replaceChildren(root);
}

function scales(points, gates, needed, { width, height }) {
  const values = points.flatMap((point) => gates.map((gate) => point.against[gate] ?? 0));
  const low = Math.max(-3, Math.min(-1, Math.floor(Math.min(...values) / LN10)));
  const high = Math.min(12, Math.max(Math.ceil(needed / LN10 + 0.2), Math.ceil(Math.max(...values) / LN10)));
  const from = points[0].at;
  const to = Math.max(points.at(-1).at, from + 30);
  const inner = { width: width - PAD.left - PAD.right, height: height - PAD.top - PAD.bottom };
  return {
    low,
    high,
    from,
    to,
    x: (at) => PAD.left + ((at - from) / (to - from)) * inner.width,
    y: (log) =>
      PAD.top + (1 - (Math.min(Math.max(log / LN10, low), high) - low) / (high - low)) * inner.height,
  };
}

function told(points, gates, needed) {
  const now = points.at(-1).against;
  return `Evidence against the canary: ${gates.map((gate) => `${gate} ${odds(now[gate] ?? 0)}`).join(", ")}; rolled back at ${odds(needed)}`;
}

function levels({ low, high, y }, { width }) {
  const every = high - low > 6 ? 2 : 1;
  const found = [];
  for (let power = low; power <= high; power += every) {
    const at = y(power * LN10);
    const label = Math.abs(power) > 3 ? powerOfTen(power) : String(Number((10 ** power).toPrecision(1)));
    found.push(shape("line", { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: at, y2: at }));
    found.push(letters(label, PAD.left - 8, at + 4, "end"));
  }
  return found;
}

function moments({ from, to, x }, { width, height }) {
  const parts = width < 460 ? 2 : 4;
  return Array.from({ length: parts + 1 }, (_, number) => {
    const at = from + ((to - from) * number) / parts;
    const anchor = number === 0 ? "start" : number === parts ? "end" : "middle";
    return letters(clock(at), x(at), height - 6, anchor);
  });
}

function steps(points, { x }, { height }) {
  let edge = -Infinity;
  return points.flatMap((point, number) => {
    if (number && points[number - 1].ratio === point.ratio) return [];
    const at = x(point.at);
    const line = shape("line", {
      class: "step-line",
      x1: at,
      x2: at,
      y1: PAD.top - 6,
      y2: height - PAD.bottom,
    });
    if (at < edge) return [line];
    edge = at + 44;
    return [line, letters(percent(point.ratio), at + 5, PAD.top - 8, "start")];
  });
}

function bar(needed, { y }, { width }) {
  const at = y(needed);
  return [
    shape("line", { class: "threshold", x1: PAD.left, x2: width - PAD.right, y1: at, y2: at }),
    letters(`rolled back at ${odds(needed)}`, PAD.left + 8, at - 6, "start", "label threshold-label"),
  ];
}

function curve(points, gate, number, { x, y }) {
  const line = points.map((point) => [x(point.at), y(point.against[gate] ?? 0)]);
  const [cx, cy] = line.at(-1);
  return [
    shape("path", { class: `line gate-${number}`, d: path(line) }),
    shape("circle", { class: `dot gate-${number}`, cx, cy, r: 3.5 }),
  ];
}

function path(points) {
  return points.map(([x, y], number) => `${number ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

function letters(text, x, y, anchor, kind = "label") {
  return shape("text", { class: kind, x, y, "text-anchor": anchor }, text);
}
