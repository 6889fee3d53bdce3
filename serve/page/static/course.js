// How the answer came about: the clip's landmarks through the model's stream, window after window.

import { socket } from "./api.js";

const GIVE_UP_MS = 20_000;

/** Gives {points, events, lengthS} for chart.js, or null where there is nothing to tell. */
export async function course(model, { landmarks, time_ms: timeMs, aspect }) {
  if (!landmarks || timeMs.length < 2) return null;
  const stream = socket(`${model}/stream?probabilities=true&every_window=true`);
  const [points, events] = [[], []];
  const start = timeMs[0];
  return new Promise((resolve) => {
    const timer = setTimeout(() => stream.close(), GIVE_UP_MS);
    stream.onclose = () => {
      clearTimeout(timer);
      const told = points.some((point) => Object.keys(point.probabilities).length);
      resolve(told || events.length ? { points, events, lengthS: (timeMs.at(-1) - start) / 1000 } : null);
    };
    stream.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "ready") send(message);
      if (message.type === "probabilities") {
        points.push({ endS: message.end_s - start / 1000, probabilities: message.probabilities });
      }
      if (message.type === "event") {
        const [from, to] = [message.start_s - start / 1000, message.end_s - start / 1000];
        events.push({ ...message, start_s: from, end_s: to });
      }
    };
    function send({ message_bytes: mostBytes, message_frames: mostFrames }) {
      let frames = [];
      let size = 0;
      const flush = () => frames.length && stream.send(`{"frames":[${frames.join(",")}]}`);
      timeMs.forEach((time_ms, number) => {
        const parts = Object.fromEntries(Object.entries(landmarks).map(([part, all]) => [part, all[number]]));
        const frame = JSON.stringify({ time_ms, landmarks: parts, aspect });
        if (size + frame.length > mostBytes * 0.9 || frames.length === mostFrames) {
          flush();
          [frames, size] = [[], 0];
        }
        frames.push(frame);
        size += frame.length + 1;
      });
      flush();
      stream.send('{"type":"end"}');
    }
  });
}
