// The parts of the page, each made of the document's values.

import { dayChart, dayTable } from "/charts.js";
import { clock, count, h, plural, svg, words } from "/dom.js";

const ICONS = {
  well: "M5 12.5l4.5 4.5L19 7.5",
  notice: "M12 6v7M12 17.5v.5",
  trouble: "M7 7l10 10M17 7L7 17",
  unknown: "M7 12h10",
};

const icon = (level) =>
  svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("circle", { cx: 12, cy: 12, r: 11 }), svg("path", { d: ICONS[level] }));
const unseen = (text) => h("span", { class: "unseen" }, text);
const chip = (level, text) => h("span", { class: "chip", "data-level": level }, text);
const title = (id, text, note) => h("h2", { id: `${id}-title` }, text, note && h("span", { class: "note" }, note));

export function verdict(standing) {
  return [
    h("div", { class: "headline" }, icon(standing.level), h("h2", {}, standing.headline)),
    standing.findings.length > 0 &&
      h("ul", { class: "findings" },
        standing.findings.map((one) =>
          h("li", { "data-level": one.level }, unseen(one.level === "trouble" ? "Needs a person: " : "To watch: "), one.text))),
  ];
}

/** A line for those who listen: told again only when a migration is in another phase or step. */
export const moves = (migrations) =>
  migrations.filter((one) => !one.is_over).map((one) => `${one.tenant} to ${one.to}: ${phase(one)}`).join(". ");

function phase(one) {
  const step = one.step ? ` ${one.steps_percent[one.step - 1]} %, step ${one.step} of ${one.steps_percent.length}` : "";
  return `${words(one.phase)}${step}${one.paused ? ", paused" : ""}`;
}

const LEVELS = { done: "well", rolling_back: "notice", rolled_back: "notice", failed: "trouble" };

export function migration(one, colours) {
  const id = `migration-${one.id}`;
  return h("article", { class: "card migration", "data-key": id, "aria-labelledby": id, "data-over": one.is_over ? "true" : "false" },
    h("header", {},
      h("h2", { id }, one.tenant, unseen(" moves from "), h("span", { class: "path" },
        Object.keys(one.from).join(", "), h("span", { "aria-hidden": "true" }, " → "), unseen(" to "), one.to)),
      h("p", {}, chip(LEVELS[one.phase] ?? "moving", phase(one)), h("span", { class: "quiet" }, `${one.id}, asked by ${one.by || "nobody known"}`))),
    !one.is_over && steps(one),
    !one.is_over && shares({ ...withoutShare(one), [one.to]: one.percent }, colours, "large"),
    h("div", { class: "two" }, ledger(one), explanation(one)));
}

/** What the sources still have of the tenant's requests. */
const withoutShare = (one) =>
  Object.fromEntries(Object.entries(one.from).map(([name, percent]) => [name, Math.round((percent * (100 - one.percent)) / 100)]));

function steps(one) {
  const stateOf = (index) => {
    if (one.phase === "draining") return "done";
    if (one.phase !== "shifting") return "ahead";
    return index + 1 < one.step ? "done" : index + 1 === one.step ? "now" : "ahead";
  };
  const said = { done: "passed: ", now: "now: ", ahead: "to come: " };
  return h("ol", { class: "steps", "aria-label": "Steps" },
    one.steps_percent.map((percent, index) => {
      const state = stateOf(index);
      return h("li", { "data-state": state, "aria-current": state === "now" ? "step" : null },
        h("span", { class: "mark", "aria-hidden": "true" }, state === "done" ? "✓" : ""), unseen(said[state]), `${percent} %`);
    }));
}

function ledger(one) {
  const rows = one.ledger.filter((row) => row.requests > 0 || row.deployment === one.to);
  const sum = one.in_all;
  return h("div", { class: "scroll", role: "group", "aria-label": `Ledger of ${one.id}` },
    h("table", {},
      h("caption", {}, "Ledger"),
      h("thead", {}, h("tr", {}, ["Step", "Went to", "Requests", "Failed", "Truncated"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {},
        rows.length === 0 && h("tr", {}, h("td", { colspan: 5, class: "quiet" }, one.is_over ? "Nothing was moved." : "Nothing has been moved yet.")),
        rows.map((row) => h("tr", { "data-key": `${row.from_version}-${row.deployment}` },
          h("th", { scope: "row" }, `${row.percent} %`), h("td", {}, row.deployment || "refused"),
          h("td", {}, count(row.requests)), lost(row.failed), lost(row.truncated)))),
      rows.length > 0 && h("tfoot", {}, h("tr", {}, h("th", { scope: "row", colspan: 2 }, "In all"),
        h("td", {}, count(sum.requests)), lost(sum.failed), lost(sum.truncated)))));
}

const lost = (number) => h("td", { class: number ? "lost" : "none" }, count(number));

function explanation(one) {
  const [heading, ...lines] = one.explanation;
  return h("div", { class: "why" },
    h("p", {}, heading),
    h("ul", {}, lines.map((line) => {
      const [, kind, text] = /^([a-z ]+): ([\s\S]*)$/.exec(line) ?? [null, "", line];
      return h("li", {}, kind && h("span", { class: "kind" }, kind), text);
    })));
}

/** A bar of parts with the same in words beside it. */
export function shares(weights, colours, size) {
  let from = 0;
  const parts = Object.entries(weights).filter(([, percent]) => percent > 0);
  const rects = parts.map(([name, percent]) => {
    const rect = svg("rect", { x: `${from}%`, width: `${percent}%`, height: "100%", class: `c-${colours[name] ?? "none"}` });
    from += percent;
    return rect;
  });
  return h("div", { class: `shares ${size}` },
    svg("svg", { class: "bar", "aria-hidden": "true" }, rects),
    h("p", {}, parts.length === 0 ? "refused" : parts.map(([name, percent], index) => [
      h("span", { class: "part" }, svg("svg", { class: "key", viewBox: "0 0 10 10", "aria-hidden": "true" },
        svg("rect", { width: 10, height: 10, rx: 2, class: `c-${colours[name] ?? "none"}` })), `${name || "refused"} ${percent} %`),
      index + 1 < parts.length && unseen(", ")]).flat()));
}

const BREAKERS = { closed: ["well", "breaker closed"], half_open: ["notice", "breaker half-open"], open: ["trouble", "breaker open"] };

export function deployments(data, colours, widthOf) {
  return [
    title("deployments", "Deployments"),
    h("div", { class: "grid" }, data.deployments.map((one) => deployment(one, data, colours, widthOf(`day-${one.name}`)))),
  ];
}

function deployment(one, data, colours, width) {
  const day = data.day.deployments[one.name], id = `deployment-${one.name}`;
  const [level, text] = BREAKERS[one.breaker.state];
  const live = data.is_live, few = live && one.ready < one.min_replicas;
  return h("article", { class: "card deployment", "data-key": id, "aria-labelledby": id },
    h("header", {},
      h("h3", { id }, svg("svg", { class: "key", viewBox: "0 0 10 10", "aria-hidden": "true" },
        svg("rect", { width: 10, height: 10, rx: 2, class: `c-${colours[one.name]}` })), one.name),
      chip(level, text)),
    h("p", { class: "quiet" }, `${one.model} on ${one.backend}`),
    one.breaker.state !== "closed" && h("p", { class: "reason" }, one.breaker.reason),
    h("dl", {},
      figure("Ready", live ? count(one.ready) : "–", `of ${one.min_replicas}–${one.max_replicas}${live && one.starting ? `, ${one.starting} starting` : ""}`, few),
      figure("In work", count(one.running), one.target_ongoing_requests ? `target ${count(one.target_ongoing_requests)} each` : ""),
      figure("Waiting", count(one.waiting), ""),
      figure("Cold start", one.cold_start_s === null ? "–" : `${count(Math.round(one.cold_start_s))} s`, "")),
    day && h("figure", { id: `day-${one.name}` },
      dayChart(one.name, day, data.day, width, data.read_at_s),
      h("figcaption", {}, legend("ready", "ready"), legend("floor", "floor"), legend("ceiling", "ceiling"), legend("requests", "requests an hour"), legend("lost", "lost"))),
    one.floor_why && h("p", { class: "quiet" }, one.floor_why),
    one.next_cut_over && h("p", { class: "quiet" }, `Next: ${one.next_cut_over}`),
    day && dayTable(one.name, day, data.day, data.read_at_s));
}

const figure = (name, value, note, few) =>
  h("div", { class: few ? "few" : null }, h("dt", {}, name), h("dd", {}, h("span", { class: "number" }, value), h("span", { class: "note" }, note)));
const legend = (kind, text) =>
  h("span", {}, svg("svg", { class: "key", viewBox: "0 0 16 10", "aria-hidden": "true" },
    kind === "requests" || kind === "lost"
      ? svg("rect", { x: 3, width: 10, height: 10, rx: 2, class: kind })
      : svg("path", { d: "M0 5H16", class: kind })), text);

/** `columns`: [header, class, cell of a row]; the first one heads its row. */
function table(id, caption, columns, rows, keyOf) {
  return h("div", { class: "scroll", role: "group", "aria-label": caption },
    h("table", { class: "wide" },
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, columns.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", { "data-key": `${id}-${keyOf(row)}` }, columns.map(([, kind, cell], index) =>
        h(index ? "td" : "th", { class: kind, scope: index ? null : "row" }, cell(row))))))));
}

const more = (number, what, command) =>
  number > 0 && h("p", { class: "quiet" }, `${plural(number, what)} more: `, h("code", {}, command), " shows them.");

export function tenants(data, colours) {
  const columns = [
    ["Tenant", "", (one) => [one.name, one.has_key ? "" : h("span", { class: "note" }, " has no key")]],
    ["Routed to", "routed", (one) => [shares(one.routed_to, colours, "small"), one.migration && h("span", { class: "note" }, `moved by ${one.migration}`)]],
    ["Open", "n", (one) => count(one.open_requests)],
    ["Requests", "n", (one) => count(one.requests)],
    ["Failed", "n", (one) => worst(one.failed)],
    ["Truncated", "n", (one) => worst(one.truncated)],
  ];
  return [
    title("tenants", "Tenants", "requests since the ledger began"),
    h("div", { class: "card" }, table("tenant", "Tenants and where they are routed", columns, data.tenants, (one) => one.name),
      more(data.left_out.tenants, "tenant", "fs tenant list")),
  ];
}

const worst = (number) => h("span", { class: number ? "lost" : "none" }, count(number));

export function replicas(data) {
  const health = (one) => (one.health === "ok" ? "ok" : one.health);
  const columns = [
    ["Replica", "code", (one) => one.id],
    ["Deployment", "", (one) => one.deployment],
    ["Address", "code", (one) => one.address || "–"],
    ["State", "", (one) => chip(one.state === "ready" ? "well" : one.state === "failed" ? "trouble" : "notice", one.state)],
    ["Probe", "", health],
    ["In work", "n", (one) => count(one.running)],
    ["Waiting", "n", (one) => count(one.waiting)],
  ];
  return [
    title("replicas", "Replicas"),
    h("div", { class: "card" },
      data.replicas.length ? table("replica", "Replicas", columns, data.replicas, (one) => one.id)
        : h("p", { class: "quiet" }, data.is_live ? "There are none." : "Only a running controller knows them."),
      more(data.left_out.replicas, "replica", "fs status")),
  ];
}

export function events(data) {
  const columns = [
    ["When", "time", (one) => h("time", { datetime: one.at, title: one.at }, clock(one.at_s))],
    ["What", "", (one) => words(one.kind)],
    ["Of", "code", (one) => one.subject || "–"],
    ["Why", "text", (one) => one.reason || "–"],
  ];
  const times = {};
  const rows = data.events.map((one) => {
    const same = `${one.at_s}-${one.kind}-${one.subject}`;
    times[same] = (times[same] ?? 0) + 1;
    return { ...one, key: `${same}-${times[same]}` };
  }).reverse();
  return [
    title("events", "Events", "the newest first"),
    h("div", { class: "card" }, rows.length ? table("event", "Events, the newest first", columns, rows, (one) => one.key) : h("p", { class: "quiet" }, "None yet.")),
  ];
}

export function footer(data) {
  const { controller, load_balancer, routes_in_force, route_version, url } = data.stack;
  const behind = routes_in_force && routes_in_force !== route_version ? ` (${routes_in_force} in force)` : "";
  const facts = [`Controller ${controller}`, `load balancer ${load_balancer}`, `route table ${route_version}${behind}`];
  const where = url ? h("p", {}, "Clients call ", h("code", {}, `${url}/v1`)) : null;
  return [h("p", {}, facts.join(" · ")), where, h("p", {}, "This page only shows; ", h("code", {}, "fs -h"), " names what changes things.")];
}
