//! Labelled rows of images.

use super::canvas::{Align, Canvas, Point, fitting, text_width};
use super::page::Page;
use super::raster::{ImageShape, Stamp};
use super::theme::{GAP, INK, LEAST_WIDTH, LINE, LONGEST_IMAGE, MARGIN, TEXT_SIZE, WIDTH};
use crate::error::{Error, Result};
use std::path::Path;

/// Between two images.
const SEAM: f64 = 3.0;

/// Between two groups of rows, or of columns.
const GROUP_SEAM: f64 = 16.0;

/// Between the images and what is written below them.
const LABEL_GAP: f64 = GAP / 2.0;

/// A row of a [`Sheet`].
#[derive(Clone, Debug, Default)]
pub struct SheetRow {
    /// Written left of the row; may be empty.
    pub label: String,
    /// The images, all of one shape. Rows may differ in length.
    pub images: Vec<Vec<f32>>,
}

/// A grid of images with a title.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// Written above the grid.
    pub title: String,
    /// The rows, from the top.
    pub rows: Vec<SheetRow>,
    /// The shape of each image.
    pub shape: ImageShape,
    /// Rows that belong together, such as 2 for originals over reconstructions: after each group comes a
    /// wider gap. 0 means no groups.
    pub group: usize,
    /// Columns set apart by a wider gap: so many at the left end, so many at the right end.
    pub apart: [usize; 2],
    /// Written below each column; may be empty.
    pub columns: Vec<String>,
    /// The common name of the columns, below their own; may be empty.
    pub columns_name: String,
    /// Written below the grid; may be empty.
    pub caption: String,
}

impl Sheet {
    /// Writes the sheet to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        let breaks = (1..self.rows.len()).filter(|row| self.group > 0 && row % self.group == 0).collect();
        self.save_with(breaks, path)
    }

    /// Writes it with wider gaps before the rows of `breaks` only.
    pub(super) fn save_with(&self, breaks: Vec<usize>, path: &Path) -> Result<()> {
        let columns = self.rows.iter().map(|row| row.images.len()).max().unwrap_or(0);
        if columns == 0 {
            return Err(Error::usage("there are no images to draw"));
        }
        if !self.columns.is_empty() && self.columns.len() != columns {
            return Err(Error::usage(format!("{columns} columns have {} names", self.columns.len())));
        }
        let [left, right] = self.apart;
        let column_breaks = vec![left, columns.saturating_sub(right)];
        let labels = self.label_width();
        let wished = WIDTH - 2.0 * MARGIN - labels - (columns - 1) as f64 * SEAM;
        let stamp = Stamp::fit(self.shape, columns, wished, LONGEST_IMAGE)?;
        self.rows.iter().flat_map(|row| &row.images).try_for_each(|image| stamp.check(image))?;

        let mut grid = SheetGrid { left: 0.0, top: 0.0, stamp, breaks: [breaks, column_breaks] };
        let (width, height) = grid.size(self.rows.len(), columns);
        let below = [!self.columns.is_empty(), !self.columns_name.is_empty()];
        let below: f64 = below.into_iter().filter(|&written| written).map(|_| LABEL_GAP + LINE).sum();
        let body = ((labels + width).max(LEAST_WIDTH), height + below);
        let page = Page::new(&self.title, body, &self.caption)?;
        (grid.left, grid.top) = ((page.left() + labels).ceil(), page.top().ceil());
        page.save(path, |canvas| {
            for (index, row) in self.rows.iter().enumerate() {
                let (x, y) = grid.corner(index, 0);
                canvas.text(&row.label, (x - GAP, y + stamp.height() / 2.0), Align::Right);
                for (column, image) in row.images.iter().enumerate() {
                    stamp.draw(canvas, image, grid.corner(index, column));
                }
            }
            self.draw_columns(canvas, &grid, columns, grid.top + height);
        })
    }

    /// The width of the labels' column.
    fn label_width(&self) -> f64 {
        let widest = self.rows.iter().map(|row| text_width(&row.label, TEXT_SIZE)).fold(0.0, f64::max);
        if widest == 0.0 { 0.0 } else { (widest + GAP).ceil() }
    }

    /// The names of the columns, all in one size, from `top` downwards.
    fn draw_columns(&self, canvas: &mut Canvas, grid: &SheetGrid, columns: usize, top: f64) {
        let width = grid.stamp.width();
        let size = self
            .columns
            .iter()
            .map(|name| fitting(name, TEXT_SIZE, width - LABEL_GAP))
            .fold(TEXT_SIZE, f64::min);
        let mut middle = top + LABEL_GAP + LINE / 2.0;
        for (column, name) in self.columns.iter().enumerate() {
            let x = grid.corner(0, column).0 + width / 2.0;
            canvas.write(name, (x, middle), Align::Centre, size, INK);
        }
        middle += if self.columns.is_empty() { 0.0 } else { LABEL_GAP + LINE };
        // The name belongs to the columns that are not set apart.
        let [first, end] = [self.apart[0], columns.saturating_sub(self.apart[1])];
        let (left, right) = (grid.corner(0, first).0, grid.corner(0, end.saturating_sub(1)).0 + width);
        let size = fitting(&self.columns_name, TEXT_SIZE, right - grid.left);
        let half = text_width(&self.columns_name, size) / 2.0;
        let x = f64::midpoint(left, right).max(grid.left + half);
        canvas.write(&self.columns_name, (x, middle), Align::Centre, size, INK);
    }
}

/// Where the images of a sheet lie in the picture.
struct SheetGrid {
    left: f64,
    top: f64,
    stamp: Stamp,
    /// Rows and columns that a wider gap comes before.
    breaks: [Vec<usize>; 2],
}

impl SheetGrid {
    /// The upper left corner of an image.
    fn corner(&self, row: usize, column: usize) -> Point {
        let offset = |index: usize, side: f64, breaks: &[usize]| {
            let wider = breaks.iter().filter(|&&start| start > 0 && start <= index).count();
            index as f64 * (side + SEAM) + wider as f64 * (GROUP_SEAM - SEAM)
        };
        let x = self.left + offset(column, self.stamp.width(), &self.breaks[1]);
        let y = self.top + offset(row, self.stamp.height(), &self.breaks[0]);
        (x, y)
    }

    /// Width and height of all images together; there is at least one.
    fn size(&self, rows: usize, columns: usize) -> (f64, f64) {
        let last = self.corner(rows - 1, columns - 1);
        (last.0 - self.left + self.stamp.width(), last.1 - self.top + self.stamp.height())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    #[test]
    fn images_lie_on_their_grid() -> Result<()> {
        let stamp = Stamp::fit(ImageShape { height: 28, width: 28, channels: 1 }, 10, 840.0, LONGEST_IMAGE)?;
        let grid = SheetGrid { left: 100.0, top: 50.0, stamp, breaks: [vec![2, 4], vec![0, 9]] };
        assert_eq!(grid.corner(0, 0), (100.0, 50.0));
        assert_eq!(grid.corner(1, 2), (100.0 + 2.0 * 87.0, 50.0 + 87.0));
        assert_eq!(grid.corner(4, 0), (100.0, 50.0 + 4.0 * 87.0 + 2.0 * 13.0));
        assert_eq!(grid.corner(0, 9), (100.0 + 9.0 * 87.0 + 13.0, 50.0));
        assert_eq!(grid.size(2, 9), (9.0 * 84.0 + 8.0 * 3.0, 2.0 * 84.0 + 3.0));
        Ok(())
    }

    #[test]
    fn each_image_is_found_in_the_picture() -> Result<()> {
        let shades = [0.0, 0.2, 0.4, 0.6];
        let images = shades.iter().map(|&shade| vec![shade; 16]).collect();
        let sheet = Sheet {
            rows: vec![SheetRow { images, ..SheetRow::default() }],
            shape: ImageShape { height: 4, width: 4, channels: 1 },
            ..Sheet::default()
        };
        let picture = demo::decoded(&demo::bytes(|path| sheet.save(path)));
        let stamp = Stamp::fit(sheet.shape, shades.len(), WIDTH - 2.0 * MARGIN - 3.0 * SEAM, LONGEST_IMAGE)?;
        for (column, shade) in shades.iter().enumerate() {
            let x = MARGIN + column as f64 * (stamp.width() + SEAM);
            let grey = (shade * 255.0_f32).round() as u8;
            assert_eq!(picture.get_pixel(x as u32, MARGIN as u32)[0], grey);
            assert_eq!(picture.get_pixel((x + stamp.width()) as u32 - 1, MARGIN as u32)[0], grey);
            assert_eq!(picture.get_pixel((x + stamp.width()) as u32, MARGIN as u32)[0], 255);
        }
        Ok(())
    }

    #[test]
    fn names_of_columns_lie_below_the_images() {
        let row = SheetRow { images: vec![vec![0.0; 16]; 4], ..SheetRow::default() };
        let sheet = Sheet {
            rows: vec![row],
            shape: ImageShape { height: 4, width: 4, channels: 1 },
            ..Sheet::default()
        };
        let columns: Vec<String> = ["seed", "−1", "0", "1"].map(String::from).into();
        let named = Sheet { columns, columns_name: "value".into(), apart: [1, 0], ..sheet.clone() };
        let picture = |sheet: &Sheet| demo::decoded(&demo::bytes(|path| sheet.save(path)));
        let (bare, named) = (picture(&sheet), picture(&named));
        assert_eq!(f64::from(named.height()), (f64::from(bare.height()) + 2.0 * (LABEL_GAP + LINE)).ceil());
        let below = bare.height() - MARGIN as u32;
        let ink = |x: u32| (below..named.height()).any(|y| named.get_pixel(x, y)[0] < 128);
        let quarter = named.width() / 4;
        assert!((0..4).all(|column| (column * quarter..(column + 1) * quarter).any(ink)));
    }

    #[test]
    fn empty_and_misshapen_sheets_are_refused() {
        let path = Path::new("refused.png");
        assert!(Sheet::default().save(path).is_err());
        let row = SheetRow { label: "short".into(), images: vec![vec![0.0; 3]] };
        let shape = ImageShape { height: 2, width: 2, channels: 1 };
        assert!(Sheet { rows: vec![row], shape, ..Sheet::default() }.save(path).is_err());
    }
}
