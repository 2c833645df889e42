//! Random numbers that are a pure function of where they are used.
//!
//! Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011) turns a
//! 64-bit key and a 128-bit counter into four words. The key is the seed and the counter says which number is
//! wanted, so results depend neither on the order nor on the number of threads, a resumed run continues
//! exactly, and both engines see the same integers. `shaders/lib/random.wgsl` is the same in WGSL.

use crate::numeric::{ln, sin_cos_eighth};
use multiversion::multiversion;

/// The use of a random number: the last word of the counter, so that no two uses share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// eps of the sample z = mu + `exp(log_std)` eps in a training step.
    Training,
    /// eps of the same formula when a model is evaluated.
    Evaluation,
    /// Draws from the prior N(0, I).
    Prior,
    /// The first weights of a model.
    Initialisation,
    /// Images of the built-in data sets.
    Data,
    /// Labels of a test's null distribution.
    Permutation,
    /// Points that a bandwidth is found from.
    Subsample,
    /// Which points share a bin.
    Bins,
    /// Draws from the prior in a training step.
    TrainingPrior,
    /// eps of the samples that ln p(x) is estimated from.
    Importance,
    /// Which grey pixels become white.
    Binarisation,
    /// Samples of codes in a picture.
    Story,
    /// Samples of a model under the null.
    Parametric,
    /// Draws from a model of [`crate::density`].
    Model,
    /// The first centres of a mixture.
    Centres,
    /// Which points are in which part of a sample, for a standard error.
    Parts,
    /// X of a test problem.
    ProblemX,
    /// Y of a test problem.
    ProblemY,
    /// Frequencies of random features.
    Features,
    /// Which points choose a bandwidth, and which ones test with it.
    Split,
    /// Chains of annealed importance sampling, and images that a model makes for them.
    Annealing,
    /// New sprites of a training step.
    Sprites,
    /// Images by which disentanglement is measured.
    Disentanglement,
    /// Points of the subsets of a kernel inception distance.
    Subsets,
}

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: u32 = 10;

/// Philox4x32-10: four random words for a counter and a key.
#[inline(always)]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let p0 = u64::from(MULTIPLIERS[0]) * u64::from(c0);
        let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c2);
        [c0, c1, c2, c3] = [(p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32];
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

/// The two key words of a seed.
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// The midpoint of one of 2^23 equal parts of (0, 1): exact in f32, never 0, never 1.
#[inline(always)]
pub fn unit(word: u32) -> f32 {
    ((word >> 9) as f32 + 0.5) * (1.0 / 8_388_608.0)
}

/// Two independent N(0, 1) numbers from two random words (Box and Muller 1958).
///
/// Own polynomials instead of `ln`, `sin` and `cos`: drivers may be off by 2e-4 there. The largest magnitude
/// is sqrt(2 ln 2^24) = 5.77.
#[inline(always)]
pub fn normal_pair(a: u32, b: u32) -> [f32; 2] {
    let radius = (-2.0 * ln(unit(a))).sqrt();
    // The top two bits choose a quarter of the circle, the rest an angle in it.
    let [sin, cos] = sin_cos_eighth((unit(b << 2) - 0.5) * std::f32::consts::FRAC_PI_2);
    let quarter = b >> 30;
    let (s, c) = if quarter & 1 == 0 { (sin, cos) } else { (cos, -sin) };
    let sign = 1.0 - (quarter & 2) as f32;
    [radius * c * sign, radius * s * sign]
}

/// How many counters [`normals`] turns into numbers side by side.
pub const LANES: usize = 16;

/// Normal numbers of `LANES` counters with the same last two words: element 4 i + k of the result comes from
/// counter i, in the order of [`normal_pair`] of its first two and its last two words.
#[multiversion(targets = "simd")]
pub fn normals(
    first: &[u32; LANES],
    second: &[u32; LANES],
    last: [u32; 2],
    key: [u32; 2],
) -> [[f32; 4]; LANES] {
    let mut words = [[0; LANES]; 4];
    for lane in 0..LANES {
        let [a, b, c, d] = philox([first[lane], second[lane], last[0], last[1]], key);
        (words[0][lane], words[1][lane], words[2][lane], words[3][lane]) = (a, b, c, d);
    }
    let mut pairs = [[0.0; LANES]; 4];
    for lane in 0..LANES {
        [pairs[0][lane], pairs[1][lane]] = normal_pair(words[0][lane], words[1][lane]);
        [pairs[2][lane], pairs[3][lane]] = normal_pair(words[2][lane], words[3][lane]);
    }
    std::array::from_fn(|lane| std::array::from_fn(|k| pairs[k][lane]))
}

/// A sequence of random numbers for code that draws one after another, such as the data generators.
///
/// Each (seed, stream, index) gives a sequence of its own, so image `index` is the same however many
/// others are drawn.
#[derive(Clone, Debug)]
pub struct Sequence {
    key: [u32; 2],
    stream: Stream,
    index: u32,
    block: u32,
    words: [u32; 4 * LANES],
    used: usize,
}

/// The words of `LANES` counters whose first word counts up from `first`.
#[multiversion(targets = "simd")]
fn words(first: u32, rest: [u32; 3], key: [u32; 2]) -> [u32; 4 * LANES] {
    let [mut a, mut b, mut c, mut d] = [[0; LANES]; 4];
    for lane in 0..LANES {
        [a[lane], b[lane], c[lane], d[lane]] =
            philox([first.wrapping_add(lane as u32), rest[0], rest[1], rest[2]], key);
    }
    let lanes = [a, b, c, d];
    std::array::from_fn(|i| lanes[i % 4][i / 4])
}

impl Sequence {
    /// The sequence of one item.
    pub fn new(seed: u64, stream: Stream, index: u32) -> Self {
        Self { key: key(seed), stream, index, block: 0, words: [0; 4 * LANES], used: 4 * LANES }
    }

    /// The same sequence after `count` of its words.
    #[must_use]
    pub fn after(self, count: u64) -> Self {
        let lanes = 4 * LANES as u64;
        let mut sequence = Self { block: (count / lanes * LANES as u64) as u32, used: 4 * LANES, ..self };
        for _ in 0..count % lanes {
            sequence.word();
        }
        sequence
    }

    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        if self.used == self.words.len() {
            self.words = words(self.block, [self.index, 0, self.stream as u32], self.key);
            self.block = self.block.wrapping_add(LANES as u32);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// A number in (low, high).
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * unit(self.word())
    }

    /// A draw from N(0, 1).
    pub fn normal(&mut self) -> f32 {
        normal_pair(self.word(), self.word())[0]
    }

    /// A number in (0, 1) of 52 random bits: numbers of [`Self::uniform`] coincide among a few thousand.
    pub fn uniform_f64(&mut self) -> f64 {
        let bits = u64::from(self.word()) << 20 | u64::from(self.word() >> 12);
        (bits as f64 + 0.5) * 2f64.powi(-52)
    }

    /// A draw from N(0, 1) in f64 (Box and Muller 1958).
    pub fn normal_f64(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform_f64().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform_f64()).cos()
    }

    /// A whole number in `0..n`, for `n` far below 2^32 (the bias is n / 2^32).
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.word()) * u64::from(n)) >> 32) as u32
    }

    /// `0..n` in random order (Fisher and Yates, from the end).
    pub fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u32 + 1) as usize);
        }
        order
    }

    /// `count` different ones of `0..total` in random order (Fisher and Yates, from the front, as far as needed).
    pub fn choice(&mut self, count: usize, total: usize) -> Vec<u32> {
        let mut all: Vec<u32> = (0..total as u32).collect();
        for i in 0..count {
            all.swap(i, i + self.below((total - i) as u32) as usize);
        }
        all.truncate(count);
        all
    }
}

/// A keyed bijection of `0..n`: position `i` of the shuffled order holds item `shuffled(i, ..)`.
///
/// A Feistel network on the next power of two, walked until it lands below `n` (Black and Rogaway, "Ciphers
/// with arbitrary finite domains", 2002). No shuffled list is stored; `shaders/lib/shuffle.wgsl` is the same.
///
/// # Panics
/// When `i` is not below `n`: the walk might never come back.
#[inline]
pub fn shuffled(i: u32, n: u32, key: [u32; 2], epoch: u32) -> u32 {
    assert!(i < n, "position {i} is outside of 0..{n}");
    let low_bits = (32 - (n - 1).leading_zeros()).max(2) / 2;
    let high_bits = (32 - (n - 1).leading_zeros()).max(2) - low_bits;
    let (low_mask, high_mask) = ((1 << low_bits) - 1, (1 << high_bits) - 1);
    let mut value = i;
    loop {
        let (mut low, mut high) = (value & low_mask, value >> low_bits);
        for round in 0..SHUFFLE_ROUNDS {
            high ^= mix(low, key[0] ^ epoch, 2 * round) & high_mask;
            low ^= mix(high, key[1] ^ epoch, 2 * round + 1) & low_mask;
        }
        value = high << low_bits | low;
        if value < n {
            return value;
        }
    }
}

const SHUFFLE_ROUNDS: u32 = 4;

/// A hash of one half of the Feistel network (the "lowbias32" multiply-xorshift mixer of C. Wellons).
#[inline(always)]
fn mix(value: u32, key: u32, round: u32) -> u32 {
    let mut h = value.wrapping_add(WEYL[0].wrapping_mul(round + 1)) ^ key;
    h ^= h >> 16;
    h = h.wrapping_mul(0x7FEB_352D);
    h ^= h >> 15;
    h = h.wrapping_mul(0x846C_A68B);
    h ^ h >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the Random123 distribution (`kat_vectors`, philox4x32 10).
    #[test]
    fn philox_gives_the_known_answers() {
        let pi = [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344];
        for (counter, key, answer) in [
            ([0; 4], [0; 2], [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]),
            (pi, [0xA409_3822, 0x299F_31D0], [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]),
        ] {
            assert_eq!(philox(counter, key), answer);
        }
    }

    #[test]
    fn a_sequence_goes_on_after_any_word() {
        let mut all = Sequence::new(7, Stream::Permutation, 3);
        let words: Vec<u32> = (0..300).map(|_| all.word()).collect();
        for count in [0, 1, 31, 32, 33, 64, 127, 257] {
            let mut after = Sequence::new(7, Stream::Permutation, 3).after(count);
            let rest: Vec<u32> = (count..300).map(|_| after.word()).collect();
            assert_eq!(rest, words[count as usize..], "after {count}");
        }
    }

    #[test]
    fn a_sequence_is_the_words_of_its_counters() {
        let mut sequence = Sequence::new(5, Stream::Data, 3);
        for block in 0..40 {
            let want = philox([block, 3, 0, Stream::Data as u32], key(5));
            assert_eq!([0; 4].map(|_| sequence.word()), want, "block {block}");
        }
    }

    #[test]
    fn lanes_are_independent_counters() {
        let (first, second) = ([5; LANES], std::array::from_fn(|lane| 7 * lane as u32));
        let got = normals(&first, &second, [9, 2], key(1 << 40));
        for (lane, got) in got.iter().enumerate() {
            let [a, b, c, d] = philox([first[lane], second[lane], 9, 2], key(1 << 40));
            assert_eq!(got[..2], normal_pair(a, b), "lane {lane}");
            assert_eq!(got[2..], normal_pair(c, d), "lane {lane}");
        }
    }

    /// Mean, variance, skewness, kurtosis within 5 standard errors, the distribution function by
    /// Kolmogorov-Smirnov at 1e-4.
    #[test]
    fn normals_are_normal() {
        let n = 1 << 18;
        let mut draws: Vec<f64> = (0..n / 4)
            .flat_map(|i| {
                let [a, b, c, d] = philox([i, 0, 0, Stream::Prior as u32], key(7));
                [normal_pair(a, b), normal_pair(c, d)].concat()
            })
            .map(f64::from)
            .collect();
        let moment = |k: i32| draws.iter().map(|z| z.powi(k)).sum::<f64>() / f64::from(n);
        // The variance of z^k is E z^2k - (E z^k)^2 with E z^2 = 1, E z^4 = 3, E z^6 = 15, E z^8 = 105.
        for (k, want, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let error = 5.0 * (variance / f64::from(n)).sqrt();
            assert!((moment(k) - want).abs() < error, "E z^{k} = {}", moment(k));
        }
        let distance = distance_to_normal(&mut draws);
        assert!(distance < 2.23 / f64::from(n).sqrt(), "Kolmogorov-Smirnov distance {distance}");
    }

    /// The Kolmogorov-Smirnov distance of draws to N(0, 1).
    fn distance_to_normal(draws: &mut [f64]) -> f64 {
        let n = draws.len() as f64;
        draws.sort_by(f64::total_cmp);
        // Abramowitz and Stegun 7.1.26, to 1.5e-7.
        let cdf = |z: f64| {
            let t = 1.0 / (1.0 + 0.327_591_1 * z.abs() / 2f64.sqrt());
            let p = t
                * (0.254_829_592
                    + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
            let tail = 0.5 * p * (-z * z / 2.0).exp();
            if z > 0.0 { 1.0 - tail } else { tail }
        };
        let distance = |(i, &z): (usize, &f64)| (cdf(z) - (i as f64 + 0.5) / n).abs();
        draws.iter().enumerate().map(distance).fold(0.0, f64::max)
    }

    /// Kolmogorov-Smirnov at 1e-4 again, and no value twice: 2^17 numbers of 52 bits coincide once in 5e5 seeds.
    #[test]
    fn numbers_in_f64_have_their_distributions_and_never_coincide() {
        let n = 1 << 17;
        let bound = 2.23 / f64::from(n).sqrt();
        let mut random = Sequence::new(1, Stream::ProblemX, 0);
        let mut normals: Vec<f64> = (0..n).map(|_| random.normal_f64()).collect();
        let distance = distance_to_normal(&mut normals);
        assert!(distance < bound, "Kolmogorov-Smirnov distance of the normals {distance}");
        let mut uniforms: Vec<f64> = (0..n).map(|_| random.uniform_f64()).collect();
        uniforms.sort_by(f64::total_cmp);
        for (i, &u) in uniforms.iter().enumerate() {
            let expected = (i as f64 + 0.5) / f64::from(n);
            assert!((u - expected).abs() < bound, "uniform number {i} of {n} in order is {u}");
        }
        for values in [&normals, &uniforms] {
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "a value comes twice");
        }
    }

    #[test]
    fn shuffled_is_a_bijection_that_changes_with_seed_and_epoch() {
        for n in [1, 2, 3, 7, 64, 100, 257, 4097] {
            for (seed, epoch) in [(0, 0), (0, 1), (9, 0)] {
                let mut seen: Vec<u32> = (0..n).map(|i| shuffled(i, n, key(seed), epoch)).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..n).collect::<Vec<_>>(), "n {n} seed {seed} epoch {epoch}");
            }
        }
        let order =
            |seed, epoch| -> Vec<u32> { (0..1000).map(|i| shuffled(i, 1000, key(seed), epoch)).collect() };
        for (a, b) in [(order(0, 0), order(0, 1)), (order(0, 0), order(1, 0))] {
            let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
            assert!(same < 10, "{same} of 1000 items kept their place");
        }
    }

    /// Neighbours in the order are uncorrelated: the serial correlation of a permutation has sd 1/sqrt(n).
    #[test]
    fn shuffled_order_has_no_serial_correlation() {
        let n = 60_000;
        let value = |i: u32| f64::from(shuffled(i, n, key(3), 5)) / f64::from(n) - 0.5;
        let correlation = (0..n - 1).map(|i| 12.0 * value(i) * value(i + 1)).sum::<f64>() / f64::from(n);
        assert!(correlation.abs() < 5.0 / f64::from(n).sqrt(), "correlation {correlation}");
    }
}
