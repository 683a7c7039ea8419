// Takes of a few seconds from the microphone, with a level meter.

import { Microphone, peakDbfs, toWav } from "/page/microphone.js";

const IDLE_MS = 60_000; // the microphone is released when nothing was recorded for so long
const RANGE_DB = 60;
const LEAD_S = 0.7; // to get ready, and for the click of the button to fade

export class Recorder {
  /** `deviceId()` names the microphone. */
  constructor(deviceId) {
    this.deviceId = deviceId;
  }

  get warning() {
    return this.microphone?.warning ?? null;
  }

  /** Record so many seconds; `onprogress(share)` is called while it lasts, and `meter` shows the level. */
  async take(seconds, meter, onprogress) {
    this.meter = meter;
    if (!this.microphone) await this.#open();
    clearTimeout(this.idle);
    const { rate } = this.microphone;
    const chunks = [];
    let waited_s = 0;
    try {
      return await new Promise((resolve, reject) => {
        this.reject = reject;
        this.onchunk = (samples) => {
          if (waited_s < LEAD_S) {
            waited_s += samples.length / rate;
            onprogress(0);
            return;
          }
          chunks.push(samples);
          const heard_s = chunks.reduce((sum, chunk) => sum + chunk.length, 0) / rate;
          onprogress(Math.min(1, heard_s / seconds));
          if (heard_s >= seconds) resolve(toWav(chunks, rate));
        };
      });
    } finally {
      this.onchunk = this.reject = null;
      this.idle = setTimeout(() => this.close(), IDLE_MS);
    }
  }

  async #open() {
    this.microphone = await Microphone.open(this.deviceId(), {
      onchunk: (samples) => {
        this.onchunk?.(samples);
        this.#show(peakDbfs(samples));
      },
      onlost: (reason) => {
        this.close();
        this.reject?.(new Error(reason));
      },
    });
  }

  #show(dbfs) {
    if (!this.onchunk) return;
    this.meter.style.width = `${100 * Math.max(0, Math.min(1, 1 + dbfs / RANGE_DB))}%`;
    this.meter.classList.toggle("loud", dbfs > -1);
  }

  close() {
    clearTimeout(this.idle);
    this.microphone?.close();
    this.microphone = null;
  }
}
