// Two classes: what a threshold costs. A point is [threshold, found, false alarms, left alone, missed].

function startThresholds() {
  if (PAGE.points === undefined) return;
  const slider = document.getElementById("cost");
  const table = document.getElementById("thresholds").tBodies[0];
  const row = make("tr", { class: "sum" });
  table.append(row);
  const show = () => {
    const ratio = Number((10 ** (slider.value / 10)).toPrecision(2));
    const point = cheapest(PAGE.points, ratio);
    const cost = counted(ratio, "false alarm");
    document.getElementById("cost-shown").textContent = cost;
    slider.setAttribute("aria-valuetext", cost);
    document.getElementById("threshold-shown").textContent = inWords(point);
    const cells = [point[0].toPrecision(3), point[1], point[4], point[2], point[3]];
    row.replaceChildren(
      make("th", { scope: "row" }, `${cost} (chosen)`),
      ...cells.map((value) => make("td", { class: "n" }, value.toLocaleString("en"))),
    );
  };
  slider.addEventListener("input", show);
  show();
}

/** Return the point of least cost; of equals the nearest to the best threshold of honest probabilities. */
function cheapest(points, ratio) {
  const ideal = 1 / (1 + ratio);
  const cost = (point) => ratio * point[4] + point[2];
  const least = Math.min(...points.map(cost)) + 1e-9 * Math.max(1, ratio);
  const equals = points.filter((point) => cost(point) <= least);
  return equals.reduce((best, point) => (Math.abs(point[0] - ideal) < Math.abs(best[0] - ideal) ? point : best));
}

function inWords([threshold, found, alarms, alone, missed]) {
  return `Threshold ${threshold.toPrecision(3)}: ${found.toLocaleString("en")} of ${(found + missed).toLocaleString("en")} found, `
    + `${missed.toLocaleString("en")} missed; ${counted(alarms, "false alarm")} among ${(alarms + alone).toLocaleString("en")}.`;
}
