//! Curves over a common axis, in one panel or several.

use super::axes::Frame;
use super::page::Page;
use super::panel::{Panel, Series};
use super::plot::{Plot, THICKNESS};
use super::theme::{GAP, MARGIN, Pen, WIDTH, series_colour};
use crate::error::{Error, Result};
use std::path::Path;

/// Height of the frames by the number of rows: the last is for more rows too.
const HEIGHTS: [f64; 3] = [460.0, 330.0, 230.0];

/// Between two columns of panels, and between two rows.
const GUTTER: f64 = 3.0 * GAP;
const ROW_GAP: f64 = 2.0 * GAP;

/// A picture of one or more panels.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Written above the panels.
    pub title: String,
    /// The panels, row by row.
    pub panels: Vec<Panel>,
    /// Panels side by side: 0 and 1 stack them.
    pub columns: usize,
    /// Written below the panels; may be empty.
    pub caption: String,
}

impl Chart {
    /// Draws the panels and writes the picture to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut names: Vec<&str> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            if !names.contains(&series.name.as_str()) {
                names.push(&series.name);
            }
        }
        let pen = |series: &Series| {
            let index = names.iter().position(|&other| other == series.name).unwrap_or(0);
            Pen { colour: series_colour(index, names.len()), thickness: THICKNESS }
        };
        let pens = self.panels.iter().map(|panel| panel.series.iter().map(pen).collect());
        self.save_with(pens.collect(), path)
    }

    /// Does so with a pen for each series of each panel.
    pub(super) fn save_with(&self, pens: Vec<Vec<Pen>>, path: &Path) -> Result<()> {
        let plots = self.panels.iter().zip(pens).map(|(panel, pens)| Plot::new(panel, pens));
        let mut plots = plots.collect::<Result<Vec<_>>>()?;
        if !plots.iter().any(Plot::has_points) {
            return Err(Error::usage("there are no points to draw: none is finite"));
        }
        Plot::share_x(&mut plots);
        let (page, frames) = self.laid_out(&mut plots)?;
        page.save(path, |canvas| plots.iter().zip(frames).for_each(|(plot, frame)| plot.draw(canvas, frame)))
    }

    /// The page, and the frames of the panels on it.
    fn laid_out(&self, plots: &mut [Plot<'_>]) -> Result<(Page, Vec<Frame>)> {
        let room = WIDTH - 2.0 * MARGIN;
        let columns = self.columns.clamp(1, plots.len());
        let rows = plots.len().div_ceil(columns);
        let width = (room - (columns - 1) as f64 * GUTTER) / columns as f64;
        let usual = HEIGHTS[rows.min(HEIGHTS.len()) - 1];

        // Of stacked panels with one horizontal axis only the lowest has its numbers, and one legend may do.
        for below in columns..plots.len() {
            let index = below - columns;
            plots[index].bare |= plots[index].same_x(&plots[below]);
            plots[below].hide_legend |= plots[index].same_legend(&plots[below]);
        }
        for right in 1..columns {
            plots[right].hide_legend |= plots[right - 1].same_legend(&plots[right]);
        }
        let sides: Vec<[f64; 2]> = (0..columns)
            .map(|column| {
                let of_column = || plots.iter().skip(column).step_by(columns);
                let left = of_column().map(Plot::room_left).fold(0.0, f64::max);
                let right = of_column().map(|plot| plot.room_right(width - left)).fold(0.0, f64::max);
                [left, right]
            })
            .collect();
        let inner = |column: usize| width - sides[column][0] - sides[column][1];

        let (mut top, mut places) = (0.0, Vec::new());
        for (row, plots) in plots.chunks_mut(columns).enumerate() {
            plots.iter_mut().enumerate().for_each(|(column, plot)| plot.set_width(inner(column)));
            let above = plots.iter().map(Plot::room_above).fold(0.0, f64::max);
            plots.iter_mut().for_each(|plot| plot.above = above);
            let height = plots.iter().map(|plot| plot.height(usual)).fold(0.0, f64::max);
            let below = plots.iter().map(Plot::room_below).fold(0.0, f64::max);
            places.push((top + above, height));
            top += above + height + below + if row + 1 < rows { ROW_GAP } else { 0.0 };
        }
        let page = Page::new(&self.title, (room, top), &self.caption)?;
        let frame = |index: usize| {
            let (column, (top, height)) = (index % columns, places[index / columns]);
            let left = page.left() + column as f64 * (width + GUTTER) + sides[column][0];
            Frame { left, top: page.top() + top, width: inner(column), height }
        };
        let frames = (0..plots.len()).map(frame).collect();
        Ok((page, frames))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::theme::{BLUE, Colour, FEW_COLOURS, ORANGE};
    use crate::picture::{Band, Style, demo};

    const STYLES: [Style; 7] = [
        Style::Line,
        Style::Marked,
        Style::Dashed,
        Style::Points,
        Style::Area,
        Style::Steps,
        Style::Ribbon(0.5),
    ];

    /// One series for each style, at a height of its own.
    fn panel(x: &str) -> Panel {
        let series = STYLES.iter().enumerate().map(|(height, &style)| Series {
            name: format!("{style:?}"),
            points: (0..30).map(|x| [f64::from(x), height as f64]).collect(),
            style,
        });
        Panel { x: x.into(), y: "y".into(), series: series.collect(), ..Panel::default() }
    }

    /// Rows of pixels that have some of a colour.
    fn rows(file: &[u8], colour: Colour) -> Vec<u32> {
        let picture = demo::decoded(file);
        let has = |&y: &u32| (0..picture.width()).any(|x| *picture.get_pixel(x, y) == colour);
        (0..picture.height()).filter(has).collect()
    }

    #[test]
    fn each_style_leaves_ink_at_its_height() {
        let chart = Chart { title: "styles".into(), panels: vec![panel("x")], ..Chart::default() };
        let file = demo::bytes(|path| chart.save(path));
        let mut highest: Vec<u32> = Vec::new();
        for colour in &FEW_COLOURS[..STYLES.len()] {
            let rows = rows(&file, *colour);
            assert!(!rows.is_empty(), "no pixel is {colour:?}");
            highest.push(rows[rows.len() / 2]);
        }
        // The line and the dots of each come to lie above those of the one before.
        let lines = [highest[0], highest[1], highest[2], highest[3]];
        assert!(lines.windows(2).all(|pair| pair[0] > pair[1] + 10), "{highest:?}");
    }

    /// Curves of training, of so many points each.
    fn training([train, test]: [usize; 2]) -> Chart {
        let [all_train, all_test] = demo::training();
        let series = vec![
            Series { name: "training".into(), points: all_train[..train].into(), ..Series::default() },
            Series { name: "test".into(), points: all_test[..test].into(), style: Style::Marked },
        ];
        let panel = Panel { x: "step".into(), y: "loss".into(), series, cut: true, ..Panel::default() };
        Chart { title: "curves".into(), panels: vec![panel], ..Chart::default() }
    }

    #[test]
    fn few_points_will_do() {
        for counts in [[1, 0], [0, 1], [2, 0], [3, 2]] {
            assert!(!demo::bytes(|path| training(counts).save(path)).is_empty());
        }
        assert!(training([0, 0]).save(Path::new("none.png")).is_err());
    }

    #[test]
    fn same_input_same_bytes_of_curves() {
        let draw = || demo::bytes(|path| training([400, 20]).save(path));
        assert_eq!(draw(), draw());
    }

    #[test]
    fn a_name_keeps_its_colour() {
        let series = |name: &str| Series {
            name: name.into(),
            points: vec![[0.0, 1.0], [1.0, 1.0]],
            ..Series::default()
        };
        let panel = |names: &[&str]| Panel {
            series: names.iter().map(|name| series(name)).collect(),
            ..Panel::default()
        };
        let chart = Chart { panels: vec![panel(&["a", "b"]), panel(&["b"])], ..Chart::default() };
        let file = demo::bytes(|path| chart.save(path));
        let height = demo::decoded(&file).height();
        assert!(rows(&file, ORANGE).iter().any(|&row| row > height / 2));
        assert!(rows(&file, BLUE).iter().all(|&row| row < height / 2));
    }

    #[test]
    fn stacked_panels_share_what_they_can() -> Result<()> {
        let chart = Chart { panels: vec![panel("x"), panel("x"), panel("other")], ..Chart::default() };
        let pens = || vec![Pen { colour: BLUE, thickness: THICKNESS }; STYLES.len()];
        let plots = chart.panels.iter().map(|panel| Plot::new(panel, pens())).collect::<Result<Vec<_>>>();
        let mut plots = plots?;
        let (_, frames) = chart.laid_out(&mut plots)?;
        assert_eq!([0, 1, 2].map(|index| plots[index].bare), [true, false, false]);
        assert_eq!([0, 1, 2].map(|index| plots[index].hide_legend), [false, true, true]);
        assert!(frames.windows(2).all(|pair| {
            pair[0].left == pair[1].left
                && pair[0].width == pair[1].width
                && pair[0].top + pair[0].height < pair[1].top
        }));

        let beside = Chart { columns: 2, ..Chart::default() };
        let (_, frames) = beside.laid_out(&mut plots)?;
        assert_eq!((frames[0].top, frames[0].left), (frames[1].top, frames[2].left));
        assert!(frames[0].left + frames[0].width < frames[1].left);
        Ok(())
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let path = Path::new("refused.png");
        let refused = |panel| Chart { panels: vec![panel], ..Chart::default() }.save(path).is_err();
        assert!(Chart::default().save(path).is_err());
        let nowhere = vec![Series { points: vec![[0.0, f64::NAN]], ..Series::default() }];
        assert!(refused(Panel { series: nowhere, ..Panel::default() }));
        let band = |low| Some(Band { low, high: 1.0, name: "band".into() });
        let line = || Panel { series: vec![panel("x").series.remove(1)], ..Panel::default() };
        assert!(refused(Panel { band: band(f64::NAN), ..line() }));
        assert!(refused(Panel { band: band(0.0), log: true, ..line() }));
        assert!(refused(Panel { log: true, ..panel("x") }));
    }

    #[test]
    fn same_input_same_bytes() {
        let chart = Chart { panels: vec![panel("x"), panel("y")], columns: 2, ..Chart::default() };
        let draw = || demo::bytes(|path| chart.save(path));
        assert_eq!(draw(), draw());
    }
}
