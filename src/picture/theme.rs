//! Colours, type sizes and distances that all pictures share. Lengths are pixels of the finished picture.

use image::Rgb;

pub(super) type Colour = Rgb<u8>;

/// The usual width of a picture: legible on a page of text and on a screen.
pub(super) const WIDTH: f64 = 1200.0;

/// No side of a picture is longer: beyond this, viewers and memory suffer.
pub(super) const LONGEST_SIDE: f64 = 4096.0;

/// Empty border around everything.
pub(super) const MARGIN: f64 = 32.0;

/// Between neighbouring things: a legend's entries, an axis and its name.
pub(super) const GAP: f64 = 14.0;

/// Height of the title's letters, ascender to descender.
pub(super) const TITLE_SIZE: f64 = 34.0;

/// Height of all other letters, ascender to descender.
pub(super) const TEXT_SIZE: f64 = 26.0;

/// Distance of two baselines, in heights of the letters.
pub(super) const LEADING: f64 = 1.2;

/// Height of a line of text.
pub(super) const LINE: f64 = TEXT_SIZE * LEADING;

/// Colour and thickness of a line.
#[derive(Clone, Copy)]
pub(super) struct Pen {
    pub(super) colour: Colour,
    pub(super) thickness: f64,
}

impl Pen {
    /// Axes, and the grid lines between them.
    pub(super) const AXIS: Self = Self { colour: INK, thickness: 1.0 };
    pub(super) const GRID: Self = Self { colour: Rgb([222, 222, 222]), thickness: 1.0 };
}

/// Length of the marks on an axis.
pub(super) const TICK: f64 = 8.0;

/// Dots on a line, and in a legend.
pub(super) const MARKER_RADIUS: f64 = 6.0;

/// Radius of the dot beside the name of a class or of an image.
pub(super) const SWATCH: f64 = 9.0;

/// The part of its colour that an area between curves has.
pub(super) const TINT: f64 = 0.25;

/// No image is enlarged beyond this length of a side.
pub(super) const LONGEST_IMAGE: f64 = 280.0;

/// Least width of what is below a title, so that the title of a few small images has room.
pub(super) const LEAST_WIDTH: f64 = 560.0;

/// Paper.
pub(super) const WHITE: Colour = Rgb([255, 255, 255]);

/// Text and axes: softer than black, still far above any contrast rule.
pub(super) const INK: Colour = Rgb([34, 34, 34]);

/// Remarks and things that must not compete with the data.
pub(super) const QUIET: Colour = Rgb([96, 96, 96]);

/// Reference curves drawn under the data.
pub(super) const REFERENCE: Colour = Rgb([150, 150, 150]);

/// The darker and the lighter of two related things.
pub(super) const BLUE: Colour = Rgb([0, 114, 178]);
pub(super) const SKY: Colour = Rgb([86, 180, 233]);

/// The opposite of blue.
pub(super) const ORANGE: Colour = Rgb([230, 159, 0]);

/// Marks to be seen first.
pub(super) const VERMILION: Colour = Rgb([213, 94, 0]);

/// Small marks on top of blue and orange areas.
pub(super) const NAVY: Colour = Rgb([0, 44, 92]);
pub(super) const BROWN: Colour = Rgb([112, 48, 0]);

/// Okabe and Ito's colours, told apart under every common colour-vision deficiency; yellow comes last, since
/// it is faint on white.
pub(super) const FEW_COLOURS: [Colour; 8] = [
    BLUE,
    ORANGE,
    Rgb([0, 158, 115]),
    Rgb([204, 121, 167]),
    SKY,
    VERMILION,
    Rgb([0, 0, 0]),
    Rgb([240, 228, 66]),
];

/// Beyond so many classes colours repeat.
pub(super) const MOST_COLOURS: usize = 10;

/// Paul Tol's muted colours and black, for more classes than Okabe and Ito have colours.
pub(super) const MANY_COLOURS: [Colour; MOST_COLOURS] = [
    Rgb([51, 34, 136]),
    Rgb([221, 204, 119]),
    Rgb([17, 119, 51]),
    Rgb([136, 204, 238]),
    Rgb([204, 102, 119]),
    Rgb([153, 153, 51]),
    Rgb([170, 68, 153]),
    Rgb([68, 170, 153]),
    Rgb([136, 34, 85]),
    Rgb([0, 0, 0]),
];

/// Five of viridis' colours from dark to light, without the faint end: for series in an order.
const RAMP: [Colour; 5] =
    [Rgb([68, 1, 84]), Rgb([62, 74, 137]), Rgb([38, 130, 142]), Rgb([53, 183, 121]), Rgb([160, 218, 57])];

/// The colour of class `class` among `classes`; beyond [`MOST_COLOURS`] colours repeat.
pub(super) fn class_colour(class: usize, classes: usize) -> Colour {
    if classes <= FEW_COLOURS.len() {
        FEW_COLOURS[class % FEW_COLOURS.len()]
    } else {
        MANY_COLOURS[class % MANY_COLOURS.len()]
    }
}

/// The colour of series `index` among `count`: beyond ten, neighbours have similar colours.
pub(super) fn series_colour(index: usize, count: usize) -> Colour {
    if count <= MANY_COLOURS.len() {
        return class_colour(index, count);
    }
    let place = index as f64 / (count - 1) as f64 * (RAMP.len() - 1) as f64;
    let before = (place as usize).min(RAMP.len() - 2);
    blend(RAMP[before], RAMP[before + 1], place - before as f64)
}

/// The colour `part` of the way between two others.
pub(super) fn blend(from: Colour, to: Colour, part: f64) -> Colour {
    let mix = |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
    Rgb(std::array::from_fn(|channel| mix(from.0[channel], to.0[channel])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_blend() {
        let black = Rgb([0, 0, 0]);
        assert_eq!(blend(black, WHITE, 0.0), black);
        assert_eq!(blend(black, WHITE, 0.2), Rgb([51, 51, 51]));
        assert_eq!(blend(black, WHITE, 1.0), WHITE);
    }

    #[test]
    fn no_two_of_twenty_series_look_alike() {
        for count in [1, 8, 10, 11, 20] {
            let colours: Vec<Colour> = (0..count).map(|index| series_colour(index, count)).collect();
            assert!((1..count).all(|index| !colours[..index].contains(&colours[index])));
        }
    }
}
