//! Pictures that are sheets of images.

use crate::data::{Dataset, Images};
use crate::error::{Error, Result};
use crate::numeric::grouped;
use crate::picture::{
    ImageShape, Matrix, MatrixRow, Sheet, SheetRow, Traversal, TraversedLatent, latent_name,
};
use crate::train::factors;
use crate::train::session::{Session, Split};
use std::iter;
use std::path::Path;

/// Pairs of rows in the picture of reconstructions, and images in each row.
const PAIRS: usize = 4;
const PAIR_COLUMNS: usize = 12;

/// Rows and columns of samples.
const SAMPLE_SIDE: usize = 10;

/// Pairs of images in the picture of interpolations, and images from the one to the other, both included.
const INTERPOLATIONS: usize = 8;
const INTERPOLATION_STEPS: usize = 11;

/// Columns of a traversal, how far out it goes in standard deviations of the prior, and most rows.
const TRAVERSAL_STEPS: usize = 11;
const TRAVERSAL_REACH: f64 = 3.0;
const MOST_TRAVERSED: usize = 20;

pub(super) fn reconstructions(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    let (test, latent) = (&dataset.test, session.model().config.architecture.latent);
    let count = (PAIRS * PAIR_COLUMNS).min(test.len());
    let means = session.encode(Split::Test, count)?.means;
    let decoded = session.decode(&means[..count * latent])?;
    let originals: Vec<Vec<f32>> = (0..count).map(|image| original(dataset, image)).collect();
    let pairs = originals.chunks(PAIR_COLUMNS).zip(decoded.chunks(PAIR_COLUMNS));
    let rows = pairs
        .flat_map(|(original, decoded)| {
            [("original", original), ("VAE", decoded)]
                .map(|(label, images)| SheetRow { label: label.into(), images: images.into() })
        })
        .collect();
    Sheet {
        title: format!("Test images of {} and what the VAE makes of them", dataset.name),
        rows,
        shape: shape(dataset),
        group: 2,
        caption: format!("{latent} latent dimensions; each image is decoded from the mean of its code"),
        ..Sheet::default()
    }
    .save(path)
}

pub(super) fn samples(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    let images = session.sample(SAMPLE_SIDE * SAMPLE_SIDE)?;
    let row = |images: &[Vec<f32>]| SheetRow { label: String::new(), images: images.into() };
    Sheet {
        title: format!("Images that the VAE invents after training on {}", dataset.name),
        rows: images.chunks(SAMPLE_SIDE).map(row).collect(),
        shape: shape(dataset),
        group: 0,
        caption: "Each is decoded from a draw of z from the prior N(0, I)".into(),
        ..Sheet::default()
    }
    .save(path)
}

pub(super) fn interpolation(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    let (test, latent) = (&dataset.test, session.model().config.architecture.latent);
    let pairs = pairs(&test.labels);
    let most = pairs.iter().flatten().max().map_or(0, |last| last + 1);
    let means = session.encode(Split::Test, most)?.means;
    let code = |image: usize| &means[image * latent..][..latent];
    let mut rows = Vec::new();
    for [from, to] in pairs {
        let between = |step: usize| {
            let part = step as f32 / (INTERPOLATION_STEPS - 1) as f32;
            code(from).iter().zip(code(to)).map(move |(a, b)| a + part * (b - a))
        };
        let z: Vec<f32> = (0..INTERPOLATION_STEPS).flat_map(between).collect();
        let mut images = vec![original(dataset, from)];
        images.extend(session.decode(&z)?);
        images.push(original(dataset, to));
        rows.push(SheetRow { label: String::new(), images });
    }
    Sheet {
        title: format!("From one test image of {} to another, through the latent space", dataset.name),
        rows,
        shape: shape(dataset),
        apart: [1, 1],
        caption: "The images at the ends, and what is decoded along the straight line between their codes"
            .into(),
        ..Sheet::default()
    }
    .save(path)
}

/// Pairs of test images, of different classes where there are some.
fn pairs(labels: &[u8]) -> Vec<[usize; 2]> {
    let mut rest: Vec<usize> = (0..labels.len()).collect();
    let mut pairs = Vec::new();
    while pairs.len() < INTERPOLATIONS && rest.len() > 1 {
        let first = rest.remove(0);
        let other = rest.iter().position(|&image| labels[image] != labels[first]).unwrap_or(0);
        pairs.push([first, rest.remove(other)]);
    }
    pairs
}

/// Burgess et al., "Understanding disentangling in beta-VAE" (2018), figure 4.
pub(super) fn traversal(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    traversal_from(path, session, dataset, 0)
}

/// The same, from the code of one test image.
///
/// # Errors
/// There is no such image; the file cannot be written.
pub fn traversal_from(path: &Path, session: &mut Session, dataset: &Dataset, image: usize) -> Result<()> {
    let count = dataset.test.len();
    if image >= count {
        let problem = format!("has {count} test images, 0 to {}; there is no image {image}", count - 1);
        return Err(Error::data(&dataset.name, problem));
    }
    let latent = session.model().config.architecture.latent;
    let (_, codes) = session.evaluate(Split::Test)?;
    let kl = codes.kl_by_dimension();
    let mut order: Vec<usize> = (0..latent).collect();
    order.sort_by(|&a, &b| kl[b].total_cmp(&kl[a]));
    // The seed, then others.
    let others = (0..count).filter(|&other| other != image);
    let shown: Vec<usize> = iter::once(image).chain(others).take(TRAVERSAL_STEPS + 1).collect();
    let shown_codes: Vec<f32> =
        shown.iter().flat_map(|&image| &codes.means[image * latent..][..latent]).copied().collect();
    let step = 2.0 * TRAVERSAL_REACH / (TRAVERSAL_STEPS - 1) as f64;
    let values: Vec<f64> = (0..TRAVERSAL_STEPS).map(|i| -TRAVERSAL_REACH + step * i as f64).collect();
    let seed = &codes.means[image * latent..][..latent];
    // Codes that say nothing may allow no estimate: then rows have no names.
    let of_run = session.settings().seed;
    let named = match factors::information(session, dataset, of_run) {
        Ok(gaps) => gaps.tells(),
        Err(_) => vec![None; latent],
    };
    let told = named.iter().any(Option::is_some);
    let mut latents = Vec::new();
    for &dimension in order.iter().take(MOST_TRAVERSED) {
        let z: Vec<f32> = values
            .iter()
            .flat_map(|&value| {
                seed.iter().enumerate().map(move |(j, &z)| if j == dimension { value as f32 } else { z })
            })
            .collect();
        let images = session.decode(&z)?;
        let factor = named[dimension].clone().unwrap_or_default();
        latents.push(TraversedLatent {
            dimension,
            factor,
            kl: kl[dimension],
            seed: original(dataset, image),
            images,
        });
    }
    let rest = latent - latents.len();
    let left_out = if rest > 0 { format!("; the {rest} of least KL are left out") } else { String::new() };
    Traversal {
        title: format!("What each latent dimension does: {}", dataset.name),
        values,
        data: shown.iter().map(|&image| original(dataset, image)).collect(),
        reconstructions: session.decode(&shown_codes)?,
        latents,
        shape: shape(dataset),
        caption: format!(
            "Rows are ordered by the mean KL of the dimension in nats, high to low{}{left_out}{}",
            if told { ", and named by the factor that it tells most of" } else { "" },
            if image > 0 { format!("; the seed is test image {image}") } else { String::new() }
        ),
    }
    .save(path)
}

/// What each latent tells of each factor.
pub(super) fn factors(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    let gaps = factors::information(session, dataset, session.settings().seed)?;
    let (_, codes) = session.evaluate(Split::Test)?;
    let kl = codes.kl_by_dimension();
    let mut order: Vec<usize> = (0..kl.len()).collect();
    order.sort_by(|&a, &b| kl[b].total_cmp(&kl[a]));
    order.truncate(MOST_TRAVERSED);
    let row = |(k, name): (usize, &String)| MatrixRow {
        label: format!("{name} ({:.2})", gaps.entropies[k]),
        // Rounding may leave less than nothing.
        values: order.iter().map(|&j| gaps.information[k * kl.len() + j].max(0.0)).collect(),
        full: gaps.entropies[k],
    };
    Matrix {
        title: format!("What each latent tells of the factors of {}", dataset.name),
        columns: order.iter().map(|&j| latent_name(j)).collect(),
        rows: gaps.factors.iter().enumerate().map(row).collect(),
        caption: format!(
            "Mutual information in nats, of {} images; beside each factor its entropy, all that can be told. Columns are \
             ordered by the KL of the latent. MIG {:.3}",
            grouped(gaps.images as f64),
            gaps.mean().value
        ),
    }
    .save(path)
}

/// The shape of the images.
pub(super) fn shape(dataset: &Dataset) -> ImageShape {
    let Images { height, width, channels, .. } = dataset.test;
    ImageShape { height, width, channels }
}

/// A test image as numbers in 0..1.
pub(super) fn original(dataset: &Dataset, image: usize) -> Vec<f32> {
    dataset.test.values(image)
}
