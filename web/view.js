// @ts-check
// What pages are made of: elements, facts, images, charts, the latent plane. Text is set as text, so that no name of a
// class or of a data set becomes markup.

/** Colours of classes, the first six of Okabe and Ito, told apart by colour-blind readers; more classes begin again. */
const CLASS_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c7a00", "#7570b3", "#666666", "#b15928"];

/** @param {number} index */
export const classColour = (index) => CLASS_COLOURS[index % CLASS_COLOURS.length];

/**
 * An element with attributes, listeners (`onclick`) and children.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/**
 * A part of the page with a heading.
 * @param {string} heading
 * @param {...(Node | string)} children
 */
export const section = (heading, ...children) =>
  element("section", {}, element("h2", {}, heading), ...children);

/** @param {string} id */
async function unpacked(id) {
  const text = document.getElementById(id)?.textContent ?? "";
  const gzip = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([gzip]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** What the page knows, and the numbers beside it. */
export async function facts() {
  const [text, bytes] = await Promise.all([unpacked("facts"), unpacked("contents")]);
  return { facts: JSON.parse(new TextDecoder().decode(text)), bytes };
}

/**
 * A number with so many digits behind the point, and a proper minus.
 * @param {number} value
 * @param {number} digits
 */
export function shown(value, digits = 2) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "\u2212");
}

/** A draw from N(0, 1): Box and Muller. */
export const normal = () =>
  Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

/**
 * An image on a canvas of as many pixels; the style sheet enlarges it.
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} shape height, width, channels
 * @param {ArrayLike<number>} pixels 0..1, `(height, width, channels)`
 * @param {[number, number]} corner where in the canvas
 */
export function drawImage(canvas, [height, width, channels], pixels, [left, top] = [0, 0]) {
  const image = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = 255 * pixels[i * channels + (channels === 3 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d")?.putImageData(image, left, top);
}

/**
 * A canvas with an image.
 * @param {number[]} shape
 * @param {ArrayLike<number> | null} pixels
 * @param {string} label
 */
export function imageCanvas(shape, pixels, label) {
  const canvas = element("canvas", { width: shape[1], height: shape[0], role: "img", "aria-label": label });
  if (pixels) drawImage(canvas, shape, pixels);
  return canvas;
}

/**
 * Round numbers, at most so many, from low to high.
 * @param {number} low
 * @param {number} high
 * @param {number} most
 */
export function ticks(low, high, most = 5) {
  const rough = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10);
  const made = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-9; tick += step) made.push(tick + 0);
  return { ticks: made, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/**
 * An element of a drawing.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...(Node | string)} children
 */
function drawn(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/**
 * Lines by step, in one drawing.
 * @param {string} title
 * @param {{name: string, kind: string, points: [number, number][]}[]} series `kind` is a class of the style sheet
 */
export function chart(title, series) {
  const [width, height, left, right, top, bottom] = [480, 260, 58, 12, 12, 38];
  const present = series.filter(({ points }) => points.length > 0);
  const all = present.flatMap(({ points }) => points);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  const figure = element("figure", {}, svg);
  if (all.length === 0) return figure;
  const end = Math.max(...all.map(([step]) => step), 1);
  // The first steps are far off, and would flatten the rest.
  const settled = all.filter(([step]) => step >= 0.04 * end).map(([, value]) => value);
  let [low, high] = [Math.min(...settled), Math.max(...settled)];
  const margin = 0.06 * (high - low) || 0.5;
  [low, high] = [low - margin, high + margin];
  const x = (/** @type {number} */ step) => left + (step / end) * (width - left - right);
  const y = (/** @type {number} */ value) =>
    Math.min(Math.max(top + ((high - value) / (high - low)) * (height - top - bottom), top - 2), height - bottom + 2);
  const up = ticks(low, high);
  for (const tick of up.ticks) {
    svg.append(
      drawn("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      drawn("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, shown(tick, up.digits)),
    );
  }
  for (const tick of ticks(0, end, 4).ticks) {
    const anchor = tick > 0.97 * end ? "end" : "middle";
    svg.append(drawn("text", { x: x(tick), y: height - 19, "text-anchor": anchor }, tick.toLocaleString("en")));
  }
  svg.append(drawn("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "step"));
  for (const { kind, points } of present) {
    svg.append(drawn("polyline", { class: kind, points: points.map(([s, v]) => `${x(s)},${y(v)}`).join(" ") }));
    if (points.length < 30) {
      for (const [s, v] of points) svg.append(drawn("circle", { class: kind, cx: x(s), cy: y(v), r: 2.5 }));
    }
  }
  const legend = present.map(({ name, kind }) => element("span", { class: `key ${kind}` }, name));
  figure.append(element("figcaption", {}, element("b", {}, title), " ", ...legend));
  return figure;
}

/**
 * How often values of a null distribution occur, and where the observed one is.
 * @param {number[]} values
 * @param {number} observed
 */
export function nullChart(values, observed) {
  const [width, height, left, right, top, bottom, bins] = [480, 220, 10, 10, 24, 30, 40];
  const all = [...values, observed];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const margin = 0.03 * (high - low) || 1e-9;
  const x = (/** @type {number} */ value) =>
    left + ((value - low + margin) / (high - low + 2 * margin)) * (width - left - right);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const counts = new Array(bins).fill(0);
  for (const value of values) counts[Math.min(Math.floor(((value - least) / (most - least || 1)) * bins), bins - 1)]++;
  const unit = (height - top - bottom) / Math.max(...counts);
  const label = "MMD squared of the permutations, and the one observed";
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  counts.forEach((count, bin) => {
    const [from, to] = [bin, bin + 1].map((edge) => x(least + ((most - least) * edge) / bins));
    const attributes = { class: "bar", x: from, width: Math.max(to - from - 0.5, 0.5), y: height - bottom - count * unit, height: count * unit };
    svg.append(drawn("rect", attributes));
  });
  const at = x(observed);
  const side = at > width / 2 ? "end" : "start";
  svg.append(
    drawn("line", { class: "observed", x1: at, x2: at, y1: top - 6, y2: height - bottom }),
    drawn("text", { class: "observed", x: at + (side === "end" ? -6 : 6), y: top, "text-anchor": side }, "observed"),
  );
  const across = ticks(low, high, 4);
  for (const tick of across.ticks) {
    svg.append(drawn("text", { x: x(tick), y: height - 12, "text-anchor": "middle" }, shown(tick, across.digits)));
  }
  const words = `MMD² of ${values.length} permutations, which is what it would be without a difference`;
  return element("figure", { class: "null" }, svg, element("figcaption", {}, words));
}

/**
 * @typedef {{mean: [number, number], std: [number, number], colour: string, samples: [number, number][]}} Ellipse
 * @typedef {{reach: number, dots: [number, number][], labels: ArrayLike<number>, classes: string[],
 *            ellipses: Ellipse[], at: [number, number] | null, names: [string, string]}} Plane
 */

/**
 * The latent plane: dots of codes by class, ellipses of posteriors, the place that is decoded.
 * @param {HTMLCanvasElement} canvas
 * @param {Plane} plane
 */
export function drawPlane(canvas, { reach, dots, labels, classes, ellipses, at, names }) {
  const side = Math.max(canvas.clientWidth, 200);
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.height = Math.round(side * scale);
  const pen = canvas.getContext("2d");
  if (!pen) return;
  const ink = getComputedStyle(canvas).color;
  pen.scale(scale, scale);
  const x = (/** @type {number} */ z) => ((z + reach) / (2 * reach)) * side;
  const y = (/** @type {number} */ z) => ((reach - z) / (2 * reach)) * side;
  const unit = side / (2 * reach);
  pen.strokeStyle = pen.fillStyle = ink;
  pen.globalAlpha = 0.25;
  for (const radius of [1, 2, 3]) {
    pen.beginPath();
    pen.arc(x(0), y(0), radius * unit, 0, 2 * Math.PI);
    pen.stroke();
  }
  /** @type {Map<number, [number, number][]>} */
  const places = new Map();
  pen.globalAlpha = 0.5;
  dots.forEach(([a, b], i) => {
    pen.fillStyle = classColour(labels[i]);
    pen.fillRect(x(a) - 1.25, y(b) - 1.25, 2.5, 2.5);
    const of = places.get(labels[i]);
    if (of) of.push([a, b]);
    else places.set(labels[i], [[a, b]]);
  });
  pen.globalAlpha = 1;
  for (const { mean, std, colour, samples } of ellipses) {
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = 2;
    for (const deviations of [1, 2]) {
      pen.beginPath();
      const radii = std.map((s) => Math.max(deviations * s * unit, 1.5));
      pen.ellipse(x(mean[0]), y(mean[1]), radii[0], radii[1], 0, 0, 2 * Math.PI);
      pen.stroke();
    }
    for (const [a, b] of samples) {
      pen.beginPath();
      pen.arc(x(a), y(b), 3.5, 0, 2 * Math.PI);
      pen.fill();
    }
  }
  pen.font = "600 14px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineWidth = 3;
  pen.strokeStyle = getComputedStyle(document.body).backgroundColor;
  if (classes.length > 1) {
    for (const [label, points] of places) {
      const middle = [0, 1].map((axis) => points.map((point) => point[axis]).sort((a, b) => a - b)[points.length >> 1]);
      const name = classes[label].length > 12 ? `${classes[label].slice(0, 11)}…` : classes[label];
      pen.fillStyle = ink;
      pen.strokeText(name, x(middle[0]), y(middle[1]));
      pen.fillText(name, x(middle[0]), y(middle[1]));
    }
  }
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = ink;
  const mark = (/** @type {string} */ text, /** @type {number} */ left, /** @type {number} */ up) => {
    pen.strokeText(text, left, up);
    pen.fillText(text, left, up);
  };
  for (const tick of ticks(-reach, reach, 6).ticks) {
    if (tick !== 0 && Math.abs(tick) < 0.93 * reach) {
      mark(shown(tick, 0), x(tick), side - 9);
      mark(shown(tick, 0), 11, y(tick));
    }
  }
  mark(names[0], side / 2, side - 9);
  pen.textAlign = "left";
  mark(names[1], 4, side / 2);
  if (at) {
    pen.strokeStyle = ink;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.arc(x(at[0]), y(at[1]), 7, 0, 2 * Math.PI);
    pen.moveTo(x(at[0]) - 12, y(at[1]));
    pen.lineTo(x(at[0]) + 12, y(at[1]));
    pen.moveTo(x(at[0]), y(at[1]) - 12);
    pen.lineTo(x(at[0]), y(at[1]) + 12);
    pen.stroke();
  }
}

/**
 * Where in the plane a pointer is.
 * @param {PointerEvent} event
 * @param {number} reach
 * @returns {[number, number]}
 */
export function placeOf(event, reach) {
  const { left, top, width, height } = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
  const along = (event.clientX - left) / width;
  const up = 1 - (event.clientY - top) / height;
  return [(2 * along - 1) * reach, (2 * up - 1) * reach];
}

/** How far an arrow key goes, per axis, or null for another key. @param {KeyboardEvent} event */
export function arrow({ key, shiftKey }) {
  const step = shiftKey ? 0.5 : 0.1;
  /** @type {Record<string, [number, number]>} */
  const steps = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
  return steps[key] ?? null;
}

/**
 * Calls `work` again after what was asked for meanwhile, never twice at a time.
 * @param {() => Promise<void>} work
 */
export function coalesced(work) {
  let [running, wanted] = [false, false];
  return async () => {
    wanted = true;
    if (running) return;
    running = true;
    try {
      while (wanted) {
        wanted = false;
        await work();
      }
    } finally {
      running = false;
    }
  };
}
