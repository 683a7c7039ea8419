// The enrol view: clips of each class in, a profile with its report out.

import { formOf, profilePath, request } from "/page/api.js";
import { byId, counted, el, report } from "/page/dom.js";
import { whyNoMicrophone } from "/page/microphone.js";
import { Drafts } from "/page/drafts.js";
import { profileReport } from "/page/profile_report.js";
import { Recorder } from "/page/recorder.js";

const NAME = /^[\p{L}\p{M}\p{N}][\p{L}\p{M}\p{N} ._-]{0,63}$/u; // as the server's names of profiles
const SUGGESTED = ["neutral", "joy", "anger", "sadness"];

export class EnrolView {
  /** `profiles` lists, chooses and reloads profiles; `live()` is the live view. */
  constructor(profiles, live) {
    this.profiles = profiles;
    this.live = live;
    this.isNew = false;
    this.lead = byId("enrol-lead");
    this.#build();
  }

  #build() {
    this.recorder = new Recorder(() => byId("device").value);
    this.name = el("input", {
      id: "profile-name",
      value: "me",
      maxLength: 64,
      autocomplete: "off",
      oninput: () => this.#update(),
    });
    this.nameRow = el("label", { className: "field" }, "Name of the profile ", this.name);
    this.className = el("input", {
      id: "class-name",
      maxLength: 64,
      autocomplete: "off",
      placeholder: "for example: bored",
      "aria-label": "Name of a class",
    });
    this.chips = el("div", { className: "row chips", role: "group", "aria-label": "Suggested classes" });
    const addClass = el(
      "form",
      {
        className: "row add-class",
        onsubmit: (event) => {
          event.preventDefault();
          this.#addClass(this.className.value);
        },
      },
      this.className,
      el("button", {}, "Add class"),
    );
    this.cards = el("div", { className: "cards" });
    this.warning = el("div", { role: "status" });
    this.drafts = new Drafts(this.cards, this.recorder, {
      onchange: () => this.#update(),
      onwarning: (text) => report(this.warning, text, "warning"),
    });
    this.submit = el("button", { type: "button", className: "primary", onclick: () => this.#enrol() });
    this.ready = el("p", { className: "detail" });
    this.problem = el("div", { role: "alert" });
    this.found = el("div", { id: "enrol-report", tabIndex: -1 });
    this.manage = el("div", { className: "row manage" });
    this.heading = el("h2", {});
    this.question = el("p", {});
    byId("enrol-body").replaceChildren(
      this.manage,
      this.found,
      el(
        "div",
        { className: "card" },
        this.heading,
        this.nameRow,
        this.question,
        el("div", { className: "row" }, this.chips, addClass),
        el(
          "p",
          { className: "detail" },
          "For each, record clips of three seconds: say anything, the way you say it when you feel like this. " +
            "Three clips are enough to start, five are better.",
        ),
        this.warning,
      ),
      this.cards,
      el("div", { className: "card submit" }, this.ready, this.problem, this.submit),
    );
    report(this.warning, whyNoMicrophone(), "warning");
  }

  /** Show the current profile, or the steps to a first one. */
  async show() {
    const name = this.isNew ? null : this.profiles.current();
    if (name !== this.shown) this.found.replaceChildren();
    this.shown = name;
    this.lead.textContent = name
      ? ""
      : "Teach metaser your classes: a few short clips of each, then it labels live speech.";
    this.heading.textContent = name ? `Add clips to the profile ${name}` : "Your classes";
    this.question.textContent = name
      ? "Choose a class, or name a new one:"
      : "Which emotions should be told apart? Two or more:";
    this.nameRow.hidden = Boolean(name);
    this.#showManage(name);
    if (name) {
      try {
        this.#showReport(await request("GET", profilePath(name)));
      } catch (error) {
        report(this.found, error.message);
      }
    } else {
      this.labels = [];
      if (!this.drafts.cards.length) for (const label of SUGGESTED.slice(0, 2)) this.drafts.add(label);
    }
    this.#update();
  }

  hide() {
    this.recorder.close();
  }

  #showManage(name) {
    const fresh = el("button", { type: "button", className: "quiet", onclick: () => this.#startNew() }, "New profile");
    const back = el(
      "button",
      { type: "button", className: "quiet", onclick: () => this.#stopNew() },
      "Back to the profile",
    );
    const forget = el(
      "button",
      { type: "button", className: "quiet danger", onclick: () => this.#askForget(name) },
      `Forget the profile ${name} …`,
    );
    this.manage.replaceChildren(...(name ? [fresh, forget] : this.profiles.current() ? [back] : []));
  }

  #startNew() {
    this.isNew = true;
    this.drafts.clear();
    this.name.value = this.profiles.names().includes("me") ? "" : "me";
    this.show();
    this.name.focus();
  }

  #stopNew() {
    this.isNew = false;
    this.drafts.clear();
    this.show();
  }

  /** Another profile was chosen. */
  changed() {
    this.isNew = false;
    this.drafts.clear();
  }

  #askForget(name) {
    const keep = el("button", { type: "button", onclick: () => this.#showManage(name) }, "Keep it");
    const forget = el(
      "button",
      { type: "button", className: "danger", onclick: () => this.#forget(name) },
      "Forget it for good",
    );
    this.manage.replaceChildren(
      el("p", { role: "alert" }, `Forget the profile ${name}? Its clips cannot be brought back.`),
      forget,
      keep,
    );
    keep.focus();
  }

  async #forget(name) {
    try {
      await request("DELETE", profilePath(name));
      this.found.replaceChildren();
      this.changed();
      await this.profiles.reload();
      this.show();
    } catch (error) {
      report(this.problem, error.message);
    }
  }

  #addClass(text) {
    const label = text.normalize("NFC").trim();
    if (!label) return;
    this.className.value = "";
    this.drafts.add(label).record.focus();
  }

  #showReport(facts, { keepsFocus = false } = {}) {
    this.labels = Object.keys(facts.classes);
    if (keepsFocus) return;
    this.found.replaceChildren(
      profileReport(facts, (changed, options) => {
        this.#showReport(changed, options);
        this.profiles.reload(facts.name);
        this.live().refresh();
      }),
      el("p", {}, el("button", { type: "button", className: "primary", onclick: () => this.#goLive() }, "Go live")),
    );
  }

  #goLive() {
    location.hash = "#live";
    this.live().start();
  }

  #update() {
    if (!this.submit) return; // while the view is built
    report(this.problem, "");
    const taken = new Set(this.drafts.cards.map((card) => card.label));
    const free = [...new Set([...(this.labels ?? []), ...SUGGESTED])].filter((label) => !taken.has(label));
    this.chips.replaceChildren(
      ...free.map((label) =>
        el("button", { type: "button", className: "chip", onclick: () => this.#addClass(label) }, `+ ${label}`),
      ),
    );
    const clips = this.drafts.clips;
    const filled = this.drafts.cards.filter((card) => card.clips.length);
    const adds = Boolean(this.shown);
    const isEnough = adds ? clips.length > 0 : filled.length >= 2 && this.name.value.trim() !== "";
    this.submit.disabled = !isEnough;
    this.submit.textContent = adds ? (clips.length ? `Add ${counted(clips.length, "clip")}` : "Add clips") : "Enrol";
    this.ready.textContent =
      adds && !clips.length
        ? "Record or choose clips to add."
        : isEnough
          ? this.drafts.summary
          : "Two classes are needed. Three clips of each are enough to start, five are better.";
  }

  async #enrol() {
    const name = this.shown ?? this.name.value.trim();
    if (!this.shown && !NAME.test(name)) {
      report(
        this.problem,
        "A profile cannot have this name: give letters, digits, spaces, - _ and ., beginning with a letter or digit.",
      );
      this.name.focus();
      return;
    }
    report(this.problem, "");
    this.submit.disabled = true;
    this.submit.textContent = "Enrolling …";
    try {
      const method = this.shown ? "POST" : "PUT";
      const facts = await request(
        method,
        this.shown ? profilePath(name, "clips") : profilePath(name),
        formOf(this.drafts.clips),
      );
      this.isNew = false;
      this.drafts.clear();
      this.recorder.close();
      await this.profiles.reload(facts.name);
      this.live().refresh();
      this.shown = facts.name;
      await this.show();
      this.#showReport(facts);
      this.found.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    } catch (error) {
      report(this.problem, error.message);
    }
    this.#update();
  }
}
