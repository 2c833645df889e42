//! Handwritten-looking digits drawn from strokes: 28 x 28, white ink on black, after the manner of MNIST.
//!
//! A digit is a few smooth curves through control points in a unit box. Each image has its own writer:
//!
//! 1. choose a class and one of the ways to write it;
//! 2. move every control point a little, then bend, slant, stretch and turn them all together;
//! 3. join the points by Catmull-Rom splines, cut into short straight pieces;
//! 4. scale the whole to about 20 pixels and put its centre of ink near the middle of the image;
//! 5. ink each pixel by its distance to the nearest piece.
//!
//! Only arithmetic and square roots are used, which round alike everywhere, so that a seed gives the same
//! bytes on every machine.

use super::{Dataset, Images};
use crate::random::{Sequence, Stream};
use rayon::prelude::*;
use std::ops::Range;

/// Rows and columns of an image.
pub const SIDE: usize = 28;
/// Pixels of an image.
pub const PIXELS: usize = SIDE * SIDE;
/// Training images: indices `0..TRAIN`.
pub const TRAIN: u32 = 20_000;
/// Test images: indices from [`TEST_START`] on.
pub const TEST: u32 = 4_000;
/// The first index of the test set, so far up that no larger training set reaches it.
pub const TEST_START: u32 = 1 << 31;

/// The digits of a seed: [`TRAIN`] and [`TEST`] images of ten equally likely classes.
pub fn dataset(seed: u64) -> Dataset {
    some(seed, TRAIN, TEST)
}

/// The first of them: so many training and test images.
pub fn some(seed: u64, train: u32, test: u32) -> Dataset {
    Dataset {
        name: "digits".into(),
        train: images(seed, 0..train),
        test: images(seed, TEST_START..TEST_START + test),
        classes: (0..DIGITS.len()).map(|digit| digit.to_string()).collect(),
        columns: None,
        notes: Vec::new(),
    }
}

fn images(seed: u64, indices: Range<u32>) -> Images {
    let mut pixels = vec![0; indices.len() * PIXELS];
    let mut labels = vec![0; indices.len()];
    pixels.par_chunks_mut(PIXELS).zip(&mut labels).zip(indices).for_each(|((pixels, label), index)| {
        let (drawn, digit) = image(seed, index);
        pixels.copy_from_slice(&drawn);
        *label = digit;
    });
    Images::grey([SIDE, SIDE], pixels, labels)
}

/// Image `index` of a seed and its label: `(784)` bytes, row-major, and a digit in `0..10`.
///
/// A pure function, so there are 2^32 images for each seed.
pub fn image(seed: u64, index: u32) -> ([u8; PIXELS], u8) {
    let random = &mut Sequence::new(seed, Stream::Data, index);
    let digit = random.below(DIGITS.len() as u32);
    let ways = DIGITS[digit as usize];
    let glyph = ways[random.below(ways.len() as u32) as usize];

    let hand = Hand::random(random);
    let mut wobble = [0.0; 3];
    let mut last: Option<(ControlPoint, Node)> = None;
    let mut pieces: Vec<[Node; 2]> = Vec::new();
    for stroke in glyph {
        let nodes: Vec<Node> = stroke
            .iter()
            .map(|&point| match last {
                // A stroke that starts where the last one ended makes a corner, which must not tear.
                Some((end, node)) if end == point => node,
                _ => {
                    wobble = wobble
                        .map(|w| STEADINESS * w + (1.0 - STEADINESS * STEADINESS).sqrt() * random.normal());
                    let node = hand.place(point, wobble);
                    last = Some((point, node));
                    node
                }
            })
            .collect();
        spline(&nodes, &mut pieces);
    }
    fit(&mut pieces, &hand, random);
    (ink(&pieces, hand.edge), digit as u8)
}

/// x to the right, y down.
type ControlPoint = [f32; 2];

/// Where the pen is and how hard it is pressed, as a multiple of [`Hand::radius`]; after [`fit`] all three
/// are in pixels.
#[derive(Clone, Copy)]
struct Node {
    x: f32,
    y: f32,
    radius: f32,
}

impl Node {
    fn map(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self { x: f(self.x, other.x), y: f(self.y, other.y), radius: f(self.radius, other.radius) }
    }
}

/// How the writer of one image differs from the glyphs below.
struct Hand {
    /// Coefficients of x^2, x y and y^2 added to x and to y.
    bend: [[f32; 3]; 2],
    /// How far the top leans to the right, per unit of height.
    slant: f32,
    /// The tangent of half the angle of rotation.
    turn: f32,
    /// Width over height, relative to the glyph.
    aspect: f32,
    /// Longer side of the ink, in pixels.
    size: f32,
    /// Half the thickness of the stroke, in pixels.
    radius: f32,
    /// Width of the soft rim of the stroke, in pixels.
    edge: f32,
}

/// Standard deviation of a control point about its place, in heights of the glyph.
const WOBBLE: f32 = 0.03;
/// Correlation of the wobble of neighbouring control points: without it, curves turn into polygons.
const STEADINESS: f32 = 0.6;
/// Standard deviation of the pressure about 1.
const PRESSURE_WOBBLE: f32 = 0.1;
const LIGHTEST_PRESSURE: f32 = 0.6;
const BEND: f32 = 0.18;
const SLANT_MEAN: f32 = 0.15;
const SLANT: f32 = 0.17;
const TURN: f32 = 0.04;
const ASPECT: [f32; 2] = [0.75, 1.4];
const SIZE: [f32; 2] = [18.5, 20.5];
const RADIUS: [f32; 2] = [0.85, 1.75];
const EDGE: [f32; 2] = [1.1, 1.7];
/// Standard deviation of the centre of ink, in pixels.
const SHIFT: f32 = 0.5;
/// The outermost rows and columns that stay free of ink, in pixels.
const MARGIN: f32 = 2.0;
/// Straight pieces between two control points.
const PIECES: u32 = 6;

impl Hand {
    fn random(random: &mut Sequence) -> Self {
        let mut between = |[low, high]: [f32; 2]| random.uniform(low, high);
        let (aspect, size, radius, edge) = (between(ASPECT), between(SIZE), between(RADIUS), between(EDGE));
        let mut normal = |scale: f32| scale * random.normal();
        Self {
            bend: [(); 2].map(|()| [(); 3].map(|()| normal(BEND))),
            slant: SLANT_MEAN + normal(SLANT),
            turn: normal(TURN),
            aspect,
            size,
            radius,
            edge,
        }
    }

    /// Where this writer puts a control point; `wobble` is N(0, 1) in x, y and pressure.
    fn place(&self, [x, y]: ControlPoint, wobble: [f32; 3]) -> Node {
        let x = x - GLYPH_CENTRE[0] + WOBBLE * wobble[0];
        let y = y - GLYPH_CENTRE[1] + WOBBLE * wobble[1];
        let radius = (1.0 + PRESSURE_WOBBLE * wobble[2]).max(LIGHTEST_PRESSURE);

        let [bent_x, bent_y] = self.bend.map(|[xx, xy, yy]| xx * x * x + xy * x * y + yy * y * y);
        let (x, y) = (x + bent_x, y + bent_y);
        let x = self.aspect * (x - self.slant * y);
        // cos and sin of an angle from the tangent of its half.
        let t = self.turn;
        let (cos, sin) = ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t));
        Node { x: cos * x - sin * y, y: sin * x + cos * y, radius }
    }
}

/// Appends the Catmull-Rom spline through `nodes` to `pieces`: on the way from b to c, between a and d,
///
/// p(t) = b + t/2 (c - a) + t^2/2 (2a - 5b + 4c - d) + t^3/2 (3b - a - 3c + d)
fn spline(nodes: &[Node], pieces: &mut Vec<[Node; 2]>) {
    // Beyond its ends the curve goes on as it would through a point mirrored there.
    let mirrored = |end: Node, next: Node| end.map(next, |end, next| 2.0 * end - next);
    for i in 1..nodes.len() {
        let (b, c) = (nodes[i - 1], nodes[i]);
        let a = if i >= 2 { nodes[i - 2] } else { mirrored(b, c) };
        let d = if i + 1 < nodes.len() { nodes[i + 1] } else { mirrored(c, b) };
        let mut from = b;
        for step in 1..=PIECES {
            let t = step as f32 / PIECES as f32;
            let weights = [
                0.5 * t * (-1.0 + t * (2.0 - t)),
                1.0 + 0.5 * t * t * (-5.0 + 3.0 * t),
                0.5 * t * (1.0 + t * (4.0 - 3.0 * t)),
                0.5 * t * t * (t - 1.0),
            ];
            let blend = |f: fn(Node) -> f32| {
                let [a, b, c, d] = [f(a), f(b), f(c), f(d)];
                weights[0] * a + weights[1] * b + weights[2] * c + weights[3] * d
            };
            let to = Node { x: blend(|n| n.x), y: blend(|n| n.y), radius: blend(|n| n.radius) };
            pieces.push([from, to]);
            from = to;
        }
    }
}

/// Turns `pieces` into pixels: scaled so that the ink is [`Hand::size`] long, the centre of the line near
/// the middle of the image.
fn fit(pieces: &mut [[Node; 2]], hand: &Hand, random: &mut Sequence) {
    let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
    let (mut length, mut moment) = (0.0, [0.0; 2]);
    for &[a, b] in pieces.iter() {
        let [dx, dy] = [b.x - a.x, b.y - a.y];
        let piece = (dx * dx + dy * dy).sqrt();
        length += piece;
        for (axis, [from, to]) in [[a.x, b.x], [a.y, b.y]].into_iter().enumerate() {
            low[axis] = low[axis].min(from).min(to);
            high[axis] = high[axis].max(from).max(to);
            moment[axis] += piece * 0.5 * (from + to);
        }
    }
    let longer = (high[0] - low[0]).max(high[1] - low[1]);
    let scale = (hand.size - 2.0 * hand.radius) / longer;
    let origin = [0, 1].map(|axis| {
        let wanted = 0.5 * SIDE as f32 + SHIFT * random.normal() - scale * moment[axis] / length;
        let inside = MARGIN + hand.radius;
        wanted.clamp(inside - scale * low[axis], SIDE as f32 - inside - scale * high[axis])
    });
    for node in pieces.as_flattened_mut() {
        node.x = origin[0] + scale * node.x;
        node.y = origin[1] + scale * node.y;
        node.radius *= hand.radius;
    }
}

/// The image of a line: a pixel whose centre is `d` from the middle of a stroke of half thickness `r` is
/// white for `d` < `r` - `edge` / 2, black for `d` > `r` + `edge` / 2, and grey in between.
fn ink(pieces: &[[Node; 2]], edge: f32) -> [u8; PIXELS] {
    let mut image = [0; PIXELS];
    for &[a, b] in pieces {
        let reach = a.radius.max(b.radius) + 0.5 * edge;
        let pixels = |from: f32, to: f32| {
            let first = (from.min(to) - reach).max(0.0) as usize;
            let end = (from.max(to) + reach).max(0.0) as usize + 1;
            first..end.min(SIDE)
        };
        let [dx, dy] = [b.x - a.x, b.y - a.y];
        let square = (dx * dx + dy * dy).max(f32::MIN_POSITIVE);
        for row in pixels(a.y, b.y) {
            for column in pixels(a.x, b.x) {
                let (x, y) = (column as f32 + 0.5 - a.x, row as f32 + 0.5 - a.y);
                // The nearest point of the piece is the part `t` of the way along it.
                let t = ((x * dx + y * dy) / square).clamp(0.0, 1.0);
                let (x, y) = (x - t * dx, y - t * dy);
                let distance = (x * x + y * y).sqrt();
                let radius = a.radius + t * (b.radius - a.radius);
                let depth = ((radius - distance) / edge + 0.5).clamp(0.0, 1.0);
                let smooth = depth * depth * (3.0 - 2.0 * depth);
                let pixel: &mut u8 = &mut image[row * SIDE + column];
                *pixel = (*pixel).max((255.0 * smooth + 0.5) as u8);
            }
        }
    }
    image
}

/// Strokes, each through its control points; one that starts where the last ended makes a corner.
type Glyph = &'static [&'static [ControlPoint]];

/// Where the glyphs are bent, slanted and turned about.
const GLYPH_CENTRE: ControlPoint = [0.3, 0.5];

/// Each digit's ways to be written, equally likely, in a box 1 high and about 0.6 wide.
#[rustfmt::skip]
const DIGITS: [&[Glyph]; 10] = [
    &[
        // From the top, anticlockwise.
        &[&[[0.36, 0.01], [0.15, 0.12], [0.03, 0.38], [0.03, 0.66], [0.15, 0.91], [0.35, 1.0], [0.55, 0.88],
            [0.65, 0.62], [0.64, 0.34], [0.53, 0.11], [0.35, 0.0]]],
        // Narrower, the end crossing the beginning.
        &[&[[0.48, 0.09], [0.29, 0.01], [0.09, 0.22], [0.02, 0.53], [0.1, 0.85], [0.29, 1.0], [0.5, 0.84],
            [0.57, 0.5], [0.51, 0.2], [0.37, 0.05], [0.22, 0.07]]],
        // Round and not quite closed.
        &[&[[0.3, 0.04], [0.1, 0.18], [0.0, 0.45], [0.06, 0.78], [0.28, 0.98], [0.54, 0.92], [0.7, 0.66],
            [0.68, 0.32], [0.54, 0.08], [0.38, 0.0]]],
    ],
    &[
        // Plain.
        &[&[[0.3, 0.0], [0.3, 0.33], [0.3, 0.66], [0.3, 1.0]]],
        &[&[[0.33, 0.0], [0.31, 0.33], [0.29, 0.66], [0.27, 1.0]]],
        &[&[[0.29, 0.0], [0.31, 0.33], [0.31, 0.66], [0.29, 1.0]]],
        // With an upstroke.
        &[&[[0.1, 0.22], [0.22, 0.13], [0.34, 0.0]], &[[0.34, 0.0], [0.33, 0.5], [0.32, 1.0]]],
        // With an upstroke and a foot.
        &[&[[0.1, 0.2], [0.22, 0.12], [0.32, 0.0]], &[[0.32, 0.0], [0.31, 0.5], [0.31, 0.98]],
          &[[0.06, 1.0], [0.3, 0.98], [0.56, 0.97]]],
    ],
    &[
        // A straight foot.
        &[&[[0.04, 0.22], [0.13, 0.06], [0.33, 0.0], [0.52, 0.08], [0.57, 0.27], [0.46, 0.52], [0.27, 0.75],
            [0.05, 0.97]],
          &[[0.05, 0.97], [0.3, 0.95], [0.64, 0.96]]],
        // Flat and pointed.
        &[&[[0.0, 0.12], [0.2, 0.01], [0.45, 0.02], [0.55, 0.17], [0.42, 0.43], [0.22, 0.7], [0.02, 0.94]],
          &[[0.02, 0.94], [0.36, 0.93], [0.74, 0.9]]],
        // A wavy foot.
        &[&[[0.05, 0.16], [0.2, 0.02], [0.4, 0.02], [0.54, 0.16], [0.5, 0.4], [0.34, 0.64], [0.06, 0.94]],
          &[[0.06, 0.94], [0.2, 0.87], [0.36, 0.92], [0.5, 0.99], [0.66, 0.93]]],
        // A loop.
        &[&[[0.06, 0.2], [0.18, 0.05], [0.36, 0.0], [0.53, 0.09], [0.56, 0.29], [0.46, 0.55], [0.29, 0.82],
            [0.13, 0.97], [0.01, 0.95], [0.02, 0.82], [0.16, 0.79], [0.34, 0.9], [0.5, 0.98], [0.68, 0.93]]],
    ],
    &[
        // Two bows that meet in a point.
        &[&[[0.06, 0.13], [0.2, 0.02], [0.4, 0.02], [0.52, 0.16], [0.44, 0.35], [0.22, 0.46]],
          &[[0.22, 0.46], [0.45, 0.49], [0.58, 0.67], [0.51, 0.89], [0.29, 1.0], [0.04, 0.93]]],
        // A small loop in the middle.
        &[&[[0.08, 0.1], [0.26, 0.0], [0.46, 0.05], [0.51, 0.22], [0.4, 0.39], [0.24, 0.47], [0.2, 0.41],
            [0.32, 0.41], [0.5, 0.52], [0.57, 0.74], [0.45, 0.94], [0.22, 1.0], [0.02, 0.9]]],
        // A flat top.
        &[&[[0.05, 0.03], [0.3, 0.03], [0.56, 0.01]], &[[0.56, 0.01], [0.42, 0.2], [0.26, 0.38]],
          &[[0.26, 0.38], [0.48, 0.43], [0.59, 0.63], [0.52, 0.88], [0.29, 1.0], [0.04, 0.91]]],
    ],
    &[
        // Open, an angular arm.
        &[&[[0.13, 0.02], [0.09, 0.26], [0.04, 0.52]],
          &[[0.04, 0.52], [0.24, 0.53], [0.44, 0.51], [0.66, 0.48]],
          &[[0.54, 0.0], [0.51, 0.33], [0.48, 0.67], [0.45, 1.0]]],
        // Open, a round arm.
        &[&[[0.07, 0.03], [0.04, 0.24], [0.08, 0.44], [0.24, 0.51], [0.42, 0.44], [0.55, 0.26]],
          &[[0.6, 0.0], [0.56, 0.33], [0.52, 0.67], [0.49, 1.0]]],
        // Closed.
        &[&[[0.47, 0.0], [0.27, 0.3], [0.02, 0.64]],
          &[[0.02, 0.64], [0.24, 0.65], [0.46, 0.63], [0.68, 0.62]],
          &[[0.47, 0.0], [0.46, 0.33], [0.45, 0.67], [0.43, 1.0]]],
    ],
    &[
        // The bar drawn last.
        &[&[[0.15, 0.04], [0.13, 0.23], [0.1, 0.42]],
          &[[0.1, 0.42], [0.28, 0.36], [0.47, 0.43], [0.56, 0.63], [0.48, 0.86], [0.28, 1.0], [0.03, 0.93]],
          &[[0.15, 0.04], [0.37, 0.04], [0.6, 0.01]]],
        // A long bar that rises.
        &[&[[0.2, 0.1], [0.16, 0.27], [0.1, 0.44]],
          &[[0.1, 0.44], [0.27, 0.4], [0.44, 0.47], [0.51, 0.66], [0.41, 0.87], [0.21, 0.99], [-0.04, 0.93]],
          &[[0.2, 0.1], [0.46, 0.07], [0.74, 0.0]]],
        // From the end of the bar in one go.
        &[&[[0.6, 0.02], [0.38, 0.03], [0.17, 0.05]], &[[0.17, 0.05], [0.14, 0.22], [0.12, 0.41]],
          &[[0.12, 0.41], [0.31, 0.41], [0.48, 0.52], [0.53, 0.7], [0.44, 0.89], [0.25, 0.99], [0.02, 0.94]]],
        // Smooth, as an S.
        &[&[[0.62, 0.02], [0.38, 0.02], [0.19, 0.1], [0.14, 0.28], [0.28, 0.42], [0.46, 0.53], [0.53, 0.73],
            [0.42, 0.92], [0.22, 1.0], [0.02, 0.92]]],
    ],
    &[
        // A tall bow.
        &[&[[0.5, 0.0], [0.3, 0.14], [0.12, 0.38], [0.03, 0.66], [0.1, 0.91], [0.3, 1.0], [0.5, 0.9],
            [0.55, 0.72], [0.43, 0.57], [0.23, 0.59], [0.07, 0.76]]],
        // Nearly straight down, a small bowl.
        &[&[[0.34, 0.0], [0.2, 0.23], [0.09, 0.48], [0.04, 0.74], [0.13, 0.95], [0.31, 0.99], [0.46, 0.86],
            [0.46, 0.68], [0.32, 0.59], [0.14, 0.67], [0.05, 0.82]]],
        // A hook at the top.
        &[&[[0.57, 0.08], [0.44, 0.0], [0.26, 0.09], [0.1, 0.33], [0.03, 0.63], [0.1, 0.9], [0.31, 1.0],
            [0.53, 0.88], [0.56, 0.66], [0.4, 0.51], [0.2, 0.57], [0.06, 0.72]]],
    ],
    &[
        // Plain.
        &[&[[0.03, 0.05], [0.3, 0.04], [0.58, 0.02]],
          &[[0.58, 0.02], [0.46, 0.32], [0.34, 0.65], [0.26, 1.0]]],
        // A bent stem.
        &[&[[0.01, 0.12], [0.18, 0.05], [0.38, 0.05], [0.58, 0.04]],
          &[[0.58, 0.04], [0.48, 0.27], [0.36, 0.55], [0.32, 0.78], [0.32, 1.0]]],
        // A downstroke first.
        &[&[[0.03, 0.2], [0.06, 0.05]], &[[0.06, 0.05], [0.33, 0.05], [0.6, 0.02]],
          &[[0.6, 0.02], [0.47, 0.32], [0.35, 0.65], [0.28, 1.0]]],
        // With a bar.
        &[&[[0.04, 0.05], [0.3, 0.04], [0.6, 0.02]], &[[0.6, 0.02], [0.46, 0.32], [0.33, 0.65], [0.24, 1.0]],
          &[[0.15, 0.52], [0.39, 0.5], [0.62, 0.47]]],
    ],
    &[
        // An S and back up.
        &[&[[0.53, 0.13], [0.36, 0.0], [0.15, 0.07], [0.11, 0.26], [0.29, 0.44], [0.49, 0.62], [0.53, 0.84],
            [0.34, 1.0], [0.11, 0.91], [0.08, 0.7], [0.25, 0.49], [0.46, 0.3], [0.53, 0.11]]],
        // Two rings.
        &[&[[0.3, 0.46], [0.13, 0.35], [0.11, 0.14], [0.28, 0.0], [0.48, 0.1], [0.49, 0.32], [0.3, 0.46]],
          &[[0.3, 0.46], [0.09, 0.6], [0.04, 0.82], [0.27, 1.0], [0.52, 0.87], [0.52, 0.62], [0.3, 0.46]]],
        // An S and back up, the ends apart.
        &[&[[0.56, 0.1], [0.37, 0.01], [0.16, 0.07], [0.13, 0.26], [0.3, 0.44], [0.44, 0.62], [0.44, 0.86],
            [0.26, 1.0], [0.06, 0.9], [0.08, 0.7], [0.27, 0.47], [0.47, 0.24], [0.64, 0.03]]],
        // Slim, from the middle of the top.
        &[&[[0.36, 0.01], [0.18, 0.1], [0.18, 0.3], [0.33, 0.46], [0.46, 0.64], [0.46, 0.87], [0.28, 1.0],
            [0.12, 0.88], [0.15, 0.66], [0.31, 0.48], [0.47, 0.3], [0.5, 0.11], [0.36, 0.01]]],
    ],
    &[
        // A straight stem.
        &[&[[0.51, 0.13], [0.34, 0.0], [0.13, 0.07], [0.03, 0.27], [0.11, 0.46], [0.31, 0.47], [0.48, 0.32],
            [0.53, 0.08]],
          &[[0.53, 0.08], [0.52, 0.4], [0.49, 0.7], [0.46, 1.0]]],
        // A curved tail.
        &[&[[0.52, 0.12], [0.34, 0.0], [0.12, 0.08], [0.04, 0.28], [0.14, 0.46], [0.33, 0.46], [0.48, 0.31],
            [0.54, 0.09]],
          &[[0.54, 0.09], [0.55, 0.4], [0.51, 0.74], [0.36, 0.97], [0.12, 0.93]]],
        // A small open bowl.
        &[&[[0.47, 0.04], [0.24, 0.02], [0.08, 0.15], [0.05, 0.35], [0.2, 0.43], [0.38, 0.32], [0.52, 0.06]],
          &[[0.52, 0.06], [0.46, 0.4], [0.36, 0.72], [0.26, 1.0]]],
        // In one go, leaning.
        &[&[[0.45, 0.17], [0.31, 0.03], [0.12, 0.1], [0.04, 0.29], [0.13, 0.44], [0.32, 0.4], [0.45, 0.22],
            [0.5, 0.05], [0.47, 0.3], [0.4, 0.62], [0.32, 1.0]]],
    ],
];

#[cfg(test)]
mod tests {
    use super::super::Pixels;
    use super::*;

    fn bytes(images: &Images) -> &[u8] {
        let Pixels::Bytes(bytes) = &images.pixels else { panic!("digits are bytes") };
        bytes
    }

    /// Enough images for a check, from outside the data sets.
    fn some(count: u32) -> Images {
        images(1, TRAIN..TRAIN + count)
    }

    #[test]
    fn an_image_depends_on_the_seed_and_its_index_alone() {
        let Dataset { train, test, classes, .. } = dataset(3);
        assert_eq!((train.len(), test.len(), classes.len()), (TRAIN as usize, TEST as usize, 10));
        assert_eq!((train.dimension(), bytes(&train).len()), (PIXELS, TRAIN as usize * PIXELS));
        for (images, i, index) in [(&train, 0, 0), (&train, 4321, 4321), (&test, 99, TEST_START + 99)] {
            assert_eq!((&*images.image(i), images.labels[i]), (&image(3, index).0[..], image(3, index).1));
        }
        assert_ne!(image(3, 7), image(4, 7));
        assert_ne!(image(3, 7), image(3, 8));
    }

    /// Each count of the training set within 5 standard deviations of a tenth.
    #[test]
    fn classes_are_equally_likely() {
        let labels = images(0, 0..TRAIN).labels;
        let n = f64::from(TRAIN);
        for digit in 0..10 {
            let count = labels.iter().filter(|&&label| label == digit).count() as f64;
            assert!((count - 0.1 * n).abs() < 5.0 * (0.1 * 0.9 * n).sqrt(), "{count} times {digit}");
        }
    }

    /// The ink stays off the border, its box is about 20 pixels long and its centre near that of the image.
    #[test]
    fn digits_have_the_size_and_place_of_mnist() {
        let images = some(3000);
        for i in 0..images.len() {
            let image = images.image(i);
            let (mut sum, mut moment) = (0.0, [0.0; 2]);
            let (mut low, mut high) = ([SIDE; 2], [0; 2]);
            for (at, &pixel) in image.iter().enumerate().filter(|&(_, &pixel)| pixel > 127) {
                sum += f64::from(pixel);
                for (axis, at) in [at % SIDE, at / SIDE].into_iter().enumerate() {
                    moment[axis] += f64::from(pixel) * (at as f64 + 0.5);
                    (low[axis], high[axis]) = (low[axis].min(at), high[axis].max(at + 1));
                }
            }
            let length = (high[0] - low[0]).max(high[1] - low[1]);
            assert!((17..=22).contains(&length), "image {i} is {length} pixels long");
            assert!(low.into_iter().all(|at| at >= 1) && high.into_iter().all(|at| at < SIDE), "image {i}");
            for moment in moment {
                assert!((moment / sum - 14.0).abs() < 5.0, "image {i} is centred at {}", moment / sum);
            }
        }
        // Of MNIST: 0.131 and 0.308.
        let mean = |f: fn(f64) -> f64| {
            bytes(&images).iter().map(|&pixel| f(f64::from(pixel) / 255.0)).sum::<f64>()
                / bytes(&images).len() as f64
        };
        let (first, second) = (mean(|p| p), mean(|p| p * p));
        let deviation = (second - first * first).sqrt();
        assert!((first - 0.131).abs() < 0.01 && (deviation - 0.308).abs() < 0.015, "{first} {deviation}");
    }

    /// The nearest of 4000 images has the same label nearly always, so the classes can be told apart.
    #[test]
    fn a_nearest_neighbour_classifier_reads_the_digits() {
        let (known, asked) = (some(4000), images(1, TEST_START..TEST_START + 300));
        let distance = |a: &[u8], b: &[u8]| -> u32 {
            a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2)).sum()
        };
        let right = (0..asked.len()).into_par_iter().filter(|&i| {
            let nearest = (0..known.len()).min_by_key(|&j| distance(&known.image(j), &asked.image(i)));
            nearest.is_some_and(|j| known.labels[j] == asked.labels[i])
        });
        let share = right.count() as f64 / asked.len() as f64;
        assert!(share > 0.93, "{share}");
    }

    /// The spline passes through its points: each is an end of a piece.
    #[test]
    fn a_spline_goes_through_its_points() {
        let nodes = [[0.0, 0.0], [1.0, 2.0], [3.0, 1.0], [4.0, 4.0]].map(|[x, y]| Node { x, y, radius: 1.0 });
        let mut pieces = Vec::new();
        spline(&nodes, &mut pieces);
        assert_eq!(pieces.len(), 3 * PIECES as usize);
        for (i, node) in nodes[1..].iter().enumerate() {
            let end = pieces[(i + 1) * PIECES as usize - 1][1];
            assert!((end.x - node.x).abs() < 1e-6 && (end.y - node.y).abs() < 1e-6, "point {i}");
            assert!((end.radius - 1.0).abs() < 1e-6, "point {i}");
        }
    }
}
