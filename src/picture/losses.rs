//! Training curves.

use super::chart::Chart;
use super::panel::{Panel, Series, Style};
use super::theme::{BLUE, Pen, SKY};
use crate::error::{Error, Result};
use std::path::Path;

const STEP_NAME: &str = "training step";
const KL_NAME: &str = "KL divergence from the prior (nats per image)";

/// Noise lies behind what matters.
const TRAIN: Pen = Pen { colour: SKY, thickness: 2.0 };
const TEST: Pen = Pen { colour: BLUE, thickness: 4.0 };

/// The loss at one step of training; both terms in nats per image, lower is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossPoint {
    /// Steps of training done.
    pub step: f64,
    /// The reconstruction term.
    pub reconstruction: f64,
    /// The Kullback-Leibler divergence of the encoder's distribution from the prior.
    pub kl: f64,
}

/// Draws the reconstruction term and the KL term of the loss, one above the other, over training steps, and
/// writes the picture to `path` as PNG.
///
/// `reconstruction_name` names the upper vertical axis with its unit. Points must be in order of steps; those
/// that are not finite are left out, and one series may be empty. Values far beyond the usual, such as those
/// of the first steps, are cut off and named in a remark.
pub fn losses(
    title: &str,
    reconstruction_name: &str,
    train: &[LossPoint],
    test: &[LossPoint],
    path: &Path,
) -> Result<()> {
    if train.is_empty() && test.is_empty() {
        return Err(Error::usage("no losses to draw: the run has not finished a step yet"));
    }
    let panel = |name: &str, floor: Option<f64>, term: fn(&LossPoint) -> f64| {
        let series = |name: &str, style: Style, points: &[LossPoint]| Series {
            name: name.into(),
            points: points.iter().map(|point| [point.step, term(point)]).collect(),
            style,
        };
        Panel {
            x: STEP_NAME.into(),
            y: name.into(),
            series: vec![series("training", Style::Line, train), series("test", Style::Marked, test)],
            floor,
            cut: true,
            ..Panel::default()
        }
    };
    let panels = vec![
        panel(reconstruction_name, None, |point| point.reconstruction),
        panel(KL_NAME, Some(0.0), |point| point.kl),
    ];
    Chart { title: title.into(), panels, ..Chart::default() }.save_with(vec![vec![TRAIN, TEST]; 2], path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    #[test]
    fn few_points_will_do() {
        let point = LossPoint { step: 100.0, reconstruction: 120.0, kl: 0.0 };
        for (train, test) in [(1, 0), (0, 1), (2, 0), (3, 2)] {
            let (train, test) = (vec![point; train], vec![point; test]);
            assert!(!demo::bytes(|path| losses("few", "reconstruction", &train, &test, path)).is_empty());
        }
        assert!(losses("none", "reconstruction", &[], &[], Path::new("none.png")).is_err());
    }

    #[test]
    fn same_input_same_bytes() {
        let (train, test) = demo::training();
        let draw = || demo::bytes(|path| losses("curves", "reconstruction", &train, &test, path));
        assert_eq!(draw(), draw());
    }
}
