"use strict";
// The page is whole without this script. It adds: a mark for each image, and a table of all marks to save.
// Texts from the data enter the page through textContent alone, never as markup.

const PAGE = JSON.parse(document.getElementById("page-data").textContent);
const ACTIONS = ["keep", "drop", "relabel"];
const MARKS = new Map(); // image -> { action, label }
const CARDS = new Map(); // image -> its cards; an image may be found for several reasons
let saved = true;

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function button(label, className, action) {
  const element = make("button", { type: "button", class: className }, label);
  element.addEventListener("click", action);
  return element;
}

function say(text) {
  document.getElementById("spoken").textContent = text;
}

/** Give an image a mark, or take it away, and show it on each of its cards. */
function mark(image, action, label = "") {
  if (action === null) MARKS.delete(image);
  else MARKS.set(image, { action, label });
  saved = false;
  for (const card of CARDS.get(image) ?? []) show(card, image);
}

function show(card, image) {
  const { action, label } = MARKS.get(image) ?? { action: "", label: "" };
  card.dataset.action = action;
  for (const choice of card.querySelectorAll(".marks button")) {
    choice.setAttribute("aria-pressed", String(choice.textContent === action));
  }
  const select = card.querySelector("select");
  select.hidden = action !== "relabel";
  if (action === "relabel") select.value = label;
}

function addMarks(card) {
  const image = card.dataset.image;
  CARDS.set(image, [...(CARDS.get(image) ?? []), card]);
  const group = make("div", { class: "marks", role: "group", "aria-label": `Mark ${image}` });
  const select = make("select", { "aria-label": `New class of ${image}` });
  for (const name of PAGE.classes) {
    if (name !== card.dataset.label) select.append(make("option", { value: name }, name.trim() || "(blank)"));
  }
  select.hidden = true;
  select.addEventListener("change", () => {
    mark(image, "relabel", select.value);
    count();
  });
  for (const action of ACTIONS) {
    if (action === "relabel" && select.options.length === 0) continue;
    const choice = button(action, "", () => {
      const given = MARKS.get(image)?.action === action;
      const label = action === "relabel" ? card.dataset.relabel ?? select.options[0].value : "";
      mark(image, given ? null : action, label);
      count();
      say(given ? "Mark taken away." : `Marked: ${action}.`);
    });
    choice.setAttribute("aria-pressed", "false");
    group.append(choice);
  }
  card.append(group, select);
}

/** Return a cell of a CSV file; a quote before what a spreadsheet would take for a formula, as Striate writes it. */
function cell(text) {
  const guarded = /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

function save() {
  const rows = [...MARKS].map(([image, { action, label }]) => [image, action, label].map(cell).join(","));
  const text = ["image,action,label", ...rows, ""].join("\n");
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = make("a", { href: address, download: PAGE.file });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
  saved = true;
  say(`Saved ${rows.length} marks as ${PAGE.file}.`);
}

function suggest() {
  for (const image of PAGE.drop) {
    if (!MARKS.has(image)) mark(image, "drop");
  }
  count();
  say(counter.textContent);
}

const counter = make("p");
const saver = button("Save marks (CSV)", "save", save);

function count() {
  const totals = ACTIONS.map((action) => [action, [...MARKS.values()].filter((m) => m.action === action).length]);
  counter.textContent = MARKS.size === 0
    ? "No image is marked."
    : totals.filter(([, n]) => n > 0).map(([action, n]) => `${n.toLocaleString("en")} ${action}`).join(", ");
  saver.disabled = MARKS.size === 0;
}

function addTools() {
  const parts = [counter];
  if (PAGE.drop.length > 0) {
    parts.push(button("Drop all copies but one", "", suggest));
  }
  const clear = button("Clear", "", () => {
    for (const image of [...MARKS.keys()]) mark(image, null);
    count();
  });
  const bar = make("div", { class: "tools", role: "region", "aria-label": "Marks" }, make("div", {}, ...parts, clear, saver));
  document.body.append(bar);
  count();
}

const cards = document.querySelectorAll(".card");
cards.forEach(addMarks);
if (cards.length > 0) addTools();
addEventListener("beforeunload", (event) => {
  if (!saved && MARKS.size > 0) event.preventDefault();
});
