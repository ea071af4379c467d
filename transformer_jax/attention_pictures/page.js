"use strict";
// The weights of one sentence pair, float32 [layer, head, query, key] in little-endian
// base64, drawn as lines between pieces, as heat maps, or all heads at once.
const data = JSON.parse(document.getElementById("data").textContent);
const KINDS = { encoder: "encoder", decoder: "decoder", cross: "decoder to encoder" };
const VIEWS = { lines: "lines", maps: "heat maps", all: "all heads" };
const SVG = "http://www.w3.org/2000/svg";
const ROW = 22, SIZE = 14; // pixels of a piece, and of its letters
const measure = document.createElement("canvas").getContext("2d");

for (const maps of Object.values(data.attention)) {
  const bytes = Uint8Array.from(atob(maps.weights), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  maps.weights = Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

// `held`: the piece that a click chose; `piece`: the one that is shown.
const state = { kind: "encoder", layer: 0, heads: new Set(), view: "lines", piece: null, held: null };

const maps = () => data.attention[state.kind];
const queries = () => (state.kind === "encoder" ? data.source : data.target);
const keys = () => (state.kind === "decoder" ? data.target : data.source);
const heads = () => [...state.heads].sort((a, b) => a - b);
const colour = (head) => `oklch(var(--light) 0.15 ${(head * 360) / maps().shape[1] + 255})`;

function weight(layer, head, query, key) {
  const [, numHeads, numQueries, numKeys] = maps().shape;
  return maps().weights[((layer * numHeads + head) * numQueries + query) * numKeys + key];
}

function make(name, attributes = {}, ...children) {
  const isSvg = ["svg", "g", "text", "path", "rect"].includes(name);
  const element = isSvg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") element.style.cssText = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

// A piece that does not begin a word is shown with a dot before it.
const isSpecial = (piece) => /^<.*>$/.test(piece);
const shown = (piece) =>
  isSpecial(piece) ? piece : piece.startsWith("▁") ? piece.slice(1) || "␣" : "·" + piece;

function widest(pieces) {
  measure.font = `${SIZE}px system-ui, sans-serif`;
  return Math.ceil(Math.max(...pieces.map((piece) => measure.measureText(shown(piece)).width))) + 16;
}

function choose(changes) {
  const before = state.kind;
  Object.assign(state, changes);
  if (before !== state.kind) state.piece = state.held = null;
  const [numLayers, numHeads] = maps().shape;
  state.layer = Math.min(Math.max(state.layer, 0), numLayers - 1);
  state.heads = new Set(heads().filter((head) => head < numHeads));
  if (!state.heads.size) state.heads.add(0);
  drawControls();
  draw();
}

// Pointing draws only what depends on the piece, so that the page stays quick.
function point(piece) {
  if (state.held !== null && piece === null) piece = state.held;
  if (state.piece === piece) return;
  state.piece = piece;
  if (state.view === "lines") showLines();
  showWeights();
}

function hold(piece) {
  state.held = state.held === piece ? null : piece;
  point(state.held ?? piece);
}

function button(text, pressed, onclick, attributes = {}) {
  return make("button", { type: "button", "aria-pressed": pressed, onclick, ...attributes }, text);
}

function fill(id, ...buttons) {
  const parent = document.getElementById(id);
  const place = [...parent.children].indexOf(document.activeElement);
  parent.replaceChildren(...buttons);
  if (place >= 0) buttons[Math.min(place, buttons.length - 1)].focus();
}

function drawControls() {
  const [numLayers, numHeads] = maps().shape;
  const all = [...Array(numHeads).keys()];
  fill("kinds", ...Object.entries(KINDS).map(([kind, name]) =>
    button(name, kind === state.kind, () => choose({ kind }), { "data-kind": kind })));
  fill("layers", ...[...Array(numLayers).keys()].map((layer) =>
    button(layer, layer === state.layer, () => choose({ layer }), { "data-layer": layer })));
  fill("heads",
    ...all.map((head) => button(head, state.heads.has(head), (event) => chooseHead(head, event), {
      class: "head", style: `--head: ${colour(head)}`, "data-head": head,
    })),
    button("all", state.heads.size === numHeads, () => choose({ heads: new Set(all) })));
  fill("views", ...Object.entries(VIEWS).map(([view, name]) =>
    button(name, view === state.view, () => choose({ view }), { "data-view": view })));
}

// A click turns a head on or off; the last one stays.
function chooseHead(head) {
  const chosen = new Set(state.heads);
  if (!chosen.delete(head)) chosen.add(head);
  if (chosen.size) choose({ heads: chosen });
}

function draw() {
  const drawing = { lines: drawLines, maps: drawMaps, all: drawAll }[state.view]();
  document.getElementById("picture").replaceChildren(drawing);
  if (state.view === "lines") showLines();
  showWeights();
}

// Lines: the pieces twice, those that attend on the left; a line's width is its weight.
let lines = null;

function drawLines() {
  const left = widest(queries()), right = widest(keys());
  const room = document.querySelector("main").clientWidth - (innerWidth > 720 ? 290 : 0);
  const middle = Math.max(110, Math.min(340, room - left - right));
  const height = ROW * Math.max(queries().length, keys().length) + 22;
  const svg = make("svg", { width: left + middle + right, height, role: "img", "aria-label": "lines from each piece to those it attends to" });
  const y = (index) => 22 + ROW * index + ROW / 2;
  svg.append(
    make("text", { class: "axis", x: left - 8, y: 12, "text-anchor": "end" }, "from"),
    make("text", { class: "axis", x: left + middle + 8, y: 12 }, "to"));
  const paths = make("g", { fill: "none", "stroke-linecap": "round" });
  for (let query = 0; query < queries().length; query++)
    for (let key = 0; key < keys().length; key++)
      heads().forEach((head, place) => {
        const value = weight(state.layer, head, query, key);
        if (value < 0.01) return;
        const shift = (place - (heads().length - 1) / 2) * Math.min(2, 12 / heads().length);
        const [x0, x1, y0, y1] = [left, left + middle, y(query) + shift, y(key) + shift];
        const path = make("path", {
          d: `M${x0} ${y0}C${x0 + middle / 2} ${y0} ${x1 - middle / 2} ${y1} ${x1} ${y1}`,
          style: `stroke: ${colour(head)}`, "stroke-width": (0.5 + 6 * value).toFixed(2),
          "data-head": head, "data-query": query, "data-key": key, "data-weight": value,
        });
        path.base = 0.15 + 0.8 * value;
        paths.append(path);
      });
  svg.append(paths);
  lines = { paths: [...paths.children], left: [], right: [] };
  queries().forEach((piece, index) => {
    const label = drawPiece(piece, 0, y(index), left, "end");
    for (const [key, value] of Object.entries({ tabindex: 0, role: "button", "aria-label": `${shown(piece)}, piece ${index}`, "data-query": index }))
      label.setAttribute(key, value);
    label.classList.add("piece");
    label.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && point(index));
    label.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && point(null));
    label.addEventListener("click", () => hold(index));
    label.addEventListener("focus", () => point(index));
    label.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      hold(index);
    });
    lines.left.push(label);
    svg.append(label);
  });
  keys().forEach((piece, index) => {
    const label = drawPiece(piece, left + middle, y(index), right, "start");
    lines.right.push(label);
    svg.append(label);
  });
  return svg;
}

function drawPiece(piece, x, y, width, anchor) {
  const hit = make("rect", { class: "hit", x, y: y - ROW / 2, width, height: ROW, rx: 4 });
  const text = make("text", {
    x: anchor === "end" ? x + width - 8 : x + 8, y: y + SIZE * 0.35, "text-anchor": anchor,
    class: isSpecial(piece) ? "special" : "",
  }, shown(piece));
  return make("g", {}, hit, text);
}

function showLines() {
  for (const path of lines.paths) {
    const mine = state.piece === null || Number(path.dataset.query) === state.piece;
    path.style.opacity = mine ? path.base : 0.03;
  }
  lines.left.forEach((label, index) => label.classList.toggle("chosen", index === state.piece));
  lines.right.forEach((label, key) => {
    const most = state.piece === null ? 0 : Math.max(...heads().map((head) => weight(state.layer, head, state.piece, key)));
    label.firstChild.style.fill = most < 0.01 ? "" : `color-mix(in srgb, var(--mark) ${Math.round(Math.sqrt(most) * 100)}%, transparent)`;
  });
}

// Heat maps: one of each chosen head, a row for each piece that attends.
function paint(canvas, layer, head, cell) {
  const [, , numQueries, numKeys] = maps().shape;
  canvas.width = numKeys * cell;
  canvas.height = numQueries * cell;
  const context = canvas.getContext("2d");
  const probe = make("i", { style: `color: ${colour(head)}` });
  document.body.append(probe);
  context.fillStyle = getComputedStyle(probe).color;
  probe.remove();
  for (let query = 0; query < numQueries; query++)
    for (let key = 0; key < numKeys; key++) {
      context.globalAlpha = weight(layer, head, query, key);
      context.fillRect(key * cell, query * cell, cell, cell);
    }
  return canvas;
}

function drawMaps() {
  const maps = make("div", { class: "maps" });
  const cell = Math.max(14, Math.min(22, Math.floor(520 / keys().length)));
  for (const head of heads()) {
    const left = widest(queries()), top = widest(keys());
    const canvas = paint(make("canvas", { "data-head": head }), state.layer, head, cell);
    const svg = make("svg", { width: left + canvas.width + 4, height: top + canvas.height + 4 });
    queries().forEach((piece, index) => svg.append(mapLabel(piece, left - 6, top + cell * (index + 0.5), "end", cell)));
    keys().forEach((piece, index) => {
      const label = mapLabel(piece, 0, 0, "start", cell);
      label.setAttribute("transform", `translate(${left + cell * (index + 0.5)} ${top - 6}) rotate(-90)`);
      svg.append(label);
    });
    canvas.style.cssText = `position: absolute; left: ${left}px; top: ${top}px`;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      const query = Math.floor((event.clientY - box.top - 1) / cell);
      return Math.min(Math.max(query, 0), queries().length - 1);
    };
    canvas.addEventListener("pointermove", (event) => event.pointerType === "mouse" && point(at(event)));
    canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && point(null));
    canvas.addEventListener("click", (event) => hold(at(event)));
    maps.append(make("figure", { style: `--head: ${colour(head)}` },
      make("figcaption", {}, `layer ${state.layer}, head ${head}`),
      make("div", { style: "position: relative" }, svg, canvas)));
  }
  return maps;
}

function mapLabel(piece, x, y, anchor, cell) {
  return make("text", {
    x, y, "text-anchor": anchor, "dominant-baseline": "central",
    class: isSpecial(piece) ? "special" : "", style: `font-size: ${Math.min(SIZE, cell - 1)}px`,
  }, shown(piece));
}

// All heads: layers below each other, heads beside each other.
function drawAll() {
  const [numLayers, numHeads, numQueries, numKeys] = maps().shape;
  const cell = Math.max(1, Math.round(110 / Math.max(numQueries, numKeys)));
  const grid = make("div", { class: "all", style: `grid-template-columns: auto repeat(${numHeads}, auto)` });
  grid.append(make("span"));
  for (let head = 0; head < numHeads; head++) grid.append(make("span", { class: "name" }, `head ${head}`));
  for (let layer = 0; layer < numLayers; layer++) {
    grid.append(make("span", { class: "name" }, `layer ${layer}`));
    for (let head = 0; head < numHeads; head++)
      grid.append(button(paint(make("canvas"), layer, head, cell), layer === state.layer && state.heads.has(head),
        () => choose({ layer, heads: new Set([head]), view: "maps" }),
        { "aria-label": `layer ${layer}, head ${head}`, "data-layer": layer, "data-head": head }));
  }
  return grid;
}

// The numbers of one piece: what it attends to most, by head.
function showWeights() {
  const panel = document.getElementById("weights");
  if (state.view === "all") {
    panel.replaceChildren(make("p", {}, "Choose a head to see it large."));
    return;
  }
  if (state.piece === null) {
    panel.replaceChildren(make("p", {}, "Point at a piece: its weights stand here."));
    return;
  }
  const tables = heads().map((head) => {
    const found = keys().map((piece, key) => [weight(state.layer, head, state.piece, key), piece, key]);
    const most = found.sort((a, b) => b[0] - a[0]).slice(0, heads().length > 2 ? 3 : 8);
    const rows = most.map(([value, piece, key]) =>
      make("tr", { "data-head": head, "data-key": key, "data-weight": value },
        make("td", {}, shown(piece)),
        make("td", {}, make("div", { class: "bar", style: `width: ${(100 * value).toFixed(1)}%` })),
        make("td", {}, value.toFixed(3))));
    return make("table", { style: `--head: ${colour(head)}`, "aria-label": `head ${head}` }, make("tbody", {}, ...rows));
  });
  panel.replaceChildren(make("h2", {}, `${shown(queries()[state.piece])} attends to`), ...tables);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const next = (names, name) => names[(names.indexOf(name) + 1) % names.length];
  const digit = /^Digit(\d)$/.exec(event.code);
  const last = queries().length - 1;
  const move = (step) => hold(Math.min(Math.max((state.piece ?? (step > 0 ? -1 : last + 1)) + step, 0), last));
  if (digit && Number(digit[1]) < maps().shape[1]) {
    if (event.shiftKey) chooseHead(Number(digit[1]));
    else choose({ heads: new Set([Number(digit[1])]) });
  } else if (event.key === "ArrowLeft") choose({ layer: state.layer - 1 });
  else if (event.key === "ArrowRight") choose({ layer: state.layer + 1 });
  else if (event.key === "ArrowDown") move(1);
  else if (event.key === "ArrowUp") move(-1);
  else if (event.key === "a") choose({ heads: new Set(Array(maps().shape[1]).keys()) });
  else if (event.key === "k") choose({ kind: next(Object.keys(KINDS), state.kind) });
  else if (event.key === "v") choose({ view: next(Object.keys(VIEWS), state.view) });
  else if (event.key === "Escape") { state.held = null; point(null); }
  else return;
  event.preventDefault();
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("resize", () => state.view === "lines" && draw());
document.getElementById("sentences").textContent = [data.source, data.target]
  .map((pieces) => pieces.filter((piece) => !isSpecial(piece)).join("").replaceAll("▁", " ").trim())
  .join(" → ");
// Open on the last layer, where words meet their translations.
choose({ kind: "cross", layer: maps().shape[0] - 1, heads: new Set(Array(data.attention.cross.shape[1]).keys()) });
choose({ layer: maps().shape[0] - 1 });
