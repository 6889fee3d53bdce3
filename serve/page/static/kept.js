// The clips of one movement that the server keeps, also those of other days: seen again, discarded.

import { ask } from "./api.js";
import { $, make } from "./dom.js";
import { path } from "./session.js";

export const kept = { label: null, subject: null, number: null, sum: null };

/** Of `label`, by person; the numbers of the person who is chosen. */
export async function showKept(label, clips, stage, onRemoved, sum) {
  const people = Object.keys(clips).filter((subject) => clips[subject][label]);
  Object.assign(kept, { label, sum, number: null });
  $("#kept").hidden = !people.length;
  $("#kept-actions").hidden = true;
  if (!people.length) return;
  if (!people.includes(kept.subject)) kept.subject = people.includes($("#subject").value) ? $("#subject").value : people[0];
  $("#kept-title").textContent = `Clips of “${label}”`;
  const again = (subject) => ((kept.subject = subject), showKept(label, clips, stage, onRemoved, sum));
  $("#kept-people").replaceChildren(...people.map((subject) => choice(subject, subject === kept.subject, () => again(subject))));
  try {
    const query = new URLSearchParams({ subject: kept.subject, label });
    const { clips: there } = await ask(`page/clips?${query}`);
    if (kept.label !== label) return; // another one was chosen meanwhile
    $("#numbers").setAttribute("aria-label", `Clips of ${label} by ${kept.subject}`);
    $("#numbers").replaceChildren(...there.map(({ number }) => make("li", {}, choice(number, false, pick(number)))));
  } catch (error) {
    stage.fail(error);
  }

  function pick(number) {
    return (event) => {
      for (const each of $("#numbers").querySelectorAll("button")) each.setAttribute("aria-pressed", each === event.target);
      kept.number = number;
      $("#kept-actions").hidden = false;
      $("#kept-play").onclick = () => play(stage);
      $("#kept-discard").onclick = () => discard(stage, onRemoved);
      play(stage);
    };
  }
}

async function play(stage) {
  try {
    const blob = await ask(path(kept), { blob: true });
    await stage.play({ blob, mirrored: true });
  } catch (error) {
    stage.fail(error);
  }
}

async function discard(stage, onRemoved) {
  try {
    const { subject, label } = kept;
    await ask(path(kept), { method: "DELETE" });
    onRemoved(subject, label);
  } catch (error) {
    stage.fail(error);
  }
}

function choice(text, isChosen, onClick) {
  const button = make("button", { type: "button", "aria-pressed": isChosen }, String(text));
  button.onclick = onClick;
  return button;
}
