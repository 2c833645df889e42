//! Settings that are a number or a few words: in a file, a number stays a number and the words are text.

use crate::error::Error;
use serde::de::{Deserializer, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// Reads a number or text.
///
/// # Errors
/// Says that `expected` was expected, or what [`FromStr`] says of the text.
pub(super) fn or_text<'de, T, D>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    T: From<f64> + FromStr<Err = Error>,
    D: Deserializer<'de>,
{
    struct NumberOrText<T>(&'static str, PhantomData<T>);
    impl<T: From<f64> + FromStr<Err = Error>> Visitor<'_> for NumberOrText<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_f64<E>(self, value: f64) -> Result<T, E> {
            Ok(value.into())
        }

        fn visit_i64<E>(self, value: i64) -> Result<T, E> {
            Ok((value as f64).into())
        }

        fn visit_u64<E>(self, value: u64) -> Result<T, E> {
            Ok((value as f64).into())
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_any(NumberOrText(expected, PhantomData))
}
