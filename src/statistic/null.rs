//! Null distributions: how the points are labelled if there were no difference.
//!
//! A permutation's MMD^2 needs one quadratic form. With K without its diagonal, r = K 1, T = 1'K 1, and a the
//! 0/1 labels of the smaller sample, q = a'K a and l = a'r give all three sums of MMD^2:
//!
//! ```text
//! smaller with itself: q       larger with itself: T - 2 l + q       both: l - q
//! ```
//!
//! The smaller one, because T - 2 l + q is the difference of large numbers, and is divided by the square of the
//! larger size.

use super::gram::{Gram, Labels};
use crate::kernel::pair_forms::BITS;
use crate::random::{Sequence, Stream};
use multiversion::multiversion;
use rayon::prelude::*;

/// Which `count` of `total` things are chosen: draw `draw` of a seed; the first ones in draw 0, which is what was
/// observed.
fn choose(count: usize, total: usize, seed: u64, draw: usize) -> Vec<u32> {
    if draw == 0 {
        return (0..count as u32).collect();
    }
    Sequence::new(seed, Stream::Permutation, draw as u32).choice(count, total)
}

/// A random order of n things: draw `draw` of a seed; draw 0 leaves them as they are.
pub fn order(n: usize, seed: u64, draw: usize) -> Vec<u32> {
    choose(n, n, seed, draw)
}

/// As [`order`] of n / `length` blocks of as many things: consecutive ones stay together.
pub fn order_of_blocks(n: usize, length: usize, seed: u64, draw: usize) -> Vec<u32> {
    let blocks = order(n / length, seed, draw);
    blocks.into_iter().flat_map(|block| (0..length as u32).map(move |i| block * length as u32 + i)).collect()
}

/// Labels of draws `first..first + draws` of the exact null: which points are called the smaller sample; X if
/// both are of one size.
pub fn permutations([n, m]: [usize; 2], seed: u64, first: usize, draws: usize) -> Labels {
    // The observed labels come first in the order of the points.
    let first_of_smaller = if n <= m { 0 } else { n };
    labels([n, m], first, draws, |draw, set| {
        for p in choose(n.min(m), n + m, seed, draw) {
            set((p as usize + first_of_smaller) % (n + m));
        }
    })
}

/// Labels of draws of the wild bootstrap: in each pair (`x_i`, `y_i`), one point is called X.
pub fn signs(n: usize, seed: u64, first: usize, draws: usize) -> Labels {
    labels([n, n], first, draws, |draw, set| {
        let mut random = Sequence::new(seed, Stream::Permutation, draw as u32);
        for i in 0..n {
            let swapped = draw > 0 && random.word() >> 31 == 1;
            set(if swapped { n + i } else { i });
        }
    })
}

/// Labels (1 + w) / 2 of random signs w, all 1 in draw 0.
pub fn rademacher(n: usize, seed: u64, draws: usize) -> Labels {
    labels([n, 0], 0, draws, |draw, set| {
        let mut random = Sequence::new(seed, Stream::Permutation, draw as u32);
        (0..n).filter(|_| draw == 0 || random.word() >> 31 == 1).for_each(set);
    })
}

/// Packs label vectors: `label(draw, set)` calls `set` for each point whose label is 1.
fn labels(
    [n, m]: [usize; 2],
    first: usize,
    draws: usize,
    label: impl Fn(usize, &mut dyn FnMut(usize)) + Sync,
) -> Labels {
    let first_of_y = n.next_multiple_of(BITS);
    let count = (first_of_y + m).div_ceil(BITS);
    let columns: Vec<Vec<u32>> = (first..first + draws)
        .into_par_iter()
        .map(|draw| {
            let mut words = vec![0u32; count];
            label(draw, &mut |p| {
                let place = if p < n { p } else { first_of_y + p - n };
                words[place / BITS] |= 1 << (place % BITS);
            });
            words
        })
        .collect();
    let words = (0..count).flat_map(|w| columns.iter().map(move |column| column[w])).collect();
    Labels { draws, words }
}

/// a'r of each label vector.
pub(super) fn dot(labels: &Labels, n: usize, r: &[f64]) -> Vec<f64> {
    let words_of_x = n.div_ceil(BITS);
    let mut sums = vec![0.0; labels.draws];
    for (w, words) in labels.words.chunks_exact(labels.draws).enumerate() {
        let points = match w.checked_sub(words_of_x) {
            None => &r[w * BITS..n.min((w + 1) * BITS)],
            Some(w) => &r[n + w * BITS..r.len().min(n + (w + 1) * BITS)],
        };
        add_selected(points, words, &mut sums);
    }
    sums
}

/// The sum over pairs of different items, with the signs 2 a - 1 of each label vector.
pub(super) fn signed_sums(gram: &Gram, labels: &Labels) -> impl Iterator<Item = f64> {
    let rows: Vec<f64> = gram.k.iter().map(|k| k[0]).collect();
    let sum: f64 = rows.iter().sum();
    let dots = dot(labels, rows.len(), &rows);
    gram.forms.iter().zip(dots).map(move |(q, l)| 4.0 * (q - l) + sum)
}

/// Adds `points[p]` to each sum whose word has bit p.
#[multiversion(targets = "simd")]
fn add_selected(points: &[f64], words: &[u32], sums: &mut [f64]) {
    for (bit, value) in points.iter().enumerate() {
        let value = value.to_bits();
        for (sum, word) in sums.iter_mut().zip(words) {
            // All ones or zeros: unlike a choice between two numbers, this becomes vector instructions.
            let mask = 0u64.wrapping_sub(u64::from(word >> bit & 1));
            *sum += f64::from_bits(value & mask);
        }
    }
}

/// q, l and the sum of `values` over the chosen bins, of draws of the binned null: from K summed over `x + y` bins and a
/// value of each.
pub(super) fn binned(
    [x, y]: [usize; 2],
    table: &[f64],
    values: &[f64],
    seed: u64,
    draws: usize,
) -> Vec<[f64; 3]> {
    let bins = x + y;
    let rows: Vec<f64> = table.chunks_exact(bins).map(|row| row.iter().sum()).collect();
    (0..draws)
        .into_par_iter()
        .map(|draw| {
            let chosen = choose(x, bins, seed, draw);
            let form = |&u: &u32| {
                let row = &table[u as usize * bins..][..bins];
                chosen.iter().map(|&v| row[v as usize]).sum::<f64>()
            };
            let sum = |values: &[f64]| chosen.iter().map(|&u| values[u as usize]).sum();
            [chosen.iter().map(form).sum(), sum(&rows), sum(values)]
        })
        .collect()
}
