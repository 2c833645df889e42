//! What a run was trained on, in a few words and numbers: whether data are still the same shows without keeping them.

use crate::data::{Dataset, Images, Pixels};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A data set's name, shapes, and a hash of its labels and pixels.
///
/// Two are of the same data if all but the name agree: a file may have been moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// 16 hexadecimal digits.
    pub hash: String,
    /// As titles have it.
    pub name: String,
    /// N, height, width and channels of the test images.
    pub test: [usize; 4],
    /// The same of the training images.
    pub train: [usize; 4],
}

impl Fingerprint {
    /// Of the images as they are trained on.
    pub fn of(dataset: &Dataset) -> Self {
        let mut hash = Hash::default();
        for images in [&dataset.train, &dataset.test] {
            shape(images).iter().for_each(|&size| hash.word(size as u64));
            hash.bytes(&images.labels);
            match &images.pixels {
                Pixels::Bytes(bytes) => hash.bytes(bytes),
                Pixels::Numbers(values) => values.iter().for_each(|value| hash.word(value.to_bits().into())),
                Pixels::Sprites(numbers) => numbers.iter().for_each(|&number| hash.word(number.into())),
            }
        }
        let (train, test) = (shape(&dataset.train), shape(&dataset.test));
        Self { hash: format!("{:016x}", hash.0), name: dataset.name.clone(), test, train }
    }

    /// Whether it is of the same images, whatever their name.
    pub fn same_images(&self, other: &Self) -> bool {
        (&self.hash, self.test, self.train) == (&other.hash, other.test, other.train)
    }
}

/// Name, numbers of images and their shape.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([train, height, width, channels], [test, ..]) = (self.train, self.test);
        let (name, hash) = (&self.name, &self.hash);
        write!(f, "{name} ({train} and {test} images of {height} x {width} x {channels}, hash {hash})")
    }
}

fn shape(images: &Images) -> [usize; 4] {
    [images.len(), images.height, images.width, images.channels]
}

/// A 64-bit hash of words: each is multiplied in, and the upper half folded into the lower, so that no bit is lost to
/// the words after it. It finds accidents, not forgeries.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }
}

impl Hash {
    fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|&word| self.word(u64::from_le_bytes(word)));
        rest.iter().for_each(|&byte| self.word(byte.into()));
        self.word(bytes.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_label_and_shape_counts() {
        let images = |pixels: Vec<u8>, labels: Vec<u8>, shape| Images::grey(shape, pixels, labels);
        let plain = || images((0..18).collect(), vec![0, 1], [3, 3]);
        let of = |train: Images| {
            let test = plain();
            Fingerprint::of(&Dataset {
                name: "bars".into(),
                train,
                test,
                classes: Vec::new(),
                columns: None,
                notes: Vec::new(),
            })
        };
        let first = of(plain());
        assert!(first.same_images(&of(plain())));
        let moved = Fingerprint { name: "elsewhere".into(), ..first.clone() };
        assert!(first.same_images(&moved), "the name does not count");
        for pixel in 0..18 {
            let mut pixels: Vec<u8> = (0..18).collect();
            pixels[pixel] ^= 0x80;
            assert!(!first.same_images(&of(images(pixels, vec![0, 1], [3, 3]))), "pixel {pixel}");
        }
        assert!(!first.same_images(&of(images((0..18).collect(), vec![1, 1], [3, 3]))), "a label");
        assert!(!first.same_images(&of(images((0..18).collect(), vec![0, 1], [1, 9]))), "the shape");
        let json = serde_json::to_string(&first).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), first);
    }
}
