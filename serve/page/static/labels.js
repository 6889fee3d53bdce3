// The movements: how many clips there are of each, by whom, and which one is next.

import { byLabel } from "./counts.js";
import { $, make } from "./dom.js";

export function showLabels(labels, clips, { next, target, onPick }) {
  const sums = byLabel(clips, labels);
  const list = $("#labels");
  const focused = document.activeElement?.dataset?.label;
  list.replaceChildren(...labels.map((label) => {
    const who = Object.entries(clips).filter(([, of]) => of[label]).map(([name, of]) => `${name} ${of[label]}`);
    const sum = sums.get(label);
    const button = make("button", { type: "button", "aria-pressed": label === next, "data-label": label },
      make("span", {}, label), make("span", { className: "count" }, `${sum} of ${target}`),
      make("meter", { max: target, value: Math.min(sum, target), "aria-hidden": "true" }),
      make("span", { className: "who" }, who.join(" · ")));
    button.onclick = () => onPick(label);
    return make("li", {}, button);
  }));
  [...list.querySelectorAll("button")].find((button) => button.dataset.label === focused)?.focus();
}
