// The families of kernel functions, as in src/kernel/pairs/family.rs.

const GAUSSIAN = 0u;
const LAPLACE = 1u;
const IMQ = 2u;
const ENERGY = 3u;
const DELTA = 4u;

const LN2 = 0.6931472;

// What is subtracted from k of each bandwidth, so that sums of many keep their digits.
fn centre(family: u32) -> f32 {
    return select(0.5, 0.0, family == ENERGY);
}

// k of one bandwidth, of distances as the family wants them.
fn kernel_value(family: u32, scale: f32, distance: vec4<f32>) -> vec4<f32> {
    if family == GAUSSIAN || family == LAPLACE {
        return exp2_negative(scale * distance);
    }
    if family == IMQ {
        return 1.0 / sqrt(1.0 + scale * distance);
    }
    if family == DELTA {
        return select(vec4(0.0), vec4(1.0), distance == vec4(0.0));
    }
    return scale * sqrt(distance);
}

// What a difference of two points, or its sign where magnitudes are added up, is multiplied by in dk / dx.
fn kernel_slope(family: u32, scale: f32, distance: f32) -> f32 {
    if family == GAUSSIAN {
        return 2.0 * LN2 * scale * exp2_negative(vec4(scale * distance)).x;
    }
    if family == LAPLACE {
        return LN2 * scale * exp2_negative(vec4(scale * distance)).x;
    }
    if family == IMQ {
        let k = 1.0 / sqrt(1.0 + scale * distance);
        return -scale * k * k * k;
    }
    if family == DELTA || distance == 0.0 {
        return 0.0;
    }
    return scale / sqrt(distance);
}

// What a difference of two coordinates adds to a distance.
fn distance_part(family: u32, difference: f32) -> f32 {
    return select(difference * difference, abs(difference), family == LAPLACE);
}
