//! Images of digits, from 0 to 1: made small, where 28 x 28 pixels become 7 x 7 means of 4 x 4, as in Schrab et al., JMLR
//! 2023; or as they are, as in Schrab et al., NeurIPS 2022.

use super::{CLASSES, table};
use crate::data::Images;
use crate::data::layout::Layout;
use crate::data::table::Table;
use crate::error::{Kind, Result};
use crate::random::Sequence;
use rayon::prelude::*;

/// Rows and columns of an image.
const SIDE: usize = 28;

/// Rows and columns of pixels that become one.
const CELL: usize = 4;

/// Rows and columns of a small image.
const SMALL: usize = SIDE / CELL;

/// Images of digits by class, to draw from.
#[derive(Clone, Debug)]
pub struct Digits {
    /// Rows and columns of an image.
    side: usize,
    /// `(10, n_c, side^2)`: images of each class.
    classes: Vec<Vec<f64>>,
}

impl Digits {
    /// From all images of some sets, made small; those of Schrab et al. are MNIST's training and test images together.
    ///
    /// # Errors
    /// If the images are not grey ones of 28 x 28 pixels with labels below 10, or a digit is missing.
    pub fn new(sets: &[&Images]) -> Result<Self> {
        Self::of(sets, SMALL, pooled)
    }

    /// From all images of some sets, with all pixels.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn whole(sets: &[&Images]) -> Result<Self> {
        let scaled = |image: &[u8]| image.iter().map(|&v| f64::from(v) / f64::from(u8::MAX)).collect();
        Self::of(sets, SIDE, scaled)
    }

    fn of(sets: &[&Images], side: usize, values: impl Fn(&[u8]) -> Vec<f64> + Sync) -> Result<Self> {
        let wrong = |message: String| Err(Kind::Samples(message).into());
        let mut classes = vec![Vec::new(); CLASSES];
        for images in sets {
            if [images.height, images.width, images.channels] != [SIDE, SIDE, 1] {
                return wrong(format!(
                    "the images have {} x {} pixels in {} channels, but the problems with digits need grey ones of \
                     {SIDE} x {SIDE}, such as MNIST's",
                    images.height, images.width, images.channels
                ));
            }
            let all: Vec<Vec<f64>> =
                (0..images.len()).into_par_iter().map(|i| values(&images.image(i))).collect();
            for (i, (image, &label)) in all.into_iter().zip(&images.labels).enumerate() {
                match classes.get_mut(usize::from(label)) {
                    Some(class) => class.extend(image),
                    None => {
                        return wrong(format!(
                            "image {i} (counted from 0) has label {label}, but the problems with digits need labels \
                             below {CLASSES}"
                        ));
                    }
                }
            }
        }
        match classes.iter().position(Vec::is_empty) {
            Some(digit) => wrong(format!(
                "there is no image of a {digit}, but the problems with digits need all ten; give more images"
            )),
            None => Ok(Self { side, classes }),
        }
    }

    /// `n` images of some digits, drawn from all of them alike, with replacement; and the digit of each.
    pub(super) fn draw(&self, random: &mut Sequence, digits: &[usize], n: usize) -> (Table, Vec<usize>) {
        let pixels = self.side * self.side;
        let count = |&digit: &usize| self.classes[digit].len() / pixels;
        let total: usize = digits.iter().map(count).sum();
        let mut drawn = (Vec::with_capacity(n * pixels), Vec::with_capacity(n));
        while drawn.1.len() < n {
            let mut i = random.below(total as u32) as usize;
            for digit in digits {
                if i < count(digit) {
                    drawn.0.extend_from_slice(&self.classes[*digit][i * pixels..][..pixels]);
                    drawn.1.push(*digit);
                    break;
                }
                i -= count(digit);
            }
        }
        (Table { layout: Some(Layout::grey(self.side, self.side)), ..table(pixels, drawn.0) }, drawn.1)
    }
}

/// Means of cells of an image: `(49)`.
fn pooled(image: &[u8]) -> Vec<f64> {
    let mean = |cell: usize| {
        let (row, column) = (cell / SMALL * CELL, cell % SMALL * CELL);
        let pixel = |k: usize| u32::from(image[(row + k / CELL) * SIDE + column + k % CELL]);
        let sum: u32 = (0..CELL * CELL).map(pixel).sum();
        f64::from(sum) / (CELL * CELL) as f64 / f64::from(u8::MAX)
    };
    (0..SMALL * SMALL).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// `count` images of each digit; all pixels of an image of digit c are 20 c + 5, but one.
    fn images(count: usize) -> Images {
        let labels: Vec<u8> = (0..10 * count).map(|i| (i % 10) as u8).collect();
        let pixels = labels.iter().flat_map(|&c| {
            let mut image = vec![20 * c + 5; SIDE * SIDE];
            image[5 * SIDE + 27] += 16;
            image
        });
        Images::grey([SIDE; 2], pixels.collect(), labels.clone())
    }

    #[test]
    fn images_become_means_of_their_cells() {
        let digits = Digits::new(&[&images(1)]).unwrap();
        for (c, class) in digits.classes.iter().enumerate() {
            // Row 5, column 27 lies in row 1, column 6 of the small image.
            let plain = (20 * c + 5) as f64;
            let expected = |cell: usize| (plain + if cell == 13 { 1.0 } else { 0.0 }) / 255.0;
            for (cell, value) in class.iter().enumerate() {
                assert!((value - expected(cell)).abs() < 1e-15, "digit {c}, cell {cell}: {value}");
            }
            assert_eq!(class.len(), 49, "one image");
        }
    }

    #[test]
    fn whole_images_keep_their_pixels() {
        let digits = Digits::whole(&[&images(2)]).unwrap();
        let (table, labels) = digits.draw(&mut Sequence::new(0, Stream::Data, 0), &[6], 1);
        assert_eq!((table.columns, table.layout, labels), (784, Some(Layout::grey(28, 28)), vec![6]));
        assert_eq!(
            [table.row(0)[5 * SIDE + 26], table.row(0)[5 * SIDE + 27]],
            [125.0 / 255.0, 141.0 / 255.0]
        );
    }

    /// With one image of a 3 and three of a 7, to 5 standard deviations of a binomial.
    #[test]
    fn all_images_of_the_digits_asked_for_are_drawn_alike() {
        let mut few = images(1);
        // Among them, an image as bright as a 3 becomes a 7.
        few.labels[3] = 7;
        let set = [&images(1), &few];
        let digits = Digits::new(&set).unwrap();
        let n = 12_000;
        let (table, labels) = digits.draw(&mut Sequence::new(0, Stream::Data, 0), &[3, 7], n);
        assert_eq!(
            (table.rows, table.columns, table.layout),
            (n, 49, Some(Layout::grey(7, 7))),
            "the table's shape"
        );
        // Brightness 20 * 3 + 5 comes with label 3 once and with 7 once; 20 * 7 + 5 twice with 7.
        let mut counts = [0usize; 3];
        for (i, label) in labels.iter().enumerate() {
            let brightness = (table.row(i)[0] * 255.0).round() as usize;
            let which = match (label, brightness) {
                (3, 65) => 0,
                (7, 65) => 1,
                (7, 145) => 2,
                other => panic!("label and brightness {other:?}"),
            };
            counts[which] += 1;
        }
        for (count, share) in counts.into_iter().zip([0.25, 0.25, 0.5]) {
            let expected = share * n as f64;
            let deviation = (expected * (1.0 - share)).sqrt();
            assert!((count as f64 - expected).abs() < 5.0 * deviation, "{counts:?}");
        }
    }

    #[test]
    fn other_images_are_refused_with_a_reason() {
        let wide = Images::grey([28, 29], vec![0; 28 * 29], vec![0]);
        let letters = Images::grey([28, 28], vec![0; 2 * 784], vec![0, 10]);
        let few = Images::grey([28, 28], vec![0; 2 * 784], vec![0, 2]);
        for (images, words) in [
            (wide, "28 x 29 pixels in 1 channels"),
            (letters, "image 1 (counted from 0) has label 10"),
            (few, "no image of a 1"),
        ] {
            let message = Digits::new(&[&images]).expect_err(words).to_string();
            assert!(message.contains(words), "`{message}` does not say `{words}`");
        }
    }
}
