// The chosen model. The served models change while the page is open.

import { aboutModel } from "./descriptions.js";
import { listModels } from "./server.js";

const byId = (id) => document.getElementById(id);
let current = null;
let onChange = () => {};

/** The description of the chosen model; null before the first list. */
export const currentModel = () => current;

/** Calls `listener` with the new and the former model when the form of inputs or answers changes. */
export function onModelChange(listener) {
  onChange = listener;
}

/** Fetches the served models and returns the chosen one. */
export async function refreshModel() {
  const models = await listModels();
  if (!models.size) {
    byId("ask-title").textContent = "No model yet";
    throw new Error("No model here takes images or rows; train one: python -m tfd2l.train");
  }
  const select = byId("model"), chosen = select.value, names = [...models.keys()];
  const listed = [...select.options].map((option) => option.value);
  // An unchanged list stays, because the user may have it open.
  if (`${names}` !== `${listed}`) {
    select.replaceChildren(...names.map((name) => new Option(name, name)));
    if (models.has(chosen)) select.value = chosen;
  }
  const before = current;
  current = models.get(select.value);
  byId("version").textContent = `version ${current.version}`;
  byId("about").textContent = aboutModel(current);
  if (formOf(before) !== formOf(current)) onChange(current, before);
  return current;
}

/** All that the controls and the answers depend on. */
function formOf(model) {
  return model && JSON.stringify({ ...model, version: "", evaluation: null });
}
