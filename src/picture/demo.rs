//! What the tests draw: made-up data that look like the real ones.

use super::LossPoint;
use crate::error::Result;
use image::RgbImage;
use std::path::Path;

/// The file that `draw` writes.
pub(super) fn bytes(draw: impl FnOnce(&Path) -> Result<()>) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("picture.png");
    draw(&path).expect("the picture is drawn");
    std::fs::read(path).expect("the picture is written")
}

/// The pixels of a PNG file.
pub(super) fn decoded(file: &[u8]) -> RgbImage {
    image::load_from_memory(file).expect("a picture").into_rgb8()
}

/// Numbers from 0 to 1 that look random.
pub(super) fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Losses of a long training run: noisy while training, smooth on test images.
pub(super) fn training() -> (Vec<LossPoint>, Vec<LossPoint>) {
    let mut random = noise(1);
    let point = |step: f64, jitter: f64| LossPoint {
        step,
        reconstruction: 82.0 + 60.0 * (-step / 4000.0).exp() + 420.0 * (-step / 120.0).exp() + 3.0 * jitter,
        kl: 25.0 * (1.0 - (-step / 900.0).exp()) + 0.5 * jitter,
    };
    let train = (0..400).map(|index| point(f64::from(index) * 50.0, 2.0 * random() - 1.0)).collect();
    let test = (1..=20).map(|index| point(f64::from(index) * 1000.0, 0.4)).collect();
    (train, test)
}

/// Points of ten classes in a latent plane, and their classes.
pub(super) fn latent() -> (Vec<[f32; 2]>, Vec<u8>) {
    let mut random = noise(2);
    let mut normal = move || (0..12).map(|_| random()).sum::<f64>() - 6.0;
    (0..10_000)
        .map(|index: u32| {
            let class = index % 10;
            let angle = f64::from(class) * 2.4;
            let centre = 0.55 * f64::from(class).sqrt();
            let x = centre * angle.cos() + 0.4 * normal();
            let y = centre * angle.sin() + 0.25 * normal();
            ([x as f32, y as f32], class as u8)
        })
        .unzip()
}
