//! Fences of drivers on a GPU that is not there, for `LD_PRELOAD`: the no-op shims leave the value of a timeline as it was
//! in memory, so that by chance a program waits for ever, or not at all. Here all work is done.

/// libdrm's: the last point of each timeline that was reached.
///
/// # Safety
///
/// `points` must have room for `count` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmSyncobjQuery(_fd: i32, _handles: *mut u32, points: *mut u64, count: u32) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(points, count as usize) }.fill(u64::MAX);
    0
}

/// The same, of work that is submitted too.
///
/// # Safety
///
/// As [`drmSyncobjQuery`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmSyncobjQuery2(
    fd: i32,
    handles: *mut u32,
    points: *mut u64,
    count: u32,
    _flags: u32,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { drmSyncobjQuery(fd, handles, points, count) }
}
