//! The effect of each latent dimension, as Burgess et al. 2018 show it in their Figure 4.

use super::raster::ImageShape;
use super::scale::{latent_name, number};
use super::sheet::{Sheet, SheetRow};
use crate::error::{Error, Result};
use std::path::Path;

/// Decimals of KL divergences, and most decimals of the values below the columns.
const KL_DECIMALS: usize = 2;
const VALUE_DECIMALS: usize = 2;

/// The most that a value may differ from the written one, for the sake of rounding.
const SLACK: f64 = 1e-9;

const COLUMNS_NAME: &str = "value of the latent (standard deviations of the prior)";

/// One dimension's row of a [`Traversal`].
#[derive(Clone, Debug, Default)]
pub struct TraversedLatent {
    /// Its number, counted from 0.
    pub dimension: usize,
    /// What it tells of, where that is known: the name of a factor.
    pub factor: String,
    /// Its KL divergence from the prior, in nats per image.
    pub kl: f64,
    /// The image whose code is changed.
    pub seed: Vec<f32>,
    /// The images decoded from that code with the dimension set to each of the values.
    pub images: Vec<Vec<f32>>,
}

/// Images decoded while one latent dimension goes through its values and all others stay.
#[derive(Clone, Debug, Default)]
pub struct Traversal {
    /// Written above the images.
    pub title: String,
    /// The values of a dimension, from left to right.
    pub values: Vec<f64>,
    /// The first row: images of the data. The first one lies above the seeds.
    pub data: Vec<Vec<f32>>,
    /// The second row: their reconstructions. The rows may be empty, or as long as the others at most.
    pub reconstructions: Vec<Vec<f32>>,
    /// The dimensions in the order of the rows, such as from high to low KL divergence.
    pub latents: Vec<TraversedLatent>,
    /// The shape of each image.
    pub shape: ImageShape,
    /// Written below the images; may be empty.
    pub caption: String,
}

impl Traversal {
    /// Writes the picture to `path` as PNG.
    pub fn save(&self, path: &Path) -> Result<()> {
        let values = self.values.len();
        if self.latents.iter().any(|latent| latent.images.len() != values) {
            return Err(Error::usage(format!("each latent needs an image for each of the {values} values")));
        }
        if self.latents.is_empty() || self.data.len().max(self.reconstructions.len()) > values + 1 {
            return Err(Error::usage(format!(
                "a traversal needs a latent, and rows of data of at most {} images",
                values + 1
            )));
        }
        let top = [("data", &self.data), ("reconstruction", &self.reconstructions)]
            .map(|(label, images)| SheetRow { label: label.into(), images: images.clone() })
            .into_iter()
            .filter(|row| !row.images.is_empty());
        let latents = self.latents.iter().map(|latent| SheetRow {
            label: [
                &latent_name(latent.dimension),
                &latent.factor,
                &format!("KL {}", number(latent.kl, KL_DECIMALS)),
            ]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("   "),
            images: [&latent.seed].into_iter().chain(&latent.images).cloned().collect(),
        });
        let rows: Vec<SheetRow> = top.chain(latents).collect();
        let first_latent = rows.len() - self.latents.len();
        let sheet = Sheet {
            title: self.title.clone(),
            rows,
            shape: self.shape,
            group: 0,
            apart: [1, 0],
            columns: ["seed".into()].into_iter().chain(names(&self.values)).collect(),
            columns_name: COLUMNS_NAME.into(),
            caption: self.caption.clone(),
        };
        sheet.save_with(vec![first_latent], path)
    }
}

/// The values with as few decimals as tell them, all with the same number.
fn names(values: &[f64]) -> Vec<String> {
    let written =
        |decimals: usize| -> Vec<String> { values.iter().map(|&value| number(value, decimals)).collect() };
    let exact = |decimals: &usize| {
        let unit = 10_f64.powi(*decimals as i32);
        values.iter().all(|value| ((value * unit).round() / unit - value).abs() < SLACK)
    };
    written((0..VALUE_DECIMALS).find(exact).unwrap_or(VALUE_DECIMALS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::demo;

    /// Images of one colour: dark in the first two rows, and of the colour's strength along a row.
    fn traversal() -> Traversal {
        let image = |red: f32| [red, 0.0, 0.0].repeat(4);
        let latent = |dimension: usize, kl: f64| TraversedLatent {
            dimension,
            factor: String::new(),
            kl,
            seed: image(0.2),
            images: vec![image(0.4), image(0.6), image(0.8)],
        };
        Traversal {
            title: "traversal".into(),
            values: vec![-3.0, 0.0, 3.0],
            data: vec![image(0.0); 4],
            reconstructions: vec![image(0.0); 4],
            latents: vec![latent(4, 2.31), latent(0, 0.07)],
            shape: ImageShape { height: 2, width: 2, channels: 3 },
            ..Traversal::default()
        }
    }

    #[test]
    fn each_row_goes_from_the_seed_through_the_values() {
        let picture = demo::decoded(&demo::bytes(|path| traversal().save(path)));
        // The colours met along a line through the last row of images.
        let row = (0..picture.height())
            .rev()
            .find(|&y| (0..picture.width()).any(|x| picture.get_pixel(x, y).0 == [51, 0, 0]));
        let mut reds: Vec<u8> = Vec::new();
        for x in 0..picture.width() {
            let [red, green, _] = picture.get_pixel(x, row.unwrap_or_default()).0;
            if green == 0 && red > 0 && reds.last() != Some(&red) {
                reds.push(red);
            }
        }
        assert_eq!(reds, [51, 102, 153, 204]);
    }

    #[test]
    fn values_have_the_decimals_they_need() {
        assert_eq!(names(&[-3.0, 0.0, 3.0]), ["−3", "0", "3"]);
        assert_eq!(names(&[-1.5, 0.0]), ["−1.5", "0.0"]);
        assert_eq!(names(&[-1.0, 1.0 / 3.0]), ["−1.00", "0.33"]);
    }

    #[test]
    fn the_first_rows_may_be_missing() {
        let bare = Traversal { data: Vec::new(), reconstructions: Vec::new(), ..traversal() };
        let height =
            |traversal: &Traversal| demo::decoded(&demo::bytes(|path| traversal.save(path))).height();
        assert!(height(&bare) < height(&traversal()));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let path = Path::new("refused.png");
        assert!(Traversal::default().save(path).is_err());
        assert!(Traversal { values: vec![0.0], ..traversal() }.save(path).is_err());
        assert!(Traversal { data: vec![vec![0.0; 12]; 5], ..traversal() }.save(path).is_err());
        assert!(
            Traversal { shape: ImageShape { channels: 1, ..traversal().shape }, ..traversal() }
                .save(path)
                .is_err()
        );
    }

    #[test]
    fn same_input_same_bytes() {
        let draw = || demo::bytes(|path| traversal().save(path));
        assert_eq!(draw(), draw());
    }
}
