// The clip that was answered, played again and again with its landmarks; paused and wound by hand.

import { $ } from "./dom.js";

let player = null;
let lengthS = 0;
let onNow = () => {};

export function startReplay() {
  $("#play").onclick = () => {
    player?.toggle();
    showPlaying();
  };
  $("#scrub input").oninput = ({ target }) => {
    const second = (target.value / 1000) * lengthS;
    target.setAttribute("aria-valuetext", `${second.toFixed(1)} seconds`);
    player?.seek(second);
  };
}

/** Plays it on the stage; gives a function that takes whoever wants to be told the second that is shown. */
export async function replay(stage, blob, mirrored, { landmarks, time_ms: timeMs }) {
  onNow = () => {};
  const onTime = (second, length) => {
    lengthS = length;
    $("#scrub input").value = length ? (second / length) * 1000 : 0;
    $("#scrub output").textContent = `${second.toFixed(1)} s`;
    onNow(second);
  };
  player = await stage.play({ blob, mirrored, landmarks, timeMs, onTime });
  $("#scrub").hidden = false;
  showPlaying();
  return (told) => (onNow = told);
}

export function endReplay() {
  player = null;
  $("#scrub").hidden = true;
}

function showPlaying() {
  $("#play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
  $("#play").toggleAttribute("data-playing", player.playing);
}
