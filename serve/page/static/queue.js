// Clips on their way to the server, one after the other. A slow or broken network delays them and loses none.

import { Problem, patiently, sendVideo } from "./api.js";
import { percent } from "./dom.js";

const MOST = 40; // clips that wait, and
const SEEN = 30; // that are listed when they are kept: so many megabytes are held at the most
let clips = []; // {blob, subject, label, state: waiting|sending|kept|refused, text, warn, number}
let running = false;
let changed = () => {};

/** `onChange(clips)` whenever something has changed. */
export function watchQueue(onChange) {
  changed = () => onChange(clips);
  window.addEventListener("beforeunload", (event) => unsent().length && event.preventDefault());
}

export const unsent = () => clips.filter(({ state }) => state === "waiting" || state === "sending");

export const isFull = () => unsent().length >= MOST;

export function enqueue(blob, subject, label) {
  clips.unshift({ blob, subject, label, state: "waiting", text: "waiting", warn: false, number: null });
  changed();
  run();
}

/** One that was refused, once more. */
export function sendAgain(clip) {
  Object.assign(clip, { state: "waiting", text: "waiting" });
  changed();
  run();
}

export function forget(clip) {
  clip.stop?.abort();
  clips = clips.filter((each) => each !== clip);
  changed();
}

async function run() {
  if (running) return;
  running = true;
  for (let clip; (clip = clips.findLast(({ state }) => state === "waiting")); changed()) await deliver(clip);
  running = false;
}

async function deliver(clip) {
  clip.stop = new AbortController();
  const { signal } = clip.stop;
  const say = (text) => ((clip.text = text), changed());
  clip.state = "sending";
  const path = `page/clips?${new URLSearchParams({ subject: clip.subject, label: clip.label })}`;
  try {
    const onSent = (share) => say(share < 1 ? `sending, ${percent(share)}` : "looking at it");
    const onWait = (error, waitS) =>
      say(`${error.status ? "the server is busy" : "no connection"}, again in ${waitS} s`);
    const { answer } = await patiently(() => sendVideo(path, clip.blob, { onSent, signal }), {
      tries: Infinity, signal, onWait,
    });
    Object.assign(clip, { state: "kept", number: answer.number, warn: answer.warnings.length > 0, stop: null });
    clip.answer = answer;
    clips = clips.filter(({ state }, place) => state !== "kept" || place < SEEN);
    say(answer.warnings.join("; ") || `kept as number ${answer.number}`);
  } catch (error) {
    if (error.name === "AbortError") return;
    clip.error = error;
    clip.state = "refused";
    say(error instanceof Problem ? error.message || "refused" : String(error));
  }
}
