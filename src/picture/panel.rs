//! The contents of a panel of curves: data, not yet laid out.

use super::theme::TINT;

/// How the points of a series are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Style {
    /// A line through the points.
    #[default]
    Line,
    /// A line with a dot at each point that finds room.
    Marked,
    /// A dashed line.
    Dashed,
    /// Dots alone.
    Points,
    /// A line and the area between it and zero.
    Area,
    /// A line and the area between it and the stacked series before it, on top of which its values are laid.
    Stacked,
    /// A histogram: each point is the left end and the height of a bar that reaches to the next point. The
    /// last point ends the last bar; its height does not count.
    Steps,
    /// A dashed line amid a band that reaches this far above and below.
    Ribbon(f64),
}

impl Style {
    /// The part of its colour that its area has.
    pub(super) fn tint(self) -> f64 {
        match self {
            Self::Line | Self::Marked | Self::Dashed | Self::Points => 0.0,
            Self::Area | Self::Ribbon(_) => TINT,
            Self::Steps | Self::Stacked => 2.0 * TINT,
        }
    }
}

/// A series of points of a [`Panel`].
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Named in the legend unless empty. A name has the same colour in all panels.
    pub name: String,
    /// (x, y) in the order in which a line joins them; those that are not finite are left out.
    pub points: Vec<[f64; 2]>,
    /// How they are drawn.
    pub style: Style,
}

impl Series {
    /// A histogram of the values from `low` to `high`, in so many bars of equal width.
    pub fn histogram(values: &[f64], [low, high]: [f64; 2], bars: usize) -> Self {
        let mut counts = vec![0.0; bars + 1];
        for &value in values.iter().filter(|value| (low..=high).contains(value)) {
            // Ends that are equal make 0 / 0, which becomes bar 0.
            counts[(((value - low) / (high - low) * bars as f64) as usize).min(bars - 1)] += 1.0;
        }
        let edge = |bar: usize| {
            let part = bar as f64 / bars as f64;
            (1.0 - part) * low + part * high
        };
        let points = counts.into_iter().enumerate().map(|(bar, count)| [edge(bar), count]).collect();
        Self { name: String::new(), points, style: Style::Steps }
    }
}

/// Values that deserve notice, such as those that are wanted.
#[derive(Clone, Debug)]
pub struct Band {
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// Named in the legend.
    pub name: String,
}

/// A value of the horizontal axis that deserves notice: an upright line.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    /// The value.
    pub x: f64,
    /// Named in the legend.
    pub name: String,
    /// Thin and dashed, behind the others.
    pub dashed: bool,
}

/// Curves over a common axis.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Written above the panel; may be empty.
    pub title: String,
    /// Name of the horizontal axis with its unit. Panels that give it the same name share its range.
    pub x: String,
    /// Names of the places 0, 1, … on the horizontal axis; if there are any, they are written instead of numbers.
    pub places: Vec<String>,
    /// Name of the vertical axis with its unit.
    pub y: String,
    /// The curves. The names of up to six stand in a line above, those of more at their right ends.
    pub series: Vec<Series>,
    /// A logarithmic vertical axis; what is not positive is left out with a remark.
    pub log: bool,
    /// A horizontal band behind the curves.
    pub band: Option<Band>,
    /// Upright lines before the curves.
    pub marks: Vec<Mark>,
    /// A value that the vertical axis must reach.
    pub floor: Option<f64>,
    /// Another one.
    pub ceiling: Option<f64>,
    /// Values far beyond the usual, such as those of the first steps, are cut off and named in a remark.
    pub cut: bool,
    /// Height of the frame in pixels; otherwise the number of rows of panels decides.
    pub height: Option<f64>,
}
