// The window of a pixel (y, x) of a coarse image: pixels (S y + i - P, S x + j - P) of a fine one, 0 <= i, j < K;
// src/kernel/windows/window.rs.
//
// coarse: (B, COARSE_CHANNELS, COARSE_HEIGHT, COARSE_WIDTH)    fine: (B, CHANNELS, HEIGHT, WIDTH), or (B, HEIGHT, WIDTH,
// CHANNELS) where INTERLEAVED    W: (COARSE_CHANNELS, CHANNELS, K, K)
//
// Sizes are constants, so that the compiler can do without divisions.

// Of the fine image.
override CHANNELS: u32;
override HEIGHT: u32;
override WIDTH: u32;

override COARSE_CHANNELS: u32;
override COARSE_HEIGHT: u32;
override COARSE_WIDTH: u32;

override KERNEL: u32;
override STRIDE: u32;
override PADDING: u32;
override INTERLEAVED: bool;

override PIXELS = HEIGHT * WIDTH;
override COARSE_PIXELS = COARSE_HEIGHT * COARSE_WIDTH;
override TAPS = KERNEL * KERNEL;
override WEIGHTS = COARSE_CHANNELS * CHANNELS * TAPS;

fn fine_at(b: u32, c: u32, pixel: u32) -> u32 {
    return select((b * CHANNELS + c) * PIXELS + pixel, (b * PIXELS + pixel) * CHANNELS + c, INTERLEAVED);
}

fn coarse_at(b: u32, o: u32, pixel: u32) -> u32 {
    return (b * COARSE_CHANNELS + o) * COARSE_PIXELS + pixel;
}

// The pixel of the fine image at a tap of the window of a coarse pixel; PIXELS or more if there is none.
fn seen(coarse_pixel: u32, tap: u32) -> u32 {
    // Where the window reaches beyond the first row or column, differences wrap around to large numbers.
    let y = coarse_pixel / COARSE_WIDTH * STRIDE + tap / KERNEL - PADDING;
    let x = coarse_pixel % COARSE_WIDTH * STRIDE + tap % KERNEL - PADDING;
    return select(PIXELS, y * WIDTH + x, y < HEIGHT && x < WIDTH);
}
