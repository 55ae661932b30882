"use strict";
// The page is whole without this script. It adds: images of a chosen cell, sorting, search, copying, a theme.
// Texts from the data enter the page through textContent alone, never as markup.

const PAGE = readData("page-data");
const IMAGES = readData("image-data");

function readData(id) {
  const element = document.getElementById(id);
  return element === null ? null : JSON.parse(element.textContent);
}

/** Return a new element with attributes and children (elements or texts). */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function button(label, className, action) {
  const element = make("button", { type: "button", class: className }, label);
  element.addEventListener("click", action);
  return element;
}

/** Return a class's name, kept apart from the direction of the text around it. */
function nameOf(index) {
  const name = PAGE.classes[index];
  return make("bdi", { class: "name" }, name.trim() === "" ? "(blank)" : name);
}

function counted(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

/** Return a probability in percent; stored with four decimals, so its ends are not told apart from 0 and 1. */
function probability(share) {
  if (share > 0.9995) return ">99.9\u00a0%";
  if (share < 0.0005) return "<0.1\u00a0%";
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

/** Return a share of whole images in percent, as the tables write it. */
function percent(share) {
  if (share === 0 || share === 1) return `${100 * share}\u00a0%`;
  for (let digits = 1; digits < 4; digits++) {
    const text = (100 * share).toFixed(digits);
    if (Number(text) !== 0 && Number(text) !== 100) return `${text}\u00a0%`;
  }
  return `${(100 * share).toFixed(4)}\u00a0%`;
}

/** Let a screen reader say something. */
function say(text) {
  document.getElementById("spoken").textContent = text;
}

/** Images of a few pixels are shown as such, not blurred. */
function sharpen(image) {
  const look = () => image.classList.toggle("coarse", image.naturalWidth > 0 && image.naturalWidth <= 40);
  if (image.complete) look();
  else image.addEventListener("load", look);
}

function addCopyButtons() {
  for (const command of document.querySelectorAll(".command")) {
    const code = command.querySelector("code");
    const copy = button("Copy", "copy", async () => {
      copy.textContent = (await copied(code)) ? "Copied" : "Selected";
      say(copy.textContent === "Copied" ? "Copied." : "Selected: copy with Control or Command and C.");
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    });
    copy.setAttribute("aria-label", `Copy: ${command.previousElementSibling.textContent}`);
    command.append(copy);
  }
}

/** Copy an element's text; where the clipboard is closed to pages, the text is left selected. */
async function copied(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}

function addThemeButton() {
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ?? (prefersDark.matches ? "dark" : "light")) === "dark";
  const theme = button("", "theme", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  const label = () => { theme.textContent = isDark() ? "Light page" : "Dark page"; };
  prefersDark.addEventListener("change", label);
  label();
  document.querySelector("nav").append(theme);
}
