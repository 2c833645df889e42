//! A picture's outer form: border, title, file.

use super::canvas::{Align, Canvas, paint, text_width};
use super::theme::{Colour, GAP, INK, LEADING, LINE, LONGEST_SIDE, MARGIN, QUIET, TEXT_SIZE, TITLE_SIZE};
use crate::error::{Error, Result};
use crate::files::replace;
use image::{ImageFormat, RgbImage};
use std::io::{self, Cursor};
use std::path::Path;

/// A titled page. The body lies below the title, inside the border.
pub(super) struct Page {
    title: Vec<String>,
    caption: Vec<String>,
    body: (f64, f64),
    size: (u32, u32),
}

impl Page {
    /// A page for a body of (width, height) pixels; `caption` goes below the body, and may be empty. Title
    /// and caption are broken into as many lines as the body's width asks for.
    pub(super) fn new(title: &str, body: (f64, f64), caption: &str) -> Result<Self> {
        let title = wrap(title, body.0, TITLE_SIZE);
        let caption = wrap(caption, body.0, TEXT_SIZE);
        let height = above(&title) + body.1 + below(&caption);
        let (width, height) = ((2.0 * MARGIN + body.0).ceil(), height.ceil());
        if width.max(height) > LONGEST_SIDE {
            return Err(Error::usage(format!(
                "the picture would have {width} x {height} pixels, more than {LONGEST_SIDE} along a side: \
                 ask for fewer images"
            )));
        }
        Ok(Self { title, caption, body, size: (width as u32, height as u32) })
    }

    /// The left edge of the body.
    pub(super) fn left(&self) -> f64 {
        MARGIN
    }

    /// The upper edge of the body.
    pub(super) fn top(&self) -> f64 {
        above(&self.title)
    }

    /// The picture, its body drawn by `draw`, written to `path` as PNG.
    pub(super) fn save(&self, path: &Path, draw: impl FnOnce(&mut Canvas)) -> Result<()> {
        let mut file = Cursor::new(Vec::new());
        let picture = self.paint(draw).write_to(&mut file, ImageFormat::Png);
        picture.map_err(io::Error::other).map_err(Error::io(path, "encode"))?;
        replace(path, file.into_inner())
    }

    /// The picture, its body drawn by `draw`.
    pub(super) fn paint(&self, draw: impl FnOnce(&mut Canvas)) -> RgbImage {
        paint(self.size, |canvas| {
            write_lines(canvas, &self.title, MARGIN, TITLE_SIZE, INK);
            write_lines(canvas, &self.caption, self.top() + self.body.1 + GAP, TEXT_SIZE, QUIET);
            draw(canvas);
        })
    }
}

fn write_lines(canvas: &mut Canvas, lines: &[String], top: f64, size: f64, colour: Colour) {
    for (index, line) in lines.iter().enumerate() {
        let middle = top + (index as f64 + 0.5) * size * LEADING;
        canvas.write(line, (MARGIN, middle), Align::Left, size, colour);
    }
}

/// Height of the border and the title, with the distance to the body.
fn above(title: &[String]) -> f64 {
    let gap = if title.is_empty() { 0.0 } else { GAP };
    MARGIN + title.len() as f64 * TITLE_SIZE * LEADING + gap
}

/// Height of the border and the caption, with the distance to the body.
fn below(caption: &[String]) -> f64 {
    let gap = if caption.is_empty() { 0.0 } else { GAP };
    gap + caption.len() as f64 * LINE + MARGIN
}

/// `text` in lines no wider than `width`, broken between words; a longer word is broken anywhere.
fn wrap(text: &str, width: f64, size: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(pieces(word, width, size)),
        }
    }
    lines
}

fn pieces(word: &str, width: f64, size: f64) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for letter in word.chars() {
        let last = pieces.len() - 1;
        let longer = format!("{}{letter}", pieces[last]);
        if pieces[last].is_empty() || text_width(&longer, size) <= width {
            pieces[last] = longer;
        } else {
            pieces.push(letter.into());
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_titles_are_wrapped_to_the_width() {
        let lines =
            wrap("originals and their reconstructions by a variational auto-encoder", 300.0, TITLE_SIZE);
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| text_width(line, TITLE_SIZE) <= 300.0));
        assert!(wrap(&"x".repeat(200), 300.0, TITLE_SIZE).len() > 1);
        assert!(wrap("", 300.0, TITLE_SIZE).is_empty());
    }

    #[test]
    fn a_missing_directory_is_named() {
        let path = Path::new("/no/such/directory/picture.png");
        let message = Page::new("title", (100.0, 100.0), "")
            .and_then(|page| page.save(path, |_| ()))
            .map_err(|error| error.to_string());
        assert!(message.is_err_and(|text| text.contains("/no/such/directory/picture.png: cannot write")));
    }

    #[test]
    fn a_monstrous_picture_is_refused() {
        assert!(Page::new("title", (100.0, 1e6), "").is_err());
    }
}
