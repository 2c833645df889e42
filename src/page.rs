//! Pages: a trained model, or one that learns, as one HTML file, which opens from disk and asks nothing of a network.
//!
//! ```text
//! facts     JSON: what the run was, the plan of its decoder              gzip, base64
//! contents  weights, codes and pixels, at the offsets that facts name    gzip, base64
//! script    web/*.js, one after the other                                its SHA-256 is all that the policy lets run
//! ```
//!
//! Names of classes, of data and of factors are facts, which the script shows as text: none becomes markup.

use crate::data::{Dataset, digits};
use crate::engine::{Choice, Device};
use crate::error::{Kind, Result};
use crate::export::{Bytes, ExportedModel, ExportedPlan, PlacedContents};
use crate::figure::RunLog;
use crate::files;
use crate::model::{Decoder, DecoderPlan, LikelihoodName};
use crate::random::Stream;
use crate::statistic::Common;
use crate::train::config::Config;
use crate::train::factors;
use crate::train::metrics::Metrics;
use crate::train::objective::ObjectiveName;
use crate::train::schedule::Schedule;
use crate::train::session::{Codes, Session, Split, initial_state};
use base64::prelude::{BASE64_STANDARD, Engine};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

/// Images that the decoder takes at a time: under the pointer, and for rows of images.
const BATCHES: [usize; 2] = [1, 9];

/// Test images whose codes are dots in the plane.
const DOTS: usize = 2000;

/// Test images to pick from: of each class, and in all.
const OF_CLASS: usize = 4;
const PICKED: usize = 40;

/// Lines of a log that a chart has room for.
const LINES: usize = 400;

const STYLE: &str = include_str!("../web/page.css");

/// In an order in which each uses only those before it.
const RUN_SCRIPTS: [&str; 4] = [
    include_str!("../web/engine.js"),
    include_str!("../web/plain.js"),
    include_str!("../web/view.js"),
    include_str!("../web/run.js"),
];

const LEARN_SCRIPTS: [&str; 4] = [
    include_str!("../web/engine.js"),
    include_str!("../web/mmd.js"),
    include_str!("../web/view.js"),
    include_str!("../web/learn.js"),
];

/// Images of the page that learns, and the seed of images and first weights.
const TRAIN: u32 = 4000;
const TEST: u32 = 500;
const SEED: u64 = 1;

/// Most rows of a sample that the page compares: a second's work.
const TEST_ROWS: usize = 512;

/// Steps after which it is compared with the CPU engine.
const COMPARED: usize = 50;

/// What a page of a run knows.
#[derive(Serialize)]
struct RunFacts {
    version: &'static str,
    data: String,
    objective: String,
    architecture: String,
    likelihood: LikelihoodName,
    /// In digits, as JavaScript has no whole numbers of 64 bits in JSON.
    seed: String,
    steps: u64,
    /// Height, width and channels.
    image: [usize; 3],
    latent: usize,
    classes: Vec<String>,
    /// Averages over the test images.
    test: Metrics,
    log: Vec<LogPoint>,
    /// Mean KL of each latent over the test images: `(M)`.
    kl: Vec<f64>,
    /// The factor that each latent tells most of: `(M)`.
    tells: Vec<Option<String>>,
    information: Option<FactorInformation>,
    dots: PlaneDots,
    picks: Picks,
    decoder: ExportedDecoder,
}

#[derive(Serialize)]
struct LogPoint {
    split: String,
    step: u64,
    elbo: f64,
    reconstruction: f64,
    kl: f64,
}

/// What each latent tells of each factor, in nats.
#[derive(Serialize)]
struct FactorInformation {
    factors: Vec<String>,
    entropies: Vec<f64>,
    /// `(factors, M)`.
    information: Vec<f64>,
    mig: f64,
}

/// Codes of test images.
#[derive(Serialize)]
struct PlaneDots {
    labels: Vec<u8>,
    /// Offset of the means, `(N, M)` f32.
    means: usize,
}

/// Test images to look at closely.
#[derive(Serialize)]
struct Picks {
    /// Their numbers.
    images: Vec<usize>,
    labels: Vec<u8>,
    /// Offset of the pixels, `(N, D)` bytes.
    pixels: usize,
    /// Offset of means and log-stds, `(N, 2M)` f32.
    codes: usize,
}

/// A decoder that the script can run.
#[derive(Serialize)]
struct ExportedDecoder {
    plan: ExportedPlan,
    weights: Vec<PlacedContents>,
    decoders: Vec<Decoder>,
}

/// What the page that learns knows.
#[derive(Serialize)]
struct LearnFacts {
    version: &'static str,
    image: [usize; 3],
    classes: Vec<String>,
    /// Of the test images.
    labels: Vec<u8>,
    /// -ln p(x|z) less half the squared error.
    constant: f64,
    objectives: Vec<LearnedObjective>,
    test: TestFacts,
}

/// The two-sample test of the page: that of `elbo compare`.
#[derive(Serialize)]
struct TestFacts {
    /// Most rows of a sample.
    rows: usize,
    permutations: usize,
    alpha: f64,
    streams: Streams,
}

/// Purposes of random numbers.
#[derive(Serialize)]
struct Streams {
    permutation: u32,
    subsample: u32,
}

#[derive(Serialize)]
struct LearnedObjective {
    #[serde(flatten)]
    text: ObjectiveText,
    model: ExportedModel,
    reference: ComparedStep,
}

/// An objective of the lecture, in words.
#[derive(Clone, Copy, Serialize)]
struct ObjectiveText {
    name: ObjectiveName,
    loss: &'static str,
    why: &'static str,
    knob: Option<Knob>,
}

/// A weight that the reader sets.
#[derive(Clone, Copy, Serialize)]
struct Knob {
    name: &'static str,
    /// The word of a step that it is.
    word: &'static str,
    low: f64,
    high: f64,
    start: f64,
}

/// Where the CPU engine is after some steps.
#[derive(Serialize)]
struct ComparedStep {
    steps: usize,
    /// Of the last step's images.
    elbo: f64,
}

const OBJECTIVES: [ObjectiveText; 3] = [
    ObjectiveText {
        name: ObjectiveName::Vae,
        loss: "−ELBO = ½ |x − decoder(z)|² + 392 ln 2π + KL(q(z|x) ‖ N(0, I)),   z ~ q(z|x)",
        why: "The first term wants images back; the second keeps each cloud close to the prior, so that draws from the \
              prior decode to digits. Together they bound −ln p(x) from above.",
        knob: None,
    },
    ObjectiveText {
        name: ObjectiveName::BetaVae,
        loss: "½ |x − decoder(z)|² + β KL(q(z|x) ‖ N(0, I))",
        why: "A larger β is a narrower bottleneck: codes keep only what is worth it. Move the slider while it learns.",
        knob: Some(Knob { name: "β", word: "kl_weight", low: 0.25, high: 64.0, start: 4.0 }),
    },
    ObjectiveText {
        name: ObjectiveName::MmdVae,
        loss: "½ |x − decoder(z)|² + λ MMD²(q(z), N(0, I))",
        why: "No single cloud has to look like the prior; all of them together do: their maximum mean discrepancy is what \
              counts. The KL is free to grow.",
        knob: Some(Knob { name: "λ", word: "extra_weight", low: 1.0, high: 10_000.0, start: 100.0 }),
    },
];

/// Writes the page that trains the lecture's model in the browser.
///
/// # Errors
/// The file cannot be written.
pub fn learn(path: &Path) -> Result<()> {
    let dataset = digits::some(SEED, TRAIN, TEST);
    let device = Device::open(Choice::Cpu, None)?;
    let mut bytes = Bytes::default();
    let mut objectives = Vec::new();
    let mut constant = 0.0;
    for text in OBJECTIVES {
        let weight = text.knob.map(|knob| Schedule::from(knob.start));
        let mut config = Config { objective: text.name, latent: 2, seed: SEED, ..Config::default() };
        match text.name {
            ObjectiveName::BetaVae => config.beta = weight,
            ObjectiveName::MmdVae => config.lambda = weight,
            _ => {}
        }
        let config = config.complete();
        let mut session = Session::new(&device, &config, &dataset, &initial_state(&config, &dataset))?;
        let model = ExportedModel::of(&mut session, &mut bytes)?;
        constant = session.likelihood().constant(dataset.train.dimension());
        let last = session.train(0..COMPARED as u64)?.pop().unwrap_or_default();
        objectives.push(LearnedObjective {
            text,
            model,
            reference: ComparedStep { steps: COMPARED, elbo: last.elbo },
        });
    }
    let facts = LearnFacts {
        version: env!("CARGO_PKG_VERSION"),
        image: [digits::SIDE, digits::SIDE, 1],
        classes: dataset.classes.clone(),
        labels: dataset.test.labels.clone(),
        constant,
        objectives,
        test: {
            let Common { permutations, alpha, .. } = Common::default();
            let streams =
                Streams { permutation: Stream::Permutation as u32, subsample: Stream::Subsample as u32 };
            TestFacts { rows: TEST_ROWS, permutations, alpha, streams }
        },
    };
    write(path, &LEARN_SCRIPTS, &facts, &bytes)
}

/// Writes the page of a run, whose session holds a model after so many steps.
///
/// # Errors
/// The file cannot be written, or the device fails.
pub fn of_run(
    path: &Path,
    session: &mut Session,
    steps: u64,
    dataset: &Dataset,
    log: RunLog<'_>,
) -> Result<()> {
    let mut bytes = Bytes::default();
    let (test, codes) = session.evaluate(Split::Test)?;
    // Codes that say nothing may allow no estimate.
    let gaps = match &dataset.test.factors {
        Some(_) => factors::information(session, dataset, session.settings().seed).ok(),
        None => None,
    };
    let architecture = session.model().config.architecture.clone();
    let latent = architecture.latent;
    let facts = RunFacts {
        version: env!("CARGO_PKG_VERSION"),
        data: dataset.name.clone(),
        objective: log.config.objective.to_string(),
        architecture: architecture.to_string(),
        likelihood: log.config.likelihood,
        seed: log.config.seed.to_string(),
        steps,
        image: [dataset.test.height, dataset.test.width, dataset.test.channels],
        latent,
        classes: dataset.classes.clone(),
        test,
        log: log_points(log),
        kl: codes.kl_by_dimension(),
        tells: gaps.as_ref().map_or_else(|| vec![None; latent], |gaps| gaps.tells()),
        information: gaps.map(|gaps| FactorInformation {
            mig: gaps.mean().value,
            factors: gaps.factors,
            entropies: gaps.entropies,
            information: gaps.information,
        }),
        dots: {
            let count = codes.len().min(DOTS);
            let means = bytes.add(bytemuck::cast_slice(&codes.means[..count * latent]));
            PlaneDots { labels: dataset.test.labels[..count].to_vec(), means }
        },
        picks: picks(dataset, &codes, &mut bytes),
        decoder: exported_decoder(session, &mut bytes)?,
    };
    write(path, &RUN_SCRIPTS, &facts, &bytes)
}

/// The log, thinned out to what a chart shows; the last line of each split stays.
fn log_points(RunLog { lines, .. }: RunLog<'_>) -> Vec<LogPoint> {
    let mut points = Vec::new();
    for split in ["train", "validation", "test"] {
        let of_split: Vec<_> = lines.iter().filter(|line| line.split == split).collect();
        let every = of_split.len().div_ceil(LINES).max(1);
        let kept = of_split
            .iter()
            .enumerate()
            .filter(|(index, _)| (of_split.len() - 1 - index).is_multiple_of(every));
        points.extend(kept.map(|(_, line)| LogPoint {
            split: split.into(),
            step: line.step,
            elbo: line.metrics.elbo,
            reconstruction: line.metrics.reconstruction,
            kl: line.metrics.kl,
        }));
    }
    points
}

/// The first test images of each class.
fn picks(dataset: &Dataset, codes: &Codes, bytes: &mut Bytes) -> Picks {
    let (labels, latent) = (&dataset.test.labels, codes.latent);
    let mut taken = vec![0; dataset.classes.len().max(1)];
    let of_class = if dataset.classes.len() < 2 { PICKED } else { OF_CLASS };
    let mut images: Vec<usize> = (0..codes.len())
        .filter(|&image| {
            let taken = &mut taken[usize::from(labels[image])];
            *taken += 1;
            *taken <= of_class
        })
        .take(PICKED)
        .collect();
    images.sort_by_key(|&image| labels[image]);
    let pixels: Vec<u8> = images.iter().flat_map(|&image| dataset.test.image(image).to_vec()).collect();
    let row = |values: &[f32], image: usize| values[image * latent..][..latent].to_vec();
    let codes: Vec<f32> = images
        .iter()
        .flat_map(|&image| [row(&codes.means, image), row(&codes.log_stds, image)].concat())
        .collect();
    Picks {
        labels: images.iter().map(|&image| labels[image]).collect(),
        images,
        pixels: bytes.add(&pixels),
        codes: bytes.add(bytemuck::cast_slice(&codes)),
    }
}

fn exported_decoder(session: &mut Session, bytes: &mut Bytes) -> Result<ExportedDecoder> {
    let architecture = session.model().config.architecture.clone();
    let DecoderPlan { plan, theta, decoders } = DecoderPlan::new(&architecture, &BATCHES)?;
    let state = session.state(0)?;
    let layers = &state.theta.0[architecture.encoder().len()..];
    let weights = theta.iter().zip(layers).map(|(id, layer)| bytes.place(id.0, bytemuck::cast_slice(layer)));
    let weights = weights.collect();
    Ok(ExportedDecoder { plan: ExportedPlan::of(&plan)?, weights, decoders })
}

/// Puts a page together and writes it.
fn write(path: &Path, scripts: &[&str], facts: &impl Serialize, bytes: &Bytes) -> Result<()> {
    let facts = serde_json::to_vec(facts).map_err(|e| Kind::Device(e.to_string()))?;
    let page = html(&script(scripts), &packed(&facts), &packed(&bytes.all));
    files::replace(path, page)
}

/// Modules one after the other as one: none imports or exports any more.
fn script(modules: &[&str]) -> String {
    let mut script = String::new();
    for line in modules.iter().flat_map(|module| module.lines()) {
        if !line.starts_with("import ") {
            script.push_str(line.strip_prefix("export ").unwrap_or(line));
            script.push('\n');
        }
    }
    script
}

/// gzip, then base64.
fn packed(bytes: &[u8]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let gzip =
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all that is written");
    BASE64_STANDARD.encode(gzip)
}

fn html(script: &str, facts: &str, contents: &str) -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
         base-uri 'none'; form-action 'none'\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>elbo</title>
<style>{STYLE}</style>
</head>
<body>
<main><noscript>This page draws everything with JavaScript, which is turned off.</noscript></main>
<script type=\"application/octet-stream\" id=\"facts\">{facts}</script>
<script type=\"application/octet-stream\" id=\"contents\">{contents}</script>
<script type=\"module\">{script}</script>
</body>
</html>
",
        hash(script),
        hash(STYLE),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    /// The text between two marks.
    fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
        let rest = &page[page.find(start).unwrap() + start.len()..];
        &rest[..rest.find(end).unwrap()]
    }

    #[test]
    fn modules_become_one_that_imports_nothing() {
        for scripts in [&RUN_SCRIPTS[..], &LEARN_SCRIPTS] {
            let whole = script(scripts);
            // An import that goes over several lines would leave some of them.
            for line in whole.lines() {
                assert!(
                    !line.starts_with("import ")
                        && !line.starts_with("export ")
                        && !line.starts_with("} from"),
                    "{line}"
                );
            }
            // The end of the script's element, wherever it stands.
            assert!(!whole.contains("</script"));
        }
    }

    #[test]
    fn the_policy_lets_this_script_and_this_style_run_and_nothing_else() {
        let page = html("let a = 1;\n", "AA==", "AAA=");
        let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
        let ran = between(&page, "<script type=\"module\">", "</script>");
        for (kind, text) in [("script-src", ran), ("style-src", STYLE)] {
            let hash = BASE64_STANDARD.encode(Sha256::digest(text));
            assert!(policy.contains(&format!("{kind} 'sha256-{hash}'")), "{policy}");
        }
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(between(&page, "<style>", "</style>"), STYLE);
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let gzip = BASE64_STANDARD.decode(packed(&bytes)).unwrap();
        let mut out = Vec::new();
        GzDecoder::new(&gzip[..]).read_to_end(&mut out).unwrap();
        assert_eq!(out, bytes);
    }
}
