// Components of a mixture of diagonal Gaussians, evaluated at codes; src/kernel/mixture.rs says the same in Rust.
//
// The kernel that this file is appended to has `z`, `stats`, and `params` with at least: components, latent,
// log_own, log_next, log_other.

// Coordinates that a workgroup has; its threads then share the components of each.
override COORDINATES: u32;

const HALF_LN_TAU = 0.91893853;

// One coordinate of one component.
struct Component {
    inverse_std: f32,
    // (z - mu) / std
    t: f32,
    // ln N(z | mu, std^2)
    log_density: f32,
}

// Coordinate m of component j at code i.
fn component(i: u32, j: u32, m: u32) -> Component {
    let mu = stats[2u * j * params.latent + m];
    let log_std = stats[(2u * j + 1u) * params.latent + m];
    let inverse_std = exponential(-log_std);
    let t = (z[i * params.latent + m] - mu) * inverse_std;
    return Component(inverse_std, t, -0.5 * t * t - log_std - HALF_LN_TAU);
}

// ln W_ij.
fn log_weight(i: u32, j: u32) -> f32 {
    if i == j {
        return params.log_own;
    }
    if j == select(i + 1u, 0u, i + 1u == params.components) {
        return params.log_next;
    }
    return params.log_other;
}
