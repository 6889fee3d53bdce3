// The page: what it can do here, which view is shown, and the keys that work everywhere.

import { ask } from "./api.js";
import { $ } from "./dom.js";
import { useEdges } from "./draw.js";
import { loadModels } from "./models.js";
import { leaveRecord, showRecord, startRecord, stopRecording } from "./record.js";
import { leaveTrain, showTrain, startTrain } from "./train.js";
import { leaveTry, startTry, stopTrying } from "./try.js";
import { inWords } from "./words.js";

const VIEWS = {
  try: { leave: leaveTry, go: "#try-go", stop: stopTrying, show: () => loadModels() },
  record: { leave: leaveRecord, go: "#record-go", stop: stopRecording, show: showRecord },
  train: { leave: leaveTrain, go: null, stop: () => {}, show: showTrain },
};
let now = "try";

start().catch(unable);

/** Nothing can be shown: why not, where people look first. */
function unable(error) {
  $(`#${now} .lead`).textContent = inWords(error).join(". ");
}

async function start() {
  const state = await ask("page/state");
  useEdges(state.edges);
  startTry(state);
  if (state.record) {
    startRecord(state);
    startTrain(state);
  }
  if (!state.record) $("#no-models p").textContent = "Start the server with one: python -m serve --page --bundle DIR";
  for (const element of document.querySelectorAll("[data-needs-record]")) element.hidden = !state.record;
  const show = () => showView(state.record && location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "try");
  window.addEventListener("hashchange", () => (show(), $("#main").focus()));
  document.addEventListener("keydown", onKey);
  show();
}

function showView(name) {
  if (name !== now) VIEWS[now].leave();
  now = name;
  for (const each of Object.keys(VIEWS)) {
    $(`#${each}`).hidden = each !== name;
    const link = $(`nav a[href="#${each}"]`);
    if (each === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${$(`#${name} h1`).textContent} · sigflow`;
  VIEWS[name].show().catch(unable);
}

/** Space records, where it does not already mean something to what has the focus; Escape stops. */
function onKey(event) {
  if ($("#key").open) return;
  const free = !event.target.closest("input, select, textarea, button, a, [role=slider]");
  if (event.key === " " && free && VIEWS[now].go) {
    event.preventDefault();
    if (!event.repeat) $(VIEWS[now].go).click();
  }
  if (event.key === "Escape") VIEWS[now].stop();
}
