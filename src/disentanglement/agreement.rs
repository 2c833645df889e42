//! The measures beside those of NumPy and scikit-learn on the same codes: `benches/peers/measures.py` wrote the numbers.

use super::{FactorValues, Labelled, Posteriors, active, dci, histogram::Histogram, mig, sap};
use serde::Deserialize;

#[derive(Deserialize)]
struct Peer {
    sizes: Vec<usize>,
    train: u32,
    factors: Vec<u8>,
    mean: Vec<f64>,
    log_std: Vec<f64>,
    kl: Vec<f64>,
    variances: Vec<f64>,
    histograms: OfHistograms,
    posteriors: Scattered,
    sap: OfMachines,
    trees: OfTrees,
}

#[derive(Deserialize)]
struct OfHistograms {
    information: Vec<f64>,
    entropies: Vec<f64>,
    mig: f64,
    modularity: f64,
}

/// Over seeds.
#[derive(Deserialize)]
struct Scattered {
    mean: f64,
    deviation: f64,
}

#[derive(Deserialize)]
struct OfMachines {
    accuracies: Vec<f64>,
    score: f64,
}

/// Means over seeds; deviations are the largest of any number.
#[derive(Deserialize)]
struct OfTrees {
    importance: Vec<f64>,
    importance_deviation: f64,
    accuracies: Vec<f64>,
    accuracy_deviation: f64,
    disentanglement: f64,
    completeness: f64,
    score_deviation: f64,
}

/// What is not random.
const EXACT: f64 = 1e-9;

#[track_caller]
fn near(ours: &[f64], theirs: &[f64], allowed: f64) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= allowed, "{ours} instead of {theirs}, allowed {allowed:e}");
    }
}

#[test]
fn measures_agree_with_scikit_learn() {
    let peer: Peer = serde_json::from_str(include_str!("scikit_learn.json")).unwrap();
    let (n, m) = (peer.factors.len() / peer.sizes.len(), peer.kl.len());
    let names = ["a", "b", "c"].map(String::from);
    let codes = Posteriors { n, m, mean: &peer.mean, log_std: Some(&peer.log_std) };
    let factors = FactorValues { names: &names, sizes: &peer.sizes, values: &peer.factors };
    let data = Labelled::new(codes, factors).unwrap();

    let active = active::active(codes).unwrap();
    near(&active.kl.unwrap(), &peer.kl, EXACT);
    near(&active.variances, &peer.variances, EXACT);

    let histogram = Histogram::new(&data);
    near(&histogram.information(), &peer.histograms.information, EXACT);
    near(&histogram.entropies(), &peer.histograms.entropies, EXACT);
    let modularity = histogram.modularity().value.unwrap().value;
    near(
        &[histogram.gaps().mean().value, modularity],
        &[peer.histograms.mig, peer.histograms.modularity],
        EXACT,
    );

    // A mean of 20 seeds of each.
    let seeds = 20;
    let migs: Vec<f64> = (0..seeds).map(|seed| mig::mig(&data, n, seed).unwrap().mean().value).collect();
    let error = peer.posteriors.deviation * (2.0 / seeds as f64).sqrt();
    near(&[migs.iter().sum::<f64>() / seeds as f64], &[peer.posteriors.mean], 4.0 * error);

    let rows: Vec<u32> = (0..n as u32).collect();
    let (train, test) = rows.split_at(peer.train as usize);
    let (train, test) = (data.rows(train), data.rows(test));
    let sap = sap::score_of(&train, &test).unwrap();
    near(&sap.accuracies, &peer.sap.accuracies, EXACT);
    near(&[sap.value.value], &[peer.sap.score], EXACT);

    // Of equal splits scikit-learn draws one by its seed, and ours takes the first.
    let trees = dci::part(&train, &test).unwrap();
    let OfTrees { importance_deviation, accuracy_deviation, score_deviation, .. } = peer.trees;
    near(&trees.importance, &peer.trees.importance, 4.0 * importance_deviation);
    near(&trees.test, &peer.trees.accuracies, 4.0 * accuracy_deviation);
    let f = peer.sizes.len();
    let scores = [dci::disentanglement(&trees.importance, f), dci::completeness(&trees.importance, f)];
    near(&scores, &[peer.trees.disentanglement, peer.trees.completeness], 4.0 * score_deviation);
}
