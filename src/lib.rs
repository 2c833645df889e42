//! Learn distributions (variational auto-encoders) and compare them (MMD) on any GPU, or on none.
//!
//! Start with [`program`]: everything else makes, runs or shows what is defined there. `ARCHITECTURE.md` has the layers,
//! which point downward only.

pub mod checkpoint;
pub mod data;
pub mod density;
pub mod disentanglement;
pub mod engine;
pub mod error;
pub mod export;
pub mod figure;
pub mod files;
pub mod grid;
pub mod kernel;
pub mod measure;
pub mod memory;
pub mod model;
pub mod numeric;
pub mod page;
pub mod picture;
pub mod problem;
pub mod program;
pub mod random;
pub mod sample;
pub mod statistic;
pub mod train;

/// The examples of the README and of the guide, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/library.md")]
struct Readme;
