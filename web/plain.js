// @ts-check
// Runs a decoder's programs without a GPU, in plain JavaScript: the kernels that forward layers are made of.

/** @import { Plan, Call, Shader } from "./engine.js" */

/**
 * y = activation(l), by the number that shaders/lib/activation.wgsl has for it.
 * @param {number} activation
 * @param {number} l
 */
function activated(activation, l) {
  return activation === 1 ? Math.max(l, 0) : activation === 2 ? Math.tanh(l) : l;
}

/**
 * y = activation(x W^T + b): shaders/dense/linear.wgsl.
 * @param {Call} call
 * @param {Shader} shader
 * @param {Float32Array[]} buffers
 */
function linear({ params, reads, writes }, { constants }, buffers) {
  const [batch, inputs, outputs] = params;
  const [x, theta, y] = [buffers[reads[0]], buffers[reads[1]], buffers[writes[0]]];
  for (let b = 0; b < batch; b++) {
    for (let o = 0; o < outputs; o++) {
      let sum = theta[outputs * inputs + o];
      for (let i = 0; i < inputs; i++) sum += x[b * inputs + i] * theta[o * inputs + i];
      y[b * outputs + o] = activated(constants.ACTIVATION, sum);
    }
  }
}

/**
 * y = activation(convT(x, W) + b): shaders/windows/transposed_convolution.wgsl.
 * @type {typeof linear}
 */
function transposedConvolution({ params, reads, writes }, { constants }, buffers) {
  const [batch] = params;
  const [x, theta, y] = [buffers[reads[0]], buffers[reads[1]], buffers[writes[0]]];
  const { CHANNELS, HEIGHT, WIDTH, COARSE_CHANNELS, COARSE_HEIGHT, COARSE_WIDTH } = constants;
  const { KERNEL, STRIDE, PADDING, INTERLEAVED, ACTIVATION } = constants;
  const [pixels, coarse, taps] = [HEIGHT * WIDTH, COARSE_HEIGHT * COARSE_WIDTH, KERNEL * KERNEL];
  for (let b = 0; b < batch; b++) {
    const sums = new Float32Array(CHANNELS * pixels);
    for (let o = 0; o < COARSE_CHANNELS; o++) {
      for (let c = 0; c < CHANNELS; c++) {
        for (let tap = 0; tap < taps; tap++) {
          const weight = theta[(o * CHANNELS + c) * taps + tap];
          const [down, across] = [Math.floor(tap / KERNEL) - PADDING, (tap % KERNEL) - PADDING];
          for (let row = 0; row < COARSE_HEIGHT; row++) {
            const at = row * STRIDE + down;
            if (at < 0 || at >= HEIGHT) continue;
            for (let column = 0; column < COARSE_WIDTH; column++) {
              const along = column * STRIDE + across;
              if (along < 0 || along >= WIDTH) continue;
              sums[c * pixels + at * WIDTH + along] += weight * x[(b * COARSE_CHANNELS + o) * coarse + row * COARSE_WIDTH + column];
            }
          }
        }
      }
    }
    for (let c = 0; c < CHANNELS; c++) {
      for (let pixel = 0; pixel < pixels; pixel++) {
        const at = INTERLEAVED ? (b * pixels + pixel) * CHANNELS + c : (b * CHANNELS + c) * pixels + pixel;
        y[at] = activated(ACTIVATION, sums[c * pixels + pixel] + theta[COARSE_CHANNELS * CHANNELS * taps + c]);
      }
    }
  }
}

/** @type {Record<string, typeof linear>} */
const KERNELS = { linear, transposed_convolution: transposedConvolution };

/** As much of the engine as a decoder needs. */
export class PlainEngine {
  /** @param {Plan} plan */
  constructor(plan) {
    this.plan = plan;
    this.buffers = plan.buffers.map(({ words }) => new Float32Array(words));
  }

  /**
   * Fills a buffer, or its beginning.
   * @param {number} buffer
   * @param {Float32Array<ArrayBuffer>} values
   */
  write(buffer, values) {
    this.buffers[buffer].set(values);
  }

  /**
   * Runs a program once.
   * @param {number} program
   */
  async run(program) {
    for (const call of this.plan.programs[program].calls) {
      const shader = this.plan.shaders[call.shader];
      KERNELS[shader.kernel](call, shader, this.buffers);
    }
  }

  /**
   * The contents of some buffers.
   * @param {number[]} buffers
   */
  async read(buffers) {
    return buffers.map((buffer) => this.buffers[buffer].slice());
  }
}
