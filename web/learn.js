// @ts-check
// The lecture as a page: trains a variational auto-encoder on the reader's GPU, and shows what it learns as it learns it.

import { Engine, openDevice, stepWords } from "./engine.js";
import { aligned, chosenRows, readTable, scaledRows, twoSample } from "./mmd.js";
import { chart, drawImage, drawPlane, element, facts, imageCanvas, normal, nullChart, section, shown } from "./view.js";

/** @import { Plan, StepWords } from "./engine.js" */

/**
 * @typedef {{buffer: number, offset: number}} Contents
 * @typedef {{program: number, batch: number, slots: number, kl_ring: number, loss_ring: number}} Pass
 * @typedef {Plan & {train: Pass, words: StepWords, latent: number, contents: Contents[],
 *   test_images: {images: number, slices: number[]}, encoder: {program: number, batch: number, x: number, stats: number},
 *   decoder: {decode: number, batch: number, z: number, output: number}}} Model
 * @typedef {{name: string, loss: string, why: string, model: Model,
 *   knob: {name: string, word: string, low: number, high: number, start: number} | null,
 *   reference: {steps: number, elbo: number}}} Objective
 * @typedef {{version: string, image: [number, number, number], classes: string[], labels: number[], constant: number,
 *   objectives: Objective[], test: {rows: number, permutations: number, alpha: number,
 *   streams: {permutation: number, subsample: number}}}} LearnFacts
 */

/** Images of the plane in a row and a column, and how far out they are. */
const SIDE = 10;
const REACH = 3;
const SAMPLES = 20;
/** A submission should take about so long, so that the page stays alive. */
const MILLISECONDS = 60;
const REFRESH = 700;

/** A model in training, in the memory of the GPU. */
class Trainer {
  /**
   * @param {GPUDevice} device
   * @param {Objective} objective
   * @param {ArrayBuffer} bytes
   * @param {LearnFacts} facts
   */
  constructor(device, { model, knob }, bytes, { image, constant }) {
    this.engine = new Engine(device, model);
    this.model = model;
    this.knob = knob;
    this.constant = constant;
    this.pixels = image[0] * image[1] * image[2];
    for (const { buffer, offset } of model.contents) {
      this.engine.write(buffer, new Uint32Array(bytes, offset, model.buffers[buffer].words));
    }
    const [test] = model.test_images.slices;
    const offset = model.contents.find(({ buffer }) => buffer === test)?.offset ?? 0;
    this.test = Float32Array.from(new Uint8Array(bytes, offset, model.test_images.images * this.pixels), (byte) => byte / 255);
    this.words = structuredClone(model.words);
    this.step = 0;
    this.atOnce = 1;
  }

  /** Turns the knob. @param {number} value */
  turn(value) {
    const word = this.words.words.find(({ name }) => name === this.knob?.word);
    if (word && word.formula === "scheduled") word.schedule = { shape: "constant", value };
  }

  /**
   * Takes some steps, at most `most`: averages over their images, and over those of the last step, in nats.
   * @param {number} most
   */
  async train(most = Infinity) {
    const { program, slots, batch, kl_ring, loss_ring } = this.model.train;
    const count = Math.min(this.atOnce, slots, this.model.most_steps, most);
    const start = performance.now();
    await this.engine.run(program, Array.from({ length: count }, (_, slot) => stepWords(this.words, this.step + slot, slot)));
    const [kls, losses] = await this.engine.read([kl_ring, loss_ring]);
    const seconds = (performance.now() - start) / 1000;
    this.step += count;
    const speed = (1000 * seconds) / count;
    this.atOnce = Math.max(1, Math.min(2 * this.atOnce, Math.round(MILLISECONDS / speed)));
    const averages = (/** @type {number} */ from, /** @type {number} */ to) => {
      const total = (/** @type {Float32Array} */ ring, /** @type {number} */ terms) => {
        let sum = 0;
        for (let i = (ring.length / slots) * from; i < (ring.length / slots) * to; i += terms) sum += ring[i];
        return sum / ((to - from) * batch);
      };
      const [kl, sse] = [total(kls, 1), total(losses, 2)];
      return { kl, sse, elbo: -(0.5 * sse + this.constant + kl) };
    };
    return { ...averages(0, count), last: averages(count - 1, count), imagesPerSecond: (count * batch) / seconds };
  }

  /** Means of the codes of the test images: `(N, M)`. */
  async encode() {
    const { program, batch, x, stats } = this.model.encoder;
    const [{ latent }, means] = [this.model, /** @type {number[][]} */ ([])];
    for (let first = 0; first < this.model.test_images.images; first += batch) {
      this.engine.write(x, this.test.slice(first * this.pixels, (first + batch) * this.pixels));
      await this.engine.run(program, [new Array(this.model.step.bytes / 4).fill(0)]);
      const [rows] = await this.engine.read([stats]);
      for (let i = 0; i < Math.min(batch, this.model.test_images.images - first); i++) {
        means.push(Array.from(rows.subarray(2 * latent * i, 2 * latent * i + latent)));
      }
    }
    return means;
  }

  /** Images of codes, no more than fit a batch. @param {number[][]} codes */
  async decode(codes) {
    const { decode, batch, z, output } = this.model.decoder;
    const values = new Float32Array(batch * this.model.latent);
    values.set(codes.slice(0, batch).flat());
    this.engine.write(z, values);
    await this.engine.run(decode, [[]]);
    const [images] = await this.engine.read([output]);
    return codes.slice(0, batch).map((_, i) => images.subarray(i * this.pixels, (i + 1) * this.pixels));
  }
}

/**
 * The part of the page that compares two samples.
 * @param {LearnFacts} facts
 * @param {() => Promise<[number[][], number[][]]>} digits test digits, and as many that the model invents
 */
function comparison({ test }, digits) {
  const answer = element("p", { role: "status", id: "answer" });
  const picture = element("div", {});
  const files = ["X", "Y"].map((name) => element("input", { type: "file", accept: ".csv,.tsv,.txt", id: `file-${name}`, "aria-label": `File of ${name}` }));
  const seed = element("input", { type: "text", inputmode: "numeric", id: "seed", value: "0", size: 8 });
  /**
   * @param {string} what
   * @param {() => Promise<{x: number[][], y: number[][], notes: string[], seed: bigint}>} samples
   */
  const compare = async (what, samples) => {
    picture.replaceChildren();
    buttons.forEach((button) => (button.disabled = true));
    try {
      const { x, y, notes, seed } = await samples();
      const progress = async (/** @type {number} */ done) => {
        answer.textContent = `${what}: ${Math.round(100 * done)} %`;
        await new Promise((resolve) => setTimeout(resolve));
      };
      const { mmd2, p, bandwidth, rule, exceedances, nulls } = await twoSample(x, y, { ...test, seed }, progress);
      const decision = p <= test.alpha ? "the samples differ" : "no difference was found, which does not prove that there is none";
      answer.textContent = `${what}: ${decision} (p = ${p.toFixed(3)}: ${exceedances} of ${test.permutations} permutations reach the MMD² of ${mmd2.toPrecision(3)}; Gaussian kernel, sigma ${bandwidth.toPrecision(4)}, ${rule}). ${notes.join(" ")}`;
      picture.replaceChildren(nullChart(nulls, mmd2));
    } catch (error) {
      answer.textContent = `${what}: ${error instanceof Error ? error.message : error}.`;
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  };
  const ofFiles = async () => {
    const chosen = files.map(({ files }) => files?.[0]);
    if (!chosen[0] || !chosen[1]) throw new Error("choose a file for X and one for Y");
    if (!/^\d{1,20}$/.test(seed.value.trim()) || BigInt(seed.value.trim()) >= 2n ** 64n) {
      throw new Error("a seed is a whole number below 2^64, such as 0");
    }
    const of = BigInt(seed.value.trim());
    const tables = await Promise.all(chosen.map(async (file) => readTable(/** @type {File} */ (file).name, await /** @type {File} */ (file).text())));
    const [x, y] = [tables[0], aligned(tables[1], tables[0])];
    const notes = [x, y].filter(({ rows }) => rows.length > test.rows).map(({ name, rows }) => `Of ${name}, ${test.rows} of ${rows.length.toLocaleString("en")} rows were chosen by the seed.`);
    let samples = [x, y].map(({ rows }, which) => chosenRows(rows, test.rows, of, which, test.streams));
    if (x.header && x.header.length > 1) {
      samples = scaledRows(samples);
      notes.push("Each column was divided by its interquartile range.");
    }
    return { x: samples[0], y: samples[1], notes, seed: of };
  };
  const ofDigits = async () => {
    const [x, y] = await digits();
    return { x, y, notes: ["A VAE's means are smoother than digits are: the test sees that long after the eye is content."], seed: 0n };
  };
  const buttons = [
    element("button", { type: "button", onclick: () => void compare("X and Y", ofFiles) }, "Compare the files"),
    element("button", { type: "button", onclick: () => void compare("Real and invented digits", ofDigits) }, "Compare real and invented digits"),
  ];
  return section("Two samples: one distribution?",
    element("p", {}, "The maximum mean discrepancy (MMD) is the distance of two distributions in the feature space of a kernel. If X and Y were one distribution, it would not matter which point is called X: the p-value is the share of random labellings whose MMD² is as large."),
    element("p", {}, `Choose two CSV files of numbers, a row for each point, with the names of columns in the first line or without. Up to ${test.rows} rows of each are used; they stay in this page. The p-value is that of `, element("code", {}, `elbo compare X Y --points ${test.rows} --seed S`), "."),
    element("p", { class: "buttons" }, ...files.map((file, which) => element("span", {}, element("label", { for: file.id }, which === 0 ? "X " : "Y "), file)), element("span", {}, element("label", { for: "seed" }, "seed "), seed)),
    element("p", { class: "buttons" }, ...buttons), answer, picture);
}

/**
 * @param {LearnFacts} facts
 * @param {ArrayBuffer} bytes
 */
async function showLearning(facts, bytes) {
  const { image, classes, labels, objectives } = facts;
  const status = element("p", { role: "status" });
  const numbers = element("p", { class: "numbers" });
  /** Why there is no training here. */
  let refused = "";
  const reference = element("p", { class: "quiet" });
  const curves = element("div", { class: "charts" });
  const plane = element("canvas", { class: "plane still", role: "img", "aria-label": "Codes of test digits in the latent plane" });
  const grid = imageCanvas([SIDE * image[0], SIDE * image[1], 1], null, "The latent plane, decoded");
  const drawn = imageCanvas([2 * image[0], (SAMPLES / 2) * image[1], 1], null, "Digits decoded from draws of the prior");
  [grid.className, drawn.className] = ["sheet", "sheet wide"];
  const places = Array.from({ length: SIDE * SIDE }, (_, i) =>
    [i % SIDE, SIDE - 1 - Math.floor(i / SIDE)].map((at) => REACH * ((2 * at) / (SIDE - 1) - 1)));
  const draws = Array.from({ length: SAMPLES }, () => [normal(), normal()]);
  const loss = element("p", { class: "formula" });
  const why = element("p", {});
  const knobOutput = element("output", {});
  const knob = element("input", { type: "range", id: "knob", min: 0, max: 1, step: 0.01, oninput: () => turned() });
  const knobLabel = element("label", { for: "knob" });
  const knobRow = element("div", { class: "slider knob" }, knobLabel, knob, knobOutput);
  const choice = element("select", { id: "objective", onchange: () => begin() }, ...objectives.map(({ name }, i) => element("option", { value: i }, name)));
  const start = element("button", { type: "button", onclick: () => (running ? pause() : resume()) }, "Start");
  const again = element("button", { type: "button", onclick: () => begin() }, "Start over");

  /** @type {Trainer | null} */
  let trainer = null;
  /** @type {GPUDevice | null} */
  let device = null;
  /** @type {Promise<GPUDevice>} */
  let opening;
  let running = false;
  /** @type {Promise<void>} */
  let work = Promise.resolve();
  // A run that was started over must not draw any more.
  let generation = 0;
  let turnedByHand = false;
  /** @type {{elbo: [number, number][], kl: [number, number][]}} */
  let log = { elbo: [], kl: [] };

  const objective = () => objectives[Number(choice.value)];
  // A slider goes by ratios: twice the weight is as far everywhere.
  const knobValue = () => {
    const { low, high } = objective().knob ?? { low: 1, high: 1 };
    return low * (high / low) ** Number(knob.value);
  };
  function turned() {
    turnedByHand = true;
    showKnob();
  }
  function showKnob() {
    knobOutput.textContent = shown(knobValue(), 1);
    knob.setAttribute("aria-valuetext", shown(knobValue(), 1));
    trainer?.turn(knobValue());
  }
  function begin() {
    generation++;
    running = false;
    start.textContent = "Start";
    // What is on its way still needs the memory.
    const left = trainer;
    void work.finally(() => left?.engine.destroy());
    trainer = null;
    turnedByHand = false;
    log = { elbo: [], kl: [] };
    const { knob: range, loss: formula, why: reason } = objective();
    loss.textContent = formula;
    why.textContent = reason;
    knobRow.hidden = !range;
    if (range) {
      knobLabel.textContent = range.name;
      knob.value = String(Math.log(range.start / range.low) / Math.log(range.high / range.low));
      showKnob();
    }
    reference.textContent = "";
    status.textContent = refused || "Press Start.";
    numbers.textContent = "";
    curves.replaceChildren();
    drawPlane(plane, { reach: REACH + 0.6, dots: [], labels: [], classes, ellipses: [], at: null, names: ["z1", "z2"] });
    [grid, drawn].forEach((canvas) => canvas.getContext("2d")?.clearRect(0, 0, canvas.width, canvas.height));
  }
  function pause() {
    running = false;
    start.textContent = "Go on";
  }
  function resume() {
    running = true;
    start.textContent = "Pause";
    // A pause may not have taken effect yet.
    work = work.then(go);
  }
  async function go() {
    if (!running) return;
    const mine = generation;
    try {
      device ??= await opening;
      trainer ??= new Trainer(device, objective(), bytes, facts);
      if (turnedByHand) trainer.turn(knobValue());
      let next = 0;
      while (running && mine === generation) {
        const { steps, elbo } = objective().reference;
        const left = steps - trainer.step;
        const averages = await trainer.train(left > 0 ? left : Infinity);
        if (mine !== generation) return;
        const { step } = trainer;
        log.elbo.push([step, averages.elbo]);
        log.kl.push([step, averages.kl]);
        status.textContent = "";
        numbers.textContent = `step ${step.toLocaleString("en")}: ELBO ${shown(averages.elbo)}, KL ${shown(averages.kl)} nats, squared error ${shown(averages.sse, 1)}; ${Math.round(averages.imagesPerSecond).toLocaleString("en")} images/s`;
        if (left > 0 && step === steps && !turnedByHand) {
          reference.textContent = `In step ${steps} elbo's CPU engine had an ELBO of ${shown(elbo, 3)}, this GPU ${shown(averages.last.elbo, 3)}.`;
        }
        const now = performance.now();
        if (now >= next) {
          await refresh(trainer, mine);
          // A slow device spends no more than a fifth of its time on pictures.
          next = performance.now() + Math.max(REFRESH, 4 * (performance.now() - now));
        }
        await new Promise((resolve) => setTimeout(resolve));
      }
      if (mine === generation && trainer) await refresh(trainer, mine);
    } catch (error) {
      if (mine !== generation) return;
      pause();
      status.textContent = `Training stopped: ${error instanceof Error ? error.message : error}.`;
    }
  }
  /**
   * @param {Trainer} trainer
   * @param {number} mine
   */
  async function refresh(trainer, mine) {
    const means = await trainer.encode();
    const [decoded, invented] = [await trainer.decode(places), await trainer.decode(draws)];
    if (mine !== generation) return;
    const thinned = (/** @type {[number, number][]} */ points) => {
      const every = Math.ceil(points.length / 300);
      return points.filter((_, i) => (points.length - 1 - i) % every === 0);
    };
    curves.replaceChildren(
      chart("ELBO (nats)", [{ name: "training", kind: "train", points: thinned(log.elbo) }]),
      chart("KL (nats)", [{ name: "training", kind: "train", points: thinned(log.kl) }]),
    );
    const dots = means.map(([a, b]) => /** @type {[number, number]} */ ([a, b]));
    drawPlane(plane, { reach: REACH + 0.6, dots, labels, classes, ellipses: [], at: null, names: ["z1", "z2"] });
    decoded.forEach((pixels, i) => drawImage(grid, image, pixels, [(i % SIDE) * image[1], Math.floor(i / SIDE) * image[0]]));
    invented.forEach((pixels, i) => drawImage(drawn, image, pixels, [(i % (SAMPLES / 2)) * image[1], Math.floor(i / (SAMPLES / 2)) * image[0]]));
  }

  const realAndInvented = async () => {
    const now = trainer;
    if (!now || running) throw new Error(now ? "pause the training first" : "train a model first, above");
    const sampled = work.then(() => sample(now));
    // Training waits for it, and so does the memory.
    work = sampled.then(() => {}, () => {});
    return sampled;
  };
  const sample = async (/** @type {Trainer} */ now) => {
    if (now !== trainer) throw new Error("the model is gone");
    const count = labels.length;
    const [real, invented] = [/** @type {number[][]} */ ([]), /** @type {number[][]} */ ([])];
    for (let i = 0; i < count; i++) real.push(Array.from(now.test.subarray(i * now.pixels, (i + 1) * now.pixels)));
    while (invented.length < count) {
      const codes = Array.from({ length: Math.min(now.model.decoder.batch, count - invented.length) }, () => [normal(), normal()]);
      invented.push(...(await now.decode(codes)).map((image) => Array.from(image)));
    }
    return /** @type {[number[][], number[][]]} */ ([real, invented]);
  };
  document.title = "Learn digits in this page";
  document.querySelector("main")?.replaceChildren(
    element("header", {}, element("h1", {}, "Learn digits in this page"),
      element("p", {}, "A variational auto-encoder (VAE) learns what digits look like, on your own graphics card, from images alone. Its encoder turns an image x into a cloud of codes q(z|x) on a plane; its decoder turns a code z into an image. Nothing is sent anywhere.")),
    section("The objective",
      element("p", {}, element("label", { for: "objective" }, "Minimise "), choice),
      loss, why, knobRow),
    section("Training",
      element("p", { class: "buttons" }, start, " ", again), status, numbers, reference,
      element("div", { class: "live-pictures" },
        element("figure", {}, plane, element("figcaption", {}, "Where the encoder puts 500 digits that it does not learn from. It is never told their classes.")),
        element("figure", {}, grid, element("figcaption", {}, "What the decoder makes of the plane, from −3 to 3 both ways.")),
      ),
      element("figure", {}, drawn, element("figcaption", {}, "Invented digits: the same 20 draws of z from the prior N(0, I) throughout.")),
      curves),
    comparison(facts, realAndInvented),
    element("footer", { class: "quiet" }, `Made by elbo ${facts.version}. Nothing was loaded from a network.`),
  );
  begin();
  const open = () => {
    opening = openDevice();
    opening.then(
      // A device that is lost is asked for again.
      (opened) => void opened.lost.then(() => ((device = null), open())),
      (error) => {
        status.textContent = refused = `No training here: ${error.message}.`;
        start.disabled = true;
      },
    );
  };
  open();
}

facts().then(({ facts, bytes }) => showLearning(facts, bytes)).catch((error) => {
  document.querySelector("main")?.replaceChildren(element("p", { class: "wrong" }, `This page cannot be shown: ${error.message}`));
});
