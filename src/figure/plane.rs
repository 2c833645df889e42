//! Pictures of a two-dimensional latent space.

use super::RunLog;
use super::images::{original, shape};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::picture::{self, Animation, Cloud, EncodedImage, Manifold, Snapshot, Story};
use crate::random::{Sequence, Stream};
use crate::train::FOLLOWED;
use crate::train::run::Code;
use crate::train::session::{Session, Split};
use std::path::Path;

/// Columns and rows of the manifold, and how far out it goes, in standard deviations of the prior.
const MANIFOLD_SIDE: usize = 20;
const MANIFOLD_REACH: f64 = 3.0;

/// Samples of each image's code in the story.
const STORY_SAMPLES: usize = 6;

/// Most frames of its animation.
const MOST_SNAPSHOTS: usize = 40;

/// Points of the scatter, and codes among which the story's samples lie.
const MOST_CODES: usize = 10_000;

/// The codes nearest to a sample that tell what lives there.
const NEIGHBOURS: usize = 15;

pub(super) fn manifold(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    let step = 2.0 * MANIFOLD_REACH / (MANIFOLD_SIDE - 1) as f64;
    let values: Vec<f64> = (0..MANIFOLD_SIDE).map(|i| -MANIFOLD_REACH + step * i as f64).collect();
    let z: Vec<f32> =
        values.iter().flat_map(|&z2| values.iter().flat_map(move |&z1| [z1 as f32, z2 as f32])).collect();
    Manifold {
        title: format!("The latent plane, decoded: {}", dataset.name),
        images: session.decode(&z)?,
        columns: values.clone(),
        rows: values,
        shape: shape(dataset),
        caption: "Each image is decoded from its place (z1, z2)".into(),
    }
    .save(path)
}

pub(super) fn scatter(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    let points = plane(session)?;
    let title = format!("Where the encoder puts the test images of {}", dataset.name);
    picture::scatter(&title, &points, &dataset.test.labels[..points.len()], &dataset.classes, path)
}

/// The codes of one data set by two models, each with a name, side by side.
///
/// # Errors
/// A model has not two latent dimensions; the picture cannot be written.
pub fn scatter_beside(path: &Path, models: [(&str, &mut Session); 2], dataset: &Dataset) -> Result<()> {
    let mut named = Vec::new();
    for (name, session) in models {
        let latent = session.model().config.architecture.latent;
        if latent != 2 {
            let problem = format!("needs models with --latent 2; {name} has {latent} latent dimensions");
            return Err(Error::run(path, problem));
        }
        named.push((name, plane(session)?));
    }
    let clouds: Vec<Cloud<'_>> = named
        .iter()
        .map(|(title, points)| Cloud { title, points, labels: &dataset.test.labels[..points.len()] })
        .collect();
    let title = format!("Where two encoders put the test images of {}", dataset.name);
    picture::scatters(&title, &clouds, &dataset.classes, path)
}

/// The lecture's story: images, their codes as ellipses, samples of them, and what these are decoded to.
pub(super) fn story(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    let images = dataset.first_of_classes(FOLLOWED);
    let last = images.iter().max().map_or(0, |last| last + 1);
    let codes = session.encode(Split::Test, last.max(MOST_CODES))?;
    let labels = &dataset.test.labels[..codes.means.len() / 2];
    let mut items = Vec::new();
    for (number, &image) in images.iter().enumerate() {
        let of = |values: &[f32]| [values[2 * image], values[2 * image + 1]].map(f64::from);
        let (mean, std) = (of(&codes.means), of(&codes.log_stds).map(f64::exp));
        let mut random = Sequence::new(session.settings().seed, Stream::Story, number as u32);
        let sample = |_| std::array::from_fn(|j| mean[j] + std[j] * f64::from(random.normal()));
        let samples: Vec<[f64; 2]> = (0..STORY_SAMPLES).map(sample).collect();
        let z: Vec<f32> = samples.iter().chain([&mean]).flatten().map(|&z| z as f32).collect();
        let mut decoded = session.decode(&z)?;
        let decoded_mean = decoded.pop().unwrap_or_default();
        let own = dataset.test.labels[image];
        let strayed = |&sample: &[f64; 2]| {
            let around = usual_label(sample, &codes.means, labels);
            (around != own).then(|| dataset.classes[usize::from(around)].clone())
        };
        items.push(EncodedImage {
            label: dataset.classes[usize::from(own)].clone(),
            strayed: samples.iter().map(strayed).collect(),
            image: original(dataset, image),
            mean,
            std,
            samples,
            decoded,
            decoded_mean,
        });
    }
    Story {
        title: format!("The latent space of {}: an image is an ellipse", dataset.name),
        reach: MANIFOLD_REACH,
        items,
        shape: shape(dataset),
    }
    .save(path)
}

/// How the codes of the story's images moved during training: one snapshot per epoch, `None` where none were
/// logged.
pub(super) fn animation(path: &Path, dataset: &Dataset, log: RunLog<'_>) -> Result<Option<()>> {
    let known: Vec<&[Code]> =
        log.lines.iter().map(|line| &line.followed[..]).filter(|codes| !codes.is_empty()).collect();
    let Some(last) = known.last() else { return Ok(None) };
    let steps = log.lines.iter().filter(|line| !line.followed.is_empty()).map(|line| line.step);
    // A long run has more epochs than an animation needs; its last one is always there.
    let every = known.len().div_ceil(MOST_SNAPSHOTS);
    let pair = |values: &[f32]| [f64::from(values[0]), f64::from(values[1])];
    let snapshots = known
        .iter()
        .zip(steps)
        .enumerate()
        .filter(|(index, _)| (known.len() - 1 - index).is_multiple_of(every))
        .map(|(_, (codes, step))| Snapshot {
            caption: format!("step {step}"),
            codes: codes.iter().map(|code| [pair(&code.mean), pair(&code.std)]).collect(),
            decoded: Vec::new(),
        })
        .collect();
    let label = |code: &Code| dataset.classes[usize::from(dataset.test.labels[code.image])].clone();
    Animation {
        title: format!("Codes of test images of {} during training", dataset.name),
        reach: MANIFOLD_REACH,
        labels: last.iter().map(label).collect(),
        images: last.iter().map(|code| original(dataset, code.image)).collect(),
        shape: shape(dataset),
        snapshots,
    }
    .save(path)
    .map(Some)
}

/// The most frequent label of the codes nearest to `place`, no more than the rarest label has: of several, that of the
/// nearest.
fn usual_label(place: [f64; 2], means: &[f32], labels: &[u8]) -> u8 {
    let mut counts = [0; 256];
    labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
    let rarest = counts.into_iter().filter(|&count| count > 0).min().unwrap_or(0);
    let distance = |mean: &[f32]| (f64::from(mean[0]) - place[0]).hypot(f64::from(mean[1]) - place[1]);
    let mut near: Vec<(f64, u8)> = means.chunks_exact(2).map(distance).zip(labels.iter().copied()).collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    near.truncate(NEIGHBOURS.min(rarest));
    let count = |label: u8| near.iter().filter(|code| code.1 == label).count();
    // Of equals, the last is the maximum.
    near.iter().rev().map(|code| code.1).max_by_key(|&label| count(label)).unwrap_or_default()
}

/// The means of the first test images' codes.
fn plane(session: &mut Session) -> Result<Vec<[f32; 2]>> {
    let means = session.encode(Split::Test, MOST_CODES)?.means;
    Ok(means.chunks_exact(2).map(|mean| [mean[0], mean[1]]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_around_a_place_tell_its_label() {
        // Fifteen codes of 3 to the left, fourteen of 7 to the right, and one of 7 amid the others.
        let means = (0..30).flat_map(|i| [if i < 15 || i == 29 { -1.0 } else { 1.0 }, i as f32 / 100.0]);
        let (means, labels) = (means.collect::<Vec<f32>>(), [[3; 15], [7; 15]].concat());
        assert_eq!(usual_label([-1.0, 0.1], &means, &labels), 3);
        assert_eq!(usual_label([1.0, 0.1], &means, &labels), 7);
        assert_eq!(usual_label([f64::from(means[0]), 0.0], &means[..4], &[9, 2]), 9);
        // Two codes of 5 far from eight of 1: a label of few codes is not outvoted by all others.
        let few = [vec![5.0; 4], vec![-5.0; 16]].concat();
        assert_eq!(usual_label([5.0, 5.0], &few, &[[5; 2].as_slice(), &[1; 8]].concat()), 5);
    }
}
