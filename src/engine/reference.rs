//! The truth: every kernel's f64 [`reference`](crate::program::Kernel::reference), one after another.
//!
//! Slow and plain. Tests compare both engines with it and take finite differences of it.

use crate::program::{BufferId, Buffers, MOST_BUFFERS, Plan, ProgramId, Step};
use std::sync::Arc;

/// Runs a plan in f64.
#[derive(Debug)]
pub struct Reference {
    /// The programs to run.
    pub plan: Arc<Plan>,
    /// The contents of each buffer; words of packed bytes are whole numbers.
    pub memory: Vec<Vec<f64>>,
}

impl Reference {
    /// All buffers hold zeros.
    pub fn new(plan: Arc<Plan>) -> Self {
        let memory = plan.buffers.iter().map(|buffer| vec![0.0; buffer.len]).collect();
        Self { plan, memory }
    }

    /// Fills a buffer with 32-bit words that are no numbers, such as packed pixels.
    pub fn write_words(&mut self, buffer: BufferId, bytes: &[u8]) {
        let word = |bytes: &[u8]| f64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        self.memory[buffer.0] = bytes.chunks_exact(4).map(word).collect();
    }

    /// Runs one program for one step.
    pub fn run(&mut self, program: ProgramId, step: &Step) {
        for call in &self.plan.programs[program.0].calls {
            let mut written: [Vec<f64>; MOST_BUFFERS] = Default::default();
            for (taken, id) in written.iter_mut().zip(&call.writes) {
                *taken = std::mem::take(&mut self.memory[id.0]);
            }
            let mut reads = [&[][..]; MOST_BUFFERS];
            for (read, id) in reads.iter_mut().zip(&call.reads) {
                *read = &self.memory[id.0];
            }
            let writes = written.each_mut().map(|v| &mut v[..]);
            call.kernel.reference(step, Buffers { reads, writes });
            for (taken, id) in written.into_iter().zip(&call.writes) {
                self.memory[id.0] = taken;
            }
        }
    }
}
