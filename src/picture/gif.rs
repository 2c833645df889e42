//! Moving pictures: frames of one size in one palette, written as GIF.

use crate::error::{Error, Result};
use crate::files::replace;
use gif::{Encoder, EncodingError, Repeat};
use image::RgbImage;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Most colours of a palette.
const COLOURS: usize = 256;

/// So many of the most frequent colours are in the palette whatever the others need: large areas show any
/// change.
const FREQUENT: usize = 64;

/// By how much the reach of a palette's colours grows until they will do.
const REACH_STEP: u32 = 4;

/// A picture, and how many hundredths of a second it is shown.
pub(super) type Timed = (RgbImage, u16);

/// Writes frames of one size to `path`. Of each but the first only what changes is stored.
pub(super) fn save(frames: &[Timed], path: &Path) -> Result<()> {
    let file = encode(frames).map_err(io::Error::other).map_err(Error::io(path, "encode"))?;
    replace(path, file)
}

fn encode(frames: &[Timed]) -> std::result::Result<Vec<u8>, EncodingError> {
    let [width, height] = frames.first().map_or([0; 2], |(picture, _)| {
        [picture.width(), picture.height()].map(|side| u16::try_from(side).unwrap_or(u16::MAX))
    });
    let palette = Palette::new(frames);
    let mut encoder = Encoder::new(Vec::new(), width, height, palette.colours.as_flattened())?;
    encoder.set_repeat(Repeat::Infinite)?;
    let mut last: Vec<u8> = Vec::new();
    for (picture, delay) in frames {
        let indices: Vec<u8> = picture.pixels().map(|pixel| palette.indices[&pixel.0]).collect();
        let [left, top, right, bottom] = changed(&last, &indices, width.into());
        let rows = indices.chunks(width.into()).skip(top).take(bottom - top);
        let buffer: Vec<u8> = rows.flat_map(|row| &row[left..right]).copied().collect();
        // The sides of a part are not longer than those of the whole.
        let [left, top, right, bottom] = [left, top, right, bottom].map(|place| place as u16);
        encoder.write_frame(&gif::Frame {
            delay: *delay,
            left,
            top,
            width: right - left,
            height: bottom - top,
            buffer: buffer.into(),
            ..gif::Frame::default()
        })?;
        last = indices;
    }
    encoder.into_inner()
}

/// Left, top, right and bottom of what differs; one pixel if nothing does, and all without a frame before.
fn changed(last: &[u8], next: &[u8], width: usize) -> [usize; 4] {
    if last.len() != next.len() {
        return [0, 0, width, next.len() / width];
    }
    let places = || (0..next.len()).filter(|&place| last[place] != next[place]);
    let columns = || places().map(|place| place % width);
    let (Some(first), Some(end)) = (places().next(), places().next_back()) else { return [0, 0, 1, 1] };
    let (left, right) = (columns().min().unwrap_or(0), columns().max().unwrap_or(0));
    [left, first / width, right + 1, end / width + 1]
}

/// The colours of all frames, or enough of them.
struct Palette {
    colours: Vec<[u8; 3]>,
    /// For each colour of the frames the index of the closest in the palette.
    indices: BTreeMap<[u8; 3], u8>,
}

impl Palette {
    fn new(frames: &[Timed]) -> Self {
        let mut counts: BTreeMap<[u8; 3], usize> = BTreeMap::new();
        for (picture, _) in frames {
            // Neighbours mostly are alike.
            let pixels: Vec<[u8; 3]> = picture.pixels().map(|pixel| pixel.0).collect();
            for run in pixels.chunk_by(|a, b| a == b) {
                *counts.entry(run[0]).or_default() += run.len();
            }
        }
        let mut wanted: Vec<([u8; 3], usize)> = counts.into_iter().collect();
        wanted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let wanted: Vec<[u8; 3]> = wanted.into_iter().map(|(colour, _)| colour).collect();
        // The longest reach needs no more than the frequent ones.
        let reaches = (0..).map(|step| step * REACH_STEP);
        let colours = reaches.filter_map(|reach| cover(&wanted, reach * reach)).next().unwrap_or_default();
        let nearest = |colour: &[u8; 3]| {
            let found = colours.iter().enumerate().min_by_key(|(_, other)| distance(colour, other));
            found.map_or(0, |(index, _)| index as u8)
        };
        let indices = wanted.iter().map(|colour| (*colour, nearest(colour))).collect();
        Self { colours, indices }
    }
}

/// The first of the colours, and of the others those that leave none farther than `reach` from one of them,
/// unless they are too many.
fn cover(wanted: &[[u8; 3]], reach: u32) -> Option<Vec<[u8; 3]>> {
    let (frequent, others) = wanted.split_at(FREQUENT.min(wanted.len()));
    let mut colours: Vec<[u8; 3]> = frequent.to_vec();
    for colour in others {
        if colours.iter().all(|other| distance(colour, other) > reach) {
            if colours.len() == COLOURS {
                return None;
            }
            colours.push(*colour);
        }
    }
    Some(colours)
}

/// The squared distance of two colours.
fn distance(a: &[u8; 3], b: &[u8; 3]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;
    use image::Rgb;

    #[test]
    fn only_what_changed_is_stored() {
        let last = [0; 12];
        assert_eq!(changed(&[], &last, 4), [0, 0, 4, 3]);
        assert_eq!(changed(&last, &last, 4), [0, 0, 1, 1]);
        let mut next = last;
        (next[6], next[9]) = (1, 2);
        assert_eq!(changed(&last, &next, 4), [1, 1, 3, 3]);
    }

    #[test]
    fn few_colours_stay_as_they_are() {
        let frame = |x: u32| {
            let mut frame = RgbImage::from_fn(16, 15, |x, y| Rgb([x as u8, 17 * y as u8, 99]));
            frame.put_pixel(x, 3, Rgb([0, 114, 178]));
            frame
        };
        let pictures = [frame(2), frame(5), frame(5)];
        let frames: Vec<Timed> = pictures.iter().cloned().zip([10, 20, 30]).collect();
        let (found, delays) = demo::moving(&demo::bytes(|path| save(&frames, path)));
        assert_eq!(delays, [10, 20, 30]);
        assert_eq!(found, pictures);
    }

    #[test]
    fn of_many_colours_none_is_far_off() {
        let picture = RgbImage::from_fn(64, 64, |x, y| Rgb([4 * x as u8, 4 * y as u8, (x * y / 16) as u8]));
        let palette = Palette::new(&[(picture.clone(), 0)]);
        assert!(palette.colours.len() <= COLOURS);
        for pixel in picture.pixels() {
            let index = palette.indices[&pixel.0];
            assert!(distance(&pixel.0, &palette.colours[usize::from(index)]) <= 24 * 24);
        }
    }

    #[test]
    fn a_missing_directory_is_named() {
        let path = Path::new("/no/such/directory/picture.gif");
        let message = save(&[(RgbImage::new(1, 1), 0)], path).map_err(|error| error.to_string());
        assert!(message.is_err_and(|text| text.contains("/no/such/directory/picture.gif: cannot write")));
    }
}
