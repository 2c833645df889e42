// The families of kernel functions, as in src/kernel/pairs.rs.

const GAUSSIAN = 0u;
const LAPLACE = 1u;
const IMQ = 2u;
const DELTA = 4u;

// k of one bandwidth less its centre, of distances as the family wants them.
fn kernel_value(family: u32, scale: f32, distance: vec4<f32>) -> vec4<f32> {
    if family == GAUSSIAN || family == LAPLACE {
        return exp2_negative(scale * distance) - 0.5;
    }
    if family == IMQ {
        return 1.0 / sqrt(1.0 + scale * distance) - 0.5;
    }
    if family == DELTA {
        return select(vec4(-0.5), vec4(0.5), distance == vec4(0.0));
    }
    return scale * sqrt(distance);
}
