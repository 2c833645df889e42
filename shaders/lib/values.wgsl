// Values of the kernel function, or of what takes its place, between two blocks of points. src/kernel/pairs.rs has
// the formulas.
//
// The kernel that this file is appended to has `rows`, `columns` and `scales`.

override FAMILY: u32;

// What is summed up.
override VALUE: u32;
const KERNEL = 0u;
const STEIN = 1u;
const PAIRED = 2u;
const DEPENDENCE = 3u;

// The family of the second variable.
override FAMILY_SECOND: u32;

// Bandwidths of each variable's kernel.
override BANDWIDTHS: u32;
override BANDWIDTHS_SECOND: u32;

// Of a thread's four rows and four columns, what values of all kernels are made of.
struct Base {
    m: u32,
    n: u32,
    // Whether all pairs of the tile count.
    whole: bool,
    // Distances; for STEIN then scores and what mixes both; for PAIRED four distances, for DEPENDENCE four more.
    parts: array<mat4x4<f32>, 8>,
}

// The values of a thread's four rows and four columns; 0 for padding, out of reach, and for a point with itself.
fn values(pair: Block_pair, row: u32, column: u32, thread: u32) -> Patch {
    return values_of(pair, base_of(pair, row, column, thread), 0u);
}

// The kernel's values of these distances.
fn values_at(pair: Block_pair, row: u32, column: u32, thread: u32, distances: mat4x4<f32>) -> Patch {
    var base = no_base(pair, row, column, thread);
    base.parts[0] = distances;
    return values_of(pair, base, 0u);
}

// That of no values yet.
fn no_base(pair: Block_pair, row: u32, column: u32, thread: u32) -> Base {
    let corner = first_of(vec2(column, row) / TILE, thread);
    let whole = pair.apart && row + TILE <= pair.rows && column + TILE <= pair.columns;
    return Base(corner.y, corner.x, whole, array<mat4x4<f32>, 8>());
}

fn base_of(pair: Block_pair, row: u32, column: u32, thread: u32) -> Base {
    let group = vec2(column, row) / TILE;
    let corner = first_of(group, thread);
    var result = no_base(pair, row, column, thread);
    if VALUE == STEIN {
        let sums = stein_sums(corner.y, corner.x);
        result.parts[0] = sums[0];
        result.parts[1] = sums[1];
        result.parts[2] = sums[2];
    } else if VALUE == PAIRED || VALUE == DEPENDENCE {
        let d = params.pairs.d;
        result.parts[0] = distances_of(corner, FAMILY, 0u, 0u, d);
        result.parts[1] = distances_of(corner, FAMILY, d, d, d);
        result.parts[2] = distances_of(corner, FAMILY, 0u, d, d);
        result.parts[3] = distances_of(corner, FAMILY, d, 0u, d);
        if VALUE == DEPENDENCE {
            let x = 2u * d;
            let y = x + params.pairs.d_second;
            result.parts[4] = distances_of(corner, FAMILY_SECOND, x, x, params.pairs.d_second);
            result.parts[5] = distances_of(corner, FAMILY_SECOND, y, y, params.pairs.d_second);
            result.parts[6] = distances_of(corner, FAMILY_SECOND, x, y, params.pairs.d_second);
            result.parts[7] = distances_of(corner, FAMILY_SECOND, y, x, params.pairs.d_second);
        }
    } else {
        result.parts[0] = tile_distances(group, thread).rows;
    }
    return result;
}

// The values of the kernel whose scales start at `scale`.
fn values_of(pair: Block_pair, base: Base, scale: u32) -> Patch {
    var k: mat4x4<f32>;
    if VALUE == STEIN {
        k = stein_values(base.parts[0], base.parts[1], base.parts[2], scale);
    } else if VALUE == PAIRED || VALUE == DEPENDENCE {
        let x = array(base.parts[0], base.parts[1], base.parts[2], base.parts[3]);
        k = differences(FAMILY, scale, BANDWIDTHS, x);
        if VALUE == DEPENDENCE {
            let y = array(base.parts[4], base.parts[5], base.parts[6], base.parts[7]);
            let l = differences(FAMILY_SECOND, scale + BANDWIDTHS, BANDWIDTHS_SECOND, y);
            k = mat4x4(0.25 * k[0] * l[0], 0.25 * k[1] * l[1], 0.25 * k[2] * l[2], 0.25 * k[3] * l[3]);
        }
    } else {
        k = kernel_values(FAMILY, scale, BANDWIDTHS, base.parts[0]);
    }
    let values = Patch(base.m, base.n, k);
    // Most tiles are.
    if base.whole {
        return values;
    }
    return masked(pair, values);
}

// The same values, 0 where they are no pair.
fn masked(pair: Block_pair, values: Patch) -> Patch {
    let k = values.rows;
    let m = values.m;
    let n = vec4(values.n) + vec4(0u, 1u, 2u, 3u);
    let rows = mat4x4(
        masked_row(pair, m, n, k[0]),
        masked_row(pair, m + 1u, n, k[1]),
        masked_row(pair, m + 2u, n, k[2]),
        masked_row(pair, m + 3u, n, k[3]),
    );
    return Patch(values.m, values.n, rows);
}

fn masked_row(pair: Block_pair, m: u32, n: vec4<u32>, k: vec4<f32>) -> vec4<f32> {
    let same = (n == vec4(m)) & vec4(pair.i == pair.j);
    let outside = (n >= vec4(pair.columns)) | vec4(m >= pair.rows);
    let p = vec4(pair.i * params.pairs.block + m);
    let q = vec4(pair.j * params.pairs.block) + n;
    let far = max(p, q) - min(p, q) > vec4(params.pairs.reach);
    return select(k, vec4(0.0), same | outside | far);
}

// The sum of k less its centre over bandwidths from number `scale` on.
fn kernel_values(family: u32, scale: u32, bandwidths: u32, distance: mat4x4<f32>) -> mat4x4<f32> {
    let start = vec4(-centre(family) * f32(bandwidths));
    var sums = mat4x4(start, start, start, start);
    for (var b = 0u; b < bandwidths; b++) {
        let s = scales[scale + b];
        sums[0] += kernel_value(family, s, distance[0]);
        sums[1] += kernel_value(family, s, distance[1]);
        sums[2] += kernel_value(family, s, distance[2]);
        sums[3] += kernel_value(family, s, distance[3]);
    }
    return sums;
}

// k(x, x') + k(y, y') - k(x, y') - k(y, x') of these four distances.
fn differences(family: u32, scale: u32, bandwidths: u32, distances: array<mat4x4<f32>, 4>) -> mat4x4<f32> {
    return kernel_values(family, scale, bandwidths, distances[0]) + kernel_values(family, scale, bandwidths, distances[1])
        - kernel_values(family, scale, bandwidths, distances[2]) - kernel_values(family, scale, bandwidths, distances[3]);
}

// Items have params.pairs.d numbers and then as many others. No workgroup memory: the three sums of each of the 16 pairs
// of a thread take turns with eight loads.
fn stein_sums(m: u32, n: u32) -> array<mat4x4<f32>, 3> {
    var distance = mat4x4<f32>();
    var scores = mat4x4<f32>();
    var mixed = mat4x4<f32>();
    for (var k = 0u; k < params.pairs.d; k++) {
        let x = rows[row_start + word(m, k)];
        let s = rows[row_start + word(m, params.pairs.d + k)];
        let z = columns[column_start + word(n, k)];
        let t = columns[column_start + word(n, params.pairs.d + k)];
        for (var r = 0u; r < 4u; r++) {
            let dx = x[r] - z;
            distance[r] += dx * dx;
            scores[r] += s[r] * t;
            mixed[r] += (s[r] - t) * dx;
        }
    }
    return array(distance, scores, mixed);
}

fn stein_values(distance: mat4x4<f32>, scores: mat4x4<f32>, mixed: mat4x4<f32>, scale: u32) -> mat4x4<f32> {
    var result = mat4x4<f32>();
    for (var b = 0u; b < BANDWIDTHS; b++) {
        let s = scales[scale + b];
        result[0] += stein_value(s, distance[0], scores[0], mixed[0]);
        result[1] += stein_value(s, distance[1], scores[1], mixed[1]);
        result[2] += stein_value(s, distance[2], scores[2], mixed[2]);
        result[3] += stein_value(s, distance[3], scores[3], mixed[3]);
    }
    return result;
}

fn stein_value(scale: f32, distance: vec4<f32>, scores: vec4<f32>, mixed: vec4<f32>) -> vec4<f32> {
    let d = f32(params.pairs.d);
    if FAMILY == IMQ {
        // k (s.s' + c k^2 (t + d - 3 c k^2 r^2)), c = 1 / b^2
        let square = 1.0 / (1.0 + scale * distance);
        let c = scale * square;
        return sqrt(square) * (scores + c * (mixed + d - 3.0 * c * distance));
    }
    // k (s.s' + c (t + d - c r^2)), c = 1 / sigma^2
    let c = -2.0 / LOG2_E * scale;
    return exp2_negative(scale * distance) * (scores + c * (mixed + d - c * distance));
}

// The distances of points of d numbers that start at number `first` of rows and `second` of columns. The first column
// and row are in `corner`.
fn distances_of(corner: vec2<u32>, family: u32, first: u32, second: u32, d: u32) -> mat4x4<f32> {
    var distance = mat4x4<f32>();
    for (var k = 0u; k < d; k++) {
        let x = rows[row_start + word(corner.y, first + k)];
        let z = columns[column_start + word(corner.x, second + k)];
        for (var r = 0u; r < 4u; r++) {
            let t = x[r] - z;
            distance[r] += select(t * t, abs(t), family == LAPLACE);
        }
    }
    return distance;
}
