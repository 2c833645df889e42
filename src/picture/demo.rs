//! Made-up data that look like the real ones, for tests.

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

/// The frames of a GIF file, each with its delay in hundredths of a second.
pub(super) fn moving(file: &[u8]) -> (Vec<RgbImage>, Vec<u16>) {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(file).expect("a moving picture");
    let mut screen = RgbImage::new(decoder.width().into(), decoder.height().into());
    let (mut frames, mut delays) = (Vec::new(), Vec::new());
    while let Some(frame) = decoder.read_next_frame().expect("a frame") {
        for (index, pixel) in frame.buffer.chunks(4).enumerate() {
            let (x, y) = (index % usize::from(frame.width), index / usize::from(frame.width));
            let at = (u32::from(frame.left) + x as u32, u32::from(frame.top) + y as u32);
            screen.put_pixel(at.0, at.1, image::Rgb([pixel[0], pixel[1], pixel[2]]));
        }
        frames.push(screen.clone());
        delays.push(frame.delay);
    }
    (frames, delays)
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

/// Losses of a long training run by step: noisy while training, smooth on test images.
pub(super) fn training() -> [Vec<[f64; 2]>; 2] {
    let mut random = noise(1);
    let point = |step: f64, jitter: f64| {
        [step, 82.0 + 60.0 * (-step / 4000.0).exp() + 420.0 * (-step / 120.0).exp() + 3.0 * jitter]
    };
    let train = (0..400).map(|index| point(f64::from(index) * 50.0, 2.0 * random() - 1.0)).collect();
    let test = (1..=20).map(|index| point(f64::from(index) * 1000.0, 0.4)).collect();
    [train, test]
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

/// A skewed null distribution around nought.
pub(super) fn null() -> Vec<f64> {
    let mut random = noise(3);
    (0..1000).map(|_| (0..3).map(|_| -random().ln()).sum::<f64>() - 3.0).collect()
}

/// Two samples of `size` points of a plane: one round, one in two clusters.
pub(super) fn samples(size: usize) -> [Vec<[f64; 2]>; 2] {
    let mut random = noise(4);
    let mut normal = move || (0..12).map(|_| random()).sum::<f64>() - 6.0;
    let round = (0..size).map(|_| [normal(), normal()]).collect();
    let clusters = (0..size)
        .map(|index| {
            let side = if index % 2 == 0 { -1.2 } else { 1.2 };
            [side + 0.5 * normal(), 0.5 * side + 0.6 * normal()]
        })
        .collect();
    [round, clusters]
}

/// The witness function of two samples with a Gaussian kernel of the given width.
pub(super) fn witness([x, y]: &[Vec<[f64; 2]>; 2], width: f64, at: [f64; 2]) -> f64 {
    let kernel = |point: &[f64; 2]| {
        let squares = (point[0] - at[0]).powi(2) + (point[1] - at[1]).powi(2);
        (-squares / (2.0 * width * width)).exp()
    };
    let mean = |points: &[[f64; 2]]| points.iter().map(kernel).sum::<f64>() / points.len() as f64;
    mean(x) - mean(y)
}
