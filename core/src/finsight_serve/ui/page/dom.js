// Elements made of values, and put in place of what is shown without disturbing it. Text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";
const KEPT = new Set(["open", "tabindex"]); // what people, or the page itself, changed on an element that is shown

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Makes the children of `place` those given; what is the same stays, so focus, scrolling and open details do too. */
export function show(place, ...children) {
  const fresh = place.cloneNode(false);
  fresh.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  morphChildren(place, fresh);
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);

function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
  } else if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
  } else {
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !KEPT.has(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !(KEPT.has(name) && old.hasAttribute(name))) old.setAttribute(name, value);
    }
    morphChildren(old, fresh);
  }
}

function morphChildren(old, fresh) {
  const keyed = new Map([...old.childNodes].filter(keyOf).map((child) => [keyOf(child), child]));
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const key = keyOf(child);
    const known = key ? keyed.get(key) : place && !keyOf(place) ? place : null;
    if (!known) {
      old.insertBefore(child, place);
      continue;
    }
    if (known === place) place = place.nextSibling;
    else old.insertBefore(known, place);
    morph(known, child);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const NUMBER = new Intl.NumberFormat("en");

/** 1,234; a dash where nobody knows. */
export const count = (value) => (value === null || value === undefined ? "–" : NUMBER.format(value));
export const clock = (at_s) => new Date(at_s * 1000).toLocaleTimeString("en-GB");
export const hour = (at_s) => new Date(at_s * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
export const words = (text) => text.replaceAll("_", " ");
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
