//! The mutual information gap of the posteriors: the MIG of the beta-TCVAE paper.
//!
//! ```text
//! q(z_j)         = 1/n sum_i N(z_j; mu_ij, s_ij^2)                       the aggregate of the posteriors
//! q(z_j | v_k)   = the same over images of this value only
//! z_ij           ~ N(mu_ij, s_ij^2), one per image
//! I(z_j; v_k)    = H(z_j) - H(z_j | v_k) = mean_i [ln q(z_ij | v_k(i)) - ln q(z_ij)], in nats; MIG see `gap`
//! ```
//!
//! Chen, Li, Grosse, Duvenaud, "Isolating sources of disentanglement in variational autoencoders", NeurIPS
//! 2018, section 4.1: v is uniform over the images given, and both entropies are estimated from the same n
//! samples, so that much of their error cancels.
//!
//! Cost: n^2 m densities. Of more than [`MOST_IMAGES`] a random sample is taken. An image's own posterior is
//! in its mixtures, as in the paper, where the mixtures are over all images; in a sample of n it has 1 / n
//! and K / n of the weight, which makes information too large, most of all where there is least. FactorValues of
//! up to 40 values in codes of deviation .9 with posteriors of .1: .468, .477, .484, .486 with errors of
//! .003, .002, .001, .001 of 1,000, 3,000, 10,000, 30,000 images.

use super::gap::Gaps;
use super::{Draw, Labelled, Result, classes, random, refused, surprisals};
use multiversion::multiversion;
use rayon::prelude::*;

/// Images that take part: 10^9 densities in 10 latents, seconds of a CPU.
pub const MOST_IMAGES: usize = 10_000;

/// Widths beyond e^-100 and e^100 are no encoder's, and their inverse squares must be numbers.
const MOST_LOG_STD: f64 = 100.0;

/// The gaps of at most `most` images; see [`MOST_IMAGES`].
///
/// # Errors
/// If there are no widths or absurd ones, or only one latent.
pub fn mig(data: &Labelled, most: usize, seed: u64) -> Result<Gaps> {
    data.check_gap()?;
    let data = data.sample(most, seed)?;
    let Some(log_std) = &data.log_std else {
        return Err(refused(
            "the MIG of posteriors needs their widths; an encoder without any has the histogram MIG",
        ));
    };
    if log_std.iter().flatten().any(|s| s.abs() > MOST_LOG_STD) {
        return Err(refused(format!(
            "a posterior's ln std is beyond {MOST_LOG_STD}; such widths have no MIG"
        )));
    }
    let factors: Vec<(Vec<u8>, usize)> = data.values.iter().map(|values| classes(values)).collect();
    let latents: Vec<(usize, &Vec<f64>)> = data.mean.iter().enumerate().collect();
    // (m) of (n, f).
    let pointwise: Vec<Vec<f64>> = latents
        .into_par_iter()
        .map(|(j, mean)| information(mean, &log_std[j], &factors, &samples(mean, &log_std[j], seed, j)))
        .collect();
    let (n, f) = (data.len(), factors.len());
    let surprisals: Vec<Vec<f64>> = factors.iter().map(|(values, size)| surprisals(values, *size)).collect();
    let surprisal = |i: usize, k: usize| surprisals[k][usize::from(factors[k].0[i])];
    let mean = |each: &dyn Fn(usize) -> f64| (0..n).map(each).sum::<f64>() / n as f64;
    let entropies = (0..f).map(|k| mean(&|i| surprisal(i, k))).collect();
    let of_factor =
        |k: usize| pointwise.iter().map(move |p| (0..n).map(|i| p[i * f + k]).sum::<f64>() / n as f64);
    let information = (0..f).flat_map(of_factor).collect();
    Ok(Gaps::new(data.names.clone(), information, entropies, n, |i, k, j| pointwise[j][i * f + k], surprisal))
}

/// z: one sample of each posterior.
fn samples(mean: &[f64], log_std: &[f64], seed: u64, latent: usize) -> Vec<f64> {
    let mut random = random(seed, Draw::Posterior, latent);
    mean.iter().zip(log_std).map(|(mu, s)| mu + s.exp() * random.normal_f64()).collect()
}

/// ln q(z_i | v_k(i)) - ln q(z_i) of one latent: `(n, f)`.
fn information(mean: &[f64], log_std: &[f64], factors: &[(Vec<u8>, usize)], z: &[f64]) -> Vec<f64> {
    let (n, f) = (mean.len(), factors.len());
    let precision: Vec<f64> = log_std.iter().map(|s| (-s).exp()).collect();
    let members: Vec<Vec<Vec<u32>>> = factors.iter().map(|(values, size)| members(values, *size)).collect();
    let mut ratios = vec![0.0; n];
    let mut result = Vec::with_capacity(n * f);
    for (i, &z) in z.iter().enumerate() {
        // Relative to the sample's own density, so that sums are at least 1 and their logarithms are safe.
        let own = -0.5 * ((z - mean[i]) * precision[i]).powi(2) - log_std[i];
        density_ratios(z, own, [mean, &precision, log_std], &mut ratios);
        let all: f64 = ratios.iter().sum();
        let of_factor = |(members, (values, _)): (&Vec<Vec<u32>>, &(Vec<u8>, usize))| {
            let same = &members[usize::from(values[i])];
            let sum: f64 = same.iter().map(|&other| ratios[other as usize]).sum();
            // Means over the images of this value, and over all.
            (sum * n as f64 / (all * same.len() as f64)).ln()
        };
        result.extend(members.iter().zip(factors).map(of_factor));
    }
    result
}

/// The images of each value.
fn members(values: &[u8], size: usize) -> Vec<Vec<u32>> {
    let mut members = vec![Vec::new(); size];
    values.iter().zip(0..).for_each(|(&v, i)| members[usize::from(v)].push(i));
    members
}

/// N(z; mu, s^2) of all images over e^own / sqrt(2 pi); means, 1 / s and ln s: `(n)` each.
#[multiversion(targets = "simd")]
fn density_ratios(z: f64, own: f64, [mean, precision, log_std]: [&[f64]; 3], ratios: &mut [f64]) {
    let images = mean.iter().zip(precision).zip(log_std);
    for (ratio, ((mean, precision), log_std)) in ratios.iter_mut().zip(images) {
        let distance = (z - mean) * precision;
        *ratio = exp(-0.5 * distance * distance - log_std - own);
    }
}

/// Adding and subtracting 1.5 * 2^52 rounds an f64 to a whole number.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// ln 2 in two parts: multiples of the first by whole numbers below 2^11 are exact (Cephes `exp`).
const LN_2: [f64; 2] = [6.931_457_519_531_25e-1, 1.428_606_820_309_417_2e-6];

/// 1 / k! of the series of e^r: the next term is below 1e-17 for |r| <= ln 2 / 2.
const SERIES: [f64; 14] = {
    let (mut series, mut k) = ([1.0; 14], 1);
    while k < series.len() {
        series[k] = series[k - 1] / k as f64;
        k += 1;
    }
    series
};

/// e^x to 1e-15 relative within -708..709, and that at the ends beyond; unlike the library's it vectorises.
#[inline(always)]
fn exp(x: f64) -> f64 {
    let clamped = x.clamp(-708.0, 709.0);
    let n = (clamped * std::f64::consts::LOG2_E + ROUNDING) - ROUNDING;
    let r = (clamped - n * LN_2[0]) - n * LN_2[1];
    let fraction = SERIES.iter().rev().fold(0.0, |sum, c| sum * r + c);
    // The rounded sum holds n in its last bits.
    fraction * f64::from_bits(((n + ROUNDING).to_bits().wrapping_add(1023)) << 52)
}

#[cfg(test)]
mod tests {
    use super::super::cases::grid;
    use super::super::{FactorValues, Labelled, Posteriors};
    use super::*;

    /// n images of K values: latent 0 has mean `distance` v and width `std`, latent 1 the prior.
    fn gaussian(n: usize, classes: usize, distance: f64, std: f64) -> Labelled {
        let values: Vec<u8> = (0..n).map(|i| (i % classes) as u8).collect();
        let mean: Vec<f64> = values.iter().flat_map(|&v| [distance * f64::from(v), 0.0]).collect();
        let log_std: Vec<f64> = values.iter().flat_map(|_| [std.ln(), 0.0]).collect();
        let codes = Posteriors { n, m: 2, mean: &mean, log_std: Some(&log_std) };
        Labelled::new(codes, FactorValues { names: &["v".to_owned()], sizes: &[classes], values: &values })
            .unwrap()
    }

    /// I(z; v) = H(mixture) - H(N(0, std^2)), the former by the trapezoidal rule, which is exact to 1e-12
    /// here.
    fn integral(classes: usize, distance: f64, std: f64) -> f64 {
        let density = |z: f64| -> f64 {
            let one = |v: usize| (-0.5 * ((z - distance * v as f64) / std).powi(2)).exp();
            (0..classes).map(one).sum::<f64>() / (classes as f64 * std * std::f64::consts::TAU.sqrt())
        };
        let (steps, width) = (20_000, distance * classes as f64 + 24.0 * std);
        let at = |i: usize| density(-12.0 * std + width * i as f64 / steps as f64);
        let entropy: f64 = (0..=steps).map(at).filter(|&q| q > 0.0).map(|q| -q * q.ln()).sum();
        let noise = 0.5 * (std::f64::consts::TAU * std::f64::consts::E * std * std).ln();
        entropy * width / steps as f64 - noise
    }

    /// Images of one value share their posterior, so that mixtures are exact and only the samples are random.
    #[test]
    fn information_of_a_gaussian_code_is_its_integral() {
        for (classes, distance, std) in [(2, 1.0, 1.0), (4, 1.0, 0.5), (5, 2.0, 0.1), (3, 0.2, 1.0)] {
            let gaps = mig(&gaussian(3000, classes, distance, std), MOST_IMAGES, 5).unwrap();
            let expected = integral(classes, distance, std) / (classes as f64).ln();
            let mean = gaps.mean();
            let error = mean.error.unwrap().value;
            let difference = mean.value - expected;
            assert!(difference.abs() < 4.0 * error + 1e-9, "{difference} with {error}");
            assert!(gaps.information[1].abs() < 1e-12, "the prior tells nothing");
        }
    }

    /// The error of one run against the spread of 200, which has a relative error of 5 %. As many images have
    /// each value in all of them, which makes the spread a little smaller.
    #[test]
    fn errors_are_the_spread_of_samples() {
        let data = gaussian(400, 4, 1.0, 0.5);
        let runs: Vec<_> = (0..200).map(|seed| mig(&data, MOST_IMAGES, seed).unwrap().mean()).collect();
        let mean = runs.iter().map(|run| run.value).sum::<f64>() / 200.0;
        let spread = (runs.iter().map(|run| (run.value - mean).powi(2)).sum::<f64>() / 199.0).sqrt();
        let error = runs.iter().map(|run| run.error.unwrap().value).sum::<f64>() / 200.0;
        assert!((error / spread - 1.1).abs() < 0.2, "error {error}, spread {spread}");
    }

    /// Two images of each combination, codes far apart: I = H, so that the gap is 1 but for rounding.
    #[test]
    fn distant_codes_have_a_gap_of_one() {
        let (sizes, values) = ([2, 5], grid(&[2, 5]).repeat(2));
        let mean: Vec<f64> = values.iter().map(|&v| 100.0 * f64::from(v)).collect();
        let codes = Posteriors { n: 20, m: 2, mean: &mean, log_std: Some(&[0.0; 40]) };
        let names = ["shape".to_owned(), "size".to_owned()];
        let data =
            Labelled::new(codes, FactorValues { names: &names, sizes: &sizes, values: &values }).unwrap();
        let gaps = mig(&data, MOST_IMAGES, 0).unwrap();
        assert!((gaps.mean().value - 1.0).abs() < 1e-12, "{gaps:?}");
        assert!((gaps.mean_without(&["shape"]).unwrap().value - 1.0).abs() < 1e-12);
    }

    #[test]
    fn exp_is_that_of_the_library() {
        for i in -70_000..70_000 {
            let x = f64::from(i) * 0.010_1;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-15, "{x}: {} {}", exp(x), x.exp());
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e9) < 1e-307 && exp(f64::NAN).is_nan());
    }

    #[test]
    fn threads_change_nothing_and_seeds_do() {
        let data = gaussian(500, 4, 1.0, 0.7);
        let with = |threads: usize, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| mig(&data, 300, seed).unwrap())
        };
        assert_eq!(with(1, 1), with(3, 1));
        assert_ne!(with(1, 1), with(1, 2));
        assert_eq!(with(1, 1).images, 300);
    }
}
