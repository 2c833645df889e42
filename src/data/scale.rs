//! One scale for all numbers that are brightness: 0 black, 1 white.
//!
//! ```text
//! whole numbers of 8 bits without sign     x / 255
//! of 16 bits                               x / 65535
//! both, where no sample of the call
//! has a value above 1                      x: black and white
//! images of another type, whole numbers
//! within 0..255, the largest above 127     x / 255
//! all others                               x
//! ```
//!
//! An array and its reshaped copy are the same sample, but where a wider type holds bytes: without the shape of images such
//! numbers may be counts.

use super::table::Table;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The values of black and white.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Black.
    pub low: f64,
    /// White, above it.
    pub high: f64,
}

/// `0,255`.
impl FromStr for Range {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let numbers = text.split_once(',').and_then(|(low, high)| {
            let range = Self { low: low.trim().parse().ok()?, high: high.trim().parse().ok()? };
            (range.low < range.high && (range.high - range.low).is_finite()).then_some(range)
        });
        numbers.ok_or_else(|| {
            Error::usage(format!(
                "`{text}` is no scale; give the values of black and white, the smaller one first, such as 0,255"
            ))
        })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.low, self.high)
    }
}

impl Serialize for Range {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether a number is one that a byte holds.
pub(super) fn is_byte(number: f64) -> bool {
    (0.0..=255.0).contains(&number) && number.fract() == 0.0
}

/// The white of images of a type that is no brightness, whole numbers from 0 to `largest`, none where they tell too little:
/// images of 17 shades have numbers as small as dark ones of 256.
pub(super) fn white_of_bytes(largest: f64) -> Option<f64> {
    (largest > 127.0).then_some(255.0)
}

/// Scales all samples of a call by the rule above, and tells what was done.
pub fn scale(tables: &mut [Table]) -> Vec<String> {
    let mut notes = Vec::new();
    let largest = tables.iter().flat_map(|table| &table.values).fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    for table in tables.iter_mut() {
        let Some(white) = table.white.take() else { continue };
        let what = if white > 255.0 { "words of 16 bits" } else { "bytes" };
        if largest <= 1.0 {
            notes.push(format!("{}: {what} of 0 and 1 alone are taken as they are", table.name));
        } else {
            table.values.iter_mut().for_each(|value| *value /= white);
            notes.push(format!("{}: {what} are divided by {white}", table.name));
        }
    }
    notes
}

/// Tells that one of two samples without names of columns lies within 0..1, and another far outside of it: means of a
/// decoder may be a little below 0, images of another scale are not near.
pub fn different_scales(tables: &[Table]) -> Option<String> {
    let [within, near] = [0.0, 0.5].map(|margin| {
        move |table: &&Table| table.values.iter().all(|value| (-margin..=1.0 + margin).contains(value))
    });
    let unnamed = || tables.iter().filter(|table| table.header.is_none());
    let inside = unnamed().find(within)?;
    let outside = unnamed().find(|table| !near(table))?;
    Some(format!(
        "all values of {} lie within 0..1, but not those of {}; are both on one scale?",
        inside.name, outside.name
    ))
}
