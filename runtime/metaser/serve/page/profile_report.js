// What a profile holds and how well it works: verdict, classes, clips, error rates.

import { profilePath, request, sentence } from "/page/api.js";
import { counted, el, percent, report } from "/page/dom.js";

const LEVELS = {
  reliable: "Reliable",
  unreliable: "Not reliable yet",
  guessing: "No better than guessing",
  untested: "Too few clips to tell",
};

/** The report on a profile; `onchange(facts)` is called when the person removes something or sets the rates. */
export function profileReport(facts, onchange) {
  const { verdict, findings, pairs } = facts.report;
  const overlaps = pairs.filter((pair) => pair.overlaps);
  return el(
    "div",
    { className: "card report" },
    el("p", { className: `verdict ${verdict.level}` }, LEVELS[verdict.level] ?? verdict.level),
    el("p", {}, verdict.sentence),
    overlaps.length
      ? el(
          "p",
          { className: "warning" },
          `Hard to tell apart: ${overlaps.map((pair) => pair.labels.join(" and ")).join("; ")}. ` +
            "Record clips in which they differ more clearly.",
        )
      : null,
    ...facts.notices.map((line) => el("p", { className: "warning" }, sentence(line))),
    findings.length ? el("ul", { className: "findings" }, ...findings.map((line) => el("li", {}, line))) : null,
    rates(facts, onchange),
    classTable(facts, onchange),
  );
}

function classTable(facts, onchange) {
  const problem = el("div", { role: "status" });
  const remove = async (...what) => {
    try {
      onchange(await request("DELETE", profilePath(facts.name, "clips", ...what)));
    } catch (error) {
      report(problem, error.message);
    }
  };
  const rows = facts.report.classes.map((each) => {
    const clips = facts.report.clips.filter((clip) => clip.label === each.label);
    return el(
      "details",
      { className: "row-details" },
      el(
        "summary",
        {},
        el("strong", {}, each.label),
        ` ${counted(each.clips, "clip")}, ${each.speech_s.toFixed(1)} s of speech`,
        each.recognised === null ? "" : `, ${each.recognised} recognised when left out`,
      ),
      el(
        "ul",
        { className: "clips" },
        ...clips.map((clip) =>
          el(
            "li",
            {},
            el("span", { className: "name" }, clip.name),
            el("span", { className: "detail" }, remarks(clip)),
            el(
              "button",
              {
                type: "button",
                className: "quiet",
                "aria-label": `Remove ${clip.name} of ${clip.label}`,
                onclick: () => remove(clip.label, clip.sha256),
              },
              "Remove",
            ),
          ),
        ),
      ),
      el(
        "button",
        { type: "button", className: "quiet", onclick: () => remove(each.label) },
        `Remove the class ${each.label}`,
      ),
    );
  });
  return el("div", { className: "classes" }, el("h3", {}, "Classes"), problem, ...rows);
}

function remarks(clip) {
  const found = [...clip.faults];
  if (clip.outlier) found.push(`more like ${clip.nearest}`);
  if (clip.twin) found.push(`repeats ${clip.twin}`);
  if (clip.copies.length) found.push("has copies");
  return found.length ? found.join(", ") : "no fault found";
}

/** A slider over the limits of false accepts, with both rates that follow. */
function rates(facts, onchange) {
  const place = el("div", { className: "rates" });
  const show = ({ current, choices }) => {
    if (!choices.length) {
      place.replaceChildren(
        el("p", { className: "detail" }, "Too few clips to estimate error rates: record three or more per class."),
      );
      return;
    }
    const shown = el("p", { className: "both", role: "status" });
    const at = Math.max(
      0,
      choices.findIndex((choice) => choice.limit === current),
    );
    const describe = (index) => {
      const { false_accepts, false_rejects } = choices[index];
      return (
        `${percent(false_accepts)} of speech that is none of your classes gets a label; ` +
        `${percent(false_rejects)} of correct labels become “unknown”.`
      );
    };
    const slider = el("input", {
      type: "range",
      min: 0,
      max: choices.length - 1,
      step: 1,
      value: at,
      id: "rates",
      oninput: () => {
        shown.textContent = describe(slider.valueAsNumber);
        slider.setAttribute("aria-valuetext", shown.textContent);
      },
      onchange: async () => {
        const body = JSON.stringify({ false_accepts: choices[slider.valueAsNumber].limit });
        try {
          onchange(await request("PUT", profilePath(facts.name, "calibration"), body), { keepsFocus: true });
          shown.textContent = `${describe(slider.valueAsNumber)} Saved.`;
        } catch (error) {
          shown.textContent = error.message;
        }
      },
    });
    shown.textContent = describe(at);
    slider.setAttribute("aria-valuetext", shown.textContent);
    place.replaceChildren(
      el("h3", {}, el("label", { htmlFor: "rates" }, "How soon the answer is “unknown”")),
      el(
        "div",
        { className: "row slider" },
        el("span", { className: "detail" }, "rarely"),
        slider,
        el("span", { className: "detail" }, "often"),
      ),
      shown,
    );
  };
  request("GET", profilePath(facts.name, "calibration")).then(show, (error) => report(place, error.message));
  return place;
}
