//! dSprites-like shapes: a white square, ellipse or heart on black, 64 x 64, with known factors.
//!
//! The grid of factors is that of dSprites (Matthey, Higgins, Hassabis, Lerchner 2017) and the geometry was
//! recovered from its published pictures: nearly every pixel agrees, though not all, hence "dSprites-like".
//!
//! Lengths are in widths of the image, x to the right and y down. A shape is given by an inside-test in its
//! own coordinates (u, v), which its scale s, angle t and centre (cx, cy) put into the image at
//!
//! x = cx + s (u cos t + v sin t)
//! y = cy + s (v cos t - u sin t)
//!
//! A pixel is white when its centre is inside; there is no grey.

use super::{Dataset, Images};
use crate::random::{Sequence, Stream};
use rayon::prelude::*;
use std::ops::Range;

/// Rows and columns of an image.
pub const SIDE: usize = 64;
/// Pixels of an image.
pub const PIXELS: usize = SIDE * SIDE;
/// Training images: indices `0..TRAIN`.
pub const TRAIN: u32 = 20_000;
/// Test images: indices from [`TEST_START`] on.
pub const TEST: u32 = 2_000;
/// The first index of the test set, so far up that no larger training set reaches it.
pub const TEST_START: u32 = 1 << 31;
/// The names of the shapes, in the order of [`Factors::shape`].
pub const SHAPES: [&str; 3] = ["square", "ellipse", "heart"];
/// How many values each factor has, in the order of the fields of [`Factors`].
pub const SIZES: [u8; 5] = [3, 6, 40, 32, 32];

/// The sprites of a seed: [`TRAIN`] and [`TEST`] images, their factors drawn uniformly from the grid; the
/// label is the shape.
///
/// Images are drawn with replacement from the 737,280 of the grid, so a few test images (about 3 %) also
/// occur in training.
pub fn dataset(seed: u64) -> Dataset {
    Dataset {
        name: "sprites".into(),
        train: images(seed, 0..TRAIN),
        test: images(seed, TEST_START..TEST_START + TEST),
        classes: SHAPES.map(String::from).to_vec(),
    }
}

fn images(seed: u64, indices: Range<u32>) -> Images {
    let mut pixels = vec![0; indices.len() * PIXELS];
    let mut labels = vec![0; indices.len()];
    pixels.par_chunks_mut(PIXELS).zip(&mut labels).zip(indices).for_each(|((pixels, label), index)| {
        let factors = Factors::random(&mut Sequence::new(seed, Stream::Data, index));
        draw(factors, pixels);
        *label = factors.shape;
    });
    Images { height: SIDE, width: SIDE, pixels, labels }
}

/// What an image shows, as indices into the grid of factors; see [`SIZES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors {
    /// 0 square, 1 ellipse, 2 heart.
    pub shape: u8,
    /// 0..6: scale 0.5, 0.6, ... 1.
    pub scale: u8,
    /// 0..40: anticlockwise from 0 to 360 degrees with both ends, so 0 and 39 are the same.
    pub orientation: u8,
    /// 0..32: the centre, from a quarter of the width to three quarters, left to right.
    pub x: u8,
    /// 0..32: the centre, from a quarter of the height to three quarters, top to bottom.
    pub y: u8,
}

impl Factors {
    /// Each factor uniform on its grid and independent of the others.
    pub fn random(random: &mut Sequence) -> Self {
        let [shape, scale, orientation, x, y] = SIZES.map(|n| random.below(n.into()) as u8);
        Self { shape, scale, orientation, x, y }
    }
}

const SMALLEST_SCALE: f64 = 0.5;
/// The centre is this far from the edges of the image at the ends of the grid.
const BORDER: f64 = 0.25;
const SQUARE_HALF_SIDE: f64 = 0.15;
const ELLIPSE_SEMI_AXES: [f64; 2] = [0.1996, 0.1128];
/// No shape reaches further from its centre, at scale 1: the corners of the square are at 0.2121.
const REACH: f64 = 0.2125;
/// The right half (u >= 0) of the outline of the heart from the notch to the tip; the left half mirrors it.
#[rustfmt::skip]
const HEART: [[f64; 2]; 37] = [
    [0.0, -0.08], [0.0070, -0.0996], [0.0170, -0.1162], [0.0294, -0.1296], [0.0432, -0.1386],
    [0.0581, -0.1446], [0.0726, -0.1457], [0.0874, -0.1448], [0.1007, -0.1401], [0.1133, -0.1333],
    [0.1248, -0.1248], [0.1338, -0.1137], [0.1411, -0.1015], [0.1467, -0.0884], [0.1495, -0.0744],
    [0.1512, -0.0605], [0.1479, -0.0461], [0.1445, -0.0326], [0.1394, -0.0200], [0.1325, -0.0084],
    [0.1258, 0.0022], [0.1180, 0.0116], [0.1106, 0.0203], [0.1036, 0.0283], [0.0966, 0.0357],
    [0.0891, 0.0424], [0.0825, 0.0492], [0.0756, 0.0556], [0.0687, 0.0619], [0.0618, 0.0682],
    [0.0550, 0.0752], [0.0476, 0.0821], [0.0399, 0.0896], [0.0317, 0.0985], [0.0228, 0.1095],
    [0.0127, 0.1246], [0.0, 0.1424],
];

/// Draws the image of `factors` over `pixels`: `(64 * 64)` bytes, row-major, each 0 or 255.
///
/// # Panics
///
/// When `pixels` has another size or a factor is off the grid.
pub fn draw(factors: Factors, pixels: &mut [u8]) {
    let Factors { shape, scale, orientation, x, y } = factors;
    let on_grid = [shape, scale, orientation, x, y].iter().zip(SIZES).all(|(&index, size)| index < size);
    assert!(on_grid && pixels.len() == PIXELS, "{factors:?} on {} pixels", pixels.len());

    // The part of the way along the grid of a factor, from 0 to 1.
    let part = |index: u8, factor: usize| f64::from(index) / f64::from(SIZES[factor] - 1);
    let scale = SMALLEST_SCALE + (1.0 - SMALLEST_SCALE) * part(scale, 1);
    // The last angle is a whole turn; 0 instead makes it equal to the first to the bit.
    let angle = std::f64::consts::TAU * part(orientation % (SIZES[2] - 1), 2);
    let (sin, cos) = angle.sin_cos();
    let centre = |index, factor| BORDER + (1.0 - 2.0 * BORDER) * part(index, factor);
    let (cx, cy) = (centre(x, 3), centre(y, 4));

    pixels.fill(0);
    let near = |centre: f64| {
        let pixel = |edge: f64| (edge * SIDE as f64) as usize;
        pixel(centre - scale * REACH)..pixel(centre + scale * REACH) + 1
    };
    for row in near(cy) {
        for column in near(cx) {
            let [dx, dy] =
                [(column, cx), (row, cy)].map(|(i, c)| ((i as f64 + 0.5) / SIDE as f64 - c) / scale);
            let (u, v) = (dx * cos - dy * sin, dx * sin + dy * cos);
            let inside = match shape {
                0 => u.abs() <= SQUARE_HALF_SIDE && v.abs() <= SQUARE_HALF_SIDE,
                1 => (u / ELLIPSE_SEMI_AXES[0]).powi(2) + (v / ELLIPSE_SEMI_AXES[1]).powi(2) <= 1.0,
                _ => in_heart(u.abs(), v),
            };
            if inside {
                pixels[row * SIDE + column] = 255;
            }
        }
    }
}

/// Whether (u, v) with u >= 0 is inside the heart: a ray to the right crosses the outline an odd number of
/// times.
fn in_heart(u: f64, v: f64) -> bool {
    let crossings = HEART.windows(2).filter(|edge| {
        let ([u0, v0], [u1, v1]) = (edge[0], edge[1]);
        (v0 > v) != (v1 > v) && u < u0 + (v - v0) / (v1 - v0) * (u1 - u0)
    });
    crossings.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(factors: Factors) -> Vec<u8> {
        // Not black before, since `draw` must not depend on what was there.
        let mut pixels = vec![7; PIXELS];
        draw(factors, &mut pixels);
        pixels
    }

    fn white(pixels: &[u8]) -> usize {
        pixels.iter().filter(|&&pixel| pixel == 255).count()
    }

    /// Mean column and mean row of the white pixels.
    fn centroid(pixels: &[u8]) -> [f64; 2] {
        let at = (0..PIXELS).filter(|&i| pixels[i] == 255).map(|i| [i % SIDE, i / SIDE]);
        let sum = at.fold([0, 0], |sum, at| [sum[0] + at[0], sum[1] + at[1]]);
        sum.map(|sum| sum as f64 / white(pixels) as f64)
    }

    /// The counts of dSprites.
    #[test]
    fn upright_shapes_in_the_corner_have_the_known_number_of_white_pixels() {
        for (shape, counts, tolerance) in [
            (0, [100, 144, 196, 256, 324, 400], 0),
            (1, [76, 104, 144, 184, 228, 288], 0),
            (2, [58, 84, 108, 140, 182, 222], 2),
        ] {
            for (scale, want) in counts.into_iter().enumerate() {
                let found =
                    white(&picture(Factors { shape, scale: scale as u8, orientation: 0, x: 0, y: 0 }));
                assert!(found.abs_diff(want) <= tolerance, "{shape} {scale}: {found} is not {want}");
            }
        }
    }

    #[test]
    fn every_image_of_the_grid_is_black_and_white_and_whole() {
        for shape in 0..SIZES[0] {
            for orientation in 0..SIZES[2] {
                let at = |x, y| picture(Factors { shape, scale: SIZES[1] - 1, orientation, x, y });
                for pixels in [at(0, 0), at(SIZES[3] - 1, SIZES[4] - 1), at(7, 20)] {
                    let black = pixels.iter().filter(|&&pixel| pixel == 0).count();
                    assert_eq!(white(&pixels) + black, PIXELS);
                    // The area of the shape, to the error of about the pixels of its outline.
                    let area =
                        [0.3 * 0.3, std::f64::consts::PI * 0.1996 * 0.1128, 0.0543][usize::from(shape)];
                    let off = white(&pixels) as f64 - area * PIXELS as f64;
                    assert!(off.abs() < 40.0, "shape {shape} orientation {orientation}: {off}");
                }
            }
        }
    }

    #[test]
    fn the_reach_covers_every_shape() {
        let corner = SQUARE_HALF_SIDE * std::f64::consts::SQRT_2;
        let heart = HEART.iter().map(|[u, v]| u.hypot(*v)).fold(0.0, f64::max);
        for reach in [corner, ELLIPSE_SEMI_AXES[0], heart] {
            assert!(reach < REACH, "{reach}");
        }
    }

    #[test]
    fn a_whole_turn_changes_nothing() {
        for shape in 0..SIZES[0] {
            let turned = |orientation| picture(Factors { shape, scale: 3, orientation, x: 5, y: 9 });
            assert_eq!(turned(0), turned(39));
            assert_ne!(turned(0), turned(5));
        }
    }

    /// The heart points down at first; a quarter of a turn anticlockwise points it to the right.
    #[test]
    fn orientation_turns_anticlockwise() {
        let lean = |orientation| {
            let pixels = picture(Factors { shape: 2, scale: 5, orientation, x: 16, y: 16 });
            let [x, y] = centroid(&pixels);
            // The tip is the point of the shape furthest from the centre of mass.
            let far = (0..PIXELS).filter(|&i| pixels[i] == 255).map(|i| {
                let [dx, dy] = [(i % SIDE) as f64 - x, (i / SIDE) as f64 - y];
                [dx * dx + dy * dy, dx, dy]
            });
            far.max_by(|a, b| a[0].total_cmp(&b[0])).unwrap()
        };
        let [_, x, y] = lean(0);
        assert!(y > 5.0 && x.abs() < 2.0, "{x} {y}");
        let [_, x, y] = lean(10);
        assert!(x > 5.0 && y.abs() < 2.0, "{x} {y}");
    }

    #[test]
    fn position_moves_the_centroid() {
        let last = SIZES[3] - 1;
        for shape in 0..SIZES[0] {
            let at = |x, y| centroid(&picture(Factors { shape, scale: 2, orientation: 0, x, y }));
            let ([x0, y0], [x1, y1], [x2, y2]) = (at(0, 0), at(last, 0), at(0, last));
            assert!((x1 - x0 - 32.0).abs() < 1e-9 && (y1 - y0).abs() < 1e-9, "{shape}: {x0},{y0} {x1},{y1}");
            assert!((y2 - y0 - 32.0).abs() < 1e-9 && (x2 - x0).abs() < 1e-9, "{shape}: {x0},{y0} {x2},{y2}");
        }
    }

    #[test]
    fn the_data_set_depends_on_the_seed_alone() {
        let Dataset { train, test, classes, .. } = dataset(4);
        assert_eq!((train.len(), test.len(), classes.len()), (TRAIN as usize, TEST as usize, 3));
        assert_eq!((train.dimension(), train.pixels.len()), (PIXELS, TRAIN as usize * PIXELS));
        for (images, i, index) in [(&train, 0, 0), (&train, 777, 777), (&test, 5, TEST_START + 5)] {
            let factors = Factors::random(&mut Sequence::new(4, Stream::Data, index));
            assert_eq!(images.image(i), picture(factors));
            assert_eq!(images.labels[i], factors.shape);
        }
        assert_ne!(images(5, 0..10).pixels, images(4, 0..10).pixels);
    }
}
