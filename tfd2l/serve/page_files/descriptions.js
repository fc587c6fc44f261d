// What the page says about a model, from its description by the server.

const MAX_LABELS = 12;

/** Inputs, outputs and measured quality of a model, in a sentence or two. */
export function aboutModel(model) {
  const { kind, shape, columns, labels, number, is_table: isTable } = model;
  const width = `${columns?.length} ${isTable ? "column" : "number"}${columns?.length === 1 ? "" : "s"}`;
  const inputs = kind === "image"
    ? `Takes ${shape[2] === 3 ? "colour" : "grey"} images, made ${shape[0]} x ${shape[1]} pixels`
    : `Takes rows of ${width}`;
  const target = number === "prediction" ? "a number" : number;
  const output = number === null ? `names one of ${labels.length || "its"} classes` : `predicts ${target}`;
  return `${inputs}, and ${output}. ${qualityOf(model)}`;
}

/** The result of the validation after training, in a sentence; empty where the card has none. */
export function qualityOf({ evaluation }) {
  const { metric, value, num_examples: count } = evaluation ?? {};
  if (typeof value !== "number" || !count) return "";
  const examples = `${count.toLocaleString("en")} validation examples`;
  if (metric === "accuracy") return `Right for ${(100 * value).toFixed(1)} % of ${examples}.`;
  const error = value.toLocaleString("en", { maximumSignificantDigits: 4 });
  return metric === "rmse" ? `Root mean squared error on ${examples}: ${error}.` : "";
}

/** The classes that a model of images knows; empty where the card does not name them. */
export function labelsOf({ labels }) {
  if (!labels.length) return "";
  const shown = labels.slice(0, MAX_LABELS).join(", "), others = labels.length - MAX_LABELS;
  return `The model knows: ${shown}${others > 0 ? ` and ${others} others` : ""}.`;
}
