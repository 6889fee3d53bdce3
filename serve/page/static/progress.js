// How far the training is, and what came of it, in words.

import { $, make } from "./dom.js";
import { sentence } from "./words.js";

const STAGES = {
  extract: "Look for landmarks", audit: "Check the clips", train: "Train and test",
  ensemble: "Put together", publish: "Publish",
};

export function showStages(job) {
  $("#stages").hidden = !job;
  const list = $("#stages");
  (job?.stages ?? []).forEach((stage, number) => {
    const row = list.children[number] ?? list.appendChild(
      make("li", {}, make("b"), make("span"), make("small"), make("progress", { max: 1 }), make("em", { className: "hide" })));
    const [name, time, said, bar, state] = row.children;
    row.dataset.state = state.textContent = stage.state;
    name.textContent = STAGES[stage.name] ?? stage.name;
    time.textContent = stage.seconds ? clock(stage.seconds) : "";
    said.textContent = stage.state === "running" ? stage.said ?? "" : "";
    said.hidden = !said.textContent;
    bar.hidden = stage.state !== "running" || !stage.of;
    bar.setAttribute("aria-label", name.textContent);
    if (stage.of) bar.value = stage.done / stage.of;
  });
  while (list.children.length > (job?.stages?.length ?? 0)) list.lastChild.remove();
}

/** `onTry(result)` when the person wants to try it. */
export function showOutcome(job, onTry) {
  const place = $("#outcome");
  const key = JSON.stringify([job?.id, job?.state, job?.result, job?.error]);
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  const rows = !job ? [] : job.state === "failed" ? failed(job) : job.result ? done(job.result, onTry) : [];
  if (job?.state === "stopped") rows.push(make("h2", {}, "Stopped"), make("p", {}, "What is finished is kept; the next start goes on from there."));
  place.hidden = !rows.length;
  place.replaceChildren(...rows);
}

function failed({ error, stages, findings }) {
  const count = findings.filter(({ severity }) => severity === "error").length;
  if (count && stages.some(({ name, state }) => name === "audit" && state === "failed")) {
    const what = count === 1 ? "One thing must be mended" : `${count} things must be mended`;
    return [make("h2", {}, "Not yet"), make("p", {}, `${what} first. Or tick below what you accept, and train again.`)];
  }
  return [make("h2", {}, "It did not work"), make("p", { className: "note bad" }, sentence(error ?? "the server's log says why"))];
}

function done(result, onTry) {
  const button = make("button", { type: "button", className: "primary" }, "Try it");
  button.onclick = () => onTry(result);
  return [
    make("h2", {}, `Right ${Math.round(result.accuracy * 100)} times of 100`),
    make("p", {}, result.subject_independent
      ? "On people it had never seen: so it is to be expected of new ones."
      : "On other clips of the same people: expect less of strangers, and record more people."),
    make("p", { className: "note" }, `Measured on ${result.measured_on}. ${result.name} · ${result.version}`),
    button,
  ];
}

function clock(seconds) {
  return seconds < 60 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
