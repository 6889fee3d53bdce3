// Live: the camera's frames to the server one by one, landmarks and events back.
// The next frame goes when the last one's landmarks came: a slow network lowers the rate, never the freshness.

import { Problem, ask, patiently, socket } from "./api.js";
import { pause } from "./dom.js";
import { clear, draw } from "./draw.js";

const WIDTH = 480; // pixels that are sent: hands are found as well as in more, at a third of the bytes
const QUALITY = 0.65;
const FIGURES_MS = 500;
const SILENT_MS = 15_000; // without an answer to a frame: the connection is lost

/**
 * Until the signal aborts. `on`: ready(message), landmarks(message), event(message), probabilities(message),
 * figures({msPerFrame, serverMs, framesPerS, bytesPerS}), waiting(error, seconds).
 */
export async function live(stage, model, { on, signal }) {
  const state = { began: performance.now() };
  await patiently(() => session(stage, model, on, signal, state), { signal, onWait: on.waiting });
}

function session(stage, model, on, signal, state) {
  return new Promise((resolve, reject) => {
    const stream = socket(`${model}/streamVideo?probabilities=true`);
    const counted = { frames: 0, bytes: 0, ms: 0, serverMs: 0, since: performance.now() };
    let sentAt = 0;
    let opened = false;
    let ended = null;
    let watchdog = 0;

    const stop = () => stream.close(1000);
    signal.addEventListener("abort", stop, { once: true });
    stream.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "ready") {
        opened = true;
        on.ready(message);
        send();
      } else if (message.type === "landmarks") {
        counted.frames += 1;
        counted.ms += performance.now() - sentAt;
        counted.serverMs += message.ms;
        if (!signal.aborted) draw(stage.canvas, stage.video, message.parts);
        on.landmarks(message);
        figures();
        send();
      } else if (message.type === "error") {
        ended = new Problem(message.problem.status, message.problem.detail);
      } else if (message.type === "closing" && message.reason === "idle") {
        ended = new Problem(408);
      } else {
        on[message.type]?.(message);
      }
    };
    stream.onclose = async () => {
      clearTimeout(watchdog);
      signal.removeEventListener("abort", stop);
      clear(stage.canvas);
      if (signal.aborted) return resolve();
      if (!opened && !ended) ended = await why();
      reject(ended ?? new Problem(0));
    };

    async function send() {
      await nextPicture(stage.video);
      const jpeg = await picture(stage.video);
      if (stream.readyState !== WebSocket.OPEN || signal.aborted) return;
      const message = new Uint8Array(8 + jpeg.byteLength);
      new DataView(message.buffer).setFloat64(0, (performance.now() - state.began) / 1000, true);
      message.set(new Uint8Array(jpeg), 8);
      sentAt = performance.now();
      stream.send(message);
      counted.bytes += message.byteLength;
      clearTimeout(watchdog);
      watchdog = setTimeout(() => stream.close(4000), SILENT_MS);
    }

    function figures() {
      const past = performance.now() - counted.since;
      if (past < FIGURES_MS) return;
      on.figures({
        msPerFrame: counted.ms / counted.frames, serverMs: counted.serverMs / counted.frames,
        framesPerS: (counted.frames / past) * 1000, bytesPerS: (counted.bytes / past) * 1000,
      });
      Object.assign(counted, { frames: 0, bytes: 0, ms: 0, serverMs: 0, since: performance.now() });
    }

    /** A browser does not say why a WebSocket was refused; an ordinary request does (and asks for a key). */
    async function why() {
      try {
        await ask(model.replace(/\/versions\/.*/, ""));
        return new Problem(503);
      } catch (error) {
        return error;
      }
    }
  });
}

async function nextPicture(video) {
  const shown = new Promise((resolve) => (video.requestVideoFrameCallback ?? requestAnimationFrame).call(
    video.requestVideoFrameCallback ? video : window, resolve,
  ));
  await Promise.race([shown, pause(200)]); // in a hidden tab nothing is shown
}

async function picture(video) {
  const scale = Math.min(1, WIDTH / video.videoWidth);
  const canvas = new OffscreenCanvas(Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale));
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return (await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY })).arrayBuffer();
}
