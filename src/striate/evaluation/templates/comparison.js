/** Let the counts of disagreements show their images. */
function startDisagreements() {
  for (const count of document.querySelectorAll("[data-kind]")) {
    const pair = count.closest(".pair");
    const images = IMAGES.pairs[Number(pair.dataset.pair)]?.[count.dataset.kind] ?? [];
    if (images.length === 0) continue;
    const open = button(`${count.textContent} (show)`, "link", () => showDisagreements(pair, count.dataset.kind, images, count));
    count.dataset.total = count.textContent;
    count.replaceChildren(open);
  }
}

function showDisagreements(pair, kind, images, count) {
  const region = pair.querySelector(".found");
  const sides = [Number(pair.dataset.first), Number(pair.dataset.second)];
  const right = PAGE.entries[sides[kind === "only_first" ? 0 : 1]].name;
  const total = Number(count.dataset.total.replaceAll(",", ""));
  const shown = images.length < total ? `, the surest mistakes first (${images.length} of ${total})` : "";
  const close = button("Close", "", () => {
    region.hidden = true;
    count.querySelector("button").focus();
  });
  const title = make("h5", { tabindex: "-1" }, make("bdi", {}, right), ` alone is right${shown}`);
  region.replaceChildren(
    make("div", { class: "head" }, title, close),
    make("ul", { class: "cards" }, ...images.map((place) => disagreement(IMAGES.images[place], sides))),
  );
  region.hidden = false;
  for (const image of region.querySelectorAll("img")) sharpen(image);
  title.focus();
  say(`${counted(images.length, "image")} shown.`);
}

/** Return the card of one image: its class, and what each of the two answered. */
function disagreement([path, label, given, thumbnail], sides) {
  const picture = thumbnail < 0
    ? make("span", { class: "placeholder" }, "no picture")
    : make("img", { src: IMAGES.thumbnails[thumbnail], alt: "", width: "96", height: "96" });
  const answers = make("ol", { class: "top" }, ...sides.map((side) => {
    const [answer, runs] = given[side];
    const entry = PAGE.entries[side];
    const votes = entry.runs > 1 ? ` (${runs} of ${entry.runs})` : "";
    const name = make("bdi", { class: "name" }, IMAGES.classes[answer].trim() || "(blank)");
    return make("li", { class: answer === label ? "right" : "wrong" }, make("span", {}, name, votes), make("bdi", { class: "quiet" }, entry.name));
  }));
  const truth = make("p", { class: "is" }, make("span", { class: "term" }, "true"), make("bdi", { class: "name" }, IMAGES.classes[label].trim() || "(blank)"));
  const file = make("p", { class: "file", title: path }, make("bdi", {}, path.split("/").at(-1)));
  return make("li", { class: "card" }, picture, make("div", {}, truth, answers, file));
}

for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
startDisagreements();
addCopyButtons();
addThemeButton();
