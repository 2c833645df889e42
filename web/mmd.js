// @ts-check
// The two-sample test of `elbo compare` in plain JavaScript and f64, for samples of a few hundred points: the same choice of
// rows, the same permutations, the same p. src/statistic/two_sample.rs and null.rs have the formulas.

/**
 * @typedef {{name: string, header: string[] | null, rows: number[][]}} Table
 * @typedef {{permutation: number, subsample: number}} Streams purposes of random numbers: src/random.rs
 * @typedef {{mmd2: number, p: number, exceedances: number, bandwidth: number, rule: string, nulls: number[]}} Outcome
 */

/** The kernel's rounding must not break ties: src/statistic/p_value.rs. */
const TIE = 1e-6;

/** The high and the low word of a product of two words. @param {number} a @param {number} b */
function product(a, b) {
  const [low, high] = [a & 0xffff, a >>> 16];
  const [first, second] = [low * (b >>> 0), high * (b >>> 0)];
  // first + 2^16 second, each below 2^48.
  const carried = Math.floor(first / 65536) + second;
  return [Math.floor(carried / 65536) >>> 0, Math.imul(a, b) >>> 0];
}

/**
 * Philox4x32-10: four random words for a counter and a key.
 * @param {number[]} counter
 * @param {number[]} key
 */
export function philox([c0, c1, c2, c3], [k0, k1]) {
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = product(0xd2511f53, c0);
    const [high1, low1] = product(0xcd9e8d57, c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    [k0, k1] = [(k0 + 0x9e3779b9) >>> 0, (k1 + 0xbb67ae85) >>> 0];
  }
  return [c0, c1, c2, c3];
}

/** Random words one after another: `Sequence` of src/random.rs. */
export class Sequence {
  /**
   * @param {bigint} seed
   * @param {number} stream
   * @param {number} index
   */
  constructor(seed, stream, index) {
    this.key = [Number(seed & 0xffffffffn), Number((seed >> 32n) & 0xffffffffn)];
    this.stream = stream;
    this.index = index;
    this.block = 0;
    /** @type {number[]} */
    this.words = [];
  }

  word() {
    if (this.words.length === 0) this.words = philox([this.block++, this.index, 0, this.stream], this.key).reverse();
    return /** @type {number} */ (this.words.pop());
  }

  /** A whole number below n. @param {number} n */
  below(n) {
    return product(this.word(), n)[0];
  }

  /** 0..n in random order. @param {number} n */
  order(n) {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  /** Some of 0..total, in random order. @param {number} count @param {number} total */
  choice(count, total) {
    const all = Uint32Array.from({ length: total }, (_, i) => i);
    for (let i = 0; i < count; i++) {
      const j = i + this.below(total - i);
      [all[i], all[j]] = [all[j], all[i]];
    }
    return all.subarray(0, count);
  }
}

/** What stands for a missing value, or a truth value, is no name of a column: src/data/table/csv.rs. */
const NO_NAMES = /^(|NA|N\/A|#N\/A|<NA>|NaN|nan|-nan|null|NULL|None|\?|true|True|TRUE|false|False|FALSE|[+-]?inf|[+-]?infinity)$/;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** The cells of a line; a separator within quotes is none. @param {string} line @param {string} separator */
function cellsOf(line, separator) {
  const cells = [""];
  let quoted = false;
  for (const letter of line) {
    if (letter === '"') quoted = !quoted;
    else if (letter === separator && !quoted) cells.push("");
    else cells[cells.length - 1] += letter;
  }
  return cells.map((cell) => cell.trim());
}

/**
 * Numbers in rows, with a header or without: of the files that `elbo` reads, the plain ones. Others are refused.
 * @param {string} name
 * @param {string} text
 * @returns {Table}
 */
export function readTable(name, text) {
  const lines = text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\r|\n/)
    .map((line, i) => ({ line: line.trim(), number: i + 1 }))
    .filter(({ line }) => line !== "" && !line.startsWith("#"));
  const counts = (/** @type {string} */ mark) => lines.map(({ line }) => cellsOf(line, mark).length);
  const separator = [";", "\t", "|", ","].find((mark) => counts(mark).every((count, _, all) => count > 1 && count === all[0]));
  // A whole number does not begin with a zero, a fraction may.
  const fractions = lines.some(({ line }) => /,0\d+$/.test(line));
  if (separator === "," && fractions && lines.every(({ line }) => /^[+-]?\d+,\d+$/.test(line))) {
    throw new Error(`${name} has decimal commas; write points`);
  }
  const table = lines.map(({ line }) => cellsOf(line, separator ?? ","));
  const isName = (/** @type {string} */ cell, /** @type {number} */ column) =>
    !NUMBER.test(cell) && (!NO_NAMES.test(cell) || (cell === "" && column === 0 && table[0].length > 1));
  const named = table.length > 0 && table[0].every(isName);
  // As pandas and R write the numbers of rows.
  const index = named && table[0].length > 1 && ["", "Unnamed: 0"].includes(table[0][0]);
  const rows = table.slice(named ? 1 : 0).map((cells, i) => {
    const { number } = lines[named ? i + 1 : i];
    if (cells.length !== table[0].length) {
      throw new Error(`${name}, line ${number} has ${cells.length} columns, but the first line has ${table[0].length}`);
    }
    const kept = index ? cells.slice(1) : cells;
    const wrong = kept.findIndex((cell) => !NUMBER.test(cell) || !Number.isFinite(Number(cell)));
    if (wrong >= 0) throw new Error(`${name}, line ${number}, column ${wrong + (index ? 1 : 0)} (counted from 0): expected a number`);
    return kept.map(Number);
  });
  if (rows.length < 2) throw new Error(`${name} has ${rows.length} rows of numbers; a test needs at least two`);
  return { name, header: named ? table[0].slice(index ? 1 : 0) : null, rows };
}

/**
 * The columns of `table` in the order of another's, where both have the same names.
 * @param {Table} table
 * @param {Table} other
 * @returns {Table}
 */
export function aligned(table, other) {
  const [width, wanted] = [table.rows[0].length, other.rows[0].length];
  if (width !== wanted) throw new Error(`${other.name} has ${wanted} columns and ${table.name} has ${width}; both need the same`);
  const { header } = table;
  if (!header || !other.header || header.every((name, i) => name === other.header?.[i])) return table;
  if (new Set(header).size < width) throw new Error(`${table.name} has two columns of one name`);
  const places = other.header.map((name) => header.indexOf(name));
  const missing = places.indexOf(-1);
  if (missing >= 0) throw new Error(`${table.name} has no column "${other.header[missing]}", which ${other.name} has`);
  return { ...table, header: other.header, rows: table.rows.map((row) => places.map((place) => row[place])) };
}

/**
 * At most `most` rows, chosen by the seed; `which` is 0 for X and 1 for Y.
 * @param {number[][]} rows
 * @param {number} most
 * @param {bigint} seed
 * @param {number} which
 * @param {Streams} streams
 */
export function chosenRows(rows, most, seed, which, streams) {
  if (rows.length <= most) return rows;
  return new Sequence(seed, streams.subsample, which + 1).order(rows.length).slice(0, most).map((i) => rows[i]);
}

/**
 * A quantile of sorted numbers, between two of them by their distance.
 * @param {Float64Array} sorted
 * @param {number} share
 */
function quantile(sorted, share) {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const rest = place - below;
  return sorted[below] * (1 - rest) + sorted[Math.min(below + 1, sorted.length - 1)] * rest;
}

/**
 * Rows of both samples, each column divided by its interquartile range in both together, or by its standard deviation
 * where that is 0; constant columns are left out: src/statistic/columns.rs.
 * @param {number[][][]} samples
 */
export function scaledRows(samples) {
  const rows = samples.flat();
  const units = rows[0].map((_, column) => {
    const values = Float64Array.from(rows, (row) => row[column]).sort();
    const range = quantile(values, 0.75) - quantile(values, 0.25);
    if (range > 0) return range;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  });
  if (units.every((unit) => unit === 0)) throw new Error("all columns are constant: there is nothing to compare");
  return samples.map((sample) =>
    sample.map((row) => row.map((value, column) => value / units[column]).filter((_, column) => units[column] > 0)));
}

/**
 * Whether X and Y come from one distribution: MMD^2 with the Gaussian kernel exp(-|a - b|^2 / (2 s^2)), s the median
 * distance, unbiased, and the share of permutations that reach it.
 * @param {number[][]} x
 * @param {number[][]} y
 * @param {{seed: bigint, permutations: number, streams: Streams}} settings
 * @param {(done: number) => Promise<void>} progress
 * @returns {Promise<Outcome>}
 */
export async function twoSample(x, y, { seed, permutations, streams }, progress = async () => {}) {
  const [points, total] = [[...x, ...y].map((row) => Float64Array.from(row)), x.length + y.length];
  const squares = new Float64Array(total * total);
  const distances = new Float64Array((total * (total - 1)) / 2);
  let count = 0;
  for (let i = 0; i < total; i++) {
    for (let j = 0; j < i; j++) {
      let square = 0;
      for (let k = 0; k < points[i].length; k++) square += (points[i][k] - points[j][k]) ** 2;
      squares[i * total + j] = squares[j * total + i] = square;
      distances[count++] = Math.sqrt(square);
    }
    if (i % 64 === 0) await progress((0.3 * i) / total);
  }
  distances.sort();
  const median = 0.5 * distances[(count - 1) >> 1] + 0.5 * distances[count >> 1];
  const mean = distances.reduce((sum, distance) => sum + distance / count, 0);
  const bandwidth = median || mean || 1;
  const rule = median ? "the median distance" : mean ? "the mean distance, as the median is 0" : "as all distances are 0";
  if (!Number.isFinite(bandwidth * bandwidth)) throw new Error("the numbers are too large for this page");
  const kernel = squares.map((square) => Math.exp(-square / (2 * bandwidth * bandwidth)));
  for (let i = 0; i < total; i++) kernel[i * total + i] = 0;
  const rows = Float64Array.from({ length: total }, (_, i) => kernel.subarray(i * total, (i + 1) * total).reduce((a, b) => a + b, 0));
  const sum = rows.reduce((a, b) => a + b, 0);
  const [n, m] = [Math.min(x.length, y.length), Math.max(x.length, y.length)];
  // Labels mark the smaller sample; the observed ones come first.
  const shift = x.length <= y.length ? 0 : x.length;
  const value = (/** @type {Uint32Array} */ chosen) => {
    let [q, l] = [0, 0];
    for (let i = 0; i < chosen.length; i++) {
      const row = chosen[i] * total;
      l += rows[chosen[i]];
      for (let j = 0; j < chosen.length; j++) q += kernel[row + chosen[j]];
    }
    return q / (n * (n - 1)) + (sum - 2 * l + q) / (m * (m - 1)) - (2 * (l - q)) / (n * m);
  };
  const labelled = (/** @type {Uint32Array} */ places) => places.map((place) => (place + shift) % total);
  const mmd2 = value(labelled(Uint32Array.from({ length: n }, (_, i) => i)));
  const nulls = [];
  for (let draw = 1; draw <= permutations; draw++) {
    nulls.push(value(labelled(new Sequence(seed, streams.permutation, draw).choice(n, total))));
    if (draw % 50 === 0) await progress(0.3 + (0.7 * draw) / permutations);
  }
  const tie = (TIE * sum) / (total * (total - 1));
  const exceedances = nulls.filter((draw) => draw >= mmd2 - tie).length;
  return { mmd2, p: (1 + exceedances) / (1 + permutations), exceedances, bandwidth, rule, nulls };
}
