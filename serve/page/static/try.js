// Try: a clip of the camera, a file, or live.

import { patiently, sendVideo } from "./api.js";
import { showAnswer, showCourse, showNothing } from "./answer.js";
import { course } from "./course.js";
import { $, bytes, percent, tell } from "./dom.js";
import { chosen } from "./models.js";
import { endReplay, replay, startReplay } from "./replay.js";
import { makeStage, takeDrops } from "./stage.js";
import { watch } from "./watch.js";

const NARROW = "(max-width: 860px)"; // where the answer stands below the stage; see views.css
let stage;
let limits = {};
let doing = null; // an AbortController while something is being done

export function startTry(state) {
  limits = state.limits;
  stage = makeStage($("#try-stage"), "Turn on the camera, or drop a video here.");
  $("#try-prepare").value = Math.min(state.prepare_s, 2);
  $("#try-record").value = state.record ? state.record_s : Math.min(state.record_s, 3); // as long as what is learnt from
  $("#try-go").onclick = go;
  $("#try-live").onclick = toggleLive;
  $("#try-close").onclick = leaveTry;
  $("#try-file").onclick = () => $("#file").click();
  $("#file").onchange = () => $("#file").files[0] && use($("#file").files[0]);
  takeDrops(stage.root, use);
  startReplay();
}

/** The camera off, everything stopped. */
export function leaveTry() {
  stopTrying();
  stage.close();
  endReplay();
  buttons();
}

export function stopTrying() {
  doing?.abort(new DOMException("stopped", "AbortError"));
}

async function go() {
  if (doing) return stopTrying();
  await during(async (signal) => {
    const isNew = !stage.stream;
    await toCamera();
    if (isNew) return;
    const clip = await stage.take(Number($("#try-prepare").value), Number($("#try-record").value), signal);
    await recognise(clip, true, signal);
  });
}

async function use(file) {
  stopTrying();
  await during(async (signal) => {
    $("#file").value = "";
    endReplay();
    if (file.size > limits.video_bytes) {
      const most = bytes(limits.video_bytes);
      return stage.problem(["The clip is too long", `This file has ${bytes(file.size)}; the server takes ${most}.`]);
    }
    await recognise(file, false, signal);
  });
}

async function toggleLive() {
  const isLive = $("#try-live").getAttribute("aria-pressed") === "true";
  stopTrying();
  if (isLive) return;
  await during(async (signal) => {
    await toCamera();
    $("#try-live").setAttribute("aria-pressed", "true");
    try {
      stage.badge("Connecting");
      await watch(stage, chosen(), signal);
    } finally {
      $("#try-live").setAttribute("aria-pressed", "false");
      stage.badge("");
    }
  });
}

async function toCamera() {
  endReplay();
  await stage.camera(leaveTry);
}

async function recognise(clip, mirrored, signal) {
  const began = performance.now();
  const model = chosen();
  stage.problem(null);
  showNothing();
  endReplay();
  const shown = stage.play({ blob: clip, mirrored }).catch(() => {}); // what no browser plays the server may read
  tell("Sending the clip");
  try {
    const path = `${model}:predictVideo?landmarks=true`;
    const said = await patiently(() => sendVideo(path, clip, { onSent, signal }), { signal, onWait });
    showAnswer({ ...said, totalMs: performance.now() - began }, clip.size);
    stage.progress(null);
    await shown;
    if (matchMedia(NARROW).matches) $("#result").scrollIntoView({ block: "nearest" });
    const told = await replay(stage, clip, mirrored, said.answer);
    const moves = showCourse(await course(model, said.answer));
    if (!signal.aborted) told(moves);
  } finally {
    stage.progress(null);
  }
}

function onSent(share) {
  stage.progress(share < 1 ? `Sending, ${percent(share)}` : "Looking for landmarks", share < 1 ? share : null);
}

function onWait(error, waitS) {
  stage.progress(`${error.status ? "The server is busy" : "No connection"}: again in ${waitS} s`);
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
