// A clip that plays again and again, its landmarks drawn in time with it.

import { draw } from "./draw.js";

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * Plays `blob` in `video` and draws over `canvas`. `landmarks` by part and frame, `timeMs` of each frame, or neither.
 * `onTime(seconds, length)` at each frame that is shown. Gives {stop, toggle, seek, playing}.
 */
export async function play(video, canvas, { blob, landmarks = {}, timeMs = [], onTime = () => {} }) {
  const source = URL.createObjectURL(blob);
  let stopped = false;
  let length = (timeMs.at(-1) ?? 0) / 1000;
  video.src = source;
  video.loop = true;
  await ready(video);
  length = Number.isFinite(video.duration) ? video.duration : length;

  function show() {
    if (stopped) return;
    const number = nearest(timeMs, video.currentTime * 1000);
    const frame = Object.entries(landmarks).map(([part, frames]) => [part, frames[number]]);
    draw(canvas, video, Object.fromEntries(frame));
    onTime(video.currentTime, length);
    next();
  }
  const next = () => (video.paused ? video.addEventListener("play", show, { once: true }) : requestAnimationFrame(show));
  const redraw = () => video.paused && show();
  video.addEventListener("seeked", redraw);
  window.addEventListener("resize", redraw);
  if (!still()) await video.play().catch(() => {}); // where it must not start by itself, there is the button
  show();

  return {
    get playing() {
      return !video.paused;
    },
    toggle: () => (video.paused ? video.play() : video.pause()),
    seek: (second) => (video.currentTime = Math.min(second, Math.max(0, length - 0.01))),
    stop() {
      stopped = true;
      video.removeEventListener("seeked", redraw);
      window.removeEventListener("resize", redraw);
      URL.revokeObjectURL(source);
    },
  };
}

/** Its pictures are there. What MediaRecorder writes says no length: it is known once the end was looked for. */
function ready(video) {
  return new Promise((resolve, reject) => {
    video.onerror = () => reject(Object.assign(new Error("This browser cannot play the video."), { name: "Unplayable" }));
    video.onloadeddata = () => {
      if (Number.isFinite(video.duration)) return resolve();
      video.onseeked = () => {
        video.onseeked = resolve;
        video.currentTime = 0;
      };
      video.currentTime = 1e6;
    };
  }).finally(() => (video.onloadeddata = video.onseeked = video.onerror = null));
}

function nearest(timeMs, now) {
  let low = 0;
  for (let high = timeMs.length - 1; low < high; ) {
    const middle = (low + high + 1) >> 1;
    if (timeMs[middle] <= now + 1) low = middle;
    else high = middle - 1;
  }
  return low;
}
