// The table of classes: sorting by a click on a heading, and finding a class.

function startClasses() {
  const table = document.getElementById("class-table");
  for (const heading of table.querySelectorAll("th[data-sort]")) {
    const label = heading.textContent;
    heading.replaceChildren(button(label, "", () => sortBy(table, heading)));
  }
  const input = document.getElementById("find-class");
  input.addEventListener("input", () => findClasses(table, input.value));
}

/** Sort the rows by one column, upwards first; empty cells stay at the end. */
function sortBy(table, heading) {
  const column = heading.cellIndex;
  const downwards = heading.getAttribute("aria-sort") === "ascending";
  const compare = heading.dataset.sort === "text" ? compareTexts : compareNumbers;
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: keyOf(row.cells[column], heading.dataset.sort) }));
  rows.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    return downwards ? compare(b.key, a.key) : compare(a.key, b.key);
  });
  table.tBodies[0].append(...rows.map(({ row }) => row));
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", downwards ? "descending" : "ascending");
  say(`Sorted by ${heading.textContent}, ${downwards ? "descending" : "ascending"}.`);
}

function keyOf(cell, kind) {
  if (kind === "text") return cell.querySelector(".name").textContent;
  return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
}

const { compare: compareTexts } = new Intl.Collator("en", { numeric: true });

function compareNumbers(a, b) {
  return a - b;
}

function findClasses(table, text) {
  const wanted = text.trim().toLowerCase();
  let found = 0;
  for (const row of table.tBodies[0].rows) {
    row.hidden = !row.querySelector(".name").textContent.toLowerCase().includes(wanted);
    found += row.hidden ? 0 : 1;
  }
  const all = table.tBodies[0].rows.length;
  document.getElementById("found-classes").textContent = wanted === "" ? "" : `${found} of ${all} classes`;
}
