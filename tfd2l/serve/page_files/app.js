"use strict";
// The server may close the connection of a longer request before the browser reads its answer.
const MAX_BYTES = 8 * 2 ** 20;
const byId = (id) => document.getElementById(id);
// Numbers the requests: only the answer to the latest one is shown.
let latest = 0;

function draw(canvas, pixels) {
  canvas.width = pixels[0].length;
  canvas.height = pixels.length;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  pixels.flat().forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
  context.putImageData(image, 0, 0);
}

async function fetchJson(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Error("The server doesn't answer; is it still running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `The server answered ${response.status}.`);
  return answer;
}

// The served models change while the page is open, so the list is fetched before each request.
async function listModels() {
  const versions = new Map(Object.entries(await fetchJson("page/models")));
  if (!versions.size) {
    throw new Error("No model here classifies images; train one: python -m tfd2l.train");
  }
  const select = byId("model"), chosen = select.value, names = [...versions.keys()];
  const listed = [...select.options].map((option) => option.value);
  // The message said that there was no model.
  if (!listed.length) byId("problem").hidden = true;
  // An unchanged list stays, because the user may have it open.
  if (`${names}` !== `${listed}`) {
    select.replaceChildren(...names.map((name) => new Option(name, name)));
    if (versions.has(chosen)) select.value = chosen;
  }
  return versions;
}

async function classify(pixels, notes, showsGarment = true) {
  const bytes = String.fromCharCode(...pixels.flat());
  // With its number, so that the shown version is the one that answered.
  const versions = await listModels(), model = byId("model").value, version = versions.get(model);
  const answer = await fetchJson(`v1/models/${encodeURIComponent(model)}/versions/${version}:classify`, {
    method: "POST",
    body: JSON.stringify({
      signature_name: "classify",
      examples: [{ image: { b64: btoa(bytes) } }],
    }),
  });
  const source = `${model}, version ${version}`;
  return { pixels, notes, showsGarment, source, scores: answer.results[0] };
}

function show({ pixels, notes, showsGarment, source, scores }) {
  draw(byId("seen"), pixels);
  byId("notes").textContent = notes.join("; ");
  const likeliest = `${scores[0][0]} (${(100 * scores[0][1]).toFixed(1)} %)`;
  byId("label").textContent = showsGarment ? likeliest : "No garment found";
  byId("source").textContent = source;
  byId("bars").replaceChildren(...scores.map(([label, share]) => {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    const cell = document.createElement("td");
    const number = document.createElement("td");
    const bar = document.createElement("div");
    name.scope = "row";
    name.textContent = label;
    cell.className = "share";
    bar.style.width = `${100 * share}%`;
    cell.append(bar);
    number.className = "number";
    number.textContent = `${(100 * share).toFixed(1)} %`;
    row.append(name, cell, number);
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

let again = null;
function start(work) {
  again = work;
  run(work);
}

function take(files) {
  const [file] = files;
  start(async () => {
    if (!file) {
      throw new Error("Drop a PNG, JPEG or GIF file, not a text or a link: save the image first.");
    }
    if (file.size > MAX_BYTES) {
      throw new Error(`An image file may have ${MAX_BYTES >> 20} MiB; ${file.name} has more. Make it smaller.`);
    }
    const body = await file.arrayBuffer().catch(() => {
      throw new Error(`${file.name} can't be read; choose an image file, and not a folder.`);
    });
    const prepared = await fetchJson("page/prepare", { method: "POST", body });
    const { pixels, notes } = prepared;
    const others = `${file.name} is the first of ${files.length} files; the others were not used`;
    const said = files.length > 1 ? [others, ...notes] : notes;
    return classify(pixels, said, prepared.shows_garment);
  });
}

// Emptied, because choosing the same file again would be no change.
byId("file").addEventListener("click", (event) => { event.target.value = ""; });
byId("file").addEventListener("change", ({ target }) => target.files.length && take([...target.files]));
byId("model").addEventListener("change", () => again && run(again));
byId("model").addEventListener("focus", () => listModels().catch(complain));
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
  const samples = await fetchJson("page/samples");
  byId("samples").replaceChildren(...samples.map(({ pixels, label }, i) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const canvas = document.createElement("canvas");
    draw(canvas, pixels);
    button.type = "button";
    button.title = label;
    button.setAttribute("aria-label", `test image ${i + 1}: ${label}`);
    button.append(canvas);
    button.addEventListener("click", () =>
      start(() => classify(pixels, [`a test image; it is labelled ${label}`])));
    item.append(button);
    return item;
  }));
  byId("gallery").hidden = !samples.length;
}

listModels().catch(complain);
listSamples().catch(complain);
