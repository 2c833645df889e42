//! Memory in whole cache lines: vectors loaded from it never straddle two. And whether there is enough of it.

use std::fs;
use std::path::Path;

/// Fewer bytes than this are never asked about beyond the allocator: reading what the system says takes time.
const FEW: usize = 64 << 20;

/// Whether so many bytes could be had at this moment: asked before they are taken, as a refusal in the middle ends the process.
/// Linux promises more than it has; there, what is free counts as well, in all or for a container.
pub fn has_room(bytes: usize) -> bool {
    if Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
        return false;
    }
    bytes < FEW || [available(), left_of_group()].into_iter().flatten().all(|free| bytes as u64 <= free)
}

/// Bytes of memory that Linux could give without taking them from others.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    Some(1024 * (kilobytes("MemAvailable:")? + kilobytes("SwapFree:").unwrap_or(0)))
}

/// What is left to a container's group of processes, if that has a limit. Its cache of files can be taken back.
fn left_of_group() -> Option<u64> {
    let number = |name: &str| {
        fs::read_to_string(Path::new("/sys/fs/cgroup").join(name)).ok()?.trim().parse::<u64>().ok()
    };
    let cache = fs::read_to_string("/sys/fs/cgroup/memory.stat").ok().and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok())
    });
    let used = number("memory.current")?.saturating_sub(cache.unwrap_or(0));
    Some(number("memory.max")?.saturating_sub(used))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_memory_than_there_is_is_refused() {
        assert!(has_room(0) && has_room(1 << 20));
        assert!(!has_room(1 << 50) && !has_room(usize::MAX));
    }
}
