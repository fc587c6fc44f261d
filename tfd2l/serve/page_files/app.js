// The page: what the user does, and what it leads to.

import { clearAnswers } from "./answers.js";
import { closeCamera, setUpCamera } from "./camera.js";
import { askImages, describeImages, loadSamples, markChosen, showGallery } from "./images.js";
import { currentModel, onModelChange, refreshModel } from "./model.js";
import { askAgain, complain, forget } from "./request.js";
import { askFields, askTable, askTableFile, describeRows } from "./rows.js";

const byId = (id) => document.getElementById(id);
const takesRows = () => currentModel()?.kind === "rows";

function takeFiles(files) {
  const [file] = files;
  if (!takesRows()) {
    askImages(files);
  } else if (file && !file.type.startsWith("image/")) {
    askTableFile(file);
  } else {
    const { name } = currentModel();
    complain(new Error(`${name} takes rows, not images: fill in the fields, or drop a CSV file.`));
  }
}

// The model

onModelChange((model, before) => {
  const isImage = model.kind === "image";
  byId("images").hidden = !isImage;
  byId("row").hidden = byId("many-rows").hidden = isImage;
  byId("ask-title").textContent = isImage ? "Your images" : "Your row";
  clearAnswers();
  // A file may be shown to another model of images; a row belongs to its fields.
  if (!isImage || before?.kind !== "image") {
    forget();
    markChosen("");
  }
  if (isImage) {
    describeImages(model);
  } else {
    closeCamera();
    describeRows(model);
  }
  showGallery(model);
});
for (const id of ["model", "framing"]) {
  byId(id).addEventListener("change", () => refreshModel().then(askAgain).catch(complain));
}
byId("model").addEventListener("focus", () => refreshModel().catch(complain));

// Files, forms and the camera

for (const id of ["file", "csv"]) {
  byId(id).addEventListener("change", ({ target }) => {
    const files = [...target.files];
    // Choosing the same file again would be no change.
    target.value = "";
    if (files.length) takeFiles(files);
  });
}
byId("row").addEventListener("submit", (event) => {
  event.preventDefault();
  askFields();
});
byId("rows").addEventListener("submit", (event) => {
  event.preventDefault();
  askTable(byId("table").value);
});
setUpCamera((file) => askImages([file]), complain);

// The clipboard, and drops anywhere on the page: the browser would open a dropped file in its place

document.addEventListener("paste", (event) => {
  const { files, types } = event.clipboardData, text = event.clipboardData.getData("text/plain");
  const isRows = takesRows() && /[\t\n]/.test(text.trim());
  const isField = event.target.matches?.("input:not([type=file]), select, textarea");
  // A spreadsheet also copies a picture of its cells.
  const isFile = files.length > 0 && !types.includes("text/plain");
  if (isFile || (isRows && event.target.id !== "table")) event.preventDefault();
  if (isFile) {
    takeFiles([...files]);
  } else if (isRows && event.target.id !== "table") {
    askTable(text);
  } else if (text && !isField) {
    complain(new Error(takesRows()
      ? "Paste rows with the names of the columns above them."
      : "The clipboard has a text; copy an image, or save it as a file and choose that."));
  }
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
document.addEventListener("dragleave", () => byId("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  takeFiles([...event.dataTransfer.files]);
});

// The start

refreshModel().catch(complain);
loadSamples().then(() => currentModel() && showGallery(currentModel())).catch(complain);
