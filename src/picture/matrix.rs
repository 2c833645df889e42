//! A table of numbers as shades, such as the mutual information of factors and latents.

use super::canvas::{Align, fitting, text_width};
use super::page::Page;
use super::scale::{number, shortened};
use super::theme::{BLUE, GAP, INK, LINE, MARGIN, Pen, TEXT_SIZE, WHITE, WIDTH, blend};
use crate::error::{Error, Result};
use std::path::Path;

/// Height of a row.
const ROW: f64 = 64.0;

/// Decimals of the numbers.
const DECIMALS: usize = 2;

/// Cells darker than this have white letters.
const DARK: f64 = 0.55;

/// Most rows and columns.
const MOST: usize = 60;

/// One row of a [`Matrix`].
#[derive(Clone, Debug, Default)]
pub struct MatrixRow {
    /// Written left of it.
    pub label: String,
    /// Its numbers; must be finite and not negative.
    pub values: Vec<f64>,
    /// The number that is fully dark.
    pub full: f64,
}

/// Rows of shaded numbers.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    /// Written above.
    pub title: String,
    /// Written above the columns.
    pub columns: Vec<String>,
    /// From the top.
    pub rows: Vec<MatrixRow>,
    /// Written below; may be empty.
    pub caption: String,
}

impl Matrix {
    /// Draws the matrix and writes the picture to `path` as PNG.
    ///
    /// # Errors
    /// Rows are empty or of other lengths, a number is negative or not finite, the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let columns = self.columns.len();
        if self.rows.is_empty() || columns == 0 || self.rows.len().max(columns) > MOST {
            return Err(Error::usage(format!("a matrix needs 1 to {MOST} rows and columns")));
        }
        let odd = |row: &MatrixRow| {
            row.values.len() != columns || !row.values.iter().all(|v| v.is_finite() && *v >= 0.0)
        };
        if self.rows.iter().any(odd) {
            return Err(Error::usage("rows of a matrix need one number from 0 on for each column"));
        }
        let room = WIDTH - 2.0 * MARGIN;
        let height = LINE + GAP + ROW * self.rows.len() as f64;
        let page = Page::new(&self.title, (room, height), &self.caption)?;
        let labels = self.rows.iter().map(|row| text_width(&shortened(&row.label), TEXT_SIZE));
        let left = page.left() + labels.fold(0.0, f64::max) + GAP;
        let width = (page.left() + room - left) / columns as f64;
        let top = page.top() + LINE + GAP;
        page.save(path, |canvas| {
            for (j, name) in self.columns.iter().enumerate() {
                let at = (left + (j as f64 + 0.5) * width, page.top() + LINE / 2.0);
                canvas.write(name, at, Align::Centre, fitting(name, TEXT_SIZE, width), INK);
            }
            for (i, row) in self.rows.iter().enumerate() {
                let (above, middle) = (top + i as f64 * ROW, top + (i as f64 + 0.5) * ROW);
                canvas.write(&shortened(&row.label), (left - GAP, middle), Align::Right, TEXT_SIZE, INK);
                for (j, &value) in row.values.iter().enumerate() {
                    let part = if row.full > 0.0 { (value / row.full).min(1.0) } else { 0.0 };
                    let from = (left + j as f64 * width, above);
                    let to = (from.0 + width, above + ROW);
                    canvas.rectangle(from, to, blend(WHITE, BLUE, part), 1.0);
                    let (text, colour) = (number(value, DECIMALS), if part > DARK { WHITE } else { INK });
                    let size = fitting(&text, TEXT_SIZE, width - GAP);
                    canvas.write(&text, (from.0 + width / 2.0, middle), Align::Centre, size, colour);
                    canvas.outline(from, to, Pen::GRID);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    fn matrix() -> Matrix {
        let row = |values: &[f64]| MatrixRow { label: "factor".into(), values: values.into(), full: 2.0 };
        Matrix {
            title: "matrix".into(),
            columns: vec!["a".into(), "b".into()],
            rows: vec![row(&[2.0, 0.0]), row(&[0.0, 1.0])],
            caption: String::new(),
        }
    }

    #[test]
    fn a_cell_is_as_dark_as_its_part_of_the_full_number() {
        let picture = demo::decoded(&demo::bytes(|path| matrix().save(path)));
        let count = |colour| picture.pixels().filter(|&&pixel| pixel == colour).count();
        let (full, half) = (count(BLUE), count(blend(WHITE, BLUE, 0.5)));
        assert!(full > 10_000 && half > 10_000, "{full} {half}");
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let path = Path::new("refused.png");
        assert!(Matrix::default().save(path).is_err());
        assert!(Matrix { columns: vec!["a".into()], ..matrix() }.save(path).is_err());
        let mut odd = matrix();
        odd.rows[0].values[1] = f64::NAN;
        assert!(odd.save(path).is_err());
    }
}
