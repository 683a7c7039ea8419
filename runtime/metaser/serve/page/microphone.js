// The microphone at its own rate, without the browser's processing, or a plain reason why there is none.

const PROCESSING = {
  echoCancellation: "echo cancellation",
  noiseSuppression: "noise suppression",
  autoGainControl: "automatic gain",
};
const SILENT_CHUNKS = 20;

const REASONS = {
  NotAllowedError:
    "The browser does not allow this page to use the microphone. Allow it in the address bar, then try again.",
  NotFoundError: "No microphone was found. Connect one, then try again.",
  NotReadableError: "The microphone cannot be opened. Another program may be using it.",
  OverconstrainedError: "The chosen microphone is not there any more. Choose another one.",
  NotSupportedError: "This browser cannot use a microphone here.",
};

/** Why this page can have no microphone at all, or null. */
export function whyNoMicrophone() {
  if (!window.isSecureContext) {
    return (
      "Browsers give the microphone only to pages from this machine or over HTTPS. " +
      "Open this page at http://localhost, or start the server with --certificate and --key."
    );
  }
  if (!navigator.mediaDevices?.getUserMedia) return "This browser cannot use a microphone.";
  if (!window.AudioWorkletNode) return "This browser is too old to use the microphone: update it.";
  return null;
}

/** The microphones; they have names once one was opened. */
export async function listMicrophones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId);
}

export class Microphone {
  /**
   * Open a microphone. `onchunk(samples)` is called ten times a second, `onlost(reason)` if it disappears, and
   * `onsilence(isSilent)` when all its samples become zero, and when they no longer are.
   */
  static async open(deviceId, { onchunk, onlost, onsilence = () => {} }) {
    const reason = whyNoMicrophone();
    if (reason) throw new Error(reason);
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    if (deviceId) audio.deviceId = { exact: deviceId };
    let source;
    try {
      source = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The microphone cannot be opened (${error.name}).`);
    }
    const microphone = new Microphone(source);
    try {
      await microphone.#start({ onchunk, onlost, onsilence });
    } catch (error) {
      microphone.close();
      throw error;
    }
    return microphone;
  }

  constructor(source) {
    this.source = source;
    this.track = source.getAudioTracks()[0];
    this.context = new AudioContext();
    this.rate = this.context.sampleRate;
    this.name = this.track.label || "the microphone";
  }

  /** A sentence if the browser processes the sound in spite of what was asked for, or null. */
  get warning() {
    const settings = this.track.getSettings();
    const on = Object.keys(PROCESSING)
      .filter((name) => settings[name])
      .map((name) => PROCESSING[name]);
    return on.length
      ? `The browser keeps ${on.join(" and ")} on for this microphone, so labels may be less sure.`
      : null;
  }

  async #start({ onchunk, onlost, onsilence }) {
    await this.context.resume();
    await this.context.audioWorklet.addModule("/page/worklet.js");
    const node = new AudioWorkletNode(this.context, "chunks");
    const mute = new GainNode(this.context, { gain: 0 });
    this.context.createMediaStreamSource(this.source).connect(node).connect(mute).connect(this.context.destination);
    let silent = 0;
    node.port.onmessage = ({ data }) => {
      const isZero = data.every((sample) => sample === 0);
      if (isZero && ++silent === SILENT_CHUNKS) onsilence(true);
      if (!isZero && silent >= SILENT_CHUNKS) onsilence(false);
      if (!isZero) silent = 0;
      onchunk(data);
    };
    this.track.addEventListener("ended", () =>
      onlost("The microphone was disconnected. Connect it, then start again."),
    );
    this.context.addEventListener("statechange", () => {
      if (this.context.state === "interrupted") onlost("The system took the microphone away. Start again.");
    });
  }

  close() {
    for (const track of this.source.getTracks()) track.stop();
    if (this.context.state !== "closed") this.context.close();
  }
}

/** The loudest sample of a chunk in dBFS, -100 at least. */
export function peakDbfs(samples) {
  let peak = 1e-5;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  return 20 * Math.log10(peak);
}

/** Samples as 16-bit integers, little-endian. */
export function toPcm(samples) {
  const view = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((sample, index) => view.setInt16(2 * index, 32767 * Math.max(-1, Math.min(1, sample)), true));
  return view.buffer;
}

/** A WAV file of one channel. */
export function toWav(chunks, rate) {
  const length = chunks.reduce((sum, chunk) => sum + 2 * chunk.length, 0);
  const head = new DataView(new ArrayBuffer(44));
  const words = [
    [0, "RIFF"],
    [8, "WAVEfmt "],
    [36, "data"],
  ];
  for (const [place, word] of words)
    [...word].forEach((sign, index) => head.setUint8(place + index, sign.charCodeAt(0)));
  head.setUint32(4, 36 + length, true);
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, 1, true);
  head.setUint32(24, rate, true);
  head.setUint32(28, 2 * rate, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  head.setUint32(40, length, true);
  return new Blob([head.buffer, ...chunks.map(toPcm)], { type: "audio/wav" });
}
