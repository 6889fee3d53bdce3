// The camera: turned on, watched for darkness, recorded.

import { pause } from "./dom.js";

const DARK = 38; // mean brightness, of 255, below which hands are hard to see
const LOOK_MS = 700;
const KINDS = ["video/webm;codecs=vp8", "video/webm", "video/mp4"];
const BITS_PER_S = 1_500_000; // 0.75 MB for a clip of 4 s

/** A stream of the camera. Throws what getUserMedia throws; see words.js. */
export async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) throw named("InsecureContext");
  const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: "user" };
  return navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
}

export function closeCamera(stream) {
  stream?.getTracks().forEach((track) => track.stop());
}

/** Calls with whether it is dark, whenever that changes; gives what stops it. */
export function watchLight(video, onChange) {
  const canvas = new OffscreenCanvas(32, 24);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let dark = false;
  const timer = setInterval(() => {
    if (!video.videoWidth) return;
    context.drawImage(video, 0, 0, 32, 24);
    const { data } = context.getImageData(0, 0, 32, 24);
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
    const now = sum / (data.length / 4) < (dark ? DARK * 1.15 : DARK);
    if (now !== dark) onChange((dark = now));
  }, LOOK_MS);
  return () => clearInterval(timer);
}

/** So many seconds of the stream as a video. Stopped by the signal, nothing is kept. */
export async function film(stream, seconds, { onProgress = () => {}, signal } = {}) {
  const mimeType = globalThis.MediaRecorder && KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
  if (!mimeType) throw named("NoRecorder");
  const recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond: BITS_PER_S });
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const stopped = new Promise((resolve, reject) => {
    recorder.onstop = resolve;
    recorder.onerror = () => reject(named("Ended"));
  });
  recorder.start();
  const began = performance.now();
  const timer = setInterval(() => onProgress(Math.min(1, (performance.now() - began) / 1000 / seconds)), 50);
  try {
    await pause(seconds * 1000, signal);
  } finally {
    clearInterval(timer);
    if (recorder.state !== "inactive") recorder.stop();
  }
  await stopped;
  if (!stream.active) throw named("Ended");
  return new Blob(parts, { type: mimeType.split(";")[0] });
}

function named(name) {
  return Object.assign(new Error(name), { name });
}
