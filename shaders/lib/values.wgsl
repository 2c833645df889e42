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
override FAMILY_2: u32;

// The values of a thread's four rows and four columns; 0 for padding, out of reach, and for a point with itself.
fn values(pair: Block_pair, row: u32, column: u32, thread: u32) -> Tile {
    let group = vec2(column, row) / TILE;
    let corner = first_of(group, thread);
    var tile = Tile(corner.y, corner.x, array<vec4<f32>, 4>());
    if VALUE == STEIN {
        tile.rows = stein_values(corner.y, corner.x);
    } else if VALUE == PAIRED || VALUE == DEPENDENCE {
        tile.rows = differences(corner, FAMILY, 0u, params.d, 0u, params.bandwidths);
        if VALUE == DEPENDENCE {
            let at = 2u * params.d;
            let other = differences(corner, FAMILY_2, at, params.d_2, params.bandwidths, params.bandwidths_2);
            for (var r = 0u; r < 4u; r++) {
                tile.rows[r] *= 0.25 * other[r];
            }
        }
    } else {
        tile = product(group, thread, depth());
        for (var r = 0u; r < 4u; r++) {
            tile.rows[r] = kernel_values(distances(tile.rows[r]));
        }
    }
    return masked(pair, tile);
}

// The same values, 0 where they are no pair.
fn masked(pair: Block_pair, values: Tile) -> Tile {
    // Most tiles are all pairs. Software adapters compute both sides of a branch.
    let all = pair.i < pair.j && values.m + 4u <= pair.rows && values.n + 4u <= pair.columns
        && (pair.j - pair.i + 1u) * params.block - 1u <= params.reach;
    if all && !DIRECT {
        return values;
    }
    var tile = values;
    for (var r = 0u; r < 4u; r++) {
        let m = tile.m + r;
        let n = vec4(tile.n) + vec4(0u, 1u, 2u, 3u);
        let same = (n == vec4(m)) & vec4(pair.i == pair.j);
        let outside = (n >= vec4(pair.columns)) | vec4(m >= pair.rows);
        let p = vec4(pair.i * params.block + m);
        let q = vec4(pair.j * params.block) + n;
        let far = max(p, q) - min(p, q) > vec4(params.reach);
        tile.rows[r] = select(tile.rows[r], vec4(0.0), same | outside | far);
    }
    return tile;
}

// k less its centre, 1/2 a bandwidth.
fn kernel_values(distance: vec4<f32>) -> vec4<f32> {
    var sums = vec4(0.0);
    for (var b = 0u; b < params.bandwidths; b++) {
        sums += kernel_value(FAMILY, scales[b], distance);
    }
    return sums;
}

// Items have params.d numbers and then as many others. No workgroup memory: the three sums of each of the 16 pairs
// of a thread take turns with eight loads.
fn stein_values(m: u32, n: u32) -> array<vec4<f32>, 4> {
    var distance = mat4x4<f32>();
    var scores = mat4x4<f32>();
    var mixed = mat4x4<f32>();
    for (var k = 0u; k < params.d; k++) {
        let x = rows[row_start + word(m, k)];
        let s = rows[row_start + word(m, params.d + k)];
        let z = columns[column_start + word(n, k)];
        let t = columns[column_start + word(n, params.d + k)];
        for (var r = 0u; r < 4u; r++) {
            let dx = x[r] - z;
            distance[r] += dx * dx;
            scores[r] += s[r] * t;
            mixed[r] += (s[r] - t) * dx;
        }
    }
    let d = f32(params.d);
    var result = array<vec4<f32>, 4>();
    for (var b = 0u; b < params.bandwidths; b++) {
        for (var r = 0u; r < 4u; r++) {
            if FAMILY == IMQ {
                // k (s.s' + c k^2 (t + d - 3 c k^2 r^2)), c = 1 / b^2
                let square = 1.0 / (1.0 + scales[b] * distance[r]);
                let c = scales[b] * square;
                result[r] += sqrt(square) * (scores[r] + c * (mixed[r] + d - 3.0 * c * distance[r]));
            } else {
                // k (s.s' + c (t + d - c r^2)), c = 1 / sigma^2
                let c = -2.0 / LOG2_E * scales[b];
                let k = exp2_negative(scales[b] * distance[r]);
                result[r] += k * (scores[r] + c * (mixed[r] + d - c * distance[r]));
            }
        }
    }
    return result;
}

// k(x, x') + k(y, y') - k(x, y') - k(y, x') of items whose two points of d numbers start at number `at`; the kernel's
// scales start at `scale`. The first column and row are in `corner`.
fn differences(
    corner: vec2<u32>,
    family: u32,
    at: u32,
    d: u32,
    scale: u32,
    bandwidths: u32,
) -> array<vec4<f32>, 4> {
    var result = array<vec4<f32>, 4>();
    for (var which = 0u; which < 4u; which++) {
        let first = at + d * (which / 2u);
        let second = at + d * (which % 2u);
        var distance = mat4x4<f32>();
        for (var k = 0u; k < d; k++) {
            let x = rows[row_start + word(corner.y, first + k)];
            let z = columns[column_start + word(corner.x, second + k)];
            for (var r = 0u; r < 4u; r++) {
                let t = x[r] - z;
                distance[r] += select(t * t, abs(t), family == LAPLACE);
            }
        }
        let sign = select(-1.0, 1.0, first == second);
        for (var b = 0u; b < bandwidths; b++) {
            for (var r = 0u; r < 4u; r++) {
                result[r] += sign * kernel_value(family, scales[scale + b], distance[r]);
            }
        }
    }
    return result;
}
