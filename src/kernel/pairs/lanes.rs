//! Points side by side in memory.

use crate::kernel::product::TILE;

/// Points side by side in memory, rows and columns of a tile of the shader; two of the widest vectors there are.
pub(crate) const LANES: usize = TILE;

/// One number each of a group of points.
pub(crate) type Group = [f32; LANES];

/// a b + c, rounded once where the CPU can.
#[inline(always)]
pub(crate) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
