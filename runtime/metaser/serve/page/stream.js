// One labelled stream of samples. It is opened again when the connection is lost, and says why it was.

import { sentence, streamAddress, token, whyNoStream } from "/page/api.js";
import { toPcm } from "/page/microphone.js";

const FIRST_WAIT_S = 1;
const LONGEST_WAIT_S = 15;
const WAITING_S = 3; // of audio that is kept while the first connection is made
const MOST_BUFFERED_S = 1;
const FINAL = new Set(["token", "not_found", "bad_input", "start", "audio", "text"]); // trying again changes nothing

export class LabelledStream {
  /**
   * `start` holds the fields of the server's start message. `onready(message)`, `onevent(event)` with times in seconds
   * since the first sample, `onstate(state, reason)` with "connecting", "open", "waiting", "failed" or "ended".
   */
  constructor(rate, start, { onready = () => {}, onevent, onstate }) {
    Object.assign(this, { rate, start, onready, onevent, onstate });
    this.captured = 0; // samples
    this.lost_s = 0; // that never left this page
    this.queue = [];
    this.wait_s = FIRST_WAIT_S;
    this.isOver = false;
    this.#connect();
  }

  get captured_s() {
    return this.captured / this.rate;
  }

  /** Send samples, or drop them if the connection is too slow or lost. */
  push(samples) {
    this.captured += samples.length;
    if (this.isReady && this.socket.bufferedAmount <= MOST_BUFFERED_S * 2 * this.rate) {
      this.socket.send(toPcm(samples));
    } else if (!this.isReady && !this.wasOpen && this.queue.length < 10 * WAITING_S) {
      this.queue.push(samples);
    } else {
      this.lost_s += samples.length / this.rate;
    }
  }

  /** Send samples of a recording, no faster than they can go. */
  async pushAll(samples, onprogress) {
    const step = Math.round(this.rate / 4);
    for (let place = 0; place < samples.length && !this.isOver; place += step) {
      while (!this.isOver && (!this.isReady || this.socket.bufferedAmount > 20 * step)) await pause(0.02);
      if (!this.isOver) this.socket.send(toPcm(samples.subarray(place, place + step)));
      onprogress(Math.min(1, (place + step) / samples.length));
    }
  }

  /** End the stream; its last events come before it is "ended". */
  end() {
    if (this.isOver) return;
    clearTimeout(this.timer);
    if (this.isReady) {
      this.isEnding = true;
      this.socket.send(JSON.stringify({ type: "end" }));
    } else {
      this.#finish("ended", "");
    }
  }

  /** Drop the stream without another word. */
  cancel() {
    clearTimeout(this.timer);
    Object.assign(this, { onready: () => {}, onevent: () => {}, onstate: () => {} });
    if (!this.isOver) this.#finish("ended", "");
  }

  #connect() {
    this.onstate("connecting", "");
    this.error = null;
    const socket = new WebSocket(streamAddress());
    this.socket = socket;
    socket.onopen = () => {
      const fields = { type: "start", rate: this.rate, channels: 1, format: "s16le", ...this.start };
      socket.send(JSON.stringify(token.get() ? { ...fields, token: token.get() } : fields));
    };
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    socket.onclose = () => this.#closed();
  }

  #take(message) {
    if (message.event === "ready") {
      this.isReady = this.wasOpen = true;
      this.wait_s = FIRST_WAIT_S;
      const queued = this.queue.splice(0);
      this.offset_s = (this.captured - queued.reduce((sum, samples) => sum + samples.length, 0)) / this.rate;
      for (const samples of queued) this.socket.send(toPcm(samples));
      this.onstate("open", "");
      this.onready(message);
    } else if (message.event === "error") {
      this.error = message;
    } else {
      const moved = { ...message };
      for (const name of ["start_s", "end_s"]) if (typeof moved[name] === "number") moved[name] += this.offset_s;
      this.onevent(moved);
    }
  }

  async #closed() {
    this.isReady = false;
    if (this.isOver) return;
    if (this.isEnding) return this.#finish("ended", "");
    if (this.error && FINAL.has(this.error.code)) return this.#finish("failed", sentence(this.error.message));
    const reason = this.error ? sentence(this.error.message) : ((await whyNoStream()) ?? "The connection was lost.");
    if (this.isOver) return;
    if (this.start.live === false) return this.#finish("failed", reason);
    this.onstate("waiting", `${reason} Trying again in ${this.wait_s} s.`);
    this.timer = setTimeout(() => this.#connect(), 1000 * this.wait_s);
    this.wait_s = Math.min(2 * this.wait_s, LONGEST_WAIT_S);
  }

  #finish(state, reason) {
    this.isOver = true;
    this.socket.onclose = null;
    this.socket.close();
    this.onstate(state, reason);
  }
}

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}
