// The page: the model, what the user gives it, and the state of the request.

import { clearAnswers, showAnswers } from "./answers.js";
import { closeCamera, setUpCamera } from "./camera.js";
import { fillExample, makeFields, readFields } from "./fields.js";
import { aboutModel, labelsOf } from "./model.js";
import { drawPixels, readImageFile } from "./pictures.js";
import { MAX_BYTES, classifyPixels, listModels, listSamples, predictRows, prepareImage, prepareRows } from "./server.js";

const MAX_FILES = 100;
// A spinner for a shorter time would only flicker.
const BUSY_AFTER_MS = 150;
// Pixels of the headline and the pictures.
const ANSWER_HEIGHT = 260;

const byId = (id) => document.getElementById(id);
// Numbers the requests: only the answer to the latest one is shown.
let latest = 0;
// The model that the page is set up for; null before the first list.
let current = null;
let samples = [];
// Repeats the last request, for another model or framing.
let again = null;

// The model

/** Fetches the served models, which change while the page is open, and returns the chosen one. */
async function refreshModel() {
  const models = await listModels();
  if (!models.size) {
    byId("ask-title").textContent = "No model yet";
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
  return current;
}

/** Shows the version, and the controls for the model's raw inputs if they are not there yet. */
function setUp(model) {
  const before = current, isImage = model.kind === "image";
  current = model;
  byId("version").textContent = `version ${model.version}`;
  byId("about").textContent = aboutModel(model);
  const form = (one) => JSON.stringify({ ...one, version: "", evaluation: null });
  if (before && form(before) === form(model)) return;
  byId("images").hidden = !isImage;
  byId("row").hidden = byId("many-rows").hidden = isImage;
  byId("ask-title").textContent = isImage ? "Your images" : "Your row";
  clearAnswers();
  // A file may be shown to another model of images; a row belongs to its fields.
  if (!isImage || before?.kind !== "image") forget();
  if (isImage) describeImages(model);
  else describeRows(model);
}

function describeImages(model) {
  const { framing, shape } = model;
  byId("labels").textContent = labelsOf(model);
  const [auto, garment] = byId("framing").options;
  auto.textContent = `as the model says (${framing})`;
  // A garment is grey.
  garment.disabled = shape[2] === 3;
  if (garment.disabled && garment.selected) auto.selected = true;
  byId("framings").hidden = garment.disabled;
  showGallery();
}

function describeRows(model) {
  const { is_table: isTable, takes_missing: takesMissing, columns } = model;
  closeCamera();
  makeFields(byId("fields"), model);
  byId("row-hint").textContent = !isTable ? "The numbers of an example, in their order."
    : takesMissing ? "A field may be empty: its value is missing." : "This model needs all values.";
  byId("header-hint").textContent = isTable ? ", with the names of the columns in the first row" : "";
  byId("fill").hidden = !columns.some(({ example }) => example !== null);
  byId("table").value = "";
  showGallery();
}

/** Offers the test images, which are as Fashion-MNIST has them, to models of its kind. */
function showGallery() {
  const { kind, shape, framing } = current;
  const fits = kind === "image" && framing === "garment" && `${shape}` === "28,28,1";
  byId("gallery").hidden = !samples.length || !fits;
}

// A request

/** Asks the model: `work` returns the results and the columns of their table. */
async function run(work) {
  const mine = ++latest, said = byId("said"), isLatest = () => mine === latest;
  const report = (text) => {
    if (isLatest()) byId("status").textContent = text;
  };
  const timer = setTimeout(() => isLatest() && said.classList.add("busy"), BUSY_AFTER_MS);
  said.setAttribute("aria-busy", "true");
  report("Asking the model …");
  try {
    const model = await refreshModel();
    const { results, columns } = await work(model, report, isLatest);
    if (!isLatest()) return;
    // The error of a single image is no table.
    if (results.length === 1 && results[0].error) throw new Error(results[0].error);
    report(showAnswers(model, results, columns));
  } catch (error) {
    if (!isLatest()) return;
    clearAnswers();
    complain(error);
  } finally {
    clearTimeout(timer);
    if (isLatest()) {
      said.classList.remove("busy");
      said.removeAttribute("aria-busy");
      showAnswerInView();
    }
  }
}

/** Scrolls to the answer where its first lines are out of view, as on a phone. */
function showAnswerInView() {
  const { top } = byId("said").getBoundingClientRect();
  if (top < 0 || top + ANSWER_HEIGHT > innerHeight) byId("said").scrollIntoView({ block: "start" });
}

function start(work) {
  again = work;
  run(work);
}

function forget() {
  again = null;
  mark("");
}

function complain(error) {
  byId("status").textContent = "";
  byId("nothing-yet").hidden = true;
  byId("problem").textContent = error.message;
  byId("problem").hidden = false;
}

/** Names the chosen images, and marks the chosen test image. */
function mark(text, sample = null) {
  byId("chosen").textContent = text;
  for (const button of byId("samples").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", button === sample);
  }
}

// Images

function askImages(files) {
  const [file] = files, names = files.map(({ name }) => name);
  mark(files.length > 1 ? `${files.length} images: ${names.slice(0, 3).join(", ")}${files.length > 3 ? ", …" : ""}` : file?.name ?? "");
  start(async (model, report, isLatest) => {
    if (!file) throw new Error("Drop an image file, not a text or a link: save the image first.");
    if (files.length > MAX_FILES) {
      throw new Error(`The page takes up to ${MAX_FILES} images at a time; got ${files.length}. python -m tfd2l.predict takes any number.`);
    }
    const results = [];
    for (const [i, file] of files.entries()) {
      if (!isLatest()) break;
      report(files.length > 1 ? `Image ${i + 1} of ${files.length}: ${file.name} …` : `Reading ${file.name} …`);
      results.push(await askImage(model, file).catch(({ message }) => ({ name: file.name, error: message })));
    }
    return { results };
  });
}

async function askImage(model, file) {
  const { body, preview, notes } = await readImageFile(file);
  const prepared = await prepareImage(model, body, byId("framing").value);
  const { pixels, doubt, shows_garment: showsGarment } = prepared;
  const answer = await classifyPixels(model, pixels);
  return { name: file.name, preview, pixels, notes: [...notes, ...prepared.notes], doubt, showsGarment, ...answer };
}

async function showSamples() {
  samples = await listSamples();
  byId("samples").replaceChildren(...samples.map(({ pixels, label }, i) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const canvas = document.createElement("canvas"), name = `test image ${i + 1}`;
    drawPixels(canvas, pixels);
    button.type = "button";
    button.title = label;
    button.setAttribute("aria-label", `${name}: ${label}`);
    button.setAttribute("aria-pressed", "false");
    button.append(canvas);
    button.addEventListener("click", () => {
      mark(name, button);
      start(async (model) => ({
        results: [{ name, pixels, truth: label, ...await classifyPixels(model, pixels) }],
      }));
    });
    item.append(button);
    return item;
  }));
  if (current) showGallery();
}

// Rows

function askFields() {
  start(async (model) => {
    const [answer] = await predictRows(model, [readFields(byId("fields"), model)]);
    return { results: [{ name: "row", ...answer }] };
  });
}

function askTable(text) {
  start(async (model) => {
    if (text.length > MAX_BYTES) throw new Error(`The table is longer than ${MAX_BYTES >> 20} MiB.`);
    const { names, cells, rows } = await prepareRows(model, text);
    const answers = await predictRows(model, rows);
    const results = answers.map((answer, i) => ({ name: `${i + 1}`, cells: cells[i], ...answer }));
    return { results, columns: names };
  });
}

async function askTableFile(file) {
  const text = await file.text().catch(() => null);
  if (text === null) return complain(new Error(`${file.name} can't be read; choose a CSV file.`));
  showTableText(text);
  askTable(text);
}

function showTableText(text) {
  byId("many-rows").open = true;
  byId("table").value = text;
}

// What the user does

function take(files) {
  const [file] = files;
  if (current?.kind !== "rows") askImages(files);
  else if (file && !file.type.startsWith("image/")) askTableFile(file);
  else complain(new Error(`${current.name} takes rows, not images: fill in the fields, or drop a CSV file.`));
}

for (const id of ["file", "csv"]) {
  byId(id).addEventListener("change", ({ target }) => {
    const files = [...target.files];
    // Choosing the same file again would be no change.
    target.value = "";
    if (files.length) take(files);
  });
}
for (const id of ["model", "framing"]) {
  byId(id).addEventListener("change", () => refreshModel().then(() => again && run(again)).catch(complain));
}
byId("model").addEventListener("focus", () => refreshModel().catch(complain));
byId("fill").addEventListener("click", () => fillExample(byId("fields"), current));
byId("row").addEventListener("submit", (event) => {
  event.preventDefault();
  askFields();
});
byId("rows").addEventListener("submit", (event) => {
  event.preventDefault();
  askTable(byId("table").value);
});

document.addEventListener("paste", (event) => {
  const { files, types } = event.clipboardData, text = event.clipboardData.getData("text/plain");
  const isField = event.target.matches?.("input:not([type=file]), textarea, select");
  // A spreadsheet also copies a picture of its cells.
  if (files.length && !types.includes("text/plain")) {
    event.preventDefault();
    take([...files]);
  } else if (current?.kind === "rows" && /[\t\n]/.test(text.trim()) && event.target.id !== "table") {
    event.preventDefault();
    showTableText(text);
    askTable(text);
  } else if (!isField && text) {
    complain(new Error(current?.kind === "rows"
      ? "Paste rows with the names of the columns above them."
      : "The clipboard has a text; copy an image, or save it as a file and choose that."));
  }
});

// Anywhere on the page, or the browser would open the dropped file in its place.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
document.addEventListener("dragleave", () => byId("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  take([...event.dataTransfer.files]);
});

setUpCamera((file) => askImages([file]), complain);
refreshModel().catch(complain);
showSamples().catch(complain);
