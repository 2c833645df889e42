//! The engine without a GPU: each kernel's [`cpu`](crate::program::Kernel::cpu) on rayon's threads.

use super::{Counters, Engine, Info, Ticket};
use crate::error::{Kind, Result};
use crate::memory::{Memory, has_room};
use crate::program::{BufferId, Buffers, Plan, ProgramId, Step};
use std::sync::Arc;

/// The CPU engine.
pub struct CpuEngine {
    info: Info,
    plan: Arc<Plan>,
    memory: Vec<Memory>,
    counters: Counters,
}

impl CpuEngine {
    /// Allocates the buffers of a plan.
    ///
    /// # Errors
    /// If there is not enough memory for them.
    pub fn new(info: Info, plan: Arc<Plan>) -> Result<Self> {
        let bytes =
            plan.buffers.iter().try_fold(0usize, |sum, buffer| sum.checked_add(buffer.len.checked_mul(4)?));
        if !bytes.is_some_and(has_room) {
            let size =
                bytes.map_or("more bytes than can be counted".into(), |bytes| format!("{} MB", bytes >> 20));
            let problem = format!(
                "this takes {size} of memory, which are not there; use a smaller batch or smaller layers"
            );
            return Err(Kind::Device(problem).into());
        }
        let memory = plan.buffers.iter().map(|buffer| Memory::new(buffer.len)).collect();
        Ok(Self { info, plan, memory, counters: Counters::default() })
    }
}

impl Engine for CpuEngine {
    fn info(&self) -> &Info {
        &self.info
    }

    fn write(&mut self, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        let target: &mut [u8] = bytemuck::cast_slice_mut(self.memory[buffer.0].get_mut());
        target.copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, buffer: BufferId) -> Result<Vec<f32>> {
        Ok(self.memory[buffer.0].get().to_vec())
    }

    fn submit(&mut self, program: ProgramId, steps: &[Step], results: &[BufferId]) -> Result<Ticket> {
        let Self { plan, memory, counters, .. } = self;
        counters.submissions += 1;
        counters.steps += steps.len() as u64;
        counters.dispatches += (steps.len() * plan.programs[program.0].calls.len()) as u64;
        // One entry into the pool for all steps: inside it, a fork is cheap.
        rayon::scope(|_| {
            for step in steps {
                for call in &plan.programs[program.0].calls {
                    let mut written: [Memory; crate::program::MOST_BUFFERS] = Default::default();
                    for (taken, id) in written.iter_mut().zip(&call.writes) {
                        *taken = std::mem::take(&mut memory[id.0]);
                    }
                    let mut reads = [&[][..]; crate::program::MOST_BUFFERS];
                    for (read, id) in reads.iter_mut().zip(&call.reads) {
                        *read = memory[id.0].get();
                    }
                    let writes = written.each_mut().map(Memory::get_mut);
                    call.kernel.cpu(step, Buffers { reads, writes });
                    for (taken, id) in written.into_iter().zip(&call.writes) {
                        memory[id.0] = taken;
                    }
                }
            }
        });
        Ok(Ticket::Ready(results.iter().map(|id| memory[id.0].get().to_vec()).collect()))
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn wait(&mut self, ticket: Ticket) -> Result<Vec<Vec<f32>>> {
        match ticket {
            Ticket::Ready(results) => Ok(results),
            Ticket::Pending(_) => unreachable!("a ticket goes back to the engine that gave it"),
        }
    }
}
