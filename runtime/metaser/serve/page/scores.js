// A row with the probability of one class: its name, a bar and a figure.

import { colourClass } from "/page/colours.js";
import { el, percent } from "/page/dom.js";

/** The row as an element, and `show(score)`, which sets its probability. */
export function scoreRow(label) {
  const bar = el("i");
  const value = el("span", { className: "value" });
  const element = el(
    "li",
    { className: colourClass(label) },
    el("span", {}, label),
    el("span", { className: "bar" }, bar),
    value,
  );
  const show = (score) => {
    bar.style.width = `${100 * score}%`;
    value.textContent = percent(score);
  };
  return { element, show };
}
