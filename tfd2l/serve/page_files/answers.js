// Shows answers: one in full, and several as a table.

import { qualityOf } from "./descriptions.js";
import { drawFitted, drawPixels } from "./pictures.js";

const byId = (id) => document.getElementById(id);
// From these probabilities on an answer is called certain, or likely.
const CERTAIN = 0.9;
const LIKELY = 0.6;
const MAX_BARS = 10;
const THUMBNAIL_SIDE = 112;

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** A number without digits that a float32 doesn't have. */
function plain(number) {
  const size = Math.abs(number);
  if (size >= 1e15) return `${number}`;
  const digits = size >= 1e5 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 6 };
  return number.toLocaleString("en", digits);
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** 'certain', 'likely' or 'uncertain', by the probability and by doubts about the image. */
export function certaintyOf({ scores, doubt }) {
  const [, share] = scores[0];
  if (share >= CERTAIN && !doubt) return "certain";
  return share >= LIKELY ? "likely" : "uncertain";
}

/** An answer in a few words, which say how certain it is. */
export function headlineOf(model, result) {
  const { showsGarment = true, scores, number } = result;
  if (!showsGarment) return "No garment found";
  if (!scores) return `${model.number}: ${plain(number)}`;
  const [[label], [second] = []] = scores;
  const words = {
    certain: label,
    likely: `Probably ${label}`,
    uncertain: second === undefined ? `Uncertain: ${label}?` : `Uncertain: ${label} or ${second}?`,
  };
  return words[certaintyOf(result)];
}

function certaintyText(model, { showsGarment = true, scores, doubt }) {
  if (!scores) return qualityOf(model);
  if (!showsGarment) return "The model names a class for any image; here that means nothing.";
  const share = `${percent(scores[0][1])} for ${scores[0][0]}`;
  const words = {
    certain: "the model is certain.",
    likely: "the model is not certain.",
    uncertain: "the model can't tell.",
  };
  if (doubt && scores[0][1] >= CERTAIN) return `${share}, if the crop is right.`;
  return `${share}: ${words[certaintyOf({ scores, doubt })]}`;
}

function barOf([label, share]) {
  const bar = element("div", { className: "bar" });
  bar.style.width = `${100 * share}%`;
  return element("tr", {},
    element("th", { scope: "row", textContent: label }),
    element("td", { className: "track" }, bar),
    element("td", { className: "number", textContent: percent(share) }));
}

/** Shows one answer in full. */
function showOne(model, result) {
  const { pixels, preview, notes = [], doubt, showsGarment = true, scores, truth, name } = result;
  byId("headline").textContent = headlineOf(model, result);
  const labelled = truth ? `The test image is labelled ${truth}.` : "";
  byId("certainty").textContent = `${certaintyText(model, result)} ${labelled}`.trim();
  byId("caution").textContent = doubt ? `The crop may be wrong: ${doubt}.` : "";
  byId("caution").hidden = !doubt;
  byId("pictures").hidden = !pixels;
  if (pixels) {
    drawPixels(byId("seen"), pixels);
    const size = `${pixels.length} by ${pixels[0].length} pixels`;
    byId("seen").setAttribute("aria-label", `${name} as the model sees it, ${size}`);
  }
  byId("own-figure").hidden = !preview;
  if (preview) {
    drawFitted(byId("own"), preview, Infinity);
    byId("own").setAttribute("aria-label", name);
  }
  const shown = (scores ?? []).slice(0, MAX_BARS);
  const others = (scores ?? []).length - shown.length;
  byId("probabilities").hidden = !shown.length;
  byId("bars").replaceChildren(...shown.map(barOf));
  byId("other-classes").textContent = others ? `and ${others} other classes` : "";
  byId("answer").classList.toggle("unanswered", !showsGarment);
  byId("log").hidden = !pixels;
  byId("notes").replaceChildren(...(notes.length ? notes : ["taken as it is"]).map((note) =>
    element("li", { textContent: note })));
  byId("source").textContent = `${model.name}, version ${model.version}`;
  byId("answer").hidden = false;
}

function thumbnail(label, draw) {
  const canvas = element("canvas", { className: "thumbnail" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  draw(canvas);
  return canvas;
}

function pictureCells({ name, pixels, preview }) {
  const own = preview
    ? thumbnail(name, (canvas) => drawFitted(canvas, preview, THUMBNAIL_SIDE)) : "–";
  const seen = thumbnail(`${name} as the model sees it`, (canvas) => drawPixels(canvas, pixels));
  return [own, seen].map((picture) => element("td", { className: "picture" }, picture));
}

function probabilityCell(result) {
  const { showsGarment = true, scores } = result;
  if (!showsGarment) return element("td", { className: "number", textContent: "–" });
  return element("td", { className: "number" }, percent(scores[0][1]),
    element("span", { className: "quiet", textContent: certaintyOf(result) }));
}

/** The answer of a row of the table, without words that its probability repeats. */
function answerOf(model, result) {
  const { showsGarment = true, scores, number } = result;
  if (!showsGarment) return headlineOf(model, result);
  return scores ? scores[0][0] : plain(number);
}

/** A row of the table; `select` shows more of its answer, where there is more. */
function rowOf(model, result, select) {
  const isImage = model.kind === "image", hasMore = result.scores || result.pixels;
  const row = element("tr");
  if (result.error) {
    const textContent = `${result.name}: ${result.error}`;
    row.append(element("td", { colSpan: 4, className: "error", textContent }));
    return row;
  }
  const textContent = answerOf(model, result);
  const said = hasMore ? element("button", { type: "button", className: "plain", textContent }) : textContent;
  if (hasMore) said.addEventListener("click", () => select(row, result));
  const answer = element("td", { className: "answer" }, said,
    ...(isImage ? [element("span", { className: "quiet", textContent: result.name })] : []));
  row.append(
    ...(isImage ? pictureCells(result) : [element("th", { scope: "row", textContent: result.name })]),
    answer,
    ...(model.number === null ? [probabilityCell(result)] : []),
    ...(result.cells ?? []).map((cell) => element("td", { textContent: cell })));
  return row;
}

function showTable(model, results, columns) {
  const table = byId("results").querySelector("table"), isImage = model.kind === "image";
  const heads = [
    ...(isImage ? ["Your image", "The model sees"] : ["Row"]),
    model.number ?? "Answer",
    ...(model.number === null ? ["Probability"] : []),
    ...columns,
  ];
  const cells = heads.map((textContent) => element("th", { scope: "col", textContent }));
  table.tHead.replaceChildren(element("tr", {}, ...cells));
  table.caption.textContent = `${results.length} answers of ${model.name}, version ${model.version}`;
  const select = (chosen, result) => {
    for (const row of table.tBodies[0].rows) {
      row.classList.toggle("selected", row === chosen);
      row.querySelector("button")?.setAttribute("aria-pressed", row === chosen);
    }
    showOne(model, result);
  };
  const rows = results.map((result) => rowOf(model, result, (row, one) => {
    select(row, one);
    byId("pictures").scrollIntoView({ block: "nearest" });
  }));
  table.tBodies[0].replaceChildren(...rows);
  byId("results").hidden = false;
  const first = rows.findIndex((row) => row.querySelector("button"));
  byId("answer").hidden = first < 0;
  if (first >= 0) select(rows[first], results[first]);
}

/** Shows the answers, and returns a sentence that sums them up. */
export function showAnswers(model, results, columns = []) {
  byId("nothing-yet").hidden = byId("problem").hidden = true;
  byId("results").hidden = results.length < 2;
  if (results.length === 1) {
    showOne(model, results[0]);
    const headline = headlineOf(model, results[0]), end = headline.endsWith("?") ? "" : ".";
    return `${headline}${end} ${certaintyText(model, results[0])}`.trim();
  }
  showTable(model, results, columns);
  const unread = results.filter(({ error }) => error).length;
  return `${results.length} answers${unread ? `, ${unread} of them errors` : ""}.`;
}

/** Removes all answers. */
export function clearAnswers() {
  byId("status").textContent = "";
  byId("answer").hidden = byId("results").hidden = byId("problem").hidden = true;
  byId("nothing-yet").hidden = false;
}
