//! How well the latents of a model keep the known factors of its data apart: the measures of [`crate::disentanglement`].
//!
//! Images for the measures are drawn from the whole grid of factors where the data are drawn, and are a random choice of
//! all images of the data where they are stored. The beta-VAE and FactorVAE scores encode millions of images that share a
//! factor: they need data with every combination of factors. A grid of up to [`MOST_CODED`] images is encoded once.

use super::session::Session;
use crate::data::{Dataset, Factors, Images, Pixels, sprites};
use crate::disentanglement::dci;
use crate::disentanglement::gap::Gaps;
use crate::disentanglement::histogram::Histogram;
use crate::disentanglement::{
    FactorEncoder, FactorValues, Labelled, MeasureValue, Posteriors, TEST_POINTS, TRAIN_POINTS, active,
    beta_vae, factor_vae, mig, sap,
};
use crate::error::{Error, Result};
use crate::random::{Sequence, Stream};
use serde::Serialize;

/// Images of a grid that is encoded as a whole.
pub const MOST_CODED: usize = 1 << 20;

/// Images that are encoded at a time.
const AT_ONCE: usize = 1000;

/// The factor that published values of the MIG leave out: Chen et al. judge by four factors of dSprites.
const SHAPE: &str = "shape";

/// A number and how far off it may be.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Measured {
    /// The measure.
    pub value: f64,
    /// Its standard error, where it has one.
    pub standard_error: Option<f64>,
}

impl From<MeasureValue> for Measured {
    fn from(estimate: MeasureValue) -> Self {
        Self { value: estimate.value, standard_error: estimate.error.map(|error| error.value) }
    }
}

/// The measures; those that the data do not allow are null.
#[derive(Clone, Debug, Serialize)]
pub struct Disentanglement {
    /// Images whose codes were looked at; both MIGs and the modularity are of the first 10,000 of them.
    pub images: usize,
    /// The factors with more than one value.
    pub factors: Vec<String>,
    /// The mutual information gap of the posteriors (Chen et al. 2018).
    pub mig: Measured,
    /// The same without the shape, as published for dSprites.
    pub mig_without_shape: Option<Measured>,
    /// The mutual information gap of histograms of the means, as in `disentanglement_lib`.
    pub mig_histogram: Measured,
    /// Separated attribute predictability (Kumar et al. 2018).
    pub sap: Measured,
    /// Of gradient-boosted trees (Eastwood and Williams 2018).
    pub dci_disentanglement: Measured,
    /// The same: how few latents tell of a factor.
    pub dci_completeness: Measured,
    /// The same: share of right predictions.
    pub dci_informativeness: Measured,
    /// Of latents that tell of any factor (Ridgeway and Mozer 2018).
    pub modularity: Option<Measured>,
    /// The same as in `disentanglement_lib`, where a latent that tells of no factor counts as 0.
    pub modularity_dead_as_zero: Option<f64>,
    /// The FactorVAE score (Kim and Mnih 2018).
    pub factor_vae: Option<Measured>,
    /// The beta-VAE score (Higgins et al. 2017).
    pub beta_vae: Option<Measured>,
    /// Latents whose mean has a variance above 0.01 (Burda et al. 2016).
    pub active_by_variance: usize,
    /// Latents with a KL above 0.01 nats.
    pub active_by_kl: Option<usize>,
    /// KL of each latent in nats: `(M)`.
    pub kl: Option<Vec<f64>>,
    /// Mutual information of each factor with each latent in nats, by the posteriors: `(factors, M)`.
    pub information: Vec<Vec<f64>>,
    /// Entropy of each factor in nats.
    pub entropies: Vec<f64>,
    /// What is to be said of data and measures.
    pub notes: Vec<String>,
}

/// Refuses data and models of which the measures are not defined, before anything is computed.
///
/// # Errors
/// The data have no two known factors that vary, the code has one dimension, or no distribution.
pub fn check(session: &Session, dataset: &Dataset) -> Result<()> {
    let world = World::of(dataset)?;
    if world.sizes.iter().filter(|&&size| size > 1).count() < 2 {
        let problem = "has fewer than two factors that vary; the measures compare factors";
        return Err(Error::data(&dataset.name, problem));
    }
    if session.model().config.architecture.latent < 2 {
        return Err(Error::usage("--disentanglement compares latents; this model has only one"));
    }
    if session.settings().deterministic {
        let problem = "--disentanglement needs a q(z|x); this model was trained with --deterministic";
        return Err(Error::usage(problem));
    }
    Ok(())
}

/// Computes all measures; `tell` hears what begins, and how much of the encoding is done.
///
/// # Errors
/// The data have no known factors, or fewer than two that vary.
pub fn judge(
    session: &mut Session,
    dataset: &Dataset,
    seed: u64,
    tell: &mut dyn FnMut(&'static str, f64),
) -> Result<Disentanglement> {
    let world = World::of(dataset)?;
    tell("codes", 0.0);
    let (data, codes) = world.labelled(session, TRAIN_POINTS + TEST_POINTS, seed)?;
    tell("mutual information", 0.0);
    let chosen = data.sample(mig::MOST_IMAGES, seed)?;
    let gaps = mig::mig(&data, mig::MOST_IMAGES, seed)?;
    let histogram = Histogram::new(&chosen);
    let modularity = histogram.modularity();
    tell("SAP", 0.0);
    let sap = sap::score(&data, seed)?;
    tell("DCI", 0.0);
    let dci = dci::score(&data, 1, seed)?;
    let active = active::active(codes.posteriors())?;
    let mut notes = [data.notes(), &modularity.notes].concat();
    let (mut factor_vae, mut beta_vae) = (None, None);
    if let Some(mut source) = world.source(session, tell)? {
        tell("FactorVAE score", 0.0);
        factor_vae = Some(factor_vae::score(&mut *source, factor_vae::Votes::default(), seed)?.value.into());
        tell("beta-VAE score", 0.0);
        beta_vae = Some(beta_vae::score(&mut *source, beta_vae::PairCounts::default(), seed)?.value.into());
    } else {
        notes.push(
            "the data do not have each combination of factors once: no beta-VAE and FactorVAE scores".into(),
        );
    }
    let has_shape = gaps.factors.iter().any(|factor| factor == SHAPE) && gaps.factors.len() > 1;
    let Gaps { factors, information, entropies, .. } = &gaps;
    Ok(Disentanglement {
        images: data.len(),
        factors: factors.clone(),
        mig: gaps.mean().into(),
        mig_without_shape: has_shape.then(|| gaps.mean_without(&[SHAPE])).flatten().map(Measured::from),
        mig_histogram: histogram.gaps().mean().into(),
        sap: sap.value.into(),
        dci_disentanglement: dci.disentanglement.into(),
        dci_completeness: dci.completeness.into(),
        dci_informativeness: dci.test.into(),
        modularity: modularity.value.map(Measured::from),
        modularity_dead_as_zero: modularity.with_dead_as_zero,
        factor_vae,
        beta_vae,
        active_by_variance: active.by_mean,
        active_by_kl: active.by_kl,
        kl: active.kl,
        information: information.chunks(data.latents()).map(<[f64]>::to_vec).collect(),
        entropies: entropies.clone(),
        notes,
    })
}

/// Mutual information of factors and latents alone, for pictures: names of the factors, and `(factors, M)` in nats.
///
/// # Errors
/// The data have no known factors that vary.
pub fn information(session: &mut Session, dataset: &Dataset, seed: u64) -> Result<Gaps> {
    let (data, _) = World::of(dataset)?.labelled(session, FEW, seed)?;
    mig::mig(&data, FEW, seed)
}

/// Images that the mutual information in pictures is from.
const FEW: usize = 3000;

/// Means and log-stds in f64.
struct Means {
    m: usize,
    mean: Vec<f64>,
    log_std: Vec<f64>,
}

impl Means {
    fn posteriors(&self) -> Posteriors<'_> {
        Posteriors { n: self.mean.len() / self.m, m: self.m, mean: &self.mean, log_std: Some(&self.log_std) }
    }
}

/// All images that there are.
struct World<'a> {
    dataset: &'a Dataset,
    names: Vec<String>,
    sizes: Vec<usize>,
}

impl<'a> World<'a> {
    fn of(dataset: &'a Dataset) -> Result<Self> {
        let (Some(train), Some(test)) = (&dataset.train.factors, &dataset.test.factors) else {
            let problem =
                "has no known factors; use sprites, or a file with `latents_classes` as dSprites has";
            return Err(Error::data(&dataset.name, problem));
        };
        let names = train.names.clone();
        let sizes = match dataset.train.pixels {
            Pixels::Sprites(_) => {
                let [colours, grid @ ..] = sprites::SIZES.map(usize::from);
                let colours = if dataset.train.channels == 1 { 1 } else { colours };
                [&[colours][..], &grid].concat()
            }
            Pixels::Bytes(_) | Pixels::Numbers(_) => {
                let values = [&train.values[..], &test.values].concat();
                let size = |k: usize| {
                    values.iter().skip(k).step_by(names.len()).max().map_or(1, |&v| usize::from(v) + 1)
                };
                (0..names.len()).map(size).collect()
            }
        };
        Ok(Self { dataset, names, sizes })
    }

    fn drawn(&self) -> bool {
        matches!(self.dataset.train.pixels, Pixels::Sprites(_))
    }

    /// Codes and factors of so many images, or all that there are.
    fn labelled(&self, session: &mut Session, count: usize, seed: u64) -> Result<(Labelled, Means)> {
        let mut random = Sequence::new(seed, Stream::Disentanglement, u32::MAX);
        let (mut values, mut coder) = (Vec::new(), Coder::new(session));
        if self.drawn() {
            for _ in 0..count {
                let row: Vec<u8> = self.sizes.iter().map(|&size| random.below(size as u32) as u8).collect();
                coder.add(&sprite(&row, self.dataset.train.channels))?;
                values.extend(row);
            }
        } else {
            let all = self.dataset.train.len() + self.dataset.test.len();
            for image in random.choice(count.min(all), all) {
                let (images, factors, i) = self.stored(image as usize)?;
                coder.add(&images.image(i))?;
                values.extend(factors.row(i));
            }
        }
        let means = coder.finish()?;
        let factors = FactorValues { names: &self.names, sizes: &self.sizes, values: &values };
        Ok((Labelled::new(means.posteriors(), factors)?, means))
    }

    /// An image, counted through training and test images.
    fn stored(&self, image: usize) -> Result<(&Images, &Factors, usize)> {
        let Dataset { train, test, .. } = self.dataset;
        let (images, i) = if image < train.len() { (train, image) } else { (test, image - train.len()) };
        let factors =
            images.factors.as_ref().ok_or_else(|| Error::data(&self.dataset.name, "has no known factors"))?;
        Ok((images, factors, i))
    }

    /// Something that encodes each combination of factors, where the data have them.
    fn source<'s>(
        &'s self,
        session: &'s mut Session,
        tell: &mut dyn FnMut(&'static str, f64),
    ) -> Result<Option<Box<dyn FactorEncoder + 's>>> {
        let combinations: usize = self.sizes.iter().product();
        let latents = session.model().config.architecture.latent;
        if self.drawn() && combinations > MOST_CODED {
            let (sizes, channels) = (self.sizes.clone(), self.dataset.train.channels);
            return Ok(Some(Box::new(Drawn { session, sizes, channels, latents })));
        }
        let all = self.dataset.train.len() + self.dataset.test.len();
        if combinations > MOST_CODED || !self.drawn() && all != combinations {
            return Ok(None);
        }
        // Where each combination is.
        let mut places = vec![usize::MAX; combinations];
        if !self.drawn() {
            for image in 0..all {
                let (_, factors, i) = self.stored(image)?;
                places[number(&self.sizes, factors.row(i))] = image;
            }
            if places.contains(&usize::MAX) {
                return Ok(None);
            }
        }
        let mut coder = Coder::new(session);
        for (combination, &place) in places.iter().enumerate() {
            if combination.is_multiple_of(AT_ONCE) {
                tell("codes of all combinations", combination as f64 / combinations as f64);
            }
            if self.drawn() {
                coder.add(&sprite(&row(&self.sizes, combination), self.dataset.train.channels))?;
            } else {
                let (images, _, i) = self.stored(place)?;
                coder.add(&images.image(i))?;
            }
        }
        let means = coder.finish()?.mean;
        Ok(Some(Box::new(GridCodes { sizes: self.sizes.clone(), latents, means })))
    }
}

/// The number of a combination of factors, the last factor changing fastest.
fn number(sizes: &[usize], row: &[u8]) -> usize {
    row.iter().zip(sizes).fold(0, |number, (&value, size)| number * size + usize::from(value))
}

/// The combination of a number.
fn row(sizes: &[usize], mut number: usize) -> Vec<u8> {
    let mut row: Vec<u8> = Vec::with_capacity(sizes.len());
    for size in sizes.iter().rev() {
        row.push((number % size) as u8);
        number /= size;
    }
    row.reverse();
    row
}

/// The image of a sprite with these factors.
fn sprite(row: &[u8], channels: usize) -> Vec<u8> {
    let mut pixels = vec![0; sprites::PIXELS * channels];
    let sprite = sprites::Sprite::of(number(&sprites::SIZES.map(usize::from), row) as u32);
    sprites::draw(sprite, sprites::geometry(), sprites::LEVELS, &mut pixels);
    pixels
}

/// Encodes images, many at a time.
struct Coder<'a> {
    session: &'a mut Session,
    pixels: Vec<f32>,
    images: usize,
    means: Means,
}

impl<'a> Coder<'a> {
    fn new(session: &'a mut Session) -> Self {
        let m = session.model().config.architecture.latent;
        Self {
            session,
            pixels: Vec::new(),
            images: 0,
            means: Means { m, mean: Vec::new(), log_std: Vec::new() },
        }
    }

    fn add(&mut self, image: &[u8]) -> Result<()> {
        self.pixels.extend(image.iter().map(|&pixel| f32::from(pixel) / f32::from(u8::MAX)));
        self.images += 1;
        if self.images == AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let codes = self.session.encode_images(&self.pixels)?;
        self.means.mean.extend(codes.means.iter().map(|&v| f64::from(v)));
        self.means.log_std.extend(codes.log_stds.iter().map(|&v| f64::from(v)));
        self.pixels.clear();
        self.images = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<Means> {
        self.flush()?;
        Ok(self.means)
    }
}

/// Sprites that are drawn and encoded when they are asked for.
struct Drawn<'a> {
    session: &'a mut Session,
    sizes: Vec<usize>,
    channels: usize,
    latents: usize,
}

impl FactorEncoder for Drawn<'_> {
    fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    fn latents(&self) -> usize {
        self.latents
    }

    fn encode(&mut self, factors: &[u8]) -> Result<Vec<f64>> {
        let mut coder = Coder::new(self.session);
        for row in factors.chunks(self.sizes.len()) {
            coder.add(&sprite(row, self.channels))?;
        }
        Ok(coder.finish()?.mean)
    }
}

/// A grid of codes.
struct GridCodes {
    sizes: Vec<usize>,
    latents: usize,
    means: Vec<f64>,
}

impl FactorEncoder for GridCodes {
    fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    fn latents(&self) -> usize {
        self.latents
    }

    fn encode(&mut self, factors: &[u8]) -> Result<Vec<f64>> {
        let code = |row: &[u8]| &self.means[number(&self.sizes, row) * self.latents..][..self.latents];
        Ok(factors.chunks(self.sizes.len()).flat_map(code).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_are_counted_as_in_the_grid_of_sprites() {
        let sizes = sprites::SIZES.map(usize::from);
        for combination in [0, 1, 31, 32, 737_279, 737_280, 5_160_959] {
            let values = row(&sizes, combination);
            assert_eq!(number(&sizes, &values), combination);
            assert_eq!(sprites::Sprite::of(combination as u32).values()[..], values[..]);
        }
    }
}
