//! One operation again and again on numbers that stay in registers: no kernel that is made of it is faster.
//!
//! ```text
//! x[i] = x[i] / 2 + 1/4    or    x[i] = 2^-x[i]        `rounds` times
//! ```
//!
//! `x: (n)`, in place. Both come to rest at a fixed point, and rounding errors die out on the way.

use super::pairs::multiply_add;
use super::product::THREADS;
use crate::kernel::words::words;
use crate::numeric::exp2;
use crate::program::{Buffers, Case, Kernel, Overrides, Shape, Spec, Step, Variant};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use rayon::prelude::*;

/// Numbers of a workgroup: four four-vectors a thread.
pub const UNIT: usize = 16 * THREADS;

/// Numbers that a thread of the CPU has in its registers.
const NEAR: usize = 128;

/// The operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A fused multiplication and addition.
    MultiplyAdd,
    /// 2^x as kernels take it: see [`crate::numeric::exp2_parts`], or the GPU's own.
    Exponential,
}

/// A chain of operations.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The operation.
    pub operation: Operation,
    /// n, a multiple of [`UNIT`].
    pub n: usize,
    /// How often.
    pub rounds: usize,
}

pub(crate) static SPEC: Spec =
    Spec::new("probe", "x = x / 2 + 1/4 or x = 2^-x, many times", wgsl!("probe", "exponential"))
        .reads(&[])
        .writes(&["x"])
        .cases(cases);

impl Kernel for Probe {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn shape(&self) -> Shape {
        let shape = Shape::new([], [self.n], 2 * self.n * self.rounds);
        // The numbers are read as well as written.
        Shape { bytes: 2 * shape.bytes, ..shape }
    }

    fn params(&self) -> Vec<u32> {
        words([self.rounds])
    }

    fn overrides(&self) -> Overrides {
        let exponentials = self.operation == Operation::Exponential;
        Overrides::of("THREADS", THREADS).set("EXPONENTIALS", exponentials)
    }

    fn variants(&self) -> Vec<Variant> {
        // Four rounds at a time, and then what is left.
        let iterations = self.rounds / 4 + self.rounds % 4;
        vec![Variant::new("", [self.n / UNIT, 1]).iterations(iterations)]
    }

    fn reference(&self, _: &Step, buffers: Buffers<'_, f64>) {
        let ([], [x]) = buffers.split();
        for x in x {
            for _ in 0..self.rounds {
                *x = match self.operation {
                    Operation::MultiplyAdd => *x / 2.0 + 0.25,
                    Operation::Exponential => (-*x).exp2(),
                };
            }
        }
    }

    fn cpu(&self, _: &Step, buffers: Buffers<'_, f32>) {
        let ([], [x]) = buffers.split();
        x.par_chunks_exact_mut(NEAR).for_each(|x| match self.operation {
            Operation::MultiplyAdd => multiply_adds(x, self.rounds),
            Operation::Exponential => exponentials(x, self.rounds),
        });
    }

    fn tolerance(&self) -> f64 {
        4.0 * f64::from(f32::EPSILON)
    }
}

#[multiversion(targets = "simd")]
fn multiply_adds(x: &mut [f32], rounds: usize) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let x: &mut [f32; NEAR] = x.try_into().expect("whole chunks");
    let mut values = *x;
    for _ in 0..rounds {
        for value in &mut values {
            *value = multiply_add::<FUSED>(*value, 0.5, 0.25);
        }
    }
    *x = values;
}

#[multiversion(targets = "simd")]
fn exponentials(x: &mut [f32], rounds: usize) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let x: &mut [f32; NEAR] = x.try_into().expect("whole chunks");
    let mut values = *x;
    for _ in 0..rounds {
        for value in &mut values {
            *value = exp2::<FUSED>(-*value);
        }
    }
    *x = values;
}

fn cases() -> Vec<Case> {
    let sizes = [(UNIT, 1), (UNIT, 2), (3 * UNIT, 3), (2 * UNIT, 7)];
    let operations = [Operation::MultiplyAdd, Operation::Exponential];
    let case = |(operation, (n, rounds))| {
        Case::new(Probe { operation, n, rounds }).map("x", |i, _| (i % 97) as f32 / 97.0)
    };
    operations.into_iter().flat_map(|operation| sizes.map(|size| (operation, size))).map(case).collect()
}
