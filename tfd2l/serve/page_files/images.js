// Images: the user's own, and the test images.

import { labelsOf } from "./descriptions.js";
import { drawPixels, readImageFile } from "./pictures.js";
import { ask, forget } from "./request.js";
import { classifyPixels, listSamples, prepareImage } from "./server.js";

const MAX_FILES = 100;

const byId = (id) => document.getElementById(id);
let samples = [];

/** Sets the controls up for a model of images. */
export function describeImages(model) {
  const { framing, shape } = model;
  byId("labels").textContent = labelsOf(model);
  const [auto, garment] = byId("framing").options;
  auto.textContent = `as the model says (${framing})`;
  // A garment is grey.
  garment.disabled = shape[2] === 3;
  if (garment.disabled && garment.selected) auto.selected = true;
  byId("framings").hidden = garment.disabled;
}

/** Shows what is chosen: the names of images, or a test image, which is marked. */
export function markChosen(text, sample = null) {
  byId("chosen").textContent = text;
  for (const button of byId("samples").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", button === sample);
  }
}

/** Asks the model about image files. */
export function askImages(files) {
  const names = files.map(({ name }) => name), shown = names.slice(0, 3).join(", ");
  const more = names.length > 3 ? ", …" : "";
  markChosen(names.length > 1 ? `${names.length} images: ${shown}${more}` : shown);
  return ask(async (model, { report, isWanted }) => {
    if (!files.length) {
      throw new Error("Drop an image file, not a text or a link: save the image first.");
    }
    if (files.length > MAX_FILES) {
      throw new Error(`The page takes up to ${MAX_FILES} images at a time; got ${files.length}. `
        + "python -m tfd2l.predict takes any number.");
    }
    const results = [];
    for (const file of files) {
      if (!isWanted()) break;
      const count = files.length > 1 ? `image ${results.length + 1} of ${files.length}, ` : "";
      report(`Reading ${count}${file.name} …`);
      const failed = ({ message }) => ({ name: file.name, error: message });
      results.push(await askImage(model, file).catch(failed));
    }
    return { results };
  });
}

async function askImage(model, file) {
  const { body, preview, notes: changes } = await readImageFile(file);
  const prepared = await prepareImage(model, body, byId("framing").value);
  const { pixels, doubt, shows_garment: showsGarment } = prepared;
  const notes = [...changes, ...prepared.notes];
  const answer = await classifyPixels(model, pixels);
  return { name: file.name, preview, pixels, notes, doubt, showsGarment, ...answer };
}

/** Fetches the test images, each a button. */
export async function loadSamples() {
  samples = await listSamples();
  byId("samples").replaceChildren(...samples.map((sample, i) => {
    const item = document.createElement("li");
    item.append(sampleButton(sample, `test image ${i + 1}`));
    return item;
  }));
}

function sampleButton({ pixels, label }, name) {
  const button = document.createElement("button"), canvas = document.createElement("canvas");
  drawPixels(canvas, pixels);
  button.type = "button";
  button.title = label;
  button.setAttribute("aria-label", `${name}: ${label}`);
  button.setAttribute("aria-pressed", "false");
  button.append(canvas);
  button.addEventListener("click", () => {
    markChosen(name, button);
    ask(async (model) => {
      const answer = await classifyPixels(model, pixels);
      return { results: [{ name, pixels, truth: label, ...answer }] };
    });
  });
  return button;
}

/** Offers the test images, which are as Fashion-MNIST has them, to models of its kind. */
export function showGallery({ kind, shape, framing }) {
  const fits = kind === "image" && framing === "garment" && `${shape}` === "28,28,1";
  byId("gallery").hidden = !samples.length || !fits;
  if (!fits && byId("samples").querySelector("[aria-pressed=true]")) {
    forget();
    markChosen("");
  }
}
