// Requests to the server: the page's own, and TensorFlow Serving's REST interface.

// The server may close the connection of a longer request before the browser reads its answer.
export const MAX_BYTES = 8 * 2 ** 20;

/** Fetches JSON; throws an Error whose message is for the user. */
async function fetchJson(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Error("The server doesn't answer; is it still running?");
  }
  const text = await response.text();
  let answer = {};
  try {
    answer = JSON.parse(text);
  } catch {
    if (response.ok) throw new Error("The answer has a number that is NaN or infinite.");
  }
  if (!response.ok) throw new Error(sentence(answer.error || `The server answered ${response.status}`));
  return answer;
}

/** Begins and ends an error of the server as a sentence. */
function sentence(text) {
  return text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

/** The served models, a Map from name to description; each description gets its `name`. */
export async function listModels() {
  const found = Object.entries(await fetchJson("page/models"));
  return new Map(found.map(([name, model]) => [name, { name, ...model }]));
}

export function listSamples() {
  return fetchJson("page/samples");
}

/** An image file, a Blob, as the model sees it: `pixels`, `notes`, `doubt`, `shows_garment`. */
export function prepareImage(model, body, framing) {
  const query = new URLSearchParams({ model: model.name, version: model.version, framing });
  return fetchJson(`page/prepare?${query}`, { method: "POST", body });
}

/** The text of a table as the model's rows: `names` and `cells` as in the text, and `rows`. */
export function prepareRows(model, text) {
  const query = new URLSearchParams({ model: model.name, version: model.version });
  return fetchJson(`page/rows?${query}`, { method: "POST", body: text });
}

// Asks the version that the list named, so that the shown version is the one that answered.
function post(model, call, body) {
  const address = `v1/models/${encodeURIComponent(model.name)}/versions/${model.version}:${call}`;
  return fetchJson(address, { method: "POST", body });
}

/** The answer for the pixels of one image: `scores`, pairs of label and probability, or `number`. */
export async function classifyPixels(model, pixels) {
  const bytes = pixels.flat(Infinity).map((value) => String.fromCharCode(value)).join("");
  const call = model.number === null ? "classify" : "regress";
  const examples = [{ image: { b64: btoa(bytes) } }];
  const answer = await post(model, call, JSON.stringify({ signature_name: call, examples }));
  const [result] = answer.results;
  return model.number === null ? { scores: result } : { number: result };
}

/** The answers for rows, each a list of values in the order of the model's columns. */
export async function predictRows(model, rows) {
  // TensorFlow Serving reads NaN, which JSON.stringify does not write.
  const cell = (value) => (value === null ? "NaN" : JSON.stringify(value));
  const instance = (row) => {
    if (!model.is_table) return `[${row.map(cell)}]`;
    return `{${model.columns.map(({ name }, i) => `${JSON.stringify(name)}: ${cell(row[i])}`)}}`;
  };
  const { predictions } = await post(model, "predict", `{"instances": [${rows.map(instance)}]}`);
  if (model.number !== null) return predictions.map((number) => ({ number }));
  return predictions.map(({ probabilities, class_id: best, label }) => {
    const names = probabilities.map((_, i) => (i === best ? label : model.labels[i] ?? `class ${i}`));
    const scores = probabilities.map((share, i) => [names[i], share]);
    // The sort is stable, and the first of equal ones is the model's label.
    return { scores: scores.sort((one, other) => other[1] - one[1]) };
  });
}
