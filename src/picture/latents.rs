//! The KL divergence of each latent dimension, by step and at the end.

use super::axes::{ABOVE, BELOW, Frame};
use super::bars::{Column, LabelledBar, Threshold, kind_colour};
use super::page::Page;
use super::panel::{Panel, Series, Style};
use super::plot::{Plot, THICKNESS};
use super::scale::latent_name;
use super::theme::{GAP, MARGIN, Pen, WIDTH, series_colour};
use crate::error::{Error, Result};
use std::path::Path;

/// More curves than this have no names at their ends.
const MOST_NAMED: usize = 8;

/// Height of the curves and of the bars, unless there are many.
const HEIGHT: f64 = 560.0;

/// Width of the bars, and what lies between them and the curves.
const BARS_WIDTH: f64 = 420.0;
const GUTTER: f64 = 3.0 * GAP;

/// More dimensions than this have no bar.
const MOST_BARS: usize = 40;

/// Dimensions that say nothing about the image lie behind the others.
const INACTIVE_THICKNESS: f64 = 2.0;

/// The KL divergence of each latent dimension from the prior, in nats per image.
#[derive(Clone, Debug, Default)]
pub struct Latents {
    /// Written above the picture.
    pub title: String,
    /// Steps of training done, rising.
    pub steps: Vec<f64>,
    /// For each dimension its KL divergence at each of the steps.
    pub kl: Vec<Vec<f64>>,
    /// A dimension is active if its KL divergence is larger than this at the end; others are grey.
    pub threshold: f64,
    /// Written below the picture; may be empty.
    pub caption: String,
}

impl Latents {
    /// Draws the curves, and beside them the last values from high to low, and writes the picture to `path`
    /// as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        let order = self.order()?;
        let threshold = Threshold { value: self.threshold, name: "active".into() };
        let bar = |&(dimension, value): &(usize, f64)| LabelledBar { label: latent_name(dimension), value };
        let bars: Vec<LabelledBar> = order.iter().map(bar).collect();
        let active = bars.iter().filter(|bar| bar.value > self.threshold).count();
        let colour =
            |rank: usize| kind_colour(bars[rank].value, Some(&threshold), series_colour(rank, active.max(1)));
        let colours = (0..bars.len()).map(colour).collect();
        let column = Column::new("KL at the end (nats)", &bars, colours, Some(&threshold), MOST_BARS)?;

        let panel = self.panel(&order);
        let pen = |rank: usize| {
            let thickness = if rank < active { THICKNESS } else { INACTIVE_THICKNESS };
            Pen { colour: colour(rank), thickness }
        };
        let mut plot = Plot::new(&panel, (0..order.len()).rev().map(pen).collect())?;
        plot.at_ends = panel.series.iter().any(|series| !series.name.is_empty());

        let room = WIDTH - 2.0 * MARGIN;
        let wide = room - BARS_WIDTH - GUTTER;
        let (left, right) = (plot.room_left(), plot.room_right(wide));
        plot.set_width(wide - left - right);
        let height = HEIGHT.max(column.least_height());
        let caption = [&column.remark(), self.caption.as_str()].join(" ");
        let page = Page::new(&self.title, (room, ABOVE + height + BELOW), &caption)?;
        let frame =
            Frame { left: page.left() + left, top: page.top() + ABOVE, width: wide - left - right, height };
        let place = Frame { left: page.left() + wide + GUTTER, width: BARS_WIDTH, ..frame };
        page.save(path, |canvas| {
            plot.draw(canvas, frame);
            column.draw(canvas, place);
        })
    }

    /// The dimensions and their last values, from high to low.
    fn order(&self) -> Result<Vec<(usize, f64)>> {
        if let Some(curve) = self.kl.iter().find(|curve| curve.len() != self.steps.len()) {
            return Err(Error::usage(format!(
                "a dimension has {} KL divergences at {} steps",
                curve.len(),
                self.steps.len()
            )));
        }
        let last = self.kl.iter().map(|curve| curve.last().copied()).enumerate();
        let mut order: Vec<(usize, f64)> =
            last.filter_map(|(dimension, value)| Some((dimension, value?))).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(order)
    }

    /// The curves, the highest last, so that it lies on top; inactive ones have no name. Of many, the bars beside them, in the
    /// same colours and order, have the names.
    fn panel(&self, order: &[(usize, f64)]) -> Panel {
        let named = |last: f64| last > self.threshold && order.len() <= MOST_NAMED;
        let series = order.iter().rev().map(|&(dimension, last)| Series {
            name: if named(last) { latent_name(dimension) } else { String::new() },
            points: self.steps.iter().zip(&self.kl[dimension]).map(|(&step, &kl)| [step, kl]).collect(),
            style: Style::Line,
        });
        Panel {
            x: "training step".into(),
            y: "KL divergence of each latent (nats)".into(),
            series: series.collect(),
            floor: Some(0.0),
            ..Panel::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;
    use crate::picture::theme::{BLUE, ORANGE, REFERENCE};

    fn latents() -> Latents {
        let rising = |end: f64| (0..=10).map(|step| end * f64::from(step) / 10.0).collect();
        Latents {
            title: "latents".into(),
            steps: (0..=10).map(f64::from).collect(),
            kl: [0.004, 1.0, 2.0].map(rising).into(),
            threshold: 0.01,
            ..Latents::default()
        }
    }

    #[test]
    fn dimensions_are_ordered_by_their_last_value() -> Result<()> {
        let latents = latents();
        let order = latents.order()?;
        assert_eq!(order, [(2, 2.0), (1, 1.0), (0, 0.004)]);
        let names: Vec<String> = latents.panel(&order).series.into_iter().map(|series| series.name).collect();
        assert_eq!(names, ["", "z₂", "z₃"]);
        Ok(())
    }

    #[test]
    fn a_dimension_has_one_colour_on_both_sides() {
        let picture = demo::decoded(&demo::bytes(|path| latents().save(path)));
        let bars_start = picture.width() - (BARS_WIDTH + MARGIN) as u32;
        for (colour, has_bar) in [(BLUE, true), (ORANGE, true), (REFERENCE, false)] {
            let coloured = picture.enumerate_pixels().filter(|pixel| *pixel.2 == colour);
            let (curve, bar): (Vec<_>, Vec<_>) = coloured.partition(|pixel| pixel.0 < bars_start);
            // Letters have edges of any grey.
            assert!(curve.len() > 100 && (bar.len() > 100) == has_bar, "{colour:?}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let path = Path::new("refused.png");
        assert!(Latents::default().save(path).is_err());
        assert!(Latents { steps: vec![0.0], ..latents() }.save(path).is_err());
        assert!(Latents { threshold: f64::NAN, ..latents() }.save(path).is_err());
        assert!(Latents { kl: vec![vec![f64::NAN; 11]], ..latents() }.save(path).is_err());
    }

    #[test]
    fn same_input_same_bytes() {
        let draw = || demo::bytes(|path| latents().save(path));
        assert_eq!(draw(), draw());
    }
}
