// @ts-check
// Every kernel, every case, every variant, in this browser, against the f64 truth that `elbo bench kernels --cases` wrote.

import { Engine, openDevice, stepWords } from "./engine.js";

/**
 * @typedef {{buffer: number, offset: number}} Contents
 * @typedef {{step: number[], tolerance: number, contents: Contents[], expected: Contents[],
 *            sums: {buffer: number, terms: number} | null}} Check
 */

/**
 * What is wrong with what a kernel wrote, or nothing.
 * @param {Float32Array} got
 * @param {Float64Array} want NaN where nothing may be written
 * @param {number} tolerance of the largest magnitude
 */
export function difference(got, want, tolerance) {
  let scale = Number.MIN_VALUE;
  for (const w of want) {
    if (!Number.isNaN(w)) scale = Math.max(scale, Math.abs(w));
  }
  for (let i = 0; i < want.length; i++) {
    if (Number.isNaN(want[i])) {
      if (!Number.isNaN(got[i])) return `element ${i} was written, but should not be`;
    } else if (!(Math.abs(got[i] - want[i]) <= tolerance * scale)) {
      return `element ${i} of ${want.length} is ${got[i]}, expected ${want[i]}`;
    }
  }
  return null;
}

/**
 * The totals of partial sums, of so many interleaved terms, over the rows of the step.
 * @param {Float32Array} got
 * @param {Float64Array} want
 * @param {number} terms
 * @param {number} tolerance
 */
export function differenceOfSums(got, want, terms, tolerance) {
  const first = want.findIndex((w) => !Number.isNaN(w));
  const last = want.findLastIndex((w) => !Number.isNaN(w));
  const outside = got.findIndex((g, i) => (i < first || i > last) && !Number.isNaN(g));
  if (outside >= 0) return `element ${outside} belongs to another step but was written`;
  for (let term = 0; term < terms; term++) {
    let [ours, truth] = [0, 0];
    for (let i = first + term; i <= last; i += terms) {
      ours += got[i];
      truth += want[i];
    }
    const wrong = difference(Float32Array.of(ours), Float64Array.of(truth), tolerance);
    if (wrong) return `sum ${term}: ${wrong}`;
  }
  return null;
}

/**
 * Runs the checks of one kernel, of its first `most` cases.
 * @param {GPUDevice} device
 * @param {string} kernel
 * @param {number} most
 * @returns {Promise<{name: string, wrong: string | null}[]>}
 */
async function checkKernel(device, kernel, most) {
  const plan = await json(kernel);
  const bytes = await (await fetch(`cases/${kernel}.bin`)).arrayBuffer();
  const engine = new Engine(device, plan);
  const words = (/** @type {Contents} */ { buffer, offset }) =>
    new Uint32Array(bytes, offset, plan.buffers[buffer].words);
  const truth = (/** @type {Contents} */ { buffer, offset }) =>
    new Float64Array(bytes, offset, plan.buffers[buffer].words);
  const results = [];
  for (const [program, check] of /** @type {Check[]} */ (plan.checks).entries()) {
    const { name } = plan.programs[program];
    // Case and variant: `3 32 x 40`.
    if (parseInt(name, 10) >= most) continue;
    device.pushErrorScope("validation");
    let wrong = null;
    try {
      for (const contents of check.contents) engine.write(contents.buffer, words(contents));
      await engine.run(program, [check.step]);
      const written = await engine.read(check.expected.map(({ buffer }) => buffer));
      for (const [i, expected] of check.expected.entries()) {
        const [want, sums] = [truth(expected), check.sums];
        const found =
          sums && sums.buffer === expected.buffer
            ? differenceOfSums(written[i], want, sums.terms, check.tolerance)
            : difference(written[i], want, check.tolerance);
        if (found) wrong ??= `${plan.buffers[expected.buffer].name}: ${found}`;
      }
    } catch (error) {
      wrong = String(error);
    }
    const invalid = await device.popErrorScope();
    if (invalid) wrong = invalid.message;
    results.push({ name: `${kernel} ${name}`, wrong });
  }
  engine.destroy();
  return results;
}

/**
 * A file of the checks.
 * @param {string} name
 */
async function json(name) {
  const response = await fetch(`cases/${name}.json`);
  if (!response.ok) throw new Error(`there is no ${name}.json`);
  return response.json();
}

/**
 * Trains a small model from its first weights, and compares the sums of its losses with those of elbo's CPU engine: within
 * 1e-5 for 20 steps, and 1e-3 after them, when the order of summation alone lets curves drift apart.
 * @param {GPUDevice} device
 * @param {string} name
 */
async function checkTraining(device, name) {
  const model = await json(`${name}-model`);
  const rings = await json(`${name}-expected`);
  const bytes = await (await fetch(`cases/${name}-model.bin`)).arrayBuffer();
  const engine = new Engine(device, model);
  for (const { buffer, offset } of model.contents) {
    engine.write(buffer, new Uint32Array(bytes, offset, model.buffers[buffer].words));
  }
  const count = rings[0].sums.length / rings[0].terms;
  await engine.run(model.train.program, Array.from({ length: count }, (_, t) => stepWords(model.words, t, t)));
  const held = await engine.read(rings.map((/** @type {any} */ { buffer }) => buffer));
  engine.destroy();
  let wrong = null;
  rings.forEach((/** @type {any} */ { buffer, terms, sums }, /** @type {number} */ i) => {
    const row = held[i].length / model.train.slots;
    sums.forEach((/** @type {number} */ want, /** @type {number} */ place) => {
      const [step, term] = [Math.floor(place / terms), place % terms];
      let got = 0;
      for (let at = step * row + term; at < (step + 1) * row; at += terms) got += held[i][at];
      if (!(Math.abs(got - want) <= (step < 20 ? 1e-5 : 1e-3) * Math.abs(want))) {
        wrong ??= `step ${step}, ${model.buffers[buffer].name}: ${got}, expected ${want}`;
      }
    });
  });
  return { name: `${count} steps of ${name}`, wrong };
}

/**
 * Evaluates the words of many steps; powers and cosines may be an ulp of f32 off, as each language has its own.
 * @returns {Promise<{name: string, wrong: string | null}[]>}
 */
async function checkWords() {
  const runs = await json("words");
  return runs.map((/** @type {any} */ { settings, words, steps, expected }) => {
    let wrong = null;
    steps.forEach((/** @type {[number, number]} */ [t, slot], /** @type {number} */ i) => {
      const got = stepWords(words, t, slot);
      if (got.length !== expected[i].length) wrong ??= `${got.length} words, expected ${expected[i].length}`;
      got.forEach((word, j) => {
        const allowed = words.words[j].type === "f32" ? 1 : 0;
        if (Math.abs(word - expected[i][j]) > allowed) {
          wrong ??= `step ${t}, ${words.words[j].name}: the word ${word}, expected ${expected[i][j]}`;
        }
      });
    });
    return { name: `words of ${settings.replaceAll("\n", ", ")}`, wrong };
  });
}

/**
 * Runs all checks, or those of the kernels whose name contains `filter`.
 * @param {(kernel: string, results: {name: string, wrong: string | null}[]) => void} tell
 * @param {string} filter
 * @param {number} most cases of a kernel
 */
export async function checkAll(tell, filter = "", most = Infinity) {
  const device = await openDevice();
  const wanted = (/** @type {string[]} */ names) => names.filter((name) => name.includes(filter));
  const [models, kernels] = [wanted(await json("models")), wanted(await json("index"))];
  if (models.length + kernels.length === 0) throw new Error(`no kernel's name contains "${filter}"`);
  tell("words", await checkWords());
  for (const model of models) tell(`training, ${model}`, [await checkTraining(device, model)]);
  for (const kernel of kernels) tell(kernel, await checkKernel(device, kernel, most));
}
