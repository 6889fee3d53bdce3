// The API key: asked for when the server wants one, kept in this tab's session storage.

import { $ } from "./dom.js";

const PLACE = "sigflow.key";
let asking = null;

export const key = () => sessionStorage.getItem(PLACE) ?? "";

/** Asks the person; whether there is a key to try now. Several askers share one dialog. */
export function askForKey() {
  asking ??= ask().finally(() => (asking = null));
  return asking;
}

function ask() {
  const dialog = $("#key");
  const text = $("#key-text");
  if (key()) $("#key-why").textContent = "The server does not know that key. Is it typed in full, and still valid?";
  sessionStorage.removeItem(PLACE);
  text.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  text.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "use" ? text.value.trim() : "";
      text.value = "";
      if (given) sessionStorage.setItem(PLACE, given);
      resolve(Boolean(given));
    }, { once: true });
  });
}
