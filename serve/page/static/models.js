// The recognisers that are served, and which of them is asked.

import { ask } from "./api.js";
import { $, make } from "./dom.js";

let models = [];

/** Looks again which there are; the choice stays, or `wanted` ({name, version}) is chosen. */
export async function loadModels(wanted = null) {
  const list = $("#model");
  const before = wanted ? id(wanted) : list.value;
  models = (await ask("v1/models")).models.filter((model) => !model.shadow);
  list.replaceChildren(...models.map((model) => make("option", { value: id(model) }, text(model))));
  const found = models.some((model) => id(model) === before);
  if (found) list.value = before;
  $("#model-field").hidden = models.length === 0;
  $("#no-models").hidden = models.length > 0;
  $("#try-body").hidden = models.length === 0;
  return wanted ? found : models.length > 0;
}

/** The path of the chosen one below the server's root. */
export function chosen() {
  const model = models.find((each) => id(each) === $("#model").value) ?? models[0];
  return model && `v1/models/${encodeURIComponent(model.name)}/versions/${encodeURIComponent(model.version)}`;
}

const id = ({ name, version }) => `${name}/${version}`;

function text({ name, version }) {
  const several = models.filter((model) => model.name === name).length > 1;
  return several ? `${name} · ${version}` : name;
}
