"use strict";
// Every table sorts by a click on a header; long ones get a field that filters their rows.
const LONG = 8;

function key(cell) {
  return cell.dataset.value !== undefined ? Number(cell.dataset.value) : cell.textContent.trim();
}

function sort(table, column, header) {
  const down = header.getAttribute("aria-sort") === "descending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "ascending" : "descending");
  const sign = down ? 1 : -1;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows).map((row) => [key(row.cells[column]), row]);
  const numbers = rows.some(([value]) => typeof value === "number");
  rows.sort(([a], [b]) => {
    if (!numbers) return sign * a.localeCompare(b, "en", { numeric: true });
    if (typeof a !== "number" || typeof b !== "number") return (typeof b === "number") - (typeof a === "number");
    return sign * (a - b); // what has no number stays below, either way
  });
  body.append(...rows.map(([, row]) => row));
}

function filter(table, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !wanted.every((word) => text.includes(word));
  }
}

for (const table of document.querySelectorAll("figure.table table")) {
  Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sort(table, column, header));
    header.replaceChildren(button);
  });
  if (table.tBodies[0].rows.length > LONG) {
    const field = document.createElement("input");
    field.className = "filter";
    field.type = "search";
    field.placeholder = "filter rows";
    field.setAttribute("aria-label", "filter rows");
    field.addEventListener("input", () => filter(table, field.value));
    table.parentElement.before(field);
  }
}
