// Live mode as a person sees it: what is told of the camera, put on the page as it comes.

import { facts, note, showLive, showNow } from "./answer.js";
import { $, bytes, make, percent, tell } from "./dom.js";
import { live } from "./live.js";

/** Until the signal aborts, or it cannot go on. */
export async function watch(stage, model, signal) {
  let events = 0;
  await live(stage, model, { signal, on: {
    ready(message) {
      showLive(message);
      stage.problem(null);
      tell("Live");
    },
    landmarks({ parts }) {
      stage.badge(Object.values(parts).some(Boolean) ? "Live" : "Live · nothing seen", "rec");
    },
    probabilities({ label, probabilities }) {
      showNow(label, probabilities);
    },
    event({ label, prob, start_s: start }) {
      if (!events++) $("#events ol").replaceChildren();
      const when = make("span", {}, `${start.toFixed(1)} s · ${percent(prob)}`);
      $("#events ol").prepend(make("li", {}, make("b", {}, label), when));
      if (events > 50) $("#events ol").lastChild.remove();
      tell(label, { now: true });
    },
    reset() {},
    figures(seen) {
      facts([
        ["Per frame", `${Math.round(seen.msPerFrame)} ms, ${Math.round(seen.serverMs)} ms on the server`],
        ["Frames", `${seen.framesPerS.toFixed(1)} a second`],
        ["Sent", `${bytes(seen.bytesPerS)} a second`],
      ]);
    },
    waiting(error, waitS) {
      stage.badge(`${error.status ? "The server is busy" : "No connection"}: again in ${waitS} s`);
      note("");
    },
  } });
}
