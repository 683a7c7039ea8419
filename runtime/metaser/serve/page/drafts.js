// Clips that were recorded or chosen and are not enrolled yet, in cards by class.

import { request, sentence } from "/page/api.js";
import { byId, counted, el, report } from "/page/dom.js";

const WANTED = 5; // clips per class
const SECONDS = 3;
const UPLOADS = "audio/*,.wav,.flac,.mp3,.ogg,.opus,.m4a";

/** A class and its clips. */
class ClassCard {
  constructor(drafts, label) {
    Object.assign(this, { drafts, label, clips: [] });
    this.record = el("button", { type: "button", className: "primary record", onclick: () => this.#record() });
    this.level = el("i");
    this.meter = el("div", { className: "bar meter", hidden: true, "aria-hidden": "true" }, this.level);
    this.list = el("ul", { className: "clips", "aria-label": `Clips of ${label}` });
    this.problem = el("div", { role: "status" });
    this.files = el("input", {
      type: "file",
      accept: UPLOADS,
      multiple: true,
      className: "unseen",
      onchange: () => this.#upload(),
    });
    this.element = el(
      "article",
      { className: "card class", "aria-label": label },
      el(
        "div",
        { className: "row" },
        el("h3", {}, label),
        el(
          "button",
          {
            type: "button",
            className: "quiet",
            "aria-label": `Remove the class ${label}`,
            onclick: () => drafts.remove(this),
          },
          "Remove",
        ),
      ),
      this.list,
      this.problem,
      el(
        "div",
        { className: "row" },
        this.record,
        el("label", { className: "quiet button" }, this.files, "Choose files"),
      ),
      this.meter,
    );
    this.update();
  }

  update() {
    this.clips.filter((clip) => clip.isTake).forEach((clip, place) => clip.rename(`Clip ${place + 1}`));
    const number = this.clips.length + 1;
    this.record.textContent = number <= WANTED ? `Record clip ${number} of ${WANTED}` : `Record clip ${number}`;
    this.record.setAttribute("aria-label", `${this.record.textContent} for ${this.label}`);
    this.drafts.onchange();
  }

  async #record() {
    report(this.problem, "");
    this.drafts.lock(true);
    this.record.textContent = "Opening the microphone …";
    try {
      const blob = await this.drafts.recorder.take(SECONDS, this.level, (share) => {
        this.record.classList.toggle("recording", share > 0);
        this.meter.hidden = false;
        this.record.textContent = share > 0 ? `Speak now: ${(SECONDS * (1 - share)).toFixed(1)} s` : "Get ready …";
      });
      this.#stopped();
      this.record.textContent = "Checking …";
      await this.#add(blob, "", true);
      this.drafts.onwarning(this.drafts.recorder.warning);
    } catch (error) {
      report(this.problem, error.message);
    }
    this.#stopped();
    this.drafts.lock(false);
    this.update();
    this.record.focus();
  }

  #stopped() {
    this.record.classList.remove("recording");
    this.meter.hidden = true;
  }

  async #upload() {
    report(this.problem, "");
    const problems = [];
    for (const file of [...this.files.files]) {
      try {
        await this.#add(file, file.name, false);
      } catch (error) {
        problems.push(`${file.name}: ${error.message}`);
      }
    }
    this.files.value = "";
    report(this.problem, problems.join(" "));
    this.update();
  }

  /** Let the server judge a clip, and keep it unless it is refused. */
  async #add(blob, name, isTake) {
    const quality = await request("POST", "/v1/quality", blob);
    const clip = { blob, isTake, url: URL.createObjectURL(blob) };
    const advice = [...quality.faults, ...quality.notices];
    const shown = el("span", { className: "name" });
    const play = playButton(clip.url);
    const drop = el("button", { type: "button", className: "quiet", onclick: () => this.#drop(clip) }, "Drop");
    clip.rename = (title) => {
      clip.name = isTake ? `${title.toLowerCase()}.wav` : title;
      shown.textContent = title;
      play.setAttribute("aria-label", `Play ${title} of ${this.label}`);
      drop.setAttribute("aria-label", `Drop ${title} of ${this.label}`);
    };
    clip.rename(name);
    const length = `${quality.speech_s.toFixed(1)} s of speech, ${Math.round(quality.level_dbfs)} dBFS`;
    clip.element = el(
      "li",
      {},
      shown,
      el("span", { className: "detail" }, length),
      el("span", { className: "row" }, play, drop),
      advice.length
        ? el(
            "p",
            { className: "warning" },
            `${sentence(advice.join("; "))} ${isTake ? "Drop it and record it again." : "Better drop it."}`,
          )
        : null,
    );
    this.clips.push(clip);
    this.list.append(clip.element);
  }

  #drop(clip) {
    URL.revokeObjectURL(clip.url);
    clip.element.remove();
    this.clips = this.clips.filter((each) => each !== clip);
    this.update();
    this.record.focus();
  }

  clear() {
    for (const clip of this.clips) URL.revokeObjectURL(clip.url);
  }
}

/** A button that plays a clip, and stops it. */
function playButton(url) {
  const audio = new Audio(url);
  const button = el(
    "button",
    { type: "button", className: "quiet play", onclick: () => (audio.paused ? audio.play() : stop()) },
    "Play",
  );
  const stop = () => {
    audio.pause();
    audio.currentTime = 0;
  };
  audio.onplaying = () => (button.textContent = "Stop");
  audio.onpause = audio.onended = () => (button.textContent = "Play");
  return button;
}

/** All classes with clips to enrol. */
export class Drafts {
  constructor(container, recorder, { onchange, onwarning }) {
    Object.assign(this, { container, recorder, onchange, onwarning, cards: [] });
  }

  /** A card for a class; an existing one is found again. */
  add(label) {
    const known = this.cards.find((card) => card.label === label);
    if (known) return known;
    const card = new ClassCard(this, label);
    this.cards.push(card);
    this.container.append(card.element);
    this.onchange();
    return card;
  }

  remove(card) {
    card.clear();
    card.element.remove();
    this.cards = this.cards.filter((each) => each !== card);
    this.onchange();
    byId("class-name")?.focus();
  }

  clear() {
    for (const card of this.cards) {
      card.clear();
      card.element.remove();
    }
    this.cards = [];
  }

  /** Only one take at a time. */
  lock(isLocked) {
    for (const card of this.cards) card.record.disabled = isLocked;
  }

  get clips() {
    return this.cards.flatMap((card) => card.clips.map(({ blob, name }) => ({ label: card.label, blob, name })));
  }

  get summary() {
    return this.cards.map((card) => `${card.label}: ${counted(card.clips.length, "clip")}`).join(", ");
  }
}
