// The stream of documents, and the page made of the latest.

import { clock, show } from "/dom.js";
import * as parts from "/parts.js";

const STREAM = "/api/v1/stream";
const VERSION = 1;
const COLOURS = 6;
const RETRY_MS = 2000;
const NARROWEST = 280, USUAL = 520;

const place = Object.fromEntries(
  ["name", "link", "link-text", "standing", "verdict", "figures", "moves", "migrations", "deployments", "tenants", "replicas", "events", "footer"]
    .map((id) => [id, document.getElementById(id)]));
let latest = null, connected = false, told = null;

function widthOf(id) {
  const figure = document.getElementById(id);
  return figure ? Math.max(NARROWEST, figure.clientWidth) : USUAL;
}

/** What changes every second must not be told to those who listen every second: only text that differs is touched. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function standing() {
  if (connected || !latest) return latest?.standing ?? null;
  const since = `What stands here is from ${clock(latest.read_at_s)}; start \`fs ui\` again if it ended`;
  return { level: "unknown", headline: "Not connected to fs ui", findings: [{ level: "notice", text: since }], figures: "" };
}

function render() {
  const now = standing();
  place.link.dataset.state = connected ? (latest?.is_live ? "live" : "stored") : "lost";
  say(place["link-text"], connected ? (latest?.is_live ? "Live" : "As stored last") : latest ? "Not connected" : "Connecting");
  if (!now) return;
  if (told !== JSON.stringify([now.level, now.headline, now.findings])) {
    told = JSON.stringify([now.level, now.headline, now.findings]);
    place.standing.dataset.level = now.level;
    show(place.verdict, ...parts.verdict(now));
  }
  const { name } = latest.stack;
  say(place.figures, now.figures);
  say(place.name, name || "no stack");
  document.title = `${now.headline}: ${name || "no stack"}`;
  say(place.moves, parts.moves(latest.migrations));
  const colours = Object.fromEntries(latest.deployments.map((one, index) => [one.name, index % COLOURS]));
  show(place.migrations, latest.migrations.map((one) => parts.migration(one, colours)));
  show(place.deployments, ...parts.deployments(latest, colours, widthOf));
  show(place.tenants, ...parts.tenants(latest, colours));
  show(place.replicas, ...parts.replicas(latest));
  show(place.events, ...parts.events(latest));
  show(place.footer, ...parts.footer(latest));
  for (const one of document.querySelectorAll(".scroll")) {
    // what scrolls must be reached by the keyboard, and nothing else
    if (one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight) one.tabIndex = 0;
    else one.removeAttribute("tabindex");
  }
}

let asked = false;
function soon() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    render();
  });
}

function follow() {
  const stream = new EventSource(STREAM);
  stream.onopen = () => {
    connected = true;
    soon();
  };
  stream.onmessage = (message) => {
    const data = JSON.parse(message.data);
    if (data.version !== VERSION) return location.reload();
    const first = latest === null;
    latest = data;
    soon();
    if (first) requestAnimationFrame(soon); // once more, when the width of the charts is known
  };
  stream.onerror = () => {
    connected = false;
    soon();
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, RETRY_MS); // refused, as by too many pages at once
  };
}

follow();
addEventListener("resize", soon);
