// The last minute as a picture: level, speech and labels.

import { colourOf, nameOf } from "/page/colours.js";

const SHOWN_S = 60;
const RANGE_DB = 60;
const STRIP = 26;
const AXIS = 20;
const SLOW_MS = 500; // between two pictures, for people who want little motion

export class Timeline {
  constructor(canvas) {
    this.canvas = canvas;
    this.isHeld = false;
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.reset();
    new ResizeObserver(() => this.draw()).observe(canvas);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  reset() {
    this.levels = []; // { end_s, dbfs }
    this.segments = []; // { start_s, end_s, label }
    this.open = null; // the one that continues
    this.now_s = 0;
    this.draw();
  }

  addLevel(end_s, dbfs) {
    this.now_s = end_s;
    this.levels.push({ end_s, dbfs });
    while (this.levels[0].end_s < end_s - SHOWN_S - 1) this.levels.shift();
    while (this.segments.length && this.segments[0].end_s < end_s - SHOWN_S - 1) this.segments.shift();
    this.#schedule();
  }

  setOpen(segment) {
    this.open = segment;
  }

  close(segment) {
    this.segments.push(segment);
    this.open = null;
  }

  hold(isHeld) {
    this.isHeld = isHeld;
    if (!isHeld) this.draw();
  }

  #schedule() {
    if (this.isHeld || this.waits) return;
    this.waits = true;
    const draw = () => {
      this.waits = false;
      if (!this.isHeld) this.draw();
    };
    if (this.calm.matches) setTimeout(draw, SLOW_MS);
    else requestAnimationFrame(draw);
  }

  draw() {
    const { canvas } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const styles = getComputedStyle(canvas);
    const first_s = Math.max(0, this.now_s - SHOWN_S);
    const x = (seconds) => ((seconds - first_s) / SHOWN_S) * width;
    const shown = this.open ? [...this.segments, { ...this.open, end_s: this.now_s }] : this.segments;
    this.#drawAxis(pen, styles, first_s, x, width, height);
    this.#drawLevels(pen, styles, shown, x, height);
    for (const segment of shown) drawLabel(pen, styles, segment, x);
  }

  #drawAxis(pen, styles, first_s, x, width, height) {
    pen.fillStyle = styles.getPropertyValue("--line");
    pen.fillRect(0, height - AXIS, width, 1);
    pen.font = "12px system-ui, sans-serif";
    for (let second = Math.ceil(first_s / 10) * 10; second <= first_s + SHOWN_S; second += 10) {
      pen.fillStyle = styles.getPropertyValue("--line");
      pen.fillRect(x(second), STRIP + 6, 1, height - AXIS - STRIP - 2);
      pen.fillStyle = styles.getPropertyValue("--quiet");
      const text = `${Math.floor(second / 60)}:${String(second % 60).padStart(2, "0")}`;
      const left = Math.min(
        Math.max(x(second) - pen.measureText(text).width / 2, 0),
        width - pen.measureText(text).width,
      );
      pen.fillText(text, left, height - 4);
    }
  }

  #drawLevels(pen, styles, shown, x, height) {
    const top = STRIP + 8;
    const room = height - AXIS - top;
    let place = 0;
    for (const { end_s, dbfs } of this.levels) {
      while (place < shown.length && shown[place].end_s < end_s) place++;
      const segment = shown[place];
      const isSpeech = segment && segment.start_s < end_s;
      pen.fillStyle = isSpeech ? colourOf(segment.label, styles) : styles.getPropertyValue("--line");
      const size = Math.max(1, room * Math.max(0, Math.min(1, 1 + dbfs / RANGE_DB)));
      pen.fillRect(x(end_s - 0.1), height - AXIS - size, Math.max(1, x(0.1) - x(0) - 0.5), size);
    }
  }
}

function drawLabel(pen, styles, segment, x) {
  const left = Math.max(0, x(segment.start_s));
  const width = x(segment.end_s) - left;
  if (width <= 0) return;
  pen.fillStyle = colourOf(segment.label, styles);
  pen.fillRect(left, STRIP - 4, Math.max(1, width - 1), 4);
  pen.fillStyle = styles.getPropertyValue("--ink");
  pen.font = "600 13px system-ui, sans-serif";
  const name = nameOf(segment.label);
  if (pen.measureText(name).width < width - 2) pen.fillText(name, left, STRIP - 9);
}
