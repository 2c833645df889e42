//! Memory in whole cache lines: vectors loaded from it never straddle two.

const LINE: usize = 16;

#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Line([f32; LINE]);

/// Numbers that start on a cache line.
#[derive(Default)]
pub struct Memory {
    lines: Vec<Line>,
    len: usize,
}

impl Memory {
    /// `len` zeros.
    pub fn new(len: usize) -> Self {
        Self { lines: vec![Line([0.0; LINE]); len.div_ceil(LINE)], len }
    }

    /// Changes the length; numbers that are new are 0.
    pub fn resize(&mut self, len: usize) {
        self.lines.resize(len.div_ceil(LINE), Line([0.0; LINE]));
        self.len = len;
    }

    /// The numbers.
    pub fn get(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    /// The numbers, to write to.
    pub fn get_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}
