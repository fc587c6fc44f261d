"use strict";
// The server may close the connection of a longer request before the browser reads its answer.
const MAX_BYTES = 8 * 2 ** 20;
const byId = (id) => document.getElementById(id);
// Numbers the requests: only the answer to the latest one is shown.
let latest = 0;
// The model that the page is set up for.
let current = {};
let samples = [];
let again = null;

function draw(canvas, pixels) {
  canvas.width = pixels[0].length;
  canvas.height = pixels.length;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  pixels.flat().forEach((value, i) => {
    const [red, green, blue] = Array.isArray(value) ? value : [value, value, value];
    image.data.set([red, green, blue, 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
}

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
  if (!response.ok) throw new Error(answer.error || `The server answered ${response.status}.`);
  return answer;
}

// The served models change while the page is open, so the list is fetched before each request.
async function listModels() {
  const models = new Map(Object.entries(await fetchJson("page/models")));
  if (!models.size) {
    throw new Error("No model here takes images or rows; train one: python -m tfd2l.train");
  }
  const select = byId("model"), chosen = select.value, names = [...models.keys()];
  const listed = [...select.options].map((option) => option.value);
  // The message said that there was no model.
  if (!listed.length) byId("problem").hidden = true;
  // An unchanged list stays, because the user may have it open.
  if (`${names}` !== `${listed}`) {
    select.replaceChildren(...names.map((name) => new Option(name, name)));
    if (models.has(chosen)) select.value = chosen;
  }
  setUp(models.get(select.value));
  return models;
}

// Shows the controls for the model's raw inputs, if they are not there yet.
function setUp(model) {
  const before = current, isImage = model.kind === "image";
  current = model;
  if (JSON.stringify({ ...before, version: "" }) === JSON.stringify({ ...model, version: "" })) return;
  byId("framings").hidden = byId("drop").hidden = byId("image").hidden = !isImage;
  byId("row").hidden = isImage;
  byId("answer").hidden = true;
  // A file may be shown to another model of images; a row belongs to its fields.
  if (!isImage || before.kind !== "image") again = null;
  if (isImage) describeImages(model);
  else makeFields(model);
  showSubject();
}

function describeImages(model) {
  const [height, width, channels] = model.shape;
  byId("seen").setAttribute("aria-label", `the image, ${height} by ${width} pixels`);
  const [auto, garment] = byId("framing").options;
  auto.textContent = `as the model says (${model.framing})`;
  // A garment is grey.
  garment.disabled = channels === 3;
  if (garment.disabled && garment.selected) auto.selected = true;
}

function showSubject() {
  const { kind, shape, framing } = current, chosen = byId("framing").value;
  const isGarment = (chosen === "auto" ? framing : chosen) === "garment";
  byId("subject").textContent = isGarment ? "An image of a garment" : "An image";
  // The test images are as Fashion-MNIST has them.
  const fits = kind === "image" && framing === "garment" && `${shape}` === "28,28,1";
  byId("gallery").hidden = !samples.length || !fits;
}

function makeFields(model) {
  const isTable = model.kind === "table";
  byId("hint").textContent = isTable ? "A row of the table; an empty field is a missing value."
    : "The features of an example, in their order.";
  const columns = isTable ? Object.entries(model.columns)
    : Array.from({ length: model.num_inputs }, (_, i) => [`feature ${i + 1}`, "float32"]);
  byId("fields").replaceChildren(...columns.map(([name, dtype]) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.type = dtype === "string" ? "text" : "number";
    input.step = "any";
    // Of numbers without names none may be missing.
    input.required = !isTable;
    input.dataset.name = name;
    input.autocomplete = "off";
    label.append(name, input);
    return label;
  }));
}

// Asks the version that the list names, so that the shown version is the one that answered.
async function post(name, model, call, body) {
  const address = `v1/models/${encodeURIComponent(name)}/versions/${model.version}:${call}`;
  return fetchJson(address, { method: "POST", body });
}

async function askImage(name, model, pixels) {
  const bytes = pixels.flat(Infinity).map((value) => String.fromCharCode(value)).join("");
  const call = model.number === null ? "classify" : "regress";
  const examples = [{ image: { b64: btoa(bytes) } }];
  const answer = await post(name, model, call, JSON.stringify({ signature_name: call, examples }));
  const [result] = answer.results;
  return model.number === null ? { scores: result, label: result[0][0] } : { number: result };
}

async function askRow(name, model, fields) {
  // TensorFlow Serving reads NaN, which JSON.stringify does not write.
  const values = fields.map(({ type, value }) => {
    if (type === "text") return JSON.stringify(value);
    return value === "" ? "NaN" : JSON.stringify(Number(value));
  });
  const pairs = fields.map(({ dataset }, i) => `${JSON.stringify(dataset.name)}: ${values[i]}`);
  const row = model.kind === "table" ? `{${pairs}}` : `[${values}]`;
  const answer = await post(name, model, "predict", `{"instances": [${row}]}`);
  const [result] = answer.predictions;
  if (model.number !== null) return { number: result };
  const scores = result.probabilities.map((share, i) => [model.labels[i] ?? `class ${i}`, share]);
  // The sort is stable, and the first of equal ones is the model's label.
  return { scores: scores.sort((one, other) => other[1] - one[1]), label: result.label };
}

async function answerFor(ask) {
  const models = await listModels(), name = byId("model").value, model = models.get(name);
  const found = await ask(name, model);
  return { ...found, subject: model.number, source: `${name}, version ${model.version}` };
}

function show({ pixels, notes = [], showsGarment = true, source, scores, label, number, subject }) {
  if (pixels) draw(byId("seen"), pixels);
  byId("notes").textContent = notes.join("; ");
  const said = scores ? `${label} (${(100 * scores[0][1]).toFixed(1)} %)` : `${subject}: ${number}`;
  byId("label").textContent = showsGarment ? said : "No garment found";
  byId("source").textContent = source;
  byId("bars").replaceChildren(...(scores ?? []).map(([name, share]) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    const cell = document.createElement("td");
    const percent = document.createElement("td");
    const bar = document.createElement("div");
    head.scope = "row";
    head.textContent = name;
    cell.className = "share";
    bar.style.width = `${100 * share}%`;
    cell.append(bar);
    percent.className = "number";
    percent.textContent = `${(100 * share).toFixed(1)} %`;
    row.append(head, cell, percent);
    return row;
  }));
  byId("answer").hidden = false;
}

function complain(error) {
  byId("problem").textContent = error.message;
  byId("problem").hidden = false;
}

async function run(work) {
  const mine = ++latest;
  try {
    const found = await work();
    if (mine !== latest) return;
    byId("problem").hidden = true;
    show(found);
  } catch (error) {
    if (mine !== latest) return;
    byId("answer").hidden = true;
    complain(error);
  }
}

function start(work) {
  again = work;
  run(work);
}

function take(files) {
  const [file] = files;
  start(async () => {
    if (!file) {
      throw new Error("Drop an image file, not a text or a link: save the image first.");
    }
    if (file.size > MAX_BYTES) {
      throw new Error(`An image file may have ${MAX_BYTES >> 20} MiB; ${file.name} has more. Make it smaller.`);
    }
    const body = await file.arrayBuffer().catch(() => {
      throw new Error(`${file.name} can't be read; choose an image file, and not a folder.`);
    });
    const others = `${file.name} is the first of ${files.length} files; the others were not used`;
    return answerFor(async (name, model) => {
      if (model.kind !== "image") throw new Error(`${name} takes no images; fill in the fields.`);
      const { version } = model, framing = byId("framing").value;
      const query = new URLSearchParams({ model: name, version, framing });
      const prepared = await fetchJson(`page/prepare?${query}`, { method: "POST", body });
      const { pixels, shows_garment: showsGarment } = prepared;
      const notes = files.length > 1 ? [others, ...prepared.notes] : prepared.notes;
      return { pixels, notes, showsGarment, ...await askImage(name, model, pixels) };
    });
  });
}

// Emptied, because choosing the same file again would be no change.
byId("file").addEventListener("click", (event) => { event.target.value = ""; });
byId("file").addEventListener("change", ({ target }) => target.files.length && take([...target.files]));
for (const id of ["model", "framing"]) {
  byId(id).addEventListener("change", () => listModels().then(() => {
    showSubject();
    if (again) run(again);
  }).catch(complain));
}
byId("model").addEventListener("focus", () => listModels().catch(complain));
byId("row").addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = [...byId("fields").querySelectorAll("input")];
  start(() => answerFor((name, model) => askRow(name, model, fields)));
});
const frame = byId("drop");
// Anywhere on the page, or the browser would open the dropped file in its place.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  frame.classList.add("over");
});
document.addEventListener("dragleave", () => frame.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  frame.classList.remove("over");
  take([...event.dataTransfer.files]);
});

async function listSamples() {
  samples = await fetchJson("page/samples");
  byId("samples").replaceChildren(...samples.map(({ pixels, label }, i) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const canvas = document.createElement("canvas");
    draw(canvas, pixels);
    button.type = "button";
    button.title = label;
    button.setAttribute("aria-label", `test image ${i + 1}: ${label}`);
    button.append(canvas);
    const notes = [`a test image; it is labelled ${label}`];
    button.addEventListener("click", () => start(() => answerFor(async (name, model) =>
      ({ pixels, notes, ...await askImage(name, model, pixels) }))));
    item.append(button);
    return item;
  }));
  showSubject();
}

listModels().catch(complain);
listSamples().catch(complain);
