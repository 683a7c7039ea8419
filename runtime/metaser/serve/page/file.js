// Label a file: one label for a clip, segments for a longer recording.

import { request } from "/page/api.js";
import { colourClass, nameOf, setLabels } from "/page/colours.js";
import { byId, el, percent, report } from "/page/dom.js";
import { scoreRow } from "/page/scores.js";
import { SegmentTable } from "/page/segments.js";
import { LabelledStream } from "/page/stream.js";

const LONGEST_CLIP_S = 20;

export class FileView {
  constructor(profileName) {
    this.profileName = profileName;
    this.result = byId("file-result");
    this.problem = byId("file-problem");
    const drop = byId("drop");
    const input = byId("file-input");
    input.addEventListener("change", () => {
      if (input.files[0]) this.#label(input.files[0]);
      input.value = "";
    });
    for (const name of ["dragover", "drop"]) {
      window.addEventListener(name, (event) => event.preventDefault()); // else the browser opens the file
    }
    drop.addEventListener("dragover", () => drop.classList.add("over"));
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      drop.classList.remove("over");
      const [file] = event.dataTransfer.files;
      if (file) this.#label(file);
    });
  }

  show() {
    report(this.problem, this.profileName() ? "" : "There is no profile yet: enrol your classes first.");
  }

  /** Remove what is shown: the profile is another one. */
  forget() {
    this.stream?.cancel();
    this.result.replaceChildren();
    byId("file-segments").replaceChildren();
    byId("file-segments").className = "";
  }

  async #label(file) {
    if (!this.profileName()) return this.show();
    this.forget();
    report(this.problem, "");
    this.result.replaceChildren(el("p", {}, `Reading ${file.name} …`));
    try {
      const recording = await decoded(file);
      if (recording && recording.duration > LONGEST_CLIP_S) await this.#stream(file, recording);
      else
        this.#showLabel(
          file,
          await request("POST", `/v1/classify?profile=${encodeURIComponent(this.profileName())}`, file),
        );
    } catch (error) {
      this.result.replaceChildren();
      report(this.problem, `${file.name}: ${error.message}`);
    }
  }

  #showLabel(file, { label, confidence, scores, duration_s, notices }) {
    setLabels(Object.keys(scores));
    this.result.replaceChildren(
      el(
        "div",
        { className: "card stage" },
        el("p", { className: `label ${colourClass(label)}` }, nameOf(label)),
        el("p", { className: "detail" }, `${file.name}, ${duration_s.toFixed(1)} s: ${percent(confidence)} sure`),
        el("ul", { className: "scores" }, ...Object.entries(scores).map(([name, score]) => filledRow(name, score))),
        ...notices.map((line) => el("p", { className: "warning" }, line)),
      ),
    );
  }

  #stream(file, recording) {
    const table = new SegmentTable(byId("file-segments"), "No segment yet.", { name: file.name });
    byId("file-segments").className = "card";
    const progress = el("progress", { max: 1, value: 0, "aria-label": `Labelling ${file.name}` });
    this.result.replaceChildren(el("p", {}, `Labelling ${file.name} …`), progress);
    const notices = [];
    return new Promise((resolve, reject) => {
      this.stream = new LabelledStream(
        recording.sampleRate,
        { profile: this.profileName(), live: false },
        {
          onready: ({ labels }) => setLabels(labels),
          onevent: ({ event, start_s, end_s, label, confidence, scores, message }) => {
            if (event === "leave") table.add({ start_s, end_s, label, confidence, scores });
            if (event === "notice") notices.push(message);
          },
          onstate: (state, reason) => {
            if (state === "failed") reject(new Error(reason));
            if (state !== "ended") return;
            this.result.replaceChildren(
              el("p", {}, `${file.name} is labelled.`),
              ...notices.map((line) => el("p", { className: "warning" }, line)),
            );
            resolve();
          },
        },
      );
      this.stream.pushAll(mono(recording), (share) => (progress.value = share)).then(() => this.stream.end());
    });
  }
}

/** The sound of a file at its own rate where the browser can read it, else null: the server may be able to. */
async function decoded(file) {
  const context = new OfflineAudioContext(1, 1, 16_000);
  try {
    return await context.decodeAudioData(await file.arrayBuffer());
  } catch {
    return null;
  }
}

function mono(recording) {
  const channels = Array.from({ length: recording.numberOfChannels }, (_, place) => recording.getChannelData(place));
  return channels.length === 1
    ? channels[0]
    : channels[0].map((_, place) => channels.reduce((sum, each) => sum + each[place], 0) / channels.length);
}

function filledRow(name, score) {
  const row = scoreRow(name);
  row.show(score);
  return row.element;
}
