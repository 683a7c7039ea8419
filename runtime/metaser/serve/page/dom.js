// Small helpers for the document.

/** An element with properties, classes and children; text children are never read as HTML. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Replace the content of an element that reports problems; an empty text removes it. */
export function report(element, text, kind = "problem") {
  element.replaceChildren(...(text ? [el("p", { className: kind }, text)] : []));
}

/** 83.4 -> "1:23.4" */
export function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

/** 0.934 -> "93 %" */
export function percent(share) {
  return `${Math.round(100 * share)} %`;
}

/** 1, "clip" -> "1 clip"; 2, "clip" -> "2 clips" */
export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : noun.endsWith("s") ? "es" : "s"}`;
}
