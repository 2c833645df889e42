//! Learn distributions (variational auto-encoders) and compare them (MMD) on any GPU, or on none.
//!
//! Dependencies point downward only:
//!
//! ```text
//! cli                    arguments -> configurations -> a call -> a printed result
//! figure                 what to decode and lay out for each picture
//! statistic              two samples: bandwidth, null distribution, estimates, test, witness; information
//! ceiling  suite         what a device can do at most; whether it does it right
//! train                  the loop, its settings and metrics, the run directory
//! model                  layers and objective -> a Plan of programs
//! kernel                 one module per kernel: formula, f64 reference, fast CPU version, WGSL
//! engine                 runs a Plan: gpu (the only place that names wgpu), cpu, and the f64 reference
//! program                buffers, kernel calls in order, the Kernel trait: plain data
//! problem                standard test problems: samples whose difference is known
//! data  picture          images in; arrays to PNG files
//! density                models with a score: densities, draws, fits
//! checkpoint             safetensors files in PyTorch's layout
//! random  numeric  memory  sample  error
//! ```
//!
//! Start with [`program`]: everything else makes, runs or shows what is defined there.

pub mod ceiling;
pub mod checkpoint;
pub mod cli;
pub mod data;
pub mod density;
pub mod engine;
pub mod error;
pub mod figure;
pub mod files;
pub mod kernel;
pub mod memory;
pub mod model;
pub mod numeric;
pub mod picture;
pub mod problem;
pub mod program;
pub mod random;
pub mod sample;
pub mod statistic;
pub mod suite;
pub mod train;

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
