// The answer's card: what it was, how sure that is, how long it took, who said it.

import { chart } from "./chart.js";
import { $, bytes, make, percent, seconds, tell } from "./dom.js";
import { NO_HAND, sentence } from "./words.js";

/** Nothing is answered yet, or not any more. */
export function showNothing() {
  $("#result").dataset.state = "empty";
}

/** Of a whole clip: an answer of :predictVideo, and what it cost. */
export function showAnswer({ answer, sentMs, totalMs, timing }, size) {
  const [said] = answer.predictions;
  const { video } = answer;
  const unseen = said.found === 0;
  const label = unseen ? "No hand was seen" : said.label ?? "None of the labels";
  show("Recognised", label, unseen ? null : Object.values(said.probabilities)[0]);
  note(unseen ? `${NO_HAND.mend}` : seldom(said.found), "warn");
  bars(unseen ? {} : said.probabilities);
  facts([
    ["Upload", `${seconds(sentMs)} · ${bytes(size)}`],
    ...(timing.extraction
      ? [["Extraction", `${seconds(timing.extraction)} · ${video.frames} frames`], ["Answer", seconds(timing.answer)]]
      : [["Extraction and answer", `${seconds(totalMs - sentMs)} · ${video.frames} frames`]]),
    ["In all", seconds(totalMs)],
    ["Answered by", `${answer.model} · ${answer.version}`],
  ]);
  const sure = Object.values(said.probabilities)[0];
  tell(unseen ? `${NO_HAND.title}. ${NO_HAND.mend}` : `${label}${sure === undefined ? "" : `, ${percent(sure)} sure`}`);
}

/** Of the last moments of a camera. */
export function showNow(label, probabilities) {
  show("Now", label ?? "…", label ? probabilities[label] : null);
  bars(probabilities);
}

export function showLive(model) {
  show("Now", "…", null);
  note("");
  bars({});
  facts([]);
  $("#course").hidden = true;
  $("#events").hidden = false;
  $("#events ol").replaceChildren(make("li", { className: "note" }, `${model.model} watches. Move!`));
}

export function showCourse(told) {
  $("#course").hidden = !told;
  return told ? chart($("#course div"), told) : () => {};
}

export function facts(rows) {
  $("#facts").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

export function note(text, kind = "") {
  const place = $("#said-note");
  place.className = `note ${kind}`;
  place.textContent = text;
  place.hidden = !text;
}

function show(over, label, sure) {
  $("#result").dataset.state = "answer";
  $("#said-over").textContent = over;
  $("#said").textContent = label;
  $("#sure").textContent = sure === null || sure === undefined ? "" : percent(sure);
  if (over !== "Now") [$("#events").hidden, $("#course").hidden] = [true, true];
}

function bars(probabilities) {
  const list = $("#bars");
  const rows = Object.entries(probabilities);
  while (list.children.length > rows.length) list.lastChild.remove();
  rows.forEach(([label, share], number) => {
    const row = list.children[number] ?? list.appendChild(make("li", {}, make("span"), make("span"), make("i")));
    row.children[0].textContent = label;
    row.children[1].textContent = percent(share);
    row.children[2].style.setProperty("--share", share);
  });
}

function seldom(found) {
  return found < 0.5 ? sentence(`a hand was seen in ${percent(found)} of the frames only: the answer may be a guess`) : "";
}
