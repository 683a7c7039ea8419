// The page: access, the choice of a profile, and the three views.

import { request, token } from "/page/api.js";
import { byId, el, report } from "/page/dom.js";
import { EnrolView } from "/page/enrol.js";
import { FileView } from "/page/file.js";
import { LiveView } from "/page/live.js";

const VIEWS = ["live", "enrol", "file"];
const CHOSEN = "metaser profile";
const select = byId("profile");
let known = [];

const profiles = {
  names: () => known.map((profile) => profile.name),
  current: () => select.value || null,
  /** Read the list again, and choose a profile. */
  async reload(chosen = select.value || localStorage.getItem(CHOSEN)) {
    const before = select.value;
    known = (await request("GET", "/v1/profiles")).profiles;
    const options = known.map(({ name, problem }) =>
      el("option", { value: name, disabled: Boolean(problem) }, problem ? `${name} (cannot be used)` : name),
    );
    select.replaceChildren(...(options.length ? options : [el("option", { value: "" }, "none yet")]));
    if (known.some(({ name, problem }) => name === chosen && !problem)) select.value = chosen;
    else select.value = known.find(({ problem }) => !problem)?.name ?? "";
    if (select.value) localStorage.setItem(CHOSEN, select.value);
    if (select.value !== before) this.onchange();
  },
  /** Called when another profile is chosen, or the chosen one is gone. */
  onchange: () => {},
};

async function start() {
  let bundle;
  try {
    bundle = await request("GET", "/v1/bundle");
    await profiles.reload();
  } catch (error) {
    if (error.code === "token") askForToken();
    else
      byId("views").prepend(
        el("p", { className: "problem", role: "alert" }, `${error.message} Reload this page when it runs.`),
      );
    return;
  }
  byId("about").textContent =
    `Model ${bundle.name} (${bundle.licence}) on ${bundle.provider}. ` +
    `Your voice is sent to ${location.host} and nowhere else.`;
  const views = {
    live: new LiveView(profiles.current),
    enrol: new EnrolView(profiles, () => views.live),
    file: new FileView(profiles.current),
  };
  const show = () => {
    const asked = location.hash.slice(1);
    const name = VIEWS.includes(asked) ? asked : profiles.current() ? "live" : "enrol";
    for (const each of VIEWS) byId(each).hidden = each !== name;
    for (const link of document.querySelectorAll("nav a")) {
      if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${document.querySelector(`nav a[href="#${name}"]`).textContent} · metaser`;
    if (name !== "enrol") views.enrol.hide();
    window.scrollTo(0, 0);
    views[name].show();
  };
  profiles.onchange = () => {
    views.live.forget();
    views.file.forget();
  };
  select.addEventListener("change", () => {
    localStorage.setItem(CHOSEN, select.value);
    profiles.onchange();
    views.enrol.changed();
    show();
  });
  window.addEventListener("hashchange", show);
  window.addEventListener("pagehide", () => views.live.stop());
  show();
}

function askForToken() {
  const form = byId("token-form");
  form.hidden = false;
  if (token.get()) report(byId("token-problem"), "This token is wrong.");
  byId("token").focus();
  form.onsubmit = (event) => {
    event.preventDefault();
    token.set(byId("token").value);
    form.hidden = true;
    start();
  };
}

start();
