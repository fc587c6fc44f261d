// Rows: one in a form, and several pasted from a spreadsheet or from a CSV file.

import { fillExample, makeFields, readFields } from "./fields.js";
import { ask, complain } from "./request.js";
import { MAX_BYTES, predictRows, prepareRows } from "./server.js";

const byId = (id) => document.getElementById(id);

/** Sets the controls up for a model of rows. */
export function describeRows(model) {
  const { is_table: isTable, takes_missing: takesMissing, columns } = model;
  makeFields(byId("fields"), model);
  byId("row-hint").textContent = !isTable ? "The numbers of an example, in their order."
    : takesMissing ? "A field may be empty: its value is missing." : "This model needs all values.";
  byId("header-hint").textContent = isTable ? ", with the names of the columns in the first row" : "";
  byId("fill").hidden = !columns.some(({ example }) => example !== null);
  byId("fill").onclick = () => fillExample(byId("fields"), model);
  byId("table").value = "";
}

/** Asks the model about the row in the form. */
export function askFields() {
  return ask(async (model) => {
    const [answer] = await predictRows(model, [readFields(byId("fields"), model)]);
    return { results: [{ name: "row", ...answer }] };
  });
}

/** Asks the model about the rows of a text, which is shown. */
export function askTable(text) {
  byId("many-rows").open = true;
  byId("table").value = text;
  return ask(async (model) => {
    if (text.length > MAX_BYTES) {
      throw new Error(`A table may have ${MAX_BYTES >> 20} MiB; this one has more.`);
    }
    const { names, cells, rows } = await prepareRows(model, text);
    const answers = await predictRows(model, rows);
    const results = answers.map((answer, i) => ({ name: `${i + 1}`, cells: cells[i], ...answer }));
    return { results, columns: names };
  });
}

/** Asks the model about the rows of a CSV file. */
export async function askTableFile(file) {
  try {
    await askTable(await file.text());
  } catch {
    complain(new Error(`${file.name} can't be read; choose a CSV file.`));
  }
}
