// A deployment's day: replicas above (floor, ceiling, ready), requests an hour below. The same is beside it as a table.

import { clock, count, h, hour, svg } from "/dom.js";

const HOUR_S = 3600;
const LEFT = 30, RIGHT = 6, TOP = 8, REPLICAS = 78, GAP = 18, REQUESTS = 58, AXIS = 20;
const HEIGHT = TOP + REPLICAS + GAP + REQUESTS + AXIS;
const LEAST_TICK = 76; // pixels between hours that are named

export function dayChart(name, day, all, width, now_s) {
  const x = (at_s) => LEFT + ((at_s - all.from_s) / (all.until_s - all.from_s)) * (width - LEFT - RIGHT);
  const most = Math.max(1, ...day.bounds.map((one) => one.ceiling), ...day.ready.map((one) => one.count));
  const y = (replicas) => TOP + REPLICAS * (1 - replicas / most);
  const busiest = Math.max(1, ...day.hours.map((one) => one.requests));
  const base = TOP + REPLICAS + GAP + REQUESTS;
  const up = (requests) => (REQUESTS * requests) / busiest;
  const known_s = Math.min(all.seen_until_s, now_s);
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": inWords(name, day, all, now_s) },
    ticks(all, width, x),
    svg("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(0), y2: y(0) }),
    svg("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: base, y2: base }),
    label(LEFT - 6, y(most) + 4, most),
    label(LEFT - 6, y(0) + 4, 0),
    label(LEFT - 6, base - REQUESTS + 4, short(busiest)),
    svg("path", { class: "allowed", d: band(day.bounds, all.until_s, x, y) }),
    svg("path", { class: "ceiling", d: stairs(day.bounds.map((one) => [one.at_s, one.ceiling]), all.until_s, x, y) }),
    svg("path", { class: "floor", d: stairs(day.bounds.map((one) => [one.at_s, one.floor]), all.until_s, x, y) }),
    day.ready.length > 0 &&
      svg("path", { class: "ready", d: stairs(day.ready.map((one) => [one.at_s, one.count]), known_s, x, y) }),
    day.hours.flatMap((one) => bar(one, x, base, up)),
    svg("line", { class: "now", x1: x(now_s), x2: x(now_s), y1: TOP - 4, y2: base }),
    svg("text", { class: "now-text", x: x(now_s) + 4, y: base - REQUESTS - 4 }, "now"),
  );
}

function bar(one, x, base, up) {
  const left = x(one.from_s) + 1, wide = Math.max(1, x(one.from_s + HOUR_S) - x(one.from_s) - 2);
  const lost = one.failed + one.truncated, high = Math.max(1, up(one.requests));
  const lostHigh = lost ? Math.max(2, up(lost)) : 0;
  return [
    svg("rect", { class: "requests", x: left, y: base - high, width: wide, height: high, rx: 1.5 }),
    lost > 0 && svg("rect", { class: "lost", x: left, y: base - lostHigh, width: wide, height: lostHigh }),
  ].filter(Boolean);
}

function ticks(all, width, x) {
  const hours = (all.until_s - all.from_s) / HOUR_S;
  const every = [1, 2, 3, 4, 6, 8, 12].find((step) => ((width - LEFT - RIGHT) / hours) * step >= LEAST_TICK) ?? 12;
  const found = [];
  for (let at_s = all.from_s; at_s < all.until_s; at_s += HOUR_S) {
    if (new Date(at_s * 1000).getHours() % every) continue;
    if (x(at_s) > width - 34 || x(at_s) < LEFT) continue;
    found.push(svg("line", { class: "tick", x1: x(at_s), x2: x(at_s), y1: TOP, y2: HEIGHT - AXIS }));
    found.push(svg("text", { class: "hour", x: x(at_s), y: HEIGHT - 5 }, hour(at_s)));
  }
  return found;
}

const label = (x, y, value) => svg("text", { class: "scale", x, y }, String(value));
const short = (value) => (value >= 10000 ? `${Math.round(value / 1000)}k` : value >= 1000 ? `${(value / 1000).toFixed(1)}k` : String(value));

function stairs(steps, until_s, x, y) {
  const parts = steps.map(([at_s, value], index) => {
    const to = x(index + 1 < steps.length ? steps[index + 1][0] : Math.max(until_s, at_s));
    return `${index ? "V" : `M${x(at_s)} `}${y(value)}H${to}`;
  });
  return parts.join("");
}

function band(bounds, until_s, x, y) {
  return bounds
    .map((one, index) => {
      const to = index + 1 < bounds.length ? bounds[index + 1].at_s : until_s;
      return `M${x(one.at_s)} ${y(one.ceiling)}H${x(to)}V${y(one.floor)}H${x(one.at_s)}Z`;
    })
    .join("");
}

const at = (steps, at_s) => steps.filter((step) => step.at_s <= at_s).at(-1);

function inWords(name, day, all, now_s) {
  const held = at(day.bounds, now_s), next = day.bounds.find((one) => one.at_s > now_s);
  const asked = day.hours.reduce((sum, one) => sum + one.requests, 0);
  const then = next ? ` From ${hour(next.at_s)} on the floor is ${next.floor} and the ceiling ${next.ceiling}.` : "";
  return `${name} from ${hour(all.from_s)} to ${hour(all.until_s)}: ${count(asked)} requests so far. ` +
    `The floor is ${held.floor} and the ceiling ${held.ceiling} now.${then} The table below has each hour.`;
}

/** The chart's values, for who can't see it or wants the numbers. */
export function dayTable(name, day, all, now_s) {
  const rows = [];
  for (let from_s = all.from_s; from_s < all.until_s; from_s += HOUR_S) {
    const asked = day.hours.find((one) => one.from_s === from_s), end_s = Math.min(from_s + HOUR_S - 1, Math.max(now_s, from_s));
    const held = at(day.bounds, end_s) ?? day.bounds[0];
    const ready = from_s <= now_s ? at(day.ready, end_s) : undefined;
    rows.push(h("tr", {},
      h("th", { scope: "row" }, hour(from_s)),
      h("td", {}, `${held.floor}–${held.ceiling}`),
      h("td", {}, ready ? count(ready.count) : "–"),
      h("td", {}, from_s > now_s ? "–" : count(asked?.requests ?? 0)),
      h("td", {}, from_s > now_s ? "–" : count((asked?.failed ?? 0) + (asked?.truncated ?? 0))),
    ));
  }
  return h("details", { class: "numbers" },
    h("summary", {}, "The day in numbers", h("span", { class: "unseen" }, ` of ${name}`)),
    h("table", {},
      h("caption", { class: "unseen" }, `${name} by the hour, as at ${clock(now_s)}`),
      h("thead", {}, h("tr", {}, ["From", "Allowed", "Ready", "Requests", "Lost"].map((one) => h("th", { scope: "col" }, one)))),
      h("tbody", {}, rows)));
}
