// Record: who, which movements, one clip after the other; what is missing next.

import { ask } from "./api.js";
import { advice, byLabel, nextLabel } from "./counts.js";
import { $, make, tell } from "./dom.js";
import { kept, showKept } from "./kept.js";
import { showLabels } from "./labels.js";
import { enqueue, isFull, unsent, watchQueue } from "./queue.js";
import { showQueue } from "./session.js";
import { makeStage } from "./stage.js";
import { sentence } from "./words.js";

const PLACE = "sigflow.labels";
let stage;
let page; // what the server says: target, clips, ...
let labels = [];
let picked = null; // a label that was chosen by hand, until it is pressed again
let doing = null;

export function startRecord(state) {
  page = state;
  stage = makeStage($("#record-stage"), "Turn on the camera. You see yourself as in a mirror.");
  $("#prepare").value = state.prepare_s;
  $("#seconds").value = state.record_s;
  labels = JSON.parse(localStorage.getItem(PLACE) ?? "[]");
  $("#record-go").onclick = go;
  $("#record-close").onclick = leaveRecord;
  $("#subject").oninput = show;
  $("#add-label").onsubmit = addLabel;
  watchQueue(onQueue);
}

export async function showRecord() {
  page.clips = (await ask("page/state")).clips;
  for (const label of byLabel(page.clips, []).keys()) if (!labels.includes(label)) labels.push(label);
  show();
  if (!subject()) $("#subject").focus();
}

export function leaveRecord() {
  stopRecording();
  stage.close();
  show();
}

export function stopRecording() {
  doing?.abort(new DOMException("stopped", "AbortError"));
}

const subject = () => $("#subject").value.trim();
const next = () => picked ?? nextLabel(counts(), labels, subject(), page.target);

/** What the server has, and what is on its way to it. */
function counts() {
  const all = structuredClone(page.clips);
  for (const { subject, label } of unsent()) {
    all[subject] ??= {};
    all[subject][label] = (all[subject][label] ?? 0) + 1;
  }
  return all;
}

async function go() {
  if (doing) return stopRecording();
  const mine = (doing = new AbortController());
  show();
  try {
    const isNew = !stage.stream;
    await stage.camera(leaveRecord);
    if (isNew) return;
    if (!whatIsMissing()) do await one(mine.signal);
    while ($("#keep-going").checked && !whatIsMissing());
  } catch (error) {
    stage.fail(error);
  } finally {
    doing = null;
    show();
  }
}

async function one(signal) {
  const [who, what] = [subject(), next()];
  stage.badge(what);
  tell(`Get ready: ${what}`, { now: true });
  const clip = await stage.take(Number($("#prepare").value), Number($("#seconds").value), signal);
  enqueue(clip, who, what);
}

/** Says it, and moves the focus there. */
function whatIsMissing() {
  if (isFull()) {
    stage.problem(["The network is too slow", "Many clips wait to be sent. Go on when they have gone."]);
    return true;
  }
  const missing = !subject() ? $("#subject") : labels.length < 1 ? $("#label") : null;
  if (missing) {
    const what = missing.id === "subject" ? "Who is it?" : "Which movement?";
    stage.problem([what, "Fill that in first: clips are kept by person and movement."]);
    missing.focus();
  } else if (!next()) {
    stage.problem(["The target is reached", "Choose a movement in the list to record more of it."]);
  }
  return Boolean(missing) || !next();
}

function addLabel(event) {
  event.preventDefault();
  const label = $("#label").value.trim();
  if (label && !labels.includes(label)) labels.push(label);
  localStorage.setItem(PLACE, JSON.stringify(labels));
  $("#label").value = "";
  show();
}

function onQueue(clips) {
  for (const clip of clips) {
    if (clip.state !== "kept" || clip.counted) continue;
    clip.counted = true;
    page.clips[clip.subject] ??= {};
    page.clips[clip.subject][clip.label] = (page.clips[clip.subject][clip.label] ?? 0) + 1;
    stage.problem(clip.warn ? [`Look at the last clip of ${clip.label}`, sentence(clip.text)] : null);
  }
  showQueue(clips, stage, removed);
  show();
}

/** A clip was discarded. */
function removed(who, what) {
  if (page.clips[who]?.[what]) page.clips[who][what] -= 1;
  show();
}

function show() {
  const all = counts();
  const [who, what] = [subject(), next()];
  const sums = byLabel(all, labels);
  $("#subjects").replaceChildren(...Object.keys(all).map((value) => make("option", { value })));
  $("#next").replaceChildren(...(who && what
    ? ["Next: ", make("b", {}, what), " by ", make("b", {}, who), make("small", {}, ` · ${sums.get(what)} of ${page.target}${picked ? " · as you chose" : ""}`)]
    : [who && labels.length ? "All of it is recorded." : "Name a person and the movements."]));
  const onPick = (label) => ((picked = picked === label ? null : label), show());
  showLabels(labels, all, { next: what, target: page.target, onPick });
  $("#advice").textContent = advice(all, labels, page.target);
  $("#record-go").textContent = doing ? "Stop" : stage.stream ? "Record a clip" : "Use the camera";
  $("#record-close").hidden = !stage.stream;
  if (kept.label !== what || kept.sum !== sums.get(what)) showKept(what, page.clips, stage, removed, sums.get(what));
}
