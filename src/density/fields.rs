//! The fields of a model's JSON object, with messages that name the field and the place in it.

use super::Covariance;
use crate::error::{Error, Result};
use serde_json::{Map, Value};

/// The object of a model of a known family.
pub(super) struct Fields {
    family: &'static str,
    object: Map<String, Value>,
}

impl Fields {
    /// Takes an object that has exactly the `known` fields, and `family`.
    pub(super) fn new(
        family: &'static str,
        known: &[&'static str],
        object: Map<String, Value>,
    ) -> Result<Self> {
        let names = || known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if let Some(name) = object.keys().find(|name| *name != "family" && !known.contains(&name.as_str())) {
            let problem = format!("`{name}` is no field of a {family}; its fields are {}", names());
            return Err(Error::usage(problem));
        }
        if let Some(name) = known.iter().find(|name| !object.contains_key(**name)) {
            let problem = format!("`{name}` is missing; the fields of a {family} are {}", names());
            return Err(Error::usage(problem));
        }
        Ok(Self { family, object })
    }

    /// A field's value.
    pub(super) fn get<T>(&self, name: &str, read: impl Fn(&Value, &str) -> Result<T>) -> Result<T> {
        let missing = || Error::usage(format!("`{name}` is missing in a {}", self.family));
        read(self.object.get(name).ok_or_else(missing)?, name)
    }
}

/// Says what is there instead of what was expected.
fn wrong(value: &Value, name: &str, expected: &str) -> Error {
    let found = match value {
        Value::Null => "null".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    };
    Error::usage(format!("`{name}` is {found}; give {expected}"))
}

/// One number.
pub(super) fn number(value: &Value, name: &str) -> Result<f64> {
    value.as_f64().ok_or_else(|| wrong(value, name, "a number"))
}

/// A list.
pub(super) fn list<T>(value: &Value, name: &str, read: impl Fn(&Value, &str) -> Result<T>) -> Result<Vec<T>> {
    let items = value.as_array().ok_or_else(|| wrong(value, name, "a list"))?;
    items.iter().enumerate().map(|(i, item)| read(item, &format!("{name}[{i}]"))).collect()
}

/// A list of numbers.
pub(super) fn numbers(value: &Value, name: &str) -> Result<Vec<f64>> {
    if !value.is_array() {
        return Err(wrong(value, name, "a list of numbers"));
    }
    list(value, name, number)
}

/// A matrix as a list of rows, or the list of its diagonal.
pub(super) fn covariance(value: &Value, name: &str) -> Result<Covariance> {
    match value.as_array() {
        Some(rows) if rows.first().is_some_and(Value::is_array) => {
            Ok(Covariance::Full(list(value, name, numbers)?))
        }
        Some(_) => Ok(Covariance::Diagonal(numbers(value, name)?)),
        None => Err(wrong(value, name, "a list of rows, or the list of the diagonal")),
    }
}
