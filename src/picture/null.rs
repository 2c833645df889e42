//! The null distribution of a test.

use super::chart::Chart;
use super::panel::{Mark, Panel, Series};
use super::scale::{Range, number, short};
use super::theme::{Pen, SKY};
use crate::error::{Error, Result};
use std::path::Path;

/// No histogram has more bars than this, and none has them narrower than so many along the whole axis.
const MOST_BARS: f64 = 60.0;
const AXIS_BARS: f64 = 220.0;

/// The least part of the axis that the histogram takes, lest the line of the observed value cover it.
const LEAST_PART: f64 = 0.0125;

/// Below this part of the axis, its shape can only be seen close up.
const SMALL_PART: f64 = 0.25;

const OUTLINE: Pen = Pen { colour: SKY, thickness: 3.0 };

/// A test statistic among its values under the null hypothesis.
#[derive(Clone, Copy, Debug)]
pub struct NullHistogram<'a> {
    /// Written above the picture, such as "Do x.npy and y.npy differ?".
    pub title: &'a str,
    /// One line below the title, such as "MMD² = 0.00123, p = 0.001: differs at level 0.05"; may be empty.
    pub remark: &'a str,
    /// The name of the statistic, such as "MMD² (unbiased)".
    pub statistic: &'a str,
    /// The statistic under the null hypothesis, one value per permutation; those that are not finite are
    /// left out.
    pub draws: &'a [f64],
    /// The statistic of the data.
    pub observed: f64,
    /// The value that the test compares with, a quantile of the null distribution, if known.
    pub threshold: Option<f64>,
}

impl NullHistogram<'_> {
    /// Draws a histogram of the null distribution with the observed value and the threshold, and writes the
    /// picture to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        let panels = self.panels()?;
        let pens = vec![vec![OUTLINE]; panels.len()];
        Chart { title: self.title.into(), panels, ..Chart::default() }.save_with(pens, path)
    }

    /// All values; above them the null distribution close up where these show no more than that the observed value is far.
    fn panels(&self) -> Result<Vec<Panel>> {
        let draws = self.sorted()?;
        let ends = [draws[0], draws[draws.len() - 1]];
        let mark =
            |name: &str, x| Mark { x, name: format!("{name} {}", short(x)), dashed: name == "threshold" };
        let threshold: Vec<Mark> = self.threshold.iter().map(|&x| mark("threshold", x)).collect();
        let panel = |title: &str, x: &str, marks: Vec<Mark>| {
            let all = Range::of(marks.iter().map(|mark| mark.x).chain(ends));
            let all = all.map_or(Range::UNIT, |all| Range::new(all.low, all.high));
            let panel = Panel {
                title: title.into(),
                x: x.into(),
                y: format!(
                    "number of draws under the null hypothesis ({} in all)",
                    number(draws.len() as f64, 0)
                ),
                series: vec![histogram(&draws, all)],
                marks,
                ..Panel::default()
            };
            (all, panel)
        };
        let (near, close_up) =
            panel(self.remark, &format!("{}, close up", self.statistic), threshold.clone());
        let with_observed = [vec![mark("observed", self.observed)], threshold].concat();
        let (all, whole) = panel("", self.statistic, with_observed);
        if near.length() < SMALL_PART * all.length() {
            return Ok(vec![close_up, whole]);
        }
        Ok(vec![Panel { title: self.remark.into(), ..whole }])
    }

    /// The finite draws in rising order; there is at least one.
    fn sorted(&self) -> Result<Vec<f64>> {
        let mut draws: Vec<f64> = self.draws.iter().copied().filter(|draw| draw.is_finite()).collect();
        draws.sort_by(f64::total_cmp);
        if draws.is_empty() {
            return Err(Error::usage("there is no null distribution to draw: no permutation has a value"));
        }
        if !self.observed.is_finite() || self.threshold.is_some_and(|threshold| !threshold.is_finite()) {
            return Err(Error::usage("the observed value and the threshold must be finite numbers"));
        }
        Ok(draws)
    }
}

/// The sorted draws in as many bars as Freedman and Diaconis advise, but no more than there is room for along
/// an axis that shows `all`.
fn histogram(draws: &[f64], all: Range) -> Series {
    let range = Range { low: draws[0], high: draws[draws.len() - 1] };
    let quartile = |quarter: usize| draws[quarter * (draws.len() - 1) / 4];
    let width = 2.0 * (quartile(3) - quartile(1)) / (draws.len() as f64).cbrt();
    let advised = if width > 0.0 { range.length() / width } else { (draws.len() as f64).sqrt() };
    let most = (range.length() / all.length() * AXIS_BARS).min(MOST_BARS);
    let missing = (LEAST_PART * all.length() - range.length()).max(0.0);
    let ends = [range.low - missing / 2.0, range.high + missing / 2.0];
    Series::histogram(draws, ends, advised.ceil().min(most).max(1.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;
    use crate::picture::plot::Plot;

    fn null(draws: &[f64], observed: f64, threshold: Option<f64>) -> NullHistogram<'_> {
        let title = "Do x.npy and y.npy differ?";
        NullHistogram { title, remark: "a remark", statistic: "MMD²", draws, observed, threshold }
    }

    #[test]
    fn each_draw_is_counted_once() {
        let counts = |draws: &[f64], high: f64| -> Vec<f64> {
            histogram(draws, Range { low: 0.0, high }).points.iter().map(|point| point[1]).collect()
        };
        // Two bars are all that there is room for; the last point ends the second.
        assert_eq!(counts(&[0.0, 0.1, 0.2, 0.6, 1.0], 100.0), [3.0, 2.0, 0.0]);
        assert_eq!(counts(&[7.0; 9], 7.0), [9.0, 0.0]);
        let mut draws = demo::null();
        draws.sort_by(f64::total_cmp);
        let counts = counts(&draws, 20.0);
        assert_eq!(counts.iter().sum::<f64>(), draws.len() as f64);
        assert!((10.0..=MOST_BARS).contains(&(counts.len() as f64 - 1.0)));
    }

    #[test]
    fn labels_stay_inside() -> Result<()> {
        for (observed, threshold) in [(10.0, 2.0), (-1e300, 1e300), (2.0, 2.0)] {
            let panels = null(&[1.0, 2.0, 3.0], observed, Some(threshold)).panels()?;
            assert_eq!(
                panels.last().map(|panel| panel.marks[0].name.clone()),
                Some(format!("observed {}", short(observed)))
            );
            for panel in panels {
                let mut plot = Plot::new(&panel, vec![OUTLINE])?;
                plot.set_width(1000.0);
                assert!(panel.marks.iter().all(|mark| plot.x.low < mark.x && mark.x < plot.x.high));
                let names = plot.legend().lines.into_iter().flatten().map(|key| key.name);
                assert!(names.eq(panel.marks.iter().map(|mark| mark.name.clone())));
            }
        }
        Ok(())
    }

    #[test]
    fn a_far_value_has_the_null_drawn_close_up() -> Result<()> {
        let draws = [1.0, 2.0, 3.0];
        for (observed, threshold, panels) in [
            (4.0, None, 1),
            (-4.0, Some(2.0), 1),
            (20.0, None, 2),
            (-20.0, Some(2.0), 2),
            (90.0, Some(40.0), 1),
        ] {
            let found = null(&draws, observed, threshold).panels()?;
            assert_eq!(found.len(), panels, "{observed} and {threshold:?}");
            assert_eq!(found[0].title, "a remark");
            assert_eq!(found[0].marks.len(), 2 - panels + usize::from(threshold.is_some()));
        }
        Ok(())
    }

    #[test]
    fn a_far_value_leaves_the_null_visible() {
        let draws: Vec<f64> = demo::null().iter().map(|draw| draw * 1e-4).collect();
        let picture = demo::decoded(&demo::bytes(|path| null(&draws, 10.0, None).save(path)));
        let sky = picture.pixels().filter(|pixel| **pixel == SKY).count();
        assert!(sky > 1000, "{sky} pixels of bars");
    }

    #[test]
    fn odd_numbers_are_drawn_without_complaint() {
        let cases: [(&[f64], f64, Option<f64>); 5] = [
            (&[0.5], 0.5, None),
            (&[0.0; 100], 0.0, Some(0.0)),
            (&[-3e-8, -1e-8, 2e-8, f64::NAN], 1e-8, Some(1.5e-8)),
            (&[1.0, 2.0], 1e300, Some(-1e300)),
            (&[f64::MIN, f64::MAX], 0.0, None),
        ];
        for (draws, observed, threshold) in cases {
            assert!(!demo::bytes(|path| null(draws, observed, threshold).save(path)).is_empty());
        }
    }

    #[test]
    fn nothing_to_draw_is_refused() {
        let path = Path::new("refused.png");
        assert!(null(&[], 1.0, None).save(path).is_err());
        assert!(null(&[f64::NAN], 1.0, None).save(path).is_err());
        assert!(null(&[1.0], f64::NAN, None).save(path).is_err());
        assert!(null(&[1.0], 1.0, Some(f64::INFINITY)).save(path).is_err());
    }

    #[test]
    fn same_input_same_bytes() {
        let draws = demo::null();
        let draw = || demo::bytes(|path| null(&draws, 4.0, Some(2.0)).save(path));
        assert_eq!(draw(), draw());
    }
}
