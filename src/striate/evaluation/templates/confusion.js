// The confusion matrix: moving in it, its cells' images, and looking up one class of many.

const FIRST_IMAGES = 12; // images of a cell shown at once
const panel = document.getElementById("panel");
const CELLS = PAGE.cells ?? cellsOfImages(); // true classes, classes named, counts
let opener = null; // what opened the panel; focus goes back there

function cellsOfImages() {
  const columns = [[], [], []];
  for (const [key, { count }] of Object.entries(IMAGES?.cells ?? {})) {
    const [t, p] = key.split(",").map(Number);
    columns[0].push(t);
    columns[1].push(p);
    columns[2].push(count);
  }
  return columns;
}

function startConfusion() {
  const section = document.querySelector(".confusion");
  for (const grid of section.querySelectorAll(".grid")) startGrid(grid);
  section.addEventListener("click", (event) => {
    const cell = event.target.closest("td[data-share]");
    if (cell !== null) openCell(Number(cell.dataset.t), Number(cell.dataset.p), cell);
  });
  for (const toggle of section.querySelectorAll(".toggle button")) {
    toggle.addEventListener("click", () => showInCells(section, toggle.dataset.cells));
  }
  for (const count of section.querySelectorAll("[data-open]")) linkCount(count);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden) closePanel();
  });
  if (PAGE.order !== undefined) startLookup();
}

/** Make a table a grid with one tab stop, in which the arrow keys move. */
function startGrid(grid) {
  grid.setAttribute("role", "grid");
  const rows = [...grid.tBodies[0].rows].map((row) => [...row.querySelectorAll("td[data-t]")]);
  for (const cell of rows.flat()) {
    cell.tabIndex = -1;
    cell.dataset.count = cell.textContent;
    const [t, p] = [PAGE.classes[cell.dataset.t], PAGE.classes[cell.dataset.p]];
    const n = cell.dataset.share === undefined ? "no image" : counted(Number(cell.dataset.count), "image");
    cell.setAttribute("aria-label", `${n} of ${t}, named ${p}`);
  }
  (grid.querySelector("td[data-share]") ?? rows[0][0]).tabIndex = 0;
  grid.addEventListener("keydown", (event) => moveInGrid(event, rows));
  grid.addEventListener("focusin", (event) => {
    if (event.target.dataset.t === undefined) return;
    for (const cell of grid.querySelectorAll('td[tabindex="0"]')) cell.tabIndex = -1;
    event.target.tabIndex = 0;
  });
}

function moveInGrid(event, rows) {
  const row = rows.findIndex((cells) => cells.includes(event.target));
  if (row < 0) return;
  const column = rows[row].indexOf(event.target);
  const last = rows[row].length - 1;
  const goals = {
    ArrowUp: [Math.max(row - 1, 0), column],
    ArrowDown: [Math.min(row + 1, rows.length - 1), column],
    ArrowLeft: [row, Math.max(column - 1, 0)],
    ArrowRight: [row, Math.min(column + 1, last)],
    Home: [event.ctrlKey ? 0 : row, 0],
    End: [event.ctrlKey ? rows.length - 1 : row, last],
  };
  if (event.key === "Enter" || event.key === " ") event.target.click();
  else if (event.key in goals) rows[goals[event.key][0]][goals[event.key][1]].focus();
  else return;
  event.preventDefault();
}

/** Write counts or shares of the row into all cells. */
function showInCells(section, which) {
  for (const cell of section.querySelectorAll("td[data-share]")) cell.textContent = cell.dataset[which];
  for (const toggle of section.querySelectorAll(".toggle button")) {
    toggle.setAttribute("aria-pressed", String(toggle.dataset.cells === which));
  }
}

/** Turn a count in the table of pairs into a button that shows the images. */
function linkCount(count) {
  if (count.textContent === "0") return;
  const [t, p] = count.dataset.open.split(",").map(Number);
  const link = button(count.textContent, "link", () => openCell(t, p, link));
  link.setAttribute("aria-label", `${counted(countOf(t, p), "image")} of ${PAGE.classes[t]}, named ${PAGE.classes[p]}`);
  count.replaceChildren(link);
}

function countOf(t, p) {
  const cell = IMAGES?.cells[`${t},${p}`];
  if (cell !== undefined) return cell.count;
  const shown = document.querySelector(`td[data-t="${t}"][data-p="${p}"]`);
  if (shown !== null) return Number(shown.dataset.count);
  return CELLS[2][CELLS[0].findIndex((row, index) => row === t && CELLS[1][index] === p)] ?? 0;
}

/** Show the images of class t that were named p. */
function openCell(t, p, from) {
  opener = from;
  for (const cell of document.querySelectorAll("td.open")) cell.classList.remove("open");
  for (const cell of document.querySelectorAll(`td[data-t="${t}"][data-p="${p}"]`)) cell.classList.add("open");
  const count = countOf(t, p);
  const cell = IMAGES?.cells[`${t},${p}`] ?? { images: [], complete: false };
  const verdict = t === p ? [", named correctly"] : [", named ", nameOf(p)];
  const heading = make("h3", {}, `${counted(count, "image")} of `, nameOf(t), ...verdict);
  const head = make("div", { class: "head" }, heading, button("Close", "close", closePanel));
  const list = make("ul", { class: "cards" });
  panel.replaceChildren(head, make("p", { class: "quiet" }, shareOf(count, t)), list);
  showCards(list, cell.images, 0);
  if (cell.images.length < count) panel.append(make("p", { class: "quiet" }, whereTheOthersAre(cell.images.length, count)));
  panel.hidden = false;
  panel.scrollTop = 0;
  panel.parentElement.classList.add("opened");
  say(`${heading.textContent}. ${counted(cell.images.length, "image")} shown.`);
}

function shareOf(count, t) {
  const samples = PAGE.samples[t];
  return `${percent(count / samples)} of the ${counted(samples, "image")} of this class.`;
}

function whereTheOthersAre(shown, count) {
  if (shown === 0) return `The images are listed in ${PAGE.table}.`;
  return `This report holds ${shown.toLocaleString("en")} of them; all are listed in ${PAGE.table}.`;
}

/** Append images to a list, and a button for the rest. */
function showCards(list, positions, start) {
  const end = start + FIRST_IMAGES;
  for (const position of positions.slice(start, end)) list.append(card(position));
  if (end >= positions.length) return;
  const more = button(`Show ${positions.length - end} more`, "more", () => {
    more.remove();
    for (let next = end; next < positions.length; next += FIRST_IMAGES) {
      for (const position of positions.slice(next, next + FIRST_IMAGES)) list.append(card(position));
    }
    list.children[end].tabIndex = -1;
    list.children[end].focus();
  });
  list.after(more);
}

/** Return one image with the classes that the network found most probable. */
function card(position) {
  const [path, t, , top, thumbnail] = IMAGES.images[position];
  const file = path.split(/[\\/]/).pop() || path;
  const ranks = top.map(([index, share], rank) => make(
    "li", { class: index === t ? "right" : rank === 0 ? "wrong" : null },
    nameOf(index), " ", make("b", {}, probability(share)),
  ));
  let picture = make("span", { class: "placeholder" }, "no picture");
  if (thumbnail >= 0) {
    picture = make("img", { src: IMAGES.thumbnails[thumbnail], alt: "", width: 96, height: 96 });
    sharpen(picture);
  }
  return make("li", { class: "card" }, picture, make("div", {},
    make("ol", { class: "top" }, ...ranks),
    make("p", { class: "file", title: path }, make("bdi", {}, file)),
  ));
}

function closePanel() {
  panel.hidden = true;
  panel.parentElement.classList.remove("opened");
  for (const cell of document.querySelectorAll("td.open")) cell.classList.remove("open");
  opener?.focus();
  say("Closed.");
}

/** Many classes: find one by name or in the picture, and list what it is taken for and what for it. */
function startLookup() {
  const input = document.getElementById("one-class");
  let current = null;
  const places = new Map(PAGE.classes.map((name, index) => [name.trim().toLowerCase(), index]));
  document.getElementById("all-classes").append(...PAGE.classes.map((name) => make("option", { value: name })));
  const find = (whole) => {
    const wanted = input.value.trim().toLowerCase();
    let index = places.get(wanted);
    if (index === undefined && whole && wanted !== "") {
      index = PAGE.classes.findIndex((name) => name.toLowerCase().includes(wanted));
    }
    if (index === current) return; // leaving the field must not replace what is about to be clicked
    current = index;
    if (index >= 0) showClass(index);
    else if (whole && wanted !== "") document.getElementById("one-class-shown").textContent = "No class has this name.";
  };
  input.addEventListener("input", () => find(false));
  input.addEventListener("change", () => find(true));
  const overview = document.querySelector(".overview");
  overview.addEventListener("click", (event) => {
    const box = overview.getBoundingClientRect();
    const at = (offset, size) => Math.min(Math.max(Math.floor(offset / size * PAGE.order.length), 0), PAGE.order.length - 1);
    input.value = "";
    current = null;
    showClass(nearestRow(at(event.clientY - box.top, box.height), at(event.clientX - box.left, box.width)));
  });
}

/** Return the true class of the marked cell nearest to a place in the picture. */
function nearestRow(row, column) {
  const places = new Array(PAGE.order.length);
  PAGE.order.forEach((index, place) => { places[index] = place; });
  let nearest = PAGE.order[row];
  let least = Infinity;
  CELLS[0].forEach((t, index) => {
    const distance = Math.hypot(places[t] - row, places[CELLS[1][index]] - column);
    if (distance < least) [least, nearest] = [distance, t];
  });
  return nearest;
}

function showClass(index) {
  const [trues, names, counts] = CELLS;
  const taken = [];
  const mistaken = [];
  trues.forEach((t, at) => {
    if (t === index) taken.push([t, names[at], counts[at]]);
    else if (names[at] === index) mistaken.push([t, index, counts[at]]);
  });
  const other = (cell) => (cell[0] === index ? cell[1] : cell[0]);
  const lists = [["Its images were named", taken], ["Others that were named so", mistaken]].map(([title, cells]) => {
    cells.sort((a, b) => b[2] - a[2] || other(a) - other(b));
    const items = cells.slice(0, 20).map((cell) => {
      const link = button(counted(cell[2], "image"), "link", () => openCell(cell[0], cell[1], link));
      return make("li", {}, nameOf(other(cell)), link);
    });
    if (cells.length > 20) items.push(make("li", { class: "quiet" }, `and ${cells.length - 20} more classes`));
    if (items.length === 0) items.push(make("li", { class: "quiet" }, "none"));
    return [make("h4", {}, title), make("ul", { class: "taken" }, ...items)];
  });
  const count = make("p", { class: "quiet" }, counted(PAGE.samples[index], "image"));
  document.getElementById("one-class-shown").replaceChildren(make("h3", {}, nameOf(index)), count, ...lists.flat());
  markClass(index);
}

/** Draw the row and the column of a class into the picture. */
function markClass(index) {
  const overview = document.querySelector(".overview");
  for (const mark of overview.querySelectorAll(".chosen")) mark.remove();
  const { width } = overview.viewBox.baseVal;
  const place = (PAGE.order.indexOf(index) + 0.5) * width / PAGE.order.length;
  for (const path of [`M0 ${place}H${width}`, `M${place} 0V${width}`]) {
    const mark = document.createElementNS("http://www.w3.org/2000/svg", "path");
    mark.setAttribute("d", path);
    mark.setAttribute("class", "chosen");
    overview.append(mark);
  }
}
