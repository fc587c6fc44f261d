// A request to the model: its state on the page, and its repetition for another model.

import { clearAnswers, showAnswers } from "./answers.js";
import { currentModel, refreshModel } from "./model.js";

// A spinner for a shorter time would only flicker.
const BUSY_AFTER_MS = 150;
// Pixels of the headline and the pictures.
const ANSWER_HEIGHT = 260;

const byId = (id) => document.getElementById(id);
// Numbers the requests: only the answer to the latest one is shown.
let latest = 0;
let repeated = null;

/**
 * Asks the model and shows its answers.
 *
 * `work` gets the model and an object with `report`, which shows a text while the user waits, and
 * `isWanted`, false once nobody waits for the answer; it returns the results and the columns of their table.
 */
export function ask(work) {
  repeated = work;
  return run(work);
}

/** Repeats the latest request, if there is one. */
export async function askAgain() {
  if (repeated) await run(repeated);
}

/** Forgets the latest request, which another model can't answer. */
export function forget() {
  repeated = null;
}

/** Shows an error, whose message is for the user. */
export function complain(error) {
  byId("status").textContent = "";
  byId("nothing-yet").hidden = true;
  byId("problem").textContent = error.message;
  byId("problem").hidden = false;
}

async function run(work) {
  const mine = ++latest, isLatest = () => mine === latest;
  let model = null;
  // The user may have chosen another model meanwhile.
  const isWanted = () => isLatest() && (!model || model.name === currentModel().name);
  const report = (text) => {
    if (isWanted()) byId("status").textContent = text;
  };
  const timer = setTimeout(() => isLatest() && byId("said").classList.add("busy"), BUSY_AFTER_MS);
  byId("said").setAttribute("aria-busy", "true");
  report("Asking the model …");
  try {
    model = await refreshModel();
    const { results, columns } = await work(model, { report, isWanted });
    // The error of a single image is no table.
    if (results.length === 1 && results[0].error) throw new Error(results[0].error);
    if (isWanted()) report(showAnswers(model, results, columns));
  } catch (error) {
    if (isWanted()) {
      clearAnswers();
      complain(error);
    }
  }
  clearTimeout(timer);
  if (!isLatest()) return;
  byId("said").classList.remove("busy");
  byId("said").removeAttribute("aria-busy");
  if (isWanted()) showAnswerInView();
}

/** Scrolls to the answer where its first lines are out of view, as on a phone. */
function showAnswerInView() {
  const { top } = byId("said").getBoundingClientRect();
  if (top < 0 || top + ANSWER_HEIGHT > innerHeight) byId("said").scrollIntoView({ block: "start" });
}
