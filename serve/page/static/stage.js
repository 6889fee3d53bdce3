// The stage: the camera or a clip, what is drawn over it, a countdown, progress, and what went wrong.

import { closeCamera, film, openCamera, watchLight } from "./camera.js";
import { $, pause, tell } from "./dom.js";
import { clear } from "./draw.js";
import { play } from "./player.js";
import { inWords } from "./words.js";

/** Fills the empty element `root`; `invitation` is what it says while there is nothing to see. */
export function makeStage(root, invitation) {
  root.append($("template#stage").content.cloneNode(true));
  const [video, canvas] = [$("video", root), $("canvas", root)];
  const [count, badge, dark, problem, progress] =
    [".count", ".badge", ".dark", ".problem", ".progress"].map((name) => $(name, root));
  let stream = null;
  let unwatch = () => {};
  let player = null;
  $(".idle p", root).textContent = invitation;
  show("idle");

  function show(state, mirrored = false) {
    root.dataset.state = state;
    root.toggleAttribute("data-mirrored", mirrored);
  }

  function leave() {
    player?.stop();
    player = null;
    video.pause();
    video.removeAttribute("src");
    video.srcObject = null;
    clear(canvas);
  }

  return {
    root, video, canvas,

    get stream() {
      return stream;
    },

    /** Shows the camera as a mirror; turns it on where it is off. `onGone`: it was unplugged, or taken away. */
    async camera(onGone) {
      this.problem(null);
      if (!stream) {
        stream = await openCamera();
        stream.getVideoTracks()[0].onended = () => (this.close(), this.fail({ name: "Ended" }), onGone());
        unwatch = watchLight(video, (isDark) => {
          dark.textContent = isDark ? "It is too dark: turn on a light" : "";
          dark.hidden = !isDark;
        });
      }
      leave();
      video.srcObject = stream;
      show("camera", true);
      await video.play();
    },

    close() {
      closeCamera(stream);
      stream = null;
      unwatch();
      dark.hidden = true;
      this.badge("");
      leave();
      show("idle");
    },

    /** A countdown, then so many seconds as a video. Stopped by the signal it throws an AbortError. */
    async take(prepareS, recordS, signal) {
      const length = Math.min(30, Math.max(0.3, recordS || 0));
      try {
        for (let left = prepareS; left > 0; left -= 1) {
          count.textContent = Math.ceil(left);
          tell(Math.ceil(left), { now: true });
          await pause(Math.min(1, left) * 1000, signal);
        }
        count.textContent = "";
        tell("Recording", { now: true });
        this.badge("Recording", "rec");
        return await film(stream, length, { onProgress: (share) => this.progress("", share), signal });
      } finally {
        count.textContent = "";
        this.badge("");
        this.progress(null);
      }
    },

    /** Plays a clip again and again, with its landmarks where there are any; see player.js. */
    async play(clip) {
      leave();
      show("clip", clip.mirrored);
      player = await play(video, canvas, clip);
      return player;
    },

    badge(text, kind = "") {
      badge.className = `badge ${kind}`;
      badge.textContent = text;
      badge.hidden = !text;
    },

    /** `share` null: nobody knows how much is done. `text` null: nothing is being done. */
    progress(text, share = null) {
      progress.hidden = text === null;
      if (text === null) return;
      $("span", progress).textContent = text;
      const bar = $("progress", progress);
      if (share === null) bar.removeAttribute("value");
      else bar.value = share;
      bar.setAttribute("aria-label", text || "Recording");
    },

    /** [what it is, what to do], or null: nothing is wrong. */
    problem(words) {
      problem.hidden = !words;
      $("strong", problem).textContent = words?.[0] ?? "";
      $("span", problem).textContent = words?.[1] ?? "";
    },

    fail(error) {
      if (error.name !== "AbortError") this.problem(inWords(error));
    },
  };
}

/** A file that is let fall on the stage. */
export function takeDrops(root, onFile) {
  for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    root.addEventListener(name, (event) => {
      event.preventDefault();
      root.classList.toggle("over", over);
      if (name === "drop" && event.dataTransfer.files[0]) onFile(event.dataTransfer.files[0]);
    });
  }
}
