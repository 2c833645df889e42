// @ts-check
// Runs an exported plan (src/export.rs) on WebGPU: `elbo`'s shaders, planned by `elbo`.
//
//   plan -> buffers, pipelines, bind groups      once
//   run(program, steps)                          all steps of a submission in one pass; read(buffer)

/**
 * @typedef {"params" | "step" | {read: number} | {write: number}} Slot
 * @typedef {{kernel: string, source: string, constants: Record<string, number>,
 *            bindings: {number: number, slot: Slot}[]}} Shader
 * @typedef {{shader: number, params: number[], reads: number[], writes: number[], grid: [number, number]}} Call
 * @typedef {{format: string, version: number, most_steps: number,
 *            step: {bytes: number, fields: {name: string, offset: number}[]}, shaders: Shader[],
 *            buffers: {name: string, words: number}[], programs: {name: string, calls: Call[]}[]}} Plan
 * @typedef {{pipeline: GPUComputePipeline, group: GPUBindGroup, usesStep: boolean, grid: [number, number]}} Dispatch
 */

/** The format that this host understands. */
const VERSION = 1;

/** Distance between two rows of a uniform buffer: the largest alignment that WebGPU allows a device to ask for. */
const STRIDE = 256;

/** The device with all the memory that it offers, or a sentence that says why there is none. */
export async function openDevice() {
  if (!("gpu" in navigator)) {
    throw new Error("this browser has no WebGPU; recent Chrome, Edge, Safari and Firefox have it");
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new Error("WebGPU found no graphics adapter that it may use");
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  return adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
}

/**
 * @typedef {{shape: "constant", value: number} | {shape: "linear" | "cosine", from: number, to: number, steps: number | null}
 *   | {shape: "cyclic", from: number, to: number, period: number}
 *   | {shape: "piecewise" | "steps", points: [number, number][]}} Schedule
 * @typedef {{name: string, type: "u32" | "f32"} & ({formula: "constant", value: number} | {formula: "number" | "slot"}
 *   | {formula: "epoch", per_epoch: number} | {formula: "first", per_epoch: number, batch: number}
 *   | {formula: "correction", beta: number}
 *   | {formula: "scheduled", summand: number, factor: number, schedule: Schedule})} Word
 * @typedef {{total: number, words: Word[]}} StepWords
 */

/**
 * A schedule's value in step `t` of `total`: src/train/schedule.rs.
 * @param {Schedule} schedule
 * @param {number} t
 * @param {number} total
 * @returns {number}
 */
function scheduled(schedule, t, total) {
  const way = (/** @type {number} */ steps, at = t) => Math.min(at / Math.max(steps, 1), 1);
  const between = (/** @type {number} */ from, /** @type {number} */ to, /** @type {number} */ part) =>
    from + (to - from) * part;
  switch (schedule.shape) {
    case "constant":
      return schedule.value;
    case "linear":
      return between(schedule.from, schedule.to, way(schedule.steps ?? total - 1));
    case "cosine":
      return between(schedule.from, schedule.to, 0.5 - 0.5 * Math.cos(Math.PI * way(schedule.steps ?? total - 1)));
    case "cyclic":
      return between(schedule.from, schedule.to, way(Math.ceil(schedule.period / 2), t % schedule.period));
  }
  const { points } = schedule;
  const after = points.findIndex(([step]) => step > t);
  if (after < 0) return points[points.length - 1][1];
  if (after === 0) return points[0][1];
  const [[start, from], [end, to]] = [points[after - 1], points[after]];
  return schedule.shape === "steps" ? from : between(from, to, (t - start) / (end - start));
}

/**
 * The words of the block of step `t`, which takes row `slot` of the rings: src/train/words.rs.
 * @param {StepWords} words
 * @param {number} t
 * @param {number} slot
 */
export function stepWords({ total, words }, t, slot) {
  const value = (/** @type {Word} */ word) => {
    switch (word.formula) {
      case "constant":
        return word.value;
      case "number":
        return t;
      case "slot":
        return slot;
      case "epoch":
        return Math.floor(t / word.per_epoch);
      case "first":
        return (t % word.per_epoch) * word.batch;
      case "correction":
        return 1 / (1 - word.beta ** (t + 1));
      case "scheduled":
        return word.summand + word.factor * scheduled(word.schedule, t, total);
    }
  };
  const block = new Uint32Array(words.length);
  const numbers = new Float32Array(block.buffer);
  words.forEach((word, i) => ((word.type === "f32" ? numbers : block)[i] = value(word)));
  return block;
}

export class Engine {
  /**
   * Allocates the buffers of a plan; pipelines are made when a program first runs.
   * @param {GPUDevice} device
   * @param {Plan} plan
   */
  constructor(device, plan) {
    if (plan.format !== "elbo plan" || plan.version !== VERSION) {
      throw new Error(`this is no plan of version ${VERSION}; export it again with the elbo that this page came from`);
    }
    this.device = device;
    this.plan = plan;
    /** @type {string | null} the first thing that the device objected to */
    this.failure = null;
    this.object = (/** @type {GPUUncapturedErrorEvent} */ { error }) => void (this.failure ??= error.message);
    device.addEventListener("uncapturederror", this.object);
    device.lost.then(({ reason, message }) => {
      if (reason !== "destroyed") this.failure ??= `the GPU was lost (${message})`;
    });
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.buffers = plan.buffers.map(({ name, words }) =>
      device.createBuffer({ label: name, size: 4 * words, usage }),
    );
    this.steps = device.createBuffer({
      label: "steps",
      size: STRIDE * plan.most_steps,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    // Rounded up to 16 bytes; rows are farther apart.
    this.stepBytes = Math.ceil(plan.step.bytes / 16) * 16;
    /** @type {Map<number, Promise<{pipeline: GPUComputePipeline, layout: GPUBindGroupLayout}>>} */
    this.pipelines = new Map();
    /** @type {Map<number, Promise<Dispatch[]>>} */
    this.programs = new Map();
    /** @type {GPUBuffer[]} the blocks of sizes, one for each call */
    this.blocks = [];
  }

  /** Throws what the device objected to, if it did. */
  check() {
    if (this.failure) throw new Error(this.failure);
  }

  /**
   * Fills a buffer, or its beginning.
   * @param {number} buffer
   * @param {Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>} values
   */
  write(buffer, values) {
    this.device.queue.writeBuffer(this.buffers[buffer], 0, values);
  }

  /**
   * Runs a program once for each step, whose words are those of the plan's `step`. Wait for it before the next call.
   * @param {number} program
   * @param {(Uint32Array | number[])[]} steps
   */
  async run(program, steps) {
    if (steps.length > this.plan.most_steps) {
      throw new Error(`a submission has at most ${this.plan.most_steps} steps, not ${steps.length}`);
    }
    const dispatches = await this.program(program);
    const rows = new Uint32Array((STRIDE / 4) * steps.length);
    steps.forEach((step, row) => rows.set(step, (STRIDE / 4) * row));
    this.device.queue.writeBuffer(this.steps, 0, rows);
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let row = 0; row < steps.length; row++) {
      for (const { pipeline, group, usesStep, grid } of dispatches) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group, usesStep ? [STRIDE * row] : []);
        pass.dispatchWorkgroups(...grid);
      }
    }
    pass.end();
    this.device.queue.submit([encoder.finish()]);
    this.check();
  }

  /**
   * The contents of some buffers.
   * @param {number[]} buffers
   * @returns {Promise<Float32Array[]>}
   */
  async read(buffers) {
    const encoder = this.device.createCommandEncoder();
    const copies = buffers.map((buffer) => {
      const { size } = this.buffers[buffer];
      const copy = this.device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
      encoder.copyBufferToBuffer(this.buffers[buffer], 0, copy, 0, size);
      return copy;
    });
    this.device.queue.submit([encoder.finish()]);
    try {
      await Promise.all(copies.map((copy) => copy.mapAsync(GPUMapMode.READ)));
      this.check();
      return copies.map((copy) => new Float32Array(copy.getMappedRange().slice(0)));
    } finally {
      copies.forEach((copy) => copy.destroy());
    }
  }

  /** Frees the memory of the device. Nothing may be running. */
  destroy() {
    this.device.removeEventListener("uncapturederror", this.object);
    [...this.buffers, ...this.blocks, this.steps].forEach((buffer) => buffer.destroy());
  }

  /**
   * The dispatches of a program, made on first use.
   * @param {number} program
   */
  program(program) {
    const known = this.programs.get(program);
    if (known) return known;
    const made = Promise.all(this.plan.programs[program].calls.map((call) => this.dispatch(call)));
    this.programs.set(program, made);
    return made;
  }

  /**
   * @param {Call} call
   * @returns {Promise<Dispatch>}
   */
  async dispatch({ shader, params, reads, writes, grid }) {
    const { kernel, bindings } = this.plan.shaders[shader];
    const { pipeline, layout } = await this.pipeline(shader);
    const block = this.device.createBuffer({
      label: `params of ${kernel}`,
      size: Math.max(16, Math.ceil((4 * params.length) / 16) * 16),
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.blocks.push(block);
    this.device.queue.writeBuffer(block, 0, new Uint32Array(params));
    const bound = (/** @type {Slot} */ slot) => {
      if (slot === "params") return { buffer: block };
      if (slot === "step") return { buffer: this.steps, size: this.stepBytes };
      return { buffer: this.buffers["read" in slot ? reads[slot.read] : writes[slot.write]] };
    };
    const group = this.device.createBindGroup({
      label: kernel,
      layout,
      entries: bindings.map(({ number, slot }) => ({ binding: number, resource: bound(slot) })),
    });
    return { pipeline, group, usesStep: bindings.some(({ slot }) => slot === "step"), grid };
  }

  /**
   * The pipeline of a shader, compiled on first use.
   * @param {number} shader
   */
  pipeline(shader) {
    const known = this.pipelines.get(shader);
    if (known) return known;
    const made = this.compile(shader);
    this.pipelines.set(shader, made);
    return made;
  }

  /** @param {number} shader */
  async compile(shader) {
    const { kernel, source, constants, bindings } = this.plan.shaders[shader];
    const module = this.device.createShaderModule({ label: kernel, code: source });
    const { messages } = await module.getCompilationInfo();
    const wrong = messages.find(({ type }) => type === "error");
    if (wrong) throw new Error(`${kernel}, line ${wrong.lineNum}: ${wrong.message}`);
    const layout = this.device.createBindGroupLayout({
      label: kernel,
      entries: bindings.map(({ number, slot }) => ({
        binding: number,
        visibility: GPUShaderStage.COMPUTE,
        buffer: {
          type: typeof slot === "string" ? "uniform" : "read" in slot ? "read-only-storage" : "storage",
          hasDynamicOffset: slot === "step",
        },
      })),
    });
    const pipeline = await this.device.createComputePipelineAsync({
      label: kernel,
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main", constants },
    });
    return { pipeline, layout };
  }
}
