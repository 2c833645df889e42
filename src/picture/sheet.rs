//! Labelled rows of images.

use super::canvas::{Align, Canvas, text_width};
use super::page::Page;
use super::raster::{Shape, Tile};
use super::theme::{GAP, LEAST_WIDTH, LONGEST_IMAGE, MARGIN, TEXT_SIZE, WIDTH};
use crate::error::{Error, Result};
use std::path::Path;

/// Between two images.
const SEAM: f64 = 3.0;

/// Between two groups of rows.
const GROUP_SEAM: f64 = 16.0;

/// A row of a [`Sheet`].
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Written left of the row; may be empty.
    pub label: String,
    /// Images of height x width x channels values from 0 (black) to 1 (white), row by row from the top; values
    /// beyond are clamped. Rows may differ in length.
    pub images: Vec<Vec<f32>>,
}

/// A grid of images with a title.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// Written above the grid.
    pub title: String,
    /// The rows, from the top.
    pub rows: Vec<Row>,
    /// Height of each image in pixels.
    pub height: usize,
    /// Width of each image in pixels.
    pub width: usize,
    /// Values of each pixel: 1 for grey, 3 for red, green and blue side by side.
    pub channels: usize,
    /// Rows that belong together, such as 2 for originals over reconstructions: after each group comes a
    /// wider gap. 0 means no groups.
    pub group: usize,
    /// Written below the grid; may be empty.
    pub caption: String,
}

impl Sheet {
    /// Writes the sheet to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        let columns = self.rows.iter().map(|row| row.images.len()).max().unwrap_or(0);
        if columns == 0 {
            return Err(Error::usage("there are no images to draw"));
        }
        let labels = self.label_width();
        let wished = WIDTH - 2.0 * MARGIN - labels - (columns - 1) as f64 * SEAM;
        let tile = Tile::fit(self.shape(), columns, wished, LONGEST_IMAGE)?;
        self.rows.iter().flat_map(|row| &row.images).try_for_each(|image| tile.check(image))?;

        let mut grid = Grid { left: 0.0, top: 0.0, tile, group: self.group };
        let (width, height) = grid.size(columns, self.rows.len());
        let page = Page::new(&self.title, ((labels + width).max(LEAST_WIDTH), height), &self.caption)?;
        (grid.left, grid.top) = ((page.left() + labels).ceil(), page.top().ceil());
        let draw = |canvas: &Canvas<'_>| {
            self.rows.iter().enumerate().try_for_each(|(index, row)| {
                let (x, y) = grid.corner(index, 0);
                canvas.text(&row.label, (x - GAP, y + tile.height() / 2.0), Align::Right)
            })
        };
        page.save(path, draw, |picture| {
            for (index, row) in self.rows.iter().enumerate() {
                for (column, image) in row.images.iter().enumerate() {
                    let (x, y) = grid.corner(index, column);
                    tile.stamp(picture, image, (x as u32, y as u32));
                }
            }
        })
    }

    fn shape(&self) -> Shape {
        Shape { height: self.height, width: self.width, channels: self.channels }
    }

    /// The width of the labels' column.
    fn label_width(&self) -> f64 {
        let widest = self.rows.iter().map(|row| text_width(&row.label, TEXT_SIZE)).fold(0.0, f64::max);
        if widest == 0.0 { 0.0 } else { (widest + GAP).ceil() }
    }
}

/// Where the images of a sheet lie in the picture.
struct Grid {
    left: f64,
    top: f64,
    tile: Tile,
    group: usize,
}

impl Grid {
    /// The upper left corner of an image.
    fn corner(&self, row: usize, column: usize) -> (f64, f64) {
        let groups = row.checked_div(self.group).unwrap_or(0);
        let x = self.left + column as f64 * (self.tile.width() + SEAM);
        let y = self.top + row as f64 * (self.tile.height() + SEAM) + groups as f64 * (GROUP_SEAM - SEAM);
        (x, y)
    }

    /// Width and height of all images together; there is at least one.
    fn size(&self, columns: usize, rows: usize) -> (f64, f64) {
        let last = self.corner(rows - 1, columns - 1);
        (last.0 - self.left + self.tile.width(), last.1 - self.top + self.tile.height())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    #[test]
    fn images_lie_on_their_grid() -> Result<()> {
        let tile = Tile::fit(Shape { height: 28, width: 28, channels: 1 }, 10, 840.0, LONGEST_IMAGE)?;
        let grid = Grid { left: 100.0, top: 50.0, tile, group: 2 };
        assert_eq!(grid.corner(0, 0), (100.0, 50.0));
        assert_eq!(grid.corner(1, 2), (100.0 + 2.0 * 87.0, 50.0 + 87.0));
        assert_eq!(grid.corner(4, 0), (100.0, 50.0 + 4.0 * 87.0 + 2.0 * 13.0));
        assert_eq!(grid.size(10, 2), (10.0 * 84.0 + 9.0 * 3.0, 2.0 * 84.0 + 3.0));
        Ok(())
    }

    #[test]
    fn each_image_is_found_in_the_picture() -> Result<()> {
        let shades = [0.0, 0.2, 0.4, 0.6];
        let images = shades.iter().map(|&shade| vec![shade; 16]).collect();
        let sheet = Sheet {
            rows: vec![Row { images, ..Row::default() }],
            height: 4,
            width: 4,
            channels: 1,
            ..Sheet::default()
        };
        let picture = demo::decoded(&demo::bytes(|path| sheet.save(path)));
        let tile = Tile::fit(sheet.shape(), shades.len(), WIDTH - 2.0 * MARGIN - 3.0 * SEAM, LONGEST_IMAGE)?;
        for (column, shade) in shades.iter().enumerate() {
            let x = MARGIN + column as f64 * (tile.width() + SEAM);
            let grey = (shade * 255.0_f32).round() as u8;
            assert_eq!(picture.get_pixel(x as u32, MARGIN as u32)[0], grey);
            assert_eq!(picture.get_pixel((x + tile.width()) as u32 - 1, MARGIN as u32)[0], grey);
            assert_eq!(picture.get_pixel((x + tile.width()) as u32, MARGIN as u32)[0], 255);
        }
        Ok(())
    }

    #[test]
    fn empty_and_misshapen_sheets_are_refused() {
        let path = Path::new("refused.png");
        assert!(Sheet::default().save(path).is_err());
        let row = Row { label: "short".into(), images: vec![vec![0.0; 3]] };
        assert!(
            Sheet { rows: vec![row], height: 2, width: 2, channels: 1, ..Sheet::default() }
                .save(path)
                .is_err()
        );
    }
}
