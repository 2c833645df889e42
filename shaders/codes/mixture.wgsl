// log q(z_im) = logsumexp over j of ln W_ij + l_ijm      log q(z_i) = logsumexp over j of ln W_ij + sum over m of l_ijm
//     l_ijm = ln N(z_im | mu_jm, exp(log_std_jm)^2)
//
// z: (n, M)    stats: (N, 2M) = mu, log_std
// log_density: (n, M + 1, 2): maximum, and sum of exp(. - maximum), of the terms so far: coordinates, then the whole
//
// A workgroup has one code and either COORDINATES coordinates or the whole. Each thread goes through its share of
// the components; then the threads of a coordinate join their sums, always in the same order.
//
// with: mixture, exponential, step

struct Params {
    components: u32,
    // Components of a step.
    slice: u32,
    latent: u32,
    log_own: f32,
    log_next: f32,
    log_other: f32,
}

override THREADS: u32;

// Less than any term.
const LOWEST = -3.4e38;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<f32>;
@group(0) @binding(4) var<storage, read_write> log_density: array<f32>;

// Terms seen so far.
struct Terms {
    maximum: f32,
    // Of exp(. - maximum).
    sum: f32,
}

var<workgroup> shares: array<Terms, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = group.x;
    let whole = group.y == 0u;
    // Threads `width` apart have the same coordinate; M stands for the whole.
    let width = select(COORDINATES, 1u, whole);
    let coordinate = select((group.y - 1u) * COORDINATES + thread % width, params.latent, whole);
    let place = 2u * (i * (params.latent + 1u) + coordinate);
    let first = select(0u, step.first, params.slice < params.components);
    let wanted = whole || coordinate < params.latent;

    var terms = Terms(LOWEST, 0.0);
    if wanted {
        if thread < width && first > 0u {
            terms = Terms(log_density[place], log_density[place + 1u]);
        }
        let from_m = select(coordinate, 0u, whole);
        let to_m = select(coordinate + 1u, params.latent, whole);
        for (var j = first + thread / width; j < min(first + params.slice, params.components); j += THREADS / width) {
            var term = log_weight(i, j);
            for (var m = from_m; m < to_m; m++) {
                term += component(i, j, m).log_density;
            }
            let above = term - terms.maximum;
            let e = exponential(-abs(above));
            terms = Terms(max(terms.maximum, term), select(terms.sum + e, terms.sum * e + 1.0, above > 0.0));
        }
    }
    shares[thread] = terms;
    for (var half = THREADS / 2u; half > width - 1u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            shares[thread] = join(shares[thread], shares[thread + half]);
        }
    }
    if thread < width && wanted {
        log_density[place] = shares[thread].maximum;
        log_density[place + 1u] = shares[thread].sum;
    }
}

fn join(a: Terms, b: Terms) -> Terms {
    let maximum = max(a.maximum, b.maximum);
    return Terms(maximum, a.sum * exponential(a.maximum - maximum) + b.sum * exponential(b.maximum - maximum));
}
