//! Legends: samples of what a picture shows, with their names.

use super::canvas::{Align, Canvas, Point, text_width};
use super::panel::Style;
use super::theme::{Colour, GAP, INK, LINE, MARKER_RADIUS, Pen, TEXT_SIZE};

/// Length of a sample of a line, and half the height of a sample of an area.
const LENGTH: f64 = 54.0;
const REACH: f64 = 10.0;

const CROSS_SCALE: f64 = 1.8;

/// Between two entries of a line.
const ENTRY_GAP: f64 = 2.0 * GAP;

/// The sample that stands before a name.
#[derive(Clone, Copy)]
pub(super) enum Swatch {
    Series(Style, Pen),
    /// An area with so much of a colour.
    Area(Colour, f64),
    Cross(Colour),
}

/// An entry of a legend.
pub(super) struct Key {
    pub(super) swatch: Swatch,
    pub(super) name: String,
}

impl Key {
    /// With the distance to the next.
    fn width(&self) -> f64 {
        LENGTH + GAP + text_width(&self.name, TEXT_SIZE) + ENTRY_GAP
    }
}

/// Entries in as many lines as they need.
pub(super) struct Legend {
    pub(super) lines: Vec<Vec<Key>>,
    pub(super) room: f64,
}

impl Legend {
    pub(super) fn new(keys: impl IntoIterator<Item = Key>, room: f64) -> Self {
        let mut lines: Vec<Vec<Key>> = Vec::new();
        let mut used = f64::INFINITY;
        for key in keys {
            used += key.width();
            match lines.last_mut() {
                Some(line) if used <= room + ENTRY_GAP => line.push(key),
                _ => {
                    used = key.width();
                    lines.push(vec![key]);
                }
            }
        }
        Self { lines, room }
    }

    /// With the distance to what follows.
    pub(super) fn height(&self) -> f64 {
        if self.lines.is_empty() { 0.0 } else { self.lines.len() as f64 * LINE + GAP / 2.0 }
    }

    /// Draws the lines, each of which ends at `right`, from `top` downwards.
    pub(super) fn draw(&self, canvas: &mut Canvas, (right, top): Point) {
        for (index, line) in self.lines.iter().enumerate() {
            self.draw_line(canvas, line, (right, top + (index as f64 + 0.5) * LINE));
        }
    }

    /// One line, its letters smaller should it need more room than there is.
    fn draw_line(&self, canvas: &mut Canvas, line: &[Key], (mut right, middle): Point) {
        let wished: f64 = line.iter().map(Key::width).sum::<f64>() - ENTRY_GAP;
        let texts: f64 = line.iter().map(|key| text_width(&key.name, TEXT_SIZE)).sum();
        let size = TEXT_SIZE * (1.0 - (wished - self.room).max(0.0) / texts);
        for key in line.iter().rev() {
            canvas.write(&key.name, (right, middle), Align::Right, size, INK);
            right -= text_width(&key.name, size) + GAP + LENGTH;
            key.swatch.draw(canvas, (right, middle));
            right -= ENTRY_GAP;
        }
    }
}

impl Swatch {
    /// Draws the sample from `left` on.
    fn draw(self, canvas: &mut Canvas, (left, y): Point) {
        let line = [(left, y), (left + LENGTH, y)];
        let middle = (left + LENGTH / 2.0, y);
        let (upper, lower) = ((left, y - REACH), (left + LENGTH, y + REACH));
        let (style, pen) = match self {
            Self::Area(colour, opacity) => return canvas.rectangle(upper, lower, colour, opacity),
            Self::Cross(colour) => return canvas.cross(middle, colour, CROSS_SCALE),
            Self::Series(style, pen) => (style, pen),
        };
        canvas.rectangle(upper, lower, pen.colour, style.tint());
        match style {
            Style::Line | Style::Marked => canvas.path(line, pen),
            Style::Dashed | Style::Ribbon(_) => canvas.dashes(line, pen),
            Style::Area | Style::Stacked | Style::Steps => canvas.path([upper, (lower.0, upper.1)], pen),
            Style::Points => (),
        }
        if matches!(style, Style::Marked | Style::Points) {
            canvas.dot(middle, MARKER_RADIUS, pen.colour, 1.0);
        }
    }
}
