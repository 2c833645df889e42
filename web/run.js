// @ts-check
// The page of a run: what it learned, its latent space to explore, the lecture's story of codes and samples.

import { Engine, openDevice } from "./engine.js";
import { PlainEngine } from "./plain.js";
import { arrow, chart, classColour, coalesced, drawImage, drawPlane, element, facts, imageCanvas, normal, placeOf, section, shown } from "./view.js";

/** @import { Plan } from "./engine.js" */

/**
 * @typedef {{decode: number, batch: number, z: number, output: number}} Decoder
 * @typedef {{plan: Plan, weights: {buffer: number, offset: number}[], decoders: Decoder[]}} ExportedDecoder
 * @typedef {{version: string, data: string, objective: string, architecture: string, likelihood: string, seed: string,
 *   steps: number, image: [number, number, number], latent: number, classes: string[],
 *   test: {elbo: number, reconstruction: number, kl: number, sse: number},
 *   log: {split: string, step: number, elbo: number, reconstruction: number, kl: number}[],
 *   kl: number[], tells: (string | null)[],
 *   information: {factors: string[], entropies: number[], information: number[], mig: number} | null,
 *   dots: {labels: number[], means: number}, picks: {images: number[], labels: number[], pixels: number, codes: number},
 *   decoder: ExportedDecoder}} Facts
 */

/** Latents with a slider and a row, at most. */
const MOST_LATENTS = 12;
const TRAVERSED = [-3, -2.25, -1.5, -0.75, 0, 0.75, 1.5, 2.25, 3];
const SAMPLES = 6;

/** Decodes codes on whichever engine there is. */
class LiveDecoder {
  /**
   * @param {Facts} facts
   * @param {ArrayBuffer} bytes
   * @param {Engine | PlainEngine} engine
   * @param {string} name
   */
  constructor({ decoder, latent, image, likelihood }, bytes, engine, name) {
    this.engine = engine;
    this.name = name;
    this.decoders = decoder.decoders;
    this.latent = latent;
    this.pixels = image[0] * image[1] * image[2];
    this.logits = likelihood === "bernoulli";
    this.milliseconds = 0;
    /** @type {Promise<unknown>} */
    this.last = Promise.resolve();
    for (const { buffer, offset } of decoder.weights) {
      engine.write(buffer, new Float32Array(bytes, offset, decoder.plan.buffers[buffer].words));
    }
  }

  /**
   * Images of codes, one after the other.
   * @param {ArrayLike<number>[]} codes
   * @returns {Promise<Float32Array[]>}
   */
  decode(codes) {
    const decoded = this.last.then(async () => {
      const images = [];
      while (images.length < codes.length) images.push(...(await this.batch(codes.slice(images.length))));
      return images;
    });
    this.last = decoded.catch(() => {});
    return decoded;
  }

  /** @param {ArrayLike<number>[]} codes */
  async batch(codes) {
    const { decode, batch, z, output } = this.decoders.find(({ batch }) => batch >= codes.length) ?? this.decoders[this.decoders.length - 1];
    const taken = codes.slice(0, batch);
    const values = new Float32Array(batch * this.latent);
    taken.forEach((code, row) => values.set(code, row * this.latent));
    const start = performance.now();
    this.engine.write(z, values);
    await this.engine.run(decode, [[]]);
    const [numbers] = await this.engine.read([output]);
    if (batch === 1) this.milliseconds = performance.now() - start;
    return taken.map((_, row) => {
      const image = numbers.subarray(row * this.pixels, (row + 1) * this.pixels);
      return this.logits ? image.map((l) => 1 / (1 + Math.exp(-l))) : image;
    });
  }
}

/**
 * The faster one of GPU and plain JavaScript, where both decode alike, and plain JavaScript elsewhere; with the reason.
 * @param {Facts} facts
 * @param {ArrayBuffer} bytes
 */
async function openDecoder(facts, bytes) {
  const plain = new LiveDecoder(facts, bytes, new PlainEngine(facts.decoder.plan), "plain JavaScript");
  try {
    const device = await openDevice();
    const gpu = new LiveDecoder(facts, bytes, new Engine(device, facts.decoder.plan), "WebGPU");
    const code = [Array.from({ length: facts.latent }, (_, j) => Math.sin(j + 1))];
    const [[ours], [theirs]] = [await plain.decode(code), await gpu.decode(code)];
    const error = ours.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i])), 0);
    if (!(error < 1e-3)) throw new Error(`the GPU decodes wrongly, by ${error.toExponential(1)}`);
    // The first times compile.
    for (let times = 0; times < 5; times++) {
      for (const decoder of [plain, gpu]) {
        const best = decoder.milliseconds;
        await decoder.decode(code);
        decoder.milliseconds = Math.min(decoder.milliseconds, best);
      }
    }
    const [fast, slow] = gpu.milliseconds < plain.milliseconds ? [gpu, plain] : [plain, gpu];
    return { decoder: fast, why: `${slow.name}: ${shown(slow.milliseconds, 1)} ms` };
  } catch (error) {
    return { decoder: plain, why: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * The state of the page: one code, and what is drawn of it.
 * @param {Facts} facts
 * @param {ArrayBuffer} bytes
 */
export async function showRun(facts, bytes) {
  const { latent, image, classes, kl, tells } = facts;
  const { decoder, why } = await openDecoder(facts, bytes);
  const order = Array.from({ length: latent }, (_, j) => j).sort((a, b) => kl[b] - kl[a]);
  const explored = order.slice(0, MOST_LATENTS);
  const rowsOf = (/** @type {number} */ offset, /** @type {number} */ count, /** @type {number} */ width) =>
    Array.from({ length: count }, (_, i) => new Float32Array(bytes, offset + 4 * width * i, width));
  const means = rowsOf(facts.dots.means, facts.dots.labels.length, latent);
  const codes = rowsOf(facts.picks.codes, facts.picks.images.length, 2 * latent);
  const pixels = image[0] * image[1] * image[2];
  const originals = codes.map((_, i) =>
    Float32Array.from(new Uint8Array(bytes, facts.picks.pixels + i * pixels, pixels), (byte) => byte / 255),
  );
  const name = (/** @type {number} */ j) => `z${j + 1}${tells[j] ? ` · ${tells[j]}` : ""}`;

  let axes = latent > 2 ? [order[0], order[1]] : [0, latent - 1];
  const z = new Float32Array(latent);
  if (codes.length > 0) z.set(codes[0].subarray(0, latent));

  const canvas = element("canvas", { class: "plane", tabindex: 0, role: "application", "aria-describedby": "place", "aria-label": "The latent plane. Arrow keys move the place that is decoded; with Shift, faster." });
  const live = imageCanvas(image, null, "The decoded image");
  live.className = "live";
  const engine = element("p", { class: "quiet timing" });
  const place = element("p", { class: "place", id: "place" });
  const extent = () => {
    const far = means.flatMap((mean) => axes.map((axis) => Math.abs(mean[axis]))).sort((a, b) => a - b);
    return Math.max(3.4, 1.05 * (far[Math.floor(0.995 * (far.length - 1))] ?? 0));
  };
  let reach = extent();

  /** @type {{pick: number, samples: number[][], cell: HTMLElement}[]} */
  let chosen = [];
  const twoOf = (/** @type {ArrayLike<number>} */ row) => /** @type {[number, number]} */ (axes.map((axis) => row[axis]));
  const redraw = () =>
    drawPlane(canvas, {
      reach,
      dots: means.map(twoOf),
      labels: facts.dots.labels,
      classes,
      ellipses: chosen.map(({ pick, samples }, place) => ({
        mean: twoOf(codes[pick]),
        std: /** @type {[number, number]} */ (axes.map((axis) => Math.exp(codes[pick][latent + axis]))),
        colour: pickColour(place),
        samples: samples.map(twoOf),
      })),
      at: twoOf(z),
      names: /** @type {[string, string]} */ (axes.map((axis) => `z${axis + 1}`)),
    });

  const tell = (/** @type {unknown} */ error) => {
    engine.textContent = `${decoder.name} failed (${error instanceof Error ? error.message : error}); load the page again.`;
  };
  const decodeLive = coalesced(async () => {
    const [decoded] = await decoder.decode([z.slice()]);
    drawImage(live, image, decoded);
    engine.textContent = `${shown(decoder.milliseconds, 1)} ms by ${decoder.name}${why ? ` (${why})` : ""}`;
  });

  /** @type {HTMLCanvasElement[]} */
  const strips = [];
  const decodeRows = coalesced(async () => {
    const base = z.slice();
    for (const [row, j] of explored.entries()) {
      const images = await decoder.decode(TRAVERSED.map((value) => base.map((old, i) => (i === j ? value : old))));
      images.forEach((decoded, column) => drawImage(strips[row], image, decoded, [column * image[1], 0]));
      // Plain JavaScript lets nothing else happen meanwhile.
      await new Promise((resolve) => setTimeout(resolve));
      if (base.some((value, i) => value !== z[i])) return;
    }
  });
  let later = 0;
  /** @type {Map<number, {input: HTMLInputElement, output: HTMLElement}>} */
  const sliders = new Map();

  /** Shows a changed code everywhere. */
  function moved() {
    for (const [j, { input, output }] of sliders) {
      input.value = String(z[j]);
      output.textContent = shown(z[j]);
    }
    place.textContent = `z = (${explored.map((j) => shown(z[j], 1)).join(", ")}${latent > explored.length ? ", …" : ""})`;
    redraw();
    decodeLive().catch(tell);
    clearTimeout(later);
    later = window.setTimeout(() => decodeRows().catch(tell), 150);
  }
  const moveTo = (/** @type {[number, number]} */ [a, b]) => {
    const within = (/** @type {number} */ value) => Math.min(Math.max(value, -reach), reach);
    // With one latent, across is all there is.
    z[axes[1]] = within(b);
    z[axes[0]] = within(a);
    moved();
  };
  const point = (/** @type {PointerEvent} */ event) => moveTo(placeOf(event, reach));
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("keydown", (event) => {
    const by = arrow(event);
    if (!by) return;
    event.preventDefault();
    const [a, b] = twoOf(z);
    moveTo([a + by[0], b + by[1]]);
  });

  for (const j of explored) {
    const output = element("output", {});
    const oninput = () => {
      z[j] = Number(input.value);
      moved();
    };
    const input = element("input", { type: "range", id: `latent-${j}`, min: -4, max: 4, step: 0.05, oninput });
    sliders.set(j, { input, output });
  }
  const sliderRows = explored.map((j) => {
    const { input, output } = /** @type {{input: HTMLInputElement, output: HTMLElement}} */ (sliders.get(j));
    const label = element("label", { for: input.id }, name(j), " ", element("span", { class: "quiet" }, `KL ${shown(kl[j])} nats`));
    return element("div", { class: "slider" }, label, input, output);
  });
  const axisChoice = (/** @type {number} */ place) => {
    const onchange = () => {
      const other = axes[1 - place];
      axes[place] = Number(select.value);
      if (axes[place] === other) axes[1 - place] = order.find((j) => j !== other) ?? other;
      selects.forEach((one, which) => (one.value = String(axes[which])));
      reach = extent();
      moved();
    };
    const options = explored.map((j) => element("option", { value: j, selected: j === axes[place] }, name(j)));
    const select = element("select", { onchange, "aria-label": place === 0 ? "across" : "up" }, ...options);
    return select;
  };
  const selects = [axisChoice(0), axisChoice(1)];
  const choices = latent > 2 ? [element("p", {}, "The plane shows ", selects[0], " across and ", selects[1], " up.")] : [];
  const drawPrior = () => {
    z.forEach((_, j) => (z[j] = normal()));
    moved();
  };

  // The lecture's story.
  const called = (/** @type {number} */ pick) =>
    `test image ${facts.picks.images[pick]}${classes.length > 1 ? ` (${classes[facts.picks.labels[pick]]})` : ""}`;
  const cells = element("div", { class: "cards" });
  const thumbnails = originals.map((original, pick) => {
    const label = called(pick);
    return element("button", { type: "button", class: "pick", "aria-pressed": "false", "aria-label": label, title: label, onclick: () => toggle(pick) }, imageCanvas(image, original, label));
  });
  const toggle = (/** @type {number} */ pick) => {
    const known = chosen.findIndex((one) => one.pick === pick);
    if (known >= 0) chosen.splice(known, 1);
    else {
      if (chosen.length === 2) chosen.shift();
      chosen.push({ pick, samples: [], cell: element("div", { class: "card" }) });
      z.set(codes[pick].subarray(0, latent));
    }
    void tellStory();
  };
  const tellStory = async () => {
    thumbnails.forEach((button, pick) => button.setAttribute("aria-pressed", String(chosen.some((one) => one.pick === pick))));
    cells.replaceChildren(...chosen.map(({ cell }) => cell));
    const told = [...chosen];
    for (const [place, one] of told.entries()) {
      const [mean, logStd] = [codes[one.pick].subarray(0, latent), codes[one.pick].subarray(latent)];
      one.samples = Array.from({ length: SAMPLES }, () => Array.from(mean, (m, j) => m + Math.exp(logStd[j]) * normal()));
      const [decodedMean, ...decoded] = await decoder.decode([mean, ...one.samples]);
      const nats = mean.reduce((sum, m, j) => sum + 0.5 * (m * m + Math.exp(2 * logStd[j]) - 1) - logStd[j], 0);
      const of = (/** @type {(j: number) => number} */ value) => axes.map((j) => shown(value(j), 2)).join(", ");
      one.cell.style.borderColor = pickColour(place);
      one.cell.replaceChildren(
        element("p", {}, `q(z|x) of ${called(one.pick)}: mean (${of((j) => mean[j])}), std (${of((j) => Math.exp(logStd[j]))})${latent > 2 ? " along the plane" : ""}; KL to the prior ${shown(nats, 1)} nats`),
        element("div", { class: "images" }, captioned("the image", imageCanvas(image, originals[one.pick], "the image")), captioned("its mean", imageCanvas(image, decodedMean, "decoded from the mean")), ...decoded.map((pixels) => captioned("a sample", imageCanvas(image, pixels, "decoded from a sample")))),
      );
    }
    moved();
  };

  const rows = explored.map((j) => {
    const strip = imageCanvas([image[0], image[1] * TRAVERSED.length, image[2]], null, `From -3 to 3 along ${name(j)}`);
    strip.addEventListener("click", (event) => {
      const column = Math.floor((event.offsetX / strip.clientWidth) * TRAVERSED.length);
      z[j] = TRAVERSED[Math.min(Math.max(column, 0), TRAVERSED.length - 1)];
      moved();
    });
    strips.push(strip);
    return element("tr", {}, element("th", { scope: "row" }, name(j), element("br"), element("span", { class: "quiet" }, `${shown(kl[j])} nats`)), element("td", {}, strip));
  });

  document.title = `What a VAE learned of ${facts.data}`;
  document.querySelector("main")?.replaceChildren(
    heading(facts),
    section("The latent space, live",
      element("p", {}, "Move the pointer over the plane, or use the arrow keys: the decoder draws what is there. Dots are the codes of test images, circles one, two and three standard deviations of the prior."),
      ...choices,
      element("div", { class: "explore" }, element("div", {}, canvas), element("div", { class: "beside" }, live, place, engine, element("button", { type: "button", onclick: drawPrior }, "Draw z from the prior"))),
      element("div", { class: "sliders" }, ...sliderRows),
      ...(latent > explored.length ? [element("p", { class: "quiet" }, `The ${latent - explored.length} latents of least KL have no slider.`)] : [])),
    section("An image is a cloud of codes",
      element("p", {}, "Pick two images. The encoder gives each a distribution over codes, q(z|x): an ellipse in the plane above. Sample it again and again, and see what the samples decode to."),
      element("div", { class: "picks" }, ...thumbnails),
      element("p", {}, element("button", { type: "button", onclick: () => void tellStory() }, "Sample again")),
      cells),
    section("What each latent does",
      element("p", {}, "Each row changes one latent from −3 to 3 and keeps the others at the code above. Rows are ordered by the KL that the latent costs. Click an image to go there."),
      element("table", { class: "traversal" }, element("tbody", {}, ...rows))),
    ...(facts.log.length === 0 ? [] : [section("How it learned",
      element("div", { class: "charts" },
        chart("ELBO (nats)", ["train", "validation", "test"].map((split) => curve(facts, split, "elbo"))),
        chart("KL (nats)", ["train", "validation", "test"].map((split) => curve(facts, split, "kl")))))]),
    ...(facts.information ? [section("What each latent tells of the factors", matrix(facts, explored))] : []),
    element("footer", { class: "quiet" }, `Made by elbo ${facts.version}. Nothing was loaded from a network.`),
  );
  window.addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const first = Math.max(facts.picks.labels.findIndex((label) => classes[label] === "2"), 0);
  const next = facts.picks.labels.findIndex((label) => label > facts.picks.labels[first]);
  const other = next >= 0 ? next : facts.picks.labels.findIndex((_, pick) => pick !== first);
  [first, other].filter((pick, place) => originals[pick] && (place === 0 || pick !== first)).forEach((pick) => chosen.push({ pick, samples: [], cell: element("div", { class: "card" }) }));
  await tellStory();
  await decodeRows();
}

/** Of the first and the second image picked. @param {number} place */
const pickColour = (place) => classColour(place === 0 ? 5 : 2);

/**
 * @param {string} text
 * @param {HTMLCanvasElement} canvas
 */
const captioned = (text, canvas) => element("figure", { class: "small" }, canvas, element("figcaption", {}, text));

/**
 * @param {Facts} facts
 * @param {string} split
 * @param {"elbo" | "kl"} which
 */
const curve = ({ log }, split, which) => ({
  name: split === "train" ? "training" : split,
  kind: split,
  points: log.filter((line) => line.split === split).map((line) => /** @type {[number, number]} */ ([line.step, line[which]])),
});

/** @param {Facts} facts */
function heading({ data, objective, architecture, likelihood, seed, steps, test }) {
  const figures = [["ELBO", test.elbo], ["reconstruction", test.reconstruction], ["KL", test.kl]].map(([term, value]) =>
    element("div", {}, element("dt", {}, String(term)), element("dd", {}, shown(Number(value)), element("span", { class: "quiet" }, " nats"))));
  return element("header", {},
    element("h1", {}, `What a VAE learned of ${data}`),
    element("p", { class: "quiet" }, `Objective ${objective}, ${likelihood} likelihood, layers ${architecture}, ${steps.toLocaleString("en")} steps, seed ${seed}. Averages over the test images:`),
    element("dl", { class: "figures" }, ...figures));
}

/**
 * Factor by latent, shaded by the share of the factor's entropy that the latent tells.
 * @param {Facts} facts
 * @param {number[]} explored
 */
function matrix({ information, latent }, explored) {
  if (!information) return element("p", {});
  const { factors, entropies, information: nats, mig } = information;
  const head = element("tr", {}, element("td", {}), ...explored.map((j) => element("th", { scope: "col" }, `z${j + 1}`)));
  const rows = factors.map((factor, k) =>
    element("tr", {}, element("th", { scope: "row" }, factor, " ", element("span", { class: "quiet" }, shown(entropies[k]))),
      ...explored.map((j) => {
        const value = Math.max(nats[k * latent + j], 0);
        const cell = element("td", {}, shown(value));
        const share = Math.min(value / (entropies[k] || 1), 1);
        cell.style.setProperty("--share", share.toFixed(3));
        return cell;
      })));
  return element("div", {},
    element("p", {}, `Mutual information in nats; beside each factor its entropy, all that can be told. MIG ${shown(mig, 3)} (Chen et al. 2018).`),
    element("div", { class: "scroll" }, element("table", { class: "matrix" }, element("thead", {}, head), element("tbody", {}, ...rows))));
}

facts().then(({ facts, bytes }) => showRun(facts, bytes)).catch((error) => {
  document.querySelector("main")?.replaceChildren(element("p", { class: "wrong" }, `This page cannot be shown: ${error.message}`));
});
