//! Words of uniform blocks, and the rows of ring buffers.

/// Writes a total to a slot of partial sums: all of it in the first part, nothing in the others.
pub(crate) fn put_total<const T: usize>(slot: &mut [f32], total: [f64; T]) {
    slot.fill(0.0);
    for (part, sum) in slot.iter_mut().zip(total) {
        *part = sum as f32;
    }
}

/// Row `slot` of a buffer of `slots` equal rows.
pub(crate) fn slot_of<T>(buffer: &mut [T], slots: usize, slot: u32) -> &mut [T] {
    let length = buffer.len() / slots;
    &mut buffer[slot as usize * length..][..length]
}

/// The words of a uniform block made of u32 numbers.
pub(crate) fn words<const N: usize>(numbers: [usize; N]) -> Vec<u32> {
    numbers.iter().map(|&n| u32::try_from(n).expect("sizes fit in 32 bits")).collect()
}
