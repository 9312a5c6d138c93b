"use strict";

// Columns of numbers are sorted by number, others by text. What is undefined stays last.
function sortBy(table, index, ascending) {
  const key = (row) => {
    const cell = row.cells[index];
    if (!cell.classList.contains("num")) return cell.textContent;
    const number = Number(cell.textContent.replaceAll(",", ""));
    return Number.isNaN(number) ? null : number;
  };
  const compare = (a, b) => {
    const [first, second] = [key(a), key(b)];
    if (first === null || second === null) return (first === null) - (second === null);
    const order = typeof first === "number" && typeof second === "number"
      ? first - second
      : String(first).localeCompare(String(second), "en", { numeric: true });
    return ascending ? order : -order;
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const firstUp = !head.classList.contains("num");
      const now = head.getAttribute("aria-sort");
      const ascending = now === null ? firstUp : now === "descending";
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sortBy(table, index, ascending);
    });
  });
}

// Figures name colours as var(--name); plotly needs their values, which differ in light and dark.
function resolved(part, style) {
  if (typeof part === "string" && part.startsWith("var(--")) return style.getPropertyValue(part.slice(4, -1)).trim();
  if (Array.isArray(part)) return part.map((one) => resolved(one, style));
  if (part !== null && typeof part === "object") {
    return Object.fromEntries(Object.entries(part).map(([name, one]) => [name, resolved(one, style)]));
  }
  return part;
}

const nearest125 = (value) => {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [5, 2, 1].find((step) => step * power <= value);
};

// A bar of at most 120 px; the axes of the map are kilometres.
function drawScale(plot) {
  const axis = plot._fullLayout.xaxis;
  const kmPerPixel = (axis.range[1] - axis.range[0]) / axis._length;
  const km = nearest125(120 * kmPerPixel);
  const bar = plot.parentElement.querySelector(".scale span");
  bar.style.width = `${km / kmPerPixel}px`;
  bar.textContent = km < 1 ? `${Math.round(km * 1000)} m` : `${km} km`;
}

function draw(plot, figure) {
  const isMap = plot.dataset.map !== undefined;
  const { data, layout } = resolved(figure, getComputedStyle(document.documentElement));
  const config = {
    responsive: true,
    displaylogo: false,
    scrollZoom: isMap,
    displayModeBar: isMap,
    modeBarButtons: [["toImage"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
    doubleClick: "reset",
  };
  return Plotly.react(plot, data, layout, config).then(() => {
    if (isMap && !plot.dataset.drawn) plot.on("plotly_afterplot", () => drawScale(plot));
    if (isMap) drawScale(plot);
    plot.dataset.drawn = "yes";
  });
}

async function unpacked(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (byte) => byte.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

async function loadLibrary() {
  const script = document.createElement("script");
  script.textContent = await unpacked("library");
  document.head.append(script);
}

async function drawAll() {
  const plots = [...document.querySelectorAll("[data-chart]")];
  if (!plots.length) return;
  if (typeof DecompressionStream === "undefined") {
    document.getElementById("no-charts").hidden = false;
    return;
  }
  await loadLibrary();
  const figures = JSON.parse(await unpacked("figures"));
  const drawPlot = (plot) => draw(plot, figures[plot.dataset.chart]);
  for (const plot of plots) await drawPlot(plot);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach(drawPlot));
  document.documentElement.dataset.ready = "yes";
}

document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
drawAll();
