//! WIP
pub mod checkpoint;
pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
pub mod figure;
pub mod kernel;
pub mod model;
pub mod numeric;
pub mod picture;
pub mod program;
pub mod random;
pub mod train;
