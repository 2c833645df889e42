// What follows the sums of a layer, and its slope on the way back: `Activation` in src/kernel/activation.rs.
//     0: y = l            1: y = max(l, 0)            2: y = tanh(l) = 2 / (1 + e^(-2 l)) - 1

override ACTIVATION: u32;

fn activate(l: f32) -> f32 {
    if ACTIVATION == 1u {
        return max(l, 0.0);
    }
    if ACTIVATION == 2u {
        return 2.0 / (1.0 + exp(-2.0 * l)) - 1.0;
    }
    return l;
}

// A gradient at y as one at l: times dy/dl. What a ReLU kept back stays back, were it infinite.
fn times_slope(gradient: f32, y: f32) -> f32 {
    if ACTIVATION == 1u {
        return select(0.0, gradient, y > 0.0);
    }
    if ACTIVATION == 2u {
        return gradient * (1.0 - y * y);
    }
    return gradient;
}
