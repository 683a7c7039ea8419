// The live view: the current label, a timeline, and the segments so far.

import { sentence } from "/page/api.js";
import { colourClass, nameOf, setLabels } from "/page/colours.js";
import { byId, clock, el, percent, report } from "/page/dom.js";
import { listMicrophones, Microphone, peakDbfs, whyNoMicrophone } from "/page/microphone.js";
import { scoreRow } from "/page/scores.js";
import { SegmentTable } from "/page/segments.js";
import { LabelledStream } from "/page/stream.js";
import { Timeline } from "/page/timeline.js";

const IDLE = "Press “Start listening”, then speak.";

export class LiveView {
  constructor(profileName) {
    this.profileName = profileName;
    this.button = byId("listen");
    this.now = byId("now");
    this.detail = byId("now-detail");
    this.timeline = new Timeline(byId("timeline"));
    this.table = new SegmentTable(byId("live-segments"), "Each time you stop speaking, a row appears here.", {
      newestFirst: true,
    });
    this.health = new Map();
    this.base_s = 0;
    this.button.addEventListener("click", () => (this.microphone ? this.stop() : this.start()));
    byId("hold").addEventListener("click", ({ currentTarget }) => {
      this.timeline.hold(!this.timeline.isHeld);
      currentTarget.setAttribute("aria-pressed", String(this.timeline.isHeld));
      currentTarget.textContent = this.timeline.isHeld ? "Held: continue" : "Hold";
    });
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#listDevices());
    for (const id of ["device", "unknown"]) byId(id).addEventListener("change", () => this.refresh());
    this.#setHealth("failure", whyNoMicrophone(), "problem");
  }

  show() {
    this.#listDevices();
    const hasProfile = Boolean(this.profileName());
    this.button.disabled = !this.microphone && (!hasProfile || Boolean(whyNoMicrophone()));
    if (!hasProfile)
      this.detail.replaceChildren(
        "There is no profile yet: ",
        el("a", { href: "#enrol" }, "enrol your classes first"),
        ".",
      );
    else if (!this.microphone) this.detail.textContent = IDLE;
    this.timeline.draw();
  }

  async #listDevices() {
    const select = byId("device");
    const chosen = select.value;
    const devices = await listMicrophones();
    const options = devices.map((device, place) =>
      el("option", { value: device.deviceId }, device.label || `Microphone ${place + 1}`),
    );
    select.replaceChildren(
      el("option", { value: "" }, "Default"),
      ...options.filter((option) => option.value !== "default"),
    );
    if ([...select.options].some((option) => option.value === chosen)) select.value = chosen;
  }

  /** Open the microphone and a stream. */
  async start() {
    if (this.isOpening || this.microphone || !this.profileName()) return;
    this.isOpening = true; // the button is not disabled meanwhile: it would lose the keyboard's focus
    this.health.clear();
    this.#setHealth("failure", null);
    this.detail.textContent = "Opening the microphone …";
    try {
      this.microphone = await Microphone.open(byId("device").value, {
        onchunk: (samples) => this.#hear(samples),
        onlost: (reason) => this.stop(reason),
        onsilence: (isSilent) =>
          this.#setHealth(
            "silence",
            isSilent && "The microphone sends digital silence: is it muted, or switched off?",
            "problem",
          ),
      });
    } catch (error) {
      this.#fail(error.message);
      return;
    } finally {
      this.isOpening = false;
    }
    this.dropped_ms = 0;
    document.body.classList.add("listening");
    this.#setHealth("microphone", `${this.microphone.name}, ${this.microphone.rate / 1000} kHz`);
    this.#setHealth("processing", this.microphone.warning, "warning");
    this.button.textContent = "Stop listening";
    this.#listDevices();
    this.base_s += this.stream?.captured_s ?? 0; // the clock goes on where the last stream stopped
    this.stream = new LabelledStream(this.microphone.rate, this.#options(), {
      onready: (message) => this.#ready(message),
      onevent: this.#taker(this.base_s),
      onstate: (state, reason) => this.#setState(state, reason),
    });
  }

  #options() {
    return {
      profile: this.profileName(),
      unknown: byId("unknown").value,
      live: true,
    };
  }

  #hear(samples) {
    if (!this.stream) return;
    this.stream.push(samples);
    this.timeline.addLevel(this.base_s + this.stream.captured_s, peakDbfs(samples));
    if (this.stream.lost_s > 0.05)
      this.#setHealth(
        "unsent",
        `${this.stream.lost_s.toFixed(1)} s were not sent: the connection was too slow or lost`,
        "warning",
      );
  }

  #ready({ labels, bundle, provider, hint, recorded }) {
    setLabels(labels);
    this.rows = new Map(labels.map((label) => [label, scoreRow(label)]));
    byId("scores").replaceChildren(...[...this.rows.values()].map((row) => row.element));
    this.detail.textContent = "Listening …";
    report(byId("live-hint"), hint && sentence(hint), "warning");
    this.#setHealth("recorded", recorded && "This server records what it hears", "warning");
    this.#setHealth("model", `Model ${bundle} on ${provider}`);
  }

  /** Takes events of a stream that began so many seconds after the first. */
  #taker(base_s) {
    return (event) => {
      const moved = { ...event };
      for (const name of ["start_s", "end_s"]) if (typeof moved[name] === "number") moved[name] += base_s;
      this.#take(moved);
    };
  }

  #take(event) {
    if (event.event === "enter" || event.event === "update") this.#label(event);
    else if (event.event === "leave") this.#leave(event);
    else if (event.event === "silence") this.#silence();
    else if (event.event === "overload") this.#overload(event);
    else if (event.event === "notice") this.#setHealth("notice", event.message, "warning");
    if (event.dropped_ms > 0)
      this.#setHealth(
        "dropped",
        `${(event.dropped_ms / 1000).toFixed(1)} s were lost: the server was too slow`,
        "warning",
      );
  }

  #label({ label, start_s, confidence, scores }) {
    const name = nameOf(label);
    if (this.now.textContent !== name) this.now.textContent = name; // a change, which screen readers announce
    this.now.className = `label ${colourClass(label)}`;
    const best = Object.keys(scores).reduce((one, other) => (scores[other] > scores[one] ? other : one));
    this.detail.textContent =
      label === null
        ? `not sure enough of any class; the nearest is ${best}`
        : `confidence ${percent(confidence)}, since ${clock(start_s)}`;
    for (const [each, row] of this.rows) row.show(scores[each] ?? 0);
    this.segment = { start_s, label, confidence, scores };
    this.timeline.setOpen(this.segment);
  }

  #leave({ start_s, end_s, label, confidence, scores }) {
    const segment = {
      time: new Date().toISOString().replace("Z", "+00:00"),
      start_s,
      end_s,
      label,
      confidence,
      scores,
    };
    this.segment = null;
    this.timeline.close(segment);
    this.table.add(segment);
  }

  #silence() {
    this.now.classList.add("past");
    this.detail.textContent = "Silence";
  }

  #overload({ end_s, dropped_ms }) {
    if (dropped_ms > this.dropped_ms) this.dropped_ms = dropped_ms;
    else this.#setHealth("overload", end_s === null && "The server is busy: labels come less often", "warning");
  }

  #setState(state, reason) {
    if (state === "waiting" || state === "failed") {
      if (this.segment) this.#leave({ ...this.segment, end_s: this.base_s + this.stream.captured_s });
      this.#setHealth("connection", reason, "problem");
    }
    if (state === "open") this.#setHealth("connection", null);
    if (state === "failed") this.stop(reason);
    if (state === "ended" && !this.microphone) this.detail.textContent = IDLE;
  }

  #restart() {
    this.stop();
    this.start();
  }

  /** Go on with the profile as it is now. */
  refresh() {
    if (this.microphone) this.#restart();
  }

  /** Stop, and remove what was heard: the profile is another one. */
  forget() {
    this.stop();
    this.stream?.cancel();
    this.stream = this.segment = null;
    this.base_s = 0;
    this.timeline.reset();
    this.table.clear();
    this.now.textContent = "";
    byId("scores").replaceChildren();
    this.health.clear();
    this.#setHealth("hint", null);
  }

  /** Stop listening; the reason is shown if it was not asked for. */
  stop(reason = "") {
    this.microphone?.close();
    this.microphone = null;
    document.body.classList.remove("listening");
    const { stream } = this;
    if (stream && !stream.isOver) stream.end();
    this.now.classList.add("past");
    this.button.textContent = "Start listening";
    this.#setHealth("connection", null);
    if (reason) this.#fail(reason);
    else this.detail.textContent = IDLE;
  }

  #fail(reason) {
    this.detail.textContent = IDLE;
    this.#setHealth("failure", reason, "problem");
  }

  /** Show something about the audio or the server; problems stand in front and are announced. */
  #setHealth(name, text, kind = "") {
    if (text) this.health.set(name, { text, kind });
    else this.health.delete(name);
    const all = [...this.health.values()];
    const problems = all
      .filter((each) => each.kind === "problem")
      .map((each) => each.text)
      .join(" ");
    if (problems !== this.problems) report(byId("live-problem"), problems);
    this.problems = problems;
    byId("health").replaceChildren(
      ...all.filter((each) => each.kind !== "problem").map((each) => el("li", { className: each.kind }, each.text)),
    );
  }
}
