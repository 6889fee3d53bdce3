// Train: check what was recorded, start, watch, stop; then try the new recogniser.

import { ask } from "./api.js";
import { byLabel } from "./counts.js";
import { $, make, tell } from "./dom.js";
import { showFindings } from "./findings.js";
import { loadModels } from "./models.js";
import { showOutcome, showStages } from "./progress.js";
import { inWords } from "./words.js";

const LOOK_MS = 1000;
let timer = 0;
let shown = ""; // the state that was told last

export function startTrain({ recipes }) {
  $("#recipe").replaceChildren(...recipes.map((name) => make("option", { value: name }, name)));
  $("#recipe-field").hidden = recipes.length < 2;
  $("#job-form").onsubmit = (event) => (event.preventDefault(), begin("bundle"));
  $("#job-check").onclick = () => $("#job-form").reportValidity() && begin("audit");
  $("#job-stop").onclick = () => attempt(() => ask("page/jobs", { method: "DELETE" }));
}

export async function showTrain() {
  await attempt(async () => {
    const { clips } = await ask("page/state");
    const labels = [...byLabel(clips, [])].filter(([, count]) => count);
    const count = labels.reduce((sum, [, each]) => sum + each, 0);
    const people = Object.values(clips).filter((of) => Object.values(of).some(Boolean)).length;
    $("#recorded").textContent = count
      ? `${some(count, "clip", "clips")} of ${some(labels.length, "movement", "movements")} by ${some(people, "person", "people")}.`
      : "";
    [$("#nothing").hidden, $("#train-body").hidden] = [labels.length > 1, labels.length < 2];
  });
  look();
}

export function leaveTrain() {
  clearTimeout(timer);
}

async function begin(until) {
  const force = [...document.querySelectorAll("#findings input:checked")].map((box) => box.value);
  const recipe = $("#recipe").value || "recorded_gestures";
  await attempt(async () => {
    await ask("page/jobs", { method: "POST", json: { until, recipe, name: $("#job-name").value.trim(), force } });
    shown = "";
  });
  look();
}

/** Once now, and again as long as something runs. */
async function look() {
  clearTimeout(timer);
  if ($("#train").hidden) return;
  let running = true;
  await attempt(async () => {
    const { job } = await ask("page/jobs");
    show(job);
    running = job?.state === "running";
  });
  if (running) timer = setTimeout(look, LOOK_MS);
}

function show(job) {
  const running = job?.state === "running";
  $("#job-stop").hidden = !running;
  $("#job-train").disabled = $("#job-check").disabled = running;
  showStages(job);
  showFindings(job, begin);
  showOutcome(job, tryIt);
  const said = job ? `${job.id} ${job.state}` : "";
  if (said !== shown && job) tell({ running: "Working", done: "Done", failed: "It failed", stopped: "Stopped" }[job.state]);
  shown = said;
}

async function tryIt({ name, version }) {
  await attempt(async () => {
    if (!(await loadModels({ name, version }))) {
      $("#job-note").textContent = "The server is still loading it; try again in a moment.";
      return;
    }
    location.hash = "try";
  });
}

async function attempt(work) {
  $("#job-note").textContent = "";
  try {
    await work();
  } catch (error) {
    $("#job-note").textContent = inWords(error).join(": ");
  }
}

const some = (count, one, many) => `${count} ${count === 1 ? one : many}`;
