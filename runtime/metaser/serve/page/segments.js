// Finished segments: a table, and downloads in the formats of `metaser stream`.

import { colourClass, nameOf } from "/page/colours.js";
import { clock, counted, el, percent } from "/page/dom.js";

const MOST_ROWS = 200;
const FORMULA = /^[\t\r\n]|^\s*[=+\-@＝＋－＠]/; // as `metaser stream` guards its cells

export class SegmentTable {
  constructor(container, empty, { newestFirst = false, name = "" } = {}) {
    this.empty = empty;
    this.newestFirst = newestFirst;
    const stem = name ? `${name.replace(/\.[^.]*$/, "")}-labels` : "labels";
    this.body = el("tbody");
    this.count = el("p", { className: "detail" });
    this.table = el(
      "table",
      {},
      el("caption", { className: "unseen" }, newestFirst ? "Segments, the newest first" : "Segments"),
      el(
        "thead",
        {},
        el("tr", {}, ...["Start", "End", "Label", "Confidence"].map((name) => el("th", { scope: "col" }, name))),
      ),
      this.body,
    );
    this.buttons = [
      ["CSV", "text/csv", csvOf],
      ["SRT", "application/x-subrip", srtOf],
      ["JSON", "application/json", jsonOf],
    ].map(([form, type, write]) =>
      el(
        "button",
        {
          className: "quiet",
          type: "button",
          onclick: () => download(`${stem}.${form.toLowerCase()}`, type, write(this.segments)),
        },
        form,
      ),
    );
    const clear = el("button", { className: "quiet", type: "button", onclick: () => this.clear() }, "Clear");
    this.buttons.push(clear);
    container.replaceChildren(
      el(
        "div",
        { className: "row" },
        el("h2", {}, "Segments"),
        el("div", { className: "row tools" }, el("span", { className: "detail" }, "Download"), ...this.buttons),
      ),
      this.count,
      el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Table of segments" }, this.table),
    );
    this.clear();
  }

  add(segment) {
    this.segments.push(segment);
    this.body[this.newestFirst ? "prepend" : "append"](
      el(
        "tr",
        {},
        el("td", {}, clock(segment.start_s)),
        el("td", {}, clock(segment.end_s)),
        el("td", {}, el("span", { className: `chip ${colourClass(segment.label)}` }, nameOf(segment.label))),
        el("td", {}, percent(segment.confidence)),
      ),
    );
    if (this.body.rows.length > MOST_ROWS) this.body.deleteRow(this.newestFirst ? MOST_ROWS : 0);
    this.#update();
  }

  clear() {
    this.segments = [];
    this.body.replaceChildren();
    this.#update();
  }

  #update() {
    const total = this.segments.length;
    const older = total - this.body.rows.length;
    this.count.textContent = total
      ? `${counted(total, "segment")}${older ? `; the last ${MOST_ROWS} are shown` : ""}`
      : this.empty;
    this.table.hidden = !total;
    for (const button of this.buttons) button.disabled = !total;
  }
}

/** A cell that a spreadsheet takes for text, quoted if needed. */
function cell(text) {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function csvOf(segments) {
  const isLive = segments.some((segment) => segment.time);
  const rows = segments.map(({ time, start_s, end_s, label, confidence }) =>
    [...(isLive ? [time] : []), start_s.toFixed(3), end_s.toFixed(3), cell(label ?? ""), confidence.toFixed(4)].join(
      ",",
    ),
  );
  return [`${isLive ? "time," : ""}start_s,end_s,label,confidence`, ...rows, ""].join("\n");
}

function srtOf(segments) {
  return segments
    .map(
      ({ start_s, end_s, label }, place) =>
        `${place + 1}\n${srtTime(start_s)} --> ${srtTime(end_s)}\n${nameOf(label).replaceAll("-->", "->")}\n\n`,
    )
    .join("");
}

function srtTime(seconds) {
  const whole = Math.round(1000 * seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3_600_000), Math.floor(whole / 60_000) % 60, whole % 60_000];
  const two = (number) => String(number).padStart(2, "0");
  return `${two(hours)}:${two(minutes)}:${two(Math.floor(rest / 1000))},${String(rest % 1000).padStart(3, "0")}`;
}

function jsonOf(segments) {
  return `${JSON.stringify(segments, null, 1)}\n`;
}

function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
