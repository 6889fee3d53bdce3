// The clips of this session: on their way, kept, refused; each can be seen again and discarded.

import { ask } from "./api.js";
import { $, make } from "./dom.js";
import { forget, sendAgain, unsent } from "./queue.js";

/** `onRemoved(subject, label)` after the server has discarded one. */
export function showQueue(clips, stage, onRemoved) {
  const waiting = unsent().length;
  const refused = clips.filter(({ state }) => state === "refused").length;
  $("#queue").hidden = clips.length === 0;
  $("#unsent").textContent = [
    waiting ? `${waiting} not sent yet: do not close this page.` : "All clips are sent.",
    refused ? `${refused} refused.` : "",
  ].join(" ");
  const list = $("#queue ol");
  const rows = clips.map((clip) => (clip.row ??= row(clip, stage, onRemoved)));
  clips.forEach(fill);
  if (rows.length !== list.children.length || rows.some((each, i) => each !== list.children[i])) {
    list.replaceChildren(...rows);
  }
}

function row(clip, stage, onRemoved) {
  const play = make("button", { type: "button" }, "Play");
  const discard = make("button", { type: "button", className: "danger" }, "Discard");
  const again = make("button", { type: "button", className: "again" }, "Send again");
  for (const [button, what] of [[play, "Play"], [discard, "Discard"], [again, "Send again"]]) {
    button.setAttribute("aria-label", `${what} ${clip.label} of ${clip.subject}`);
  }
  again.onclick = () => sendAgain(clip);
  play.onclick = () => stage.play({ blob: clip.blob, mirrored: true }).catch((error) => stage.fail(error));
  discard.onclick = async () => {
    try {
      if (clip.state === "kept") await ask(path(clip), { method: "DELETE" });
      forget(clip);
      if (clip.state === "kept") onRemoved(clip.subject, clip.label);
    } catch (error) {
      stage.fail(error);
    }
  };
  return make("li", {}, make("span", {}, `${clip.label} · ${clip.subject}`, make("small")), again, play, discard);
}

function fill(clip) {
  clip.row.className = clip.state === "refused" ? "bad" : clip.warn ? "warn" : "";
  clip.row.querySelector(".again").hidden = clip.state !== "refused";
  clip.row.querySelector("small").textContent = clip.text;
}

export const path = ({ subject, label, number }) =>
  `page/clips/file?${new URLSearchParams({ subject, label, number })}`;
