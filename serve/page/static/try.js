// Try: a clip of the camera, a file, or live.

import { patiently, sendVideo } from "./api.js";
import { facts, note, showAnswer, showCourse, showLive, showNothing, showNow } from "./answer.js";
import { course } from "./course.js";
import { $, bytes, make, percent, tell } from "./dom.js";
import { live } from "./live.js";
import { chosen } from "./models.js";
import { makeStage, takeDrops } from "./stage.js";

let stage;
let limits = {};
let doing = null; // an AbortController while something is being done
let playing = null;

export function startTry(state) {
  limits = state.limits ?? {};
  stage = makeStage($("#try-stage"), "Turn on the camera, or let a video fall here.");
  $("#try-prepare").value = Math.min(state.prepare_s, 2);
  $("#try-record").value = Math.min(state.record_s, 3);
  $("#try-go").onclick = go;
  $("#try-live").onclick = toggleLive;
  $("#try-close").onclick = leaveTry;
  $("#try-file").onclick = () => $("#file").click();
  $("#file").onchange = () => $("#file").files[0] && use($("#file").files[0]);
  takeDrops(stage.root, use);
  $("#play").onclick = () => (playing?.toggle(), showPlaying());
  $("#scrub input").oninput = (event) => playing?.seek((event.target.value / 1000) * playing.lengthS);
}

/** The camera off, everything stopped. */
export function leaveTry() {
  stop();
  stage.close();
  $("#scrub").hidden = true;
  buttons();
}

export function stop() {
  doing?.abort(new DOMException("stopped", "AbortError"));
}

async function go() {
  if (doing) return stop();
  await during(async (signal) => {
    const isNew = !stage.stream;
    await stage.camera(leaveTry);
    $("#scrub").hidden = true;
    if (isNew) return;
    const clip = await stage.take(Number($("#try-prepare").value), Number($("#try-record").value), signal);
    await recognise(clip, true, signal);
  });
}

async function use(file) {
  stop();
  await during(async (signal) => {
    $("#file").value = "";
    if (limits.video_bytes && file.size > limits.video_bytes) {
      const most = bytes(limits.video_bytes);
      return stage.problem(["The clip is too long", `This file has ${bytes(file.size)}; the server takes ${most}.`]);
    }
    await recognise(file, false, signal);
  });
}

async function recognise(clip, mirrored, signal) {
  const began = performance.now();
  stage.problem(null);
  showNothing();
  $("#scrub").hidden = true;
  const shown = stage.play({ blob: clip, mirrored }).catch(() => null); // what the browser cannot play it may still send
  tell("Sending the clip");
  const model = chosen();
  const said = await patiently(
    () => sendVideo(`${model}:predictVideo?landmarks=true`, clip, { onSent, signal }),
    { signal, onWait: (error, waitS) => stage.progress(`${error.status ? "The server is busy" : "No connection"}: trying again in ${waitS} s`) },
  ).finally(() => stage.progress(null));
  showAnswer({ ...said, totalMs: performance.now() - began }, clip.size);
  await shown;
  await replay(clip, mirrored, said.answer);
  const told = await course(model, said.answer);
  const move = showCourse(told);
  if (told && !signal.aborted) onNow = move;
}

let onNow = () => {};

async function replay(blob, mirrored, { landmarks, time_ms: timeMs }) {
  onNow = () => {};
  const onTime = (second, lengthS) => {
    playing && (playing.lengthS = lengthS);
    $("#scrub input").value = lengthS ? (second / lengthS) * 1000 : 0;
    $("#scrub output").textContent = `${second.toFixed(1)} s`;
    onNow(second);
  };
  playing = await stage.play({ blob, mirrored, landmarks, timeMs, onTime }).catch((error) => (stage.fail(error), null));
  $("#scrub").hidden = !playing;
  showPlaying();
}

function onSent(share) {
  stage.progress(share < 1 ? `Sending, ${percent(share)}` : "Looking for landmarks", share < 1 ? share : null);
}

function showPlaying() {
  $("#play").setAttribute("aria-label", playing?.playing ? "Pause" : "Play");
  $("#play").toggleAttribute("data-playing", Boolean(playing?.playing));
}

async function toggleLive() {
  const isLive = $("#try-live").getAttribute("aria-pressed") === "true";
  stop();
  if (isLive) return;
  await during(async (signal) => {
    await stage.camera(leaveTry);
    $("#scrub").hidden = true;
    $("#try-live").setAttribute("aria-pressed", "true");
    try {
      await live(stage, chosen(), { signal, on: hearing() });
    } finally {
      $("#try-live").setAttribute("aria-pressed", "false");
      stage.badge("");
      if (stage.stream) await stage.camera(leaveTry);
    }
  });
}

function hearing() {
  let began = true;
  return {
    ready: (message) => (showLive(message), stage.badge("Live", "rec"), stage.problem(null), tell("Live")),
    landmarks: ({ parts }) => {
      const seen = Object.values(parts).some(Boolean);
      stage.badge(seen ? "Live" : "Live · no hand seen", "rec");
    },
    probabilities: ({ label, probabilities }) => showNow(label, probabilities),
    event: ({ label, prob, start_s: start }) => {
      if (began) $("#events ol").replaceChildren();
      began = false;
      const when = `${start.toFixed(1)} s · ${percent(prob)}`;
      $("#events ol").prepend(make("li", {}, make("b", {}, label), make("span", {}, when)));
      tell(label, { now: true });
    },
    figures: (seen) => facts([
      ["Per frame", `${Math.round(seen.msPerFrame)} ms, ${Math.round(seen.serverMs)} ms on the server`],
      ["Frames", `${seen.framesPerS.toFixed(1)} a second`],
      ["Sent", `${bytes(seen.bytesPerS)} a second`],
    ]),
    waiting: (error, waitS) => (stage.badge(`Connection lost: again in ${waitS} s`), note("")),
  };
}

/** One thing at a time: what is done now is stopped first, and what fails is said in words. */
async function during(work) {
  const mine = (doing = new AbortController());
  buttons();
  try {
    await work(mine.signal);
  } catch (error) {
    if (mine === doing) stage.fail(error);
  } finally {
    if (mine === doing) doing = null;
    buttons();
  }
}

function buttons() {
  $("#try-go").textContent = doing ? "Stop" : stage.stream ? "Record a clip" : "Use the camera";
  $("#try-close").hidden = !stage.stream;
}
