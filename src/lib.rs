//! WIP
pub mod data;
pub mod engine;
pub mod error;
pub mod kernel;
pub mod model;
pub mod numeric;
pub mod picture;
pub mod program;
pub mod random;
