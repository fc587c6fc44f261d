// The form of one row: a field for each column of the model.

// More choices than these are easier to type than to find in a list.
const MAX_LISTED = 40;

function selectOf(column, takesMissing) {
  const select = document.createElement("select");
  if (takesMissing) select.append(new Option("(missing)", ""));
  select.append(...column.choices.map((choice) => new Option(choice, choice)));
  return select;
}

function inputOf(column) {
  const input = document.createElement("input");
  const hasTime = String(column.example ?? "").includes("T");
  const types = { number: "number", date: hasTime ? "datetime-local" : "date" };
  input.type = column.dtype === "string" && column.kind !== "date" ? "text" : types[column.kind] ?? "number";
  input.step = "any";
  input.autocomplete = "off";
  if (column.example !== null) input.placeholder = `such as ${column.example}`;
  return input;
}

/** Suggests the choices of a field that is typed. */
function withSuggestions(input, choices, id) {
  const list = document.createElement("datalist");
  list.id = id;
  list.append(...choices.map((choice) => new Option(choice, choice)));
  input.setAttribute("list", id);
  return list;
}

/** Replaces the fields by those of a model. */
export function makeFields(container, model) {
  container.replaceChildren(...model.columns.map((column, i) => {
    const field = document.createElement("div");
    const label = document.createElement("label");
    const isListed = column.choices.length > 0 && column.choices.length <= MAX_LISTED;
    const control = isListed ? selectOf(column, model.takes_missing) : inputOf(column);
    control.id = `field-${i}`;
    control.required = !model.takes_missing;
    label.htmlFor = control.id;
    label.textContent = column.name;
    field.append(label, control);
    if (column.choices.length > MAX_LISTED) {
      field.append(withSuggestions(control, column.choices, `choices-${i}`));
    }
    return field;
  }));
}

function controls(container) {
  return [...container.querySelectorAll("input, select")];
}

/** Fills in the example of the model's card. */
export function fillExample(container, model) {
  controls(container).forEach((control, i) => {
    const { choices, example } = model.columns[i];
    // A number may be spelt in another way among the choices: 1 and 1.0.
    const same = choices.find((choice) => choice === example || Number(choice) === example);
    // A field for times takes no time zone; the model takes UTC with and without its Z.
    control.value = same ?? (control.type === "datetime-local" ? example?.replace(/Z$/, "") : example) ?? "";
  });
}

/** The row's values in the order of the columns; a missing number is null, a missing text empty. */
export function readFields(container, model) {
  return controls(container).map(({ value }, i) => {
    if (model.columns[i].dtype === "string") return value;
    return value === "" ? null : Number(value);
  });
}
