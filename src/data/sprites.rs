//! dSprites-like shapes: a square, ellipse or heart on black, 64 x 64, with known factors.
//!
//! The grid of factors is that of dSprites (Matthey, Higgins, Hassabis, Lerchner 2017) and the geometry was
//! recovered from its published pictures: nearly every pixel agrees, though not all, hence "dSprites-like".
//!
//! Lengths are in widths of the image, x to the right and y down. A shape is given by an inside-test in its
//! own coordinates (u, v), which its scale s, angle t and centre (cx, cy) put into the image at
//!
//! ```text
//! x = cx + s (u cos t + v sin t)
//! y = cy + s (v cos t - u sin t)
//! ```
//!
//! A pixel is lit when its centre is inside; there is no grey. Coloured ones have a hue on the way from red to blue: an
//! arc, since on a whole circle the first and the last hue are neighbours, which no line of a latent can say.
//!
//! All of it is done in whole numbers of 32 bits, which are exact everywhere, so that a shader draws the same
//! pixels. With S = 64 pixels and P = 32 places on a side, the centre of column i is from place p
//!
//! ```text
//! X = (P - 1) (2 i + 1 - S / 2) - S p          in 1 / (2 S (P - 1)) of the width; Y in the same way
//! U = round((a X + b Y) / 2^12)                V = round((c X + d Y) / 2^12)
//! ```
//!
//! where 2^14 of U and V is half a side of the square, a semi-axis of the ellipse, or 0.16384 of the heart:
//!
//! ```text
//! square     |U| <= 2^14  and  |V| <= 2^14
//! ellipse    U^2 + V^2 <= 2^28
//! heart      (U, V) is inside of a polygon
//! ```
//!
//! [`geometry`] holds a, b, c and d of every pose, and the polygon.

use super::{Dataset, Factors, Images, Pixels};
use crate::random::{Sequence, Stream};
use rayon::prelude::*;
use std::f64::consts::TAU;
use std::ops::Range;
use std::sync::LazyLock;

/// S: rows and columns of an image.
pub const SIDE: usize = 64;
/// Pixels of an image.
pub const PIXELS: usize = SIDE * SIDE;
/// Training images: indices `0..TRAIN`.
pub const TRAIN: u32 = 20_000;
/// Test images: indices from [`TEST_START`] on.
pub const TEST: u32 = 2_000;
/// The first index of the test set, so far up that no larger training set reaches it.
pub const TEST_START: u32 = 1 << 31;
/// The names of the shapes, in the order of [`Sprite::shape`].
pub const SHAPES: [&str; 3] = ["square", "ellipse", "heart"];
/// The names of the colours, hues that are 30 degrees apart; an image of one channel is of the first, and white.
pub const COLOURS: [&str; 9] =
    ["red", "orange", "yellow", "lime", "green", "spring green", "cyan", "azure", "blue"];
/// A channel that is dark, half lit and lit, in bytes.
pub const LEVELS: [u8; 3] = [0, 128, 255];
/// The same as parts of the whole.
pub const SHARES: [f32; 3] = [0.0, LEVELS[1] as f32 / LEVELS[2] as f32, 1.0];
/// The factors, in the order of dSprites, the last one changing fastest in [`Sprite::number`].
pub const FACTORS: [&str; 6] = ["colour", "shape", "scale", "orientation", "x", "y"];
/// How many values each of [`FACTORS`] has.
pub const SIZES: [u8; 6] = [COLOURS.len() as u8, SHAPES.len() as u8, SCALES, ORIENTATIONS, PLACES, PLACES];

const SCALES: u8 = 6;
const ORIENTATIONS: u8 = 40;
/// P: places of a centre along x, and along y.
pub const PLACES: u8 = 32;
/// Scales and orientations of a shape.
pub const POSES: usize = SCALES as usize * ORIENTATIONS as usize;

/// How many sprites of one or of three channels there are.
pub fn count(channels: usize) -> usize {
    let colours = if channels == 1 { 1 } else { COLOURS.len() };
    colours * SHAPES.len() * POSES * usize::from(PLACES).pow(2)
}

/// The sprites of a seed: [`TRAIN`] and [`TEST`] images, their factors drawn uniformly from the grid; the
/// label is the shape. They are white, or of all colours; the other factors are the same.
///
/// Images are drawn with replacement from the 737,280 of the grid (times the colours), so a few white test
/// images (about 3 %) also occur in training.
pub fn dataset(seed: u64, coloured: bool) -> Dataset {
    Dataset {
        name: if coloured { "coloured sprites" } else { "sprites" }.into(),
        train: images(seed, 0..TRAIN, coloured),
        test: images(seed, TEST_START..TEST_START + TEST, coloured),
        classes: SHAPES.map(String::from).to_vec(),
        columns: None,
        notes: Vec::new(),
    }
}

fn images(seed: u64, indices: Range<u32>, coloured: bool) -> Images {
    let sprite = |index| Sprite::random(&mut Sequence::new(seed, Stream::Data, index), coloured);
    let sprites: Vec<Sprite> = indices.into_par_iter().map(sprite).collect();
    Images {
        height: SIDE,
        width: SIDE,
        channels: if coloured { 3 } else { 1 },
        labels: sprites.iter().map(|sprite| sprite.shape).collect(),
        factors: Some(Factors {
            names: FACTORS.map(String::from).to_vec(),
            values: sprites.iter().flat_map(|sprite| sprite.values()).collect(),
        }),
        pixels: Pixels::Sprites(sprites.into_iter().map(Sprite::number).collect()),
    }
}

/// An image's factors, as indices into their grids; see [`SIZES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sprite {
    /// 0..9, see [`COLOURS`]; 0 where there is one channel.
    pub colour: u8,
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

impl Sprite {
    /// Each factor uniform on its grid and independent of the others.
    pub fn random(random: &mut Sequence, coloured: bool) -> Self {
        let [colours, grid @ ..] = SIZES;
        let [shape, scale, orientation, x, y] = grid.map(|n| random.below(n.into()) as u8);
        let colour = if coloured { random.below(colours.into()) as u8 } else { 0 };
        Self { colour, shape, scale, orientation, x, y }
    }

    /// The values of [`FACTORS`].
    pub fn values(self) -> [u8; FACTORS.len()] {
        let Self { colour, shape, scale, orientation, x, y } = self;
        [colour, shape, scale, orientation, x, y]
    }

    /// The image's place in the grid, as in the file of dSprites.
    pub fn number(self) -> u32 {
        self.values().iter().zip(SIZES).fold(0, |number, (&v, size)| number * u32::from(size) + u32::from(v))
    }

    /// The image at a place of the grid.
    pub fn of(mut number: u32) -> Self {
        let mut values = SIZES;
        for value in values.iter_mut().rev() {
            let size = u32::from(*value);
            *value = (number % size) as u8;
            number /= size;
        }
        let [colour, shape, scale, orientation, x, y] = values;
        Self { colour, shape, scale, orientation, x, y }
    }

    /// The row of [`geometry`] with its shape, scale and orientation.
    fn pose(self) -> usize {
        usize::from(self.shape) * POSES
            + usize::from(self.scale) * usize::from(ORIENTATIONS)
            + usize::from(self.orientation)
    }

    /// Whether the centre of a pixel, `[column, row]`, is inside of the shape.
    pub fn covers(self, geometry: &[i32], [column, row]: [usize; 2]) -> bool {
        let point = [offset(column, self.x), offset(row, self.y)];
        let (turn, outline) = self.outline(geometry);
        inside(self.shape, turn, outline, point)
    }

    /// a, b, c and d, and the corners of the heart.
    fn outline(self, geometry: &[i32]) -> ([i32; 4], &[[i32; 2]]) {
        let (turns, outline) = geometry.split_at(4 * SHAPES.len() * POSES);
        (turns.as_chunks().0[self.pose()], outline.as_chunks().0)
    }

    /// Which of [`LEVELS`] a channel of its colour has. Red, green and blue are four hues apart; each is lit up to two
    /// hues away from its own, and half lit one further.
    pub fn level(self, channel: usize) -> usize {
        4_usize.saturating_sub(usize::from(self.colour).abs_diff(4 * channel)).min(LEVELS.len() - 1)
    }
}

const SMALLEST_SCALE: f64 = 0.5;
/// No shape reaches further from its centre, at scale 1: the corners of the square are at 0.2121.
const REACH: f64 = 0.2125;
/// Units of U and V that stand for the lengths of a shape; small enough for a sum of two squares in 32 bits.
pub const UNIT: i32 = 1 << 14;
/// Bits behind the point of a, b, c and d: as many as leave room for the furthest pixel.
pub const SHIFT: u32 = 12;
/// 2 S (P - 1): units of X and Y in the width of the image.
const WIDTH: i32 = 2 * SIDE as i32 * (PLACES as i32 - 1);
/// The heart's outline is in these parts of the width.
const HEART_UNIT: f64 = 1e-5;
/// Half a side of the square, the semi-axes of the ellipse, [`UNIT`] units of the heart's outline.
const LENGTHS: [[f64; 2]; SHAPES.len()] = [[0.15; 2], [0.1996, 0.1128], [HEART_UNIT * UNIT as f64; 2]];
/// The right half (u >= 0) of the outline of the heart from the notch to the tip; the left half mirrors it.
#[rustfmt::skip]
const HEART: [[i32; 2]; 37] = [
    [0, -8000], [700, -9960], [1700, -11620], [2940, -12960], [4320, -13860], [5810, -14460],
    [7260, -14570], [8740, -14480], [10070, -14010], [11330, -13330], [12480, -12480], [13380, -11370],
    [14110, -10150], [14670, -8840], [14950, -7440], [15120, -6050], [14790, -4610], [14450, -3260],
    [13940, -2000], [13250, -840], [12580, 220], [11800, 1160], [11060, 2030], [10360, 2830], [9660, 3570],
    [8910, 4240], [8250, 4920], [7560, 5560], [6870, 6190], [6180, 6820], [5500, 7520], [4760, 8210],
    [3990, 8960], [3170, 9850], [2280, 10950], [1270, 12460], [0, 14240],
];
/// Corners of the right half of the heart.
pub const CORNERS: usize = HEART.len();

/// Numbers of [`geometry`].
pub const GEOMETRY_LEN: usize = 4 * SHAPES.len() * POSES + 2 * CORNERS;

/// The numbers that [`draw`] needs: a, b, c and d for each shape, scale and orientation; then the
/// corners (U, V) of the right half of the heart from the notch to the tip.
pub fn geometry() -> &'static [i32] {
    static GEOMETRY: LazyLock<Vec<i32>> = LazyLock::new(|| {
        let poses = (0..SHAPES.len() * POSES).flat_map(|pose| {
            let (shape, scale) = (pose / POSES, pose / usize::from(ORIENTATIONS) % usize::from(SCALES));
            turn(shape, scale, pose % usize::from(ORIENTATIONS)).map(|number| number.round() as i32)
        });
        poses.chain(HEART.into_iter().flatten()).collect()
    });
    &GEOMETRY
}

/// a, b, c and d before they are rounded.
fn turn(shape: usize, scale: usize, orientation: usize) -> [f64; 4] {
    // The last angle is a whole turn; 0 instead makes it equal to the first.
    let last = usize::from(ORIENTATIONS) - 1;
    let (sin, cos) = (TAU * (orientation % last) as f64 / last as f64).sin_cos();
    let [u, v] = LENGTHS[shape].map(|length| {
        let units = f64::from(UNIT << SHIFT) / f64::from(WIDTH);
        units / (length * scale_value(scale))
    });
    [u * cos, -u * sin, v * sin, v * cos]
}

fn scale_value(scale: usize) -> f64 {
    SMALLEST_SCALE + (1.0 - SMALLEST_SCALE) * scale as f64 / f64::from(SCALES - 1)
}

/// X of a column for a place of the centre, or Y of a row.
fn offset(pixel: usize, place: u8) -> i32 {
    (i32::from(PLACES) - 1) * (2 * pixel as i32 + 1 - SIDE as i32 / 2) - SIDE as i32 * i32::from(place)
}

/// Whether the point (X, Y) is inside of a shape that is turned by a, b, c and d.
#[inline]
fn inside(shape: u8, [a, b, c, d]: [i32; 4], outline: &[[i32; 2]], [x, y]: [i32; 2]) -> bool {
    let half = 1 << (SHIFT - 1);
    let (u, v) = ((a * x + b * y + half) >> SHIFT, (c * x + d * y + half) >> SHIFT);
    u.abs() <= UNIT
        && v.abs() <= UNIT
        && match shape {
            0 => true,
            1 => u * u + v * v <= UNIT * UNIT,
            _ => in_heart(outline, u.abs(), v),
        }
}

/// Whether (u, v) with u >= 0 is inside the heart: a ray to the right crosses the outline an odd number of
/// times.
fn in_heart(outline: &[[i32; 2]], u: i32, v: i32) -> bool {
    let crosses = |edge: &[[i32; 2]]| {
        let ([u0, v0], [u1, v1]) = (edge[0], edge[1]);
        // u < u0 + (v - v0) / (v1 - v0) (u1 - u0), multiplied by v1 - v0.
        let further = (v - v0) * (u1 - u0) - (u - u0) * (v1 - v0);
        (v0 > v) != (v1 > v) && further.signum() == (v1 - v0).signum()
    };
    outline.windows(2).fold(false, |odd, edge| odd ^ crosses(edge))
}

/// Draws a sprite over `pixels`, `(64, 64, channels)`, with `levels` in the place of [`LEVELS`].
///
/// # Panics
///
/// When `pixels` has another size or a factor is off the grid.
pub fn draw<T: Copy>(sprite: Sprite, geometry: &[i32], levels: [T; 3], pixels: &mut [T]) {
    let on_grid = sprite.values().iter().zip(SIZES).all(|(&index, size)| index < size);
    let channels = pixels.len() / PIXELS;
    assert!(on_grid && channels > 0 && pixels.len().is_multiple_of(PIXELS), "{sprite:?}, {}", pixels.len());
    let (turn, outline) = sprite.outline(geometry);
    let lit: [T; 3] = std::array::from_fn(|channel| levels[sprite.level(channel)]);

    pixels.fill(levels[0]);
    // Pixels further from the centre than any shape reaches are not looked at.
    let reach = (REACH * f64::from(WIDTH) * scale_value(sprite.scale.into())).ceil() as i32;
    let near = |place: u8| {
        let step = offset(1, place) - offset(0, place);
        let pixel = |distance: i32| (distance - offset(0, place)).div_euclid(step) as usize;
        pixel(-reach)..pixel(reach) + 1
    };
    for row in near(sprite.y) {
        for column in near(sprite.x) {
            let point = [offset(column, sprite.x), offset(row, sprite.y)];
            if inside(sprite.shape, turn, outline, point) {
                pixels[(row * SIDE + column) * channels..][..channels].copy_from_slice(&lit[..channels]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(sprite: Sprite) -> Vec<u8> {
        // Not black before, since `draw` must not depend on what was there.
        let mut pixels = vec![7; PIXELS];
        draw(sprite, geometry(), LEVELS, &mut pixels);
        pixels
    }

    /// One sprite of every shape, scale and orientation, at places that differ from one to the next.
    fn every_pose() -> impl Iterator<Item = Sprite> {
        let places = u32::from(PLACES).pow(2);
        (0..(SHAPES.len() * POSES) as u32).map(move |pose| Sprite::of(pose * places + pose * 421 % places))
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
                let found = white(&picture(Sprite {
                    colour: 0,
                    shape,
                    scale: scale as u8,
                    orientation: 0,
                    x: 0,
                    y: 0,
                }));
                assert!(found.abs_diff(want) <= tolerance, "{shape} {scale}: {found} is not {want}");
            }
        }
    }

    #[test]
    fn every_image_of_the_grid_is_black_and_white_and_whole() {
        for shape in 0..SHAPES.len() as u8 {
            for orientation in 0..ORIENTATIONS {
                let at = |x, y| picture(Sprite { colour: 0, shape, scale: SCALES - 1, orientation, x, y });
                for pixels in [at(0, 0), at(PLACES - 1, PLACES - 1), at(7, 20)] {
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

    /// Wherever a pixel is not within 4 units of the outline, real numbers say the same of it.
    #[test]
    fn whole_numbers_draw_the_shapes_of_the_formulas() {
        let (mut certain, mut all) = (0, 0);
        for sprite in every_pose() {
            let part = |index: u8, size: u8| f64::from(index) / f64::from(size - 1);
            let scale = 0.5 + 0.5 * part(sprite.scale, SCALES);
            let (sin, cos) = (TAU * part(sprite.orientation, ORIENTATIONS)).sin_cos();
            let [width, height] = LENGTHS[usize::from(sprite.shape)];
            for (pixel, lit) in picture(sprite).into_iter().enumerate() {
                let [dx, dy] = [(pixel % SIDE, sprite.x), (pixel / SIDE, sprite.y)]
                    .map(|(i, place)| (i as f64 + 0.5) / 64.0 - (0.25 + 0.5 * part(place, PLACES)));
                let (u, v) = ((dx * cos - dy * sin) / scale, (dx * sin + dy * cos) / scale);
                let is_in = |u: f64, v: f64| match sprite.shape {
                    0 => u.abs() <= width && v.abs() <= height,
                    1 => (u / width).powi(2) + (v / height).powi(2) <= 1.0,
                    _ => {
                        let crossings = HEART.windows(2).filter(|edge| {
                            let [[u0, v0], [u1, v1]] =
                                [edge[0], edge[1]].map(|corner| corner.map(|at| f64::from(at) * HEART_UNIT));
                            (v0 > v) != (v1 > v) && u.abs() < u0 + (v - v0) / (v1 - v0) * (u1 - u0)
                        });
                        crossings.count() % 2 == 1
                    }
                };
                all += 1;
                let [du, dv] = [width, height].map(|length| 4.0 * length / f64::from(UNIT));
                let around = [(du, dv), (du, -dv), (-du, dv), (-du, -dv)];
                if around.iter().all(|(du, dv)| is_in(u + du, v + dv) == is_in(u, v)) {
                    certain += 1;
                    assert_eq!(lit == 255, is_in(u, v), "{sprite:?}, pixel {pixel}");
                }
            }
        }
        assert!(f64::from(all - certain) < 1e-3 * f64::from(all), "{certain} of {all} pixels are certain");
    }

    #[test]
    fn all_pixels_that_a_shape_covers_are_drawn() {
        for sprite in every_pose() {
            for (pixel, lit) in picture(sprite).into_iter().enumerate() {
                let covered = sprite.covers(geometry(), [pixel % SIDE, pixel / SIDE]);
                assert_eq!(lit == 255, covered, "{sprite:?}, pixel {pixel}");
            }
        }
    }

    /// The last bits of sine and cosine, which differ between machines, decide nothing.
    #[test]
    fn no_number_of_the_geometry_is_nearly_a_tie() {
        for pose in 0..SHAPES.len() * POSES {
            let (shape, scale) = (pose / POSES, pose / usize::from(ORIENTATIONS) % usize::from(SCALES));
            for number in turn(shape, scale, pose % usize::from(ORIENTATIONS)) {
                let to_tie = (number - number.floor() - 0.5).abs();
                assert!(to_tie > 1e-6, "pose {pose}: {number}");
            }
        }
    }

    #[test]
    fn numbers_go_through_the_grid_as_in_dsprites() {
        let first = Sprite { colour: 0, shape: 0, scale: 0, orientation: 0, x: 0, y: 0 };
        assert_eq!(Sprite::of(0), first);
        assert_eq!(Sprite::of(32 * 32 * 40 * 6 * 2 + 33), Sprite { shape: 2, x: 1, y: 1, ..first });
        let all: u32 = SIZES.iter().map(|&size| u32::from(size)).product();
        assert_eq!(all, 9 * 737_280);
        assert!((0..all).step_by(97).all(|number| Sprite::of(number).number() == number));
    }

    #[test]
    fn colours_light_their_channels() {
        let sprite = |colour| Sprite { colour, ..Sprite::of(5_000) };
        let white = picture(sprite(0));
        for (name, lit) in [
            ("red", [255, 0, 0]),
            ("orange", [255, 128, 0]),
            ("yellow", [255, 255, 0]),
            ("lime", [128, 255, 0]),
            ("green", [0, 255, 0]),
            ("spring green", [0, 255, 128]),
            ("cyan", [0, 255, 255]),
            ("azure", [0, 128, 255]),
            ("blue", [0, 0, 255]),
        ] {
            let colour = COLOURS.iter().position(|&colour| colour == name).unwrap() as u8;
            let mut pixels = vec![7; 3 * PIXELS];
            draw(sprite(colour), geometry(), LEVELS, &mut pixels);
            for (pixel, &white) in pixels.chunks_exact(3).zip(&white) {
                assert_eq!(pixel, if white > 0 { lit } else { [0; 3] }, "{name}");
            }
        }
    }

    #[test]
    fn a_whole_turn_changes_nothing() {
        for shape in 0..SHAPES.len() as u8 {
            let turned =
                |orientation| picture(Sprite { colour: 0, shape, scale: 3, orientation, x: 5, y: 9 });
            assert_eq!(turned(0), turned(39));
            assert_ne!(turned(0), turned(5));
        }
    }

    /// The heart points down at first; a quarter of a turn anticlockwise points it to the right.
    #[test]
    fn orientation_turns_anticlockwise() {
        let lean = |orientation| {
            let pixels = picture(Sprite { colour: 0, shape: 2, scale: 5, orientation, x: 16, y: 16 });
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
        let last = PLACES - 1;
        for shape in 0..SHAPES.len() as u8 {
            let at = |x, y| centroid(&picture(Sprite { colour: 0, shape, scale: 2, orientation: 0, x, y }));
            let ([x0, y0], [x1, y1], [x2, y2]) = (at(0, 0), at(last, 0), at(0, last));
            assert!((x1 - x0 - 32.0).abs() < 1e-9 && (y1 - y0).abs() < 1e-9, "{shape}: {x0},{y0} {x1},{y1}");
            assert!((y2 - y0 - 32.0).abs() < 1e-9 && (x2 - x0).abs() < 1e-9, "{shape}: {x0},{y0} {x2},{y2}");
        }
    }

    #[test]
    fn the_data_set_depends_on_the_seed_alone() {
        let (white, coloured) = (dataset(4, false), dataset(4, true));
        for (Dataset { train, test, classes, .. }, channels) in [(&white, 1), (&coloured, 3)] {
            assert_eq!((train.len(), test.len(), classes.len()), (TRAIN as usize, TEST as usize, 3));
            assert_eq!(train.dimension(), channels * PIXELS);
            for (images, i, index) in [(train, 0, 0), (train, 777, 777), (test, 5, TEST_START + 5)] {
                let sprite = Sprite::random(&mut Sequence::new(4, Stream::Data, index), channels == 3);
                let factors = images.factors.as_ref().unwrap();
                assert_eq!((factors.row(i), images.labels[i]), (&sprite.values()[..], sprite.shape));
                let mut pixels = vec![7; channels * PIXELS];
                draw(sprite, geometry(), LEVELS, &mut pixels);
                assert_eq!(images.image(i), pixels);
            }
        }
        let shapes = |dataset: &Dataset| dataset.train.factors.as_ref().unwrap().row(9)[1..].to_vec();
        assert_eq!(shapes(&white), shapes(&coloured), "the colour is one more factor");
        assert_ne!(images(5, 0..10, false).pixels, images(4, 0..10, false).pixels);
    }
}
