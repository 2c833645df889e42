//! Axes: from numbers to pixels, with round numbers written along the edges.

use super::canvas::{Align, Canvas, Point, fitting, text_width};
use super::scale::{Range, Tick};
use super::theme::{GAP, INK, LEADING, LINE, Pen, TEXT_SIZE, TICK};

/// Below the lower edge of a frame: tick marks, their numbers and the axis name.
pub(super) const BELOW: f64 = TICK + GAP / 2.0 + LINE * 2.0;

/// Letters of a frame's heading, and the height of its line with the distance to what follows.
const HEADING_SIZE: f64 = 30.0;
pub(super) const HEADING: f64 = HEADING_SIZE * LEADING + GAP / 2.0;

/// Above the upper edge of a frame: the name of the vertical axis.
pub(super) const ABOVE: f64 = LINE + GAP / 2.0;

/// A rectangle of the picture that data are drawn in.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Frame {
    /// The place at the given fractions of the way from the lower left corner.
    pub(super) fn at(&self, x: f64, y: f64) -> Point {
        (self.left + x * self.width, self.top + (1.0 - y) * self.height)
    }

    /// The upper left and the lower right corner.
    pub(super) fn corners(&self) -> (Point, Point) {
        (self.at(0.0, 1.0), self.at(1.0, 0.0))
    }

    pub(super) fn border(&self, canvas: &mut Canvas) {
        let (from, to) = self.corners();
        canvas.outline(from, to, Pen::AXIS);
    }

    /// A mark and a number below the lower edge, `x` of the way along it.
    pub(super) fn tick_below(&self, canvas: &mut Canvas, x: f64, label: &str) {
        let (x, y) = self.at(x, 0.0);
        canvas.line((x, y), (x, y + TICK), Pen::AXIS);
        canvas.text(label, (x, y + TICK + LINE / 2.0), Align::Centre);
    }

    /// A mark and a number left of the left edge, `y` of the way up.
    pub(super) fn tick_left(&self, canvas: &mut Canvas, y: f64, label: &str) {
        let (x, y) = self.at(0.0, y);
        canvas.line((x - TICK, y), (x, y), Pen::AXIS);
        canvas.text(label, (x - TICK - GAP / 2.0, y), Align::Right);
    }

    /// The name of the horizontal axis, below its numbers.
    pub(super) fn name_below(&self, canvas: &mut Canvas, name: &str) {
        let (x, y) = self.at(0.5, 0.0);
        canvas.text(name, (x, y + BELOW - LINE / 2.0), Align::Centre);
    }

    /// The name of the vertical axis, above its end and upright: easier to read than turned letters. It is
    /// made smaller should it need more than `room`.
    pub(super) fn name_above(&self, canvas: &mut Canvas, name: &str, room: f64) {
        let (x, y) = self.at(0.0, 1.0);
        let size = fitting(name, TEXT_SIZE, room);
        canvas.write(name, (x, y - ABOVE + LINE / 2.0), Align::Left, size, INK);
    }

    /// A heading whose line starts `above` the upper edge; it is made smaller should it be wider than the
    /// frame.
    pub(super) fn heading(&self, canvas: &mut Canvas, text: &str, above: f64) {
        let size = fitting(text, HEADING_SIZE, self.width);
        let at = (self.left, self.top - above + HEADING_SIZE * LEADING / 2.0);
        canvas.write(text, at, Align::Left, size, INK);
    }
}

/// A frame with numbers along its lower and left edges.
pub(super) struct Axes {
    pub(super) frame: Frame,
    pub(super) x: Range,
    pub(super) y: Range,
}

impl Axes {
    /// Where a point of the data lies in the picture.
    pub(super) fn at(&self, (x, y): Point) -> Point {
        self.frame.at(self.x.fraction(x), self.y.fraction(y))
    }

    /// The upright line at a value of the horizontal axis, from the top down.
    pub(super) fn upright(&self, x: f64) -> [Point; 2] {
        [1.0, 0.0].map(|y| self.frame.at(self.x.fraction(x), y))
    }

    /// The grid lines, to be drawn before the data.
    pub(super) fn grid(&self, canvas: &mut Canvas, x_ticks: &[Tick], y_ticks: &[Tick]) {
        for tick in x_ticks {
            let [top, bottom] = self.upright(tick.value);
            canvas.line(top, bottom, Pen::GRID);
        }
        for tick in y_ticks {
            let y = self.y.fraction(tick.value);
            canvas.line(self.frame.at(0.0, y), self.frame.at(1.0, y), Pen::GRID);
        }
    }

    /// The edges, and the marks and numbers along them, to be drawn after the data.
    pub(super) fn edges(&self, canvas: &mut Canvas, x_ticks: &[Tick], y_ticks: &[Tick]) {
        for tick in x_ticks {
            self.frame.tick_below(canvas, self.x.fraction(tick.value), &tick.label);
        }
        for tick in y_ticks {
            self.frame.tick_left(canvas, self.y.fraction(tick.value), &tick.label);
        }
        self.frame.border(canvas);
    }
}

/// The room that marks and numbers need left of a frame.
pub(super) fn room_left(ticks: &[Tick]) -> f64 {
    let widest = ticks.iter().map(|tick| text_width(&tick.label, TEXT_SIZE)).fold(0.0, f64::max);
    widest + TICK + GAP / 2.0
}
