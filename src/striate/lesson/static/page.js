// What all screens share: texts, elements, numbers, the address, and which screen is shown.

const PAGE = JSON.parse(document.getElementById("page-data").textContent);

function say(key, values = {}) {
  return PAGE.texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function byId(id) {
  return document.getElementById(id);
}

// Screens: each has a name, `write()` that gives its state as texts, and `read(state)` that takes it.
const screens = [];
let currentScreen = null;

function addScreen(screen) {
  screens.push(screen);
  const link = element("a", { href: `#screen=${screen.name}` }, say(`tab.${screen.name}`));
  link.addEventListener("click", (event) => {
    event.preventDefault();
    showScreen(screen);
    writeAddress();
  });
  screen.link = link;
  screen.read(new URLSearchParams());
  byId("tabs").append(element("li", {}, link));
}

function showScreen(screen) {
  currentScreen = screen;
  for (const other of screens) {
    byId(`screen-${other.name}`).hidden = other !== screen;
    if (other === screen) other.link.setAttribute("aria-current", "page");
    else other.link.removeAttribute("aria-current");
  }
  screen.draw();
}

let addressTimer = 0;
let writtenAddress = "";

// The state of the screen goes behind the # of the address, a moment after the last change.
function writeAddress() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(() => {
    const state = new URLSearchParams({ screen: currentScreen.name, ...currentScreen.write() });
    writtenAddress = `#${state}`;
    history.replaceState(null, "", writtenAddress);
  }, 200);
}

function readAddress() {
  if (location.hash && location.hash === writtenAddress) return;
  const state = new URLSearchParams(location.hash.slice(1));
  const screen = screens.find(({ name }) => name === state.get("screen")) || screens[0];
  screen.read(state);
  showScreen(screen);
}

// A whole number of the address, or what is usual; anything can stand in an address.
function numberIn(state, name, usual, low, high) {
  const text = state.get(name);
  const value = text === null || text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(value) ? clamp(Math.round(value), low, high) : usual;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function startTheme() {
  const button = byId("theme");
  const label = () => (button.textContent = say(isDark() ? "theme.light" : "theme.dark"));
  const changed = () => {
    label();
    forgetColours();
    currentScreen.draw();
  };
  button.hidden = false;
  label();
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}
