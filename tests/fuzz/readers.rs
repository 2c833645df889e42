//! The readers: what files they get, and what they are asked for.

use super::mutation::{Random, damage, damage_text, gzip, png};
use elbo::checkpoint::{About, State};
use elbo::data::format;
use elbo::data::table::{Missing, ReadOptions, Table};
use elbo::density::Distribution;
use elbo::engine::gpu::{Description, Known};
use elbo::model::{Architecture, Hidden, Layers, LikelihoodName};
use elbo::statistic::Bandwidth;
use elbo::statistic::power::PowerLog;
use elbo::statistic::test::Null;
use elbo::train::config::Config;
use elbo::train::run::Run;
use elbo::train::schedule::Schedule;
use std::fmt::Display;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;
use zip::write::SimpleFileOptions;

/// How a reader took an input.
pub(super) enum Verdict {
    /// It was read, as these numbers if they are known of right files.
    Read(Vec<f64>),
    /// With this message.
    Refused(String),
    /// It did what no reader should.
    Wrong(String),
}

/// Bytes, and the numbers in them if the file is right.
type Input = (Vec<u8>, Option<Vec<f64>>);

/// A reader.
pub(super) struct Reader {
    pub(super) name: &'static str,
    /// The name of the file, by which formats are told.
    pub(super) file: &'static str,
    /// Right files, to be damaged; made in a folder.
    pub(super) seeds: fn(&Path) -> Vec<Vec<u8>>,
    pub(super) input: fn(&mut Random, &[Vec<u8>], u64) -> Input,
    /// Reads the file in a folder.
    pub(super) read: fn(&Path, &Path) -> Verdict,
    /// Parts of messages about headers: files that were refused otherwise got past theirs.
    pub(super) of_header: &'static [&'static str],
    /// Most inputs, for those that take long.
    pub(super) most: u64,
}

/// Inputs of a reader that starts the program.
const OF_PROGRAM: u64 = 10_000;

const NPY_HEADER: &[&str] =
    &["no .npy", "header", "is damaged", "format version", "cut off", "type `", "no NumPy"];

pub(super) const READERS: &[Reader] = &[
    Reader {
        name: "npy",
        file: "x.npy",
        seeds: none,
        input: npy_input,
        read: table,
        of_header: NPY_HEADER,
        most: u64::MAX,
    },
    Reader {
        name: "npz",
        file: "x.npz",
        seeds: none,
        input: |random, _, _| (archive(random), None),
        read: |_, file| table_of(&text(file), &(text(file) + ":imgs")),
        of_header: &["archive", "no .npy", "header", "format version", "type `"],
        most: u64::MAX,
    },
    Reader {
        name: "csv",
        file: "x.csv",
        seeds: csv_seeds,
        input: csv_input,
        read: table,
        of_header: &["no text", "UTF"],
        most: u64::MAX,
    },
    Reader {
        name: "csv.gz",
        file: "x.csv.gz",
        seeds: csv_seeds,
        input: |random, seeds, number| {
            let (bytes, expected) = csv_input(random, seeds, number);
            let mut bytes = gzip(&bytes);
            if expected.is_none() && random.once_in(8) {
                damage(random, &mut bytes, seeds);
            }
            (bytes, expected)
        },
        read: table,
        of_header: &["no text", "UTF", "gzip", "deflate", "corrupt"],
        most: u64::MAX,
    },
    Reader {
        name: "labels",
        file: "labels.csv",
        seeds: csv_seeds,
        input: |random, seeds, number| (csv_input(random, seeds, number).0, None),
        read: |_, file| {
            let of = |expected| match format::labels(&text(file), &ReadOptions::default(), expected) {
                Ok(table) => sound(&table).unwrap_or(Verdict::Read(Vec::new())),
                Err(error) => Verdict::Refused(error.to_string()),
            };
            match of(None) {
                Verdict::Wrong(problem) => Verdict::Wrong(problem),
                _ => of(Some(4)),
            }
        },
        of_header: &["no text", "UTF"],
        most: u64::MAX,
    },
    Reader {
        name: "idx",
        file: "x-images-idx3-ubyte",
        seeds: none,
        input: |random, seeds, number| idx_input(random, seeds, number, false),
        read: table,
        of_header: &["IDX", "magic", "cut off"],
        most: u64::MAX,
    },
    Reader {
        name: "idx.gz",
        file: "x-images-idx3-ubyte.gz",
        seeds: none,
        input: |random, seeds, number| idx_input(random, seeds, number, true),
        read: table,
        of_header: &["IDX", "magic", "cut off", "gzip", "deflate"],
        most: u64::MAX,
    },
    Reader {
        name: "png",
        file: "pictures/a.png",
        seeds: none,
        input: png_input,
        read: |folder, _| table(folder, &folder.join("pictures")),
        of_header: &["signature", "IHDR", "chunk", "Invalid"],
        most: u64::MAX,
    },
    Reader {
        name: "model",
        file: "model.safetensors",
        seeds: |place| models(place, "model.safetensors"),
        input: safetensors_input,
        read: |_, file| answer(State::read_model(file, None, &mut |_| {})),
        of_header: &["damaged"],
        most: u64::MAX,
    },
    Reader {
        name: "optimizer",
        file: "run/checkpoints/3/optimizer.safetensors",
        seeds: |place| models(place, "optimizer.safetensors"),
        input: safetensors_input,
        read: |place, _| answer(State::read(&place.join("run"))),
        of_header: &["damaged"],
        most: u64::MAX,
    },
    Reader {
        name: "config",
        file: "run/config.toml",
        seeds: config_seeds,
        input: text_input,
        read: |_, file| answer(Config::read(file)),
        of_header: &["TOML parse error"],
        most: u64::MAX,
    },
    Reader {
        name: "metrics",
        file: "run/metrics.jsonl",
        seeds: |_| METRICS.iter().map(|text| text.as_bytes().to_vec()).collect(),
        input: text_input,
        read: |place, _| answer(Run::lines(&place.join("run"))),
        of_header: &["expected value at line 1 column 1"],
        most: u64::MAX,
    },
    Reader {
        name: "distribution",
        file: "model.json",
        seeds: |_| DISTRIBUTIONS.iter().map(|text| text.as_bytes().to_vec()).collect(),
        input: text_input,
        read: |_, file| answer(Distribution::read(file)),
        of_header: &["not valid JSON"],
        most: u64::MAX,
    },
    Reader {
        name: "power log",
        file: "power.jsonl",
        seeds: |_| vec![POWER.as_bytes().to_vec()],
        input: text_input,
        read: |_, file| answer(PowerLog::open(file, &serde_json::json!({"test": "mmd"}), false)),
        of_header: &["other settings"],
        most: u64::MAX,
    },
    Reader {
        name: "tiles",
        file: "elbo/tiles.json",
        seeds: |_| {
            let name = format!("card, driver, elbo {}", env!("CARGO_PKG_VERSION"));
            vec![format!("{{\"{name}\": {{\"linear 1 x 2 x 3\": \"16 x 16\"}}}}\n").into_bytes()]
        },
        input: text_input,
        read: |_, _| {
            let adapter =
                Description { name: "card".into(), driver: "driver".into(), ..Description::default() };
            let _ = Known::of(&adapter);
            Verdict::Read(Vec::new())
        },
        of_header: &[],
        most: u64::MAX,
    },
    Reader {
        name: "options",
        file: "options.txt",
        seeds: |_| OPTIONS.iter().map(|text| text.as_bytes().to_vec()).collect(),
        input: text_input,
        read: |_, file| {
            let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
            let results = [
                text.parse::<Schedule>().map(drop).map_err(|e| e.to_string()),
                text.parse::<Layers>().map(drop).map_err(|e| e.to_string()),
                text.parse::<Hidden>().map(drop).map_err(|e| e.to_string()),
                text.parse::<Bandwidth>().map(drop).map_err(|e| e.to_string()),
                text.parse::<Null>().map(drop).map_err(|e| e.to_string()),
            ];
            // These say what was typed, which is no secret to a terminal.
            match results.into_iter().find_map(Result::ok) {
                Some(()) => Verdict::Read(Vec::new()),
                None => Verdict::Refused("no option".into()),
            }
        },
        of_header: &[],
        most: u64::MAX,
    },
    #[cfg(feature = "parquet")]
    Reader {
        name: "parquet",
        file: "x.parquet",
        seeds: |_| vec![include_bytes!("table.parquet").to_vec()],
        input: |random, seeds, _| {
            let mut bytes = seeds[0].clone();
            // What is behind the magic number, and the one at the end, stay.
            let end = bytes.split_off(bytes.len() - 8);
            damage(random, &mut bytes, seeds);
            bytes.extend(end);
            (bytes, None)
        },
        read: table,
        of_header: &["no whole Parquet"],
        most: u64::MAX,
    },
    Reader {
        name: "reference",
        file: "x.elbo",
        seeds: references,
        input: safetensors_input,
        read: |_, file| match elbo::statistic::reference::ReferenceSample::read(file) {
            Ok(reference) => sound(&reference.table).unwrap_or(Verdict::Read(Vec::new())),
            Err(error) => Verdict::Refused(error.to_string()),
        },
        of_header: &["is no reference"],
        most: u64::MAX,
    },
    Reader {
        name: "program, arrays",
        file: "x.npy",
        seeds: none,
        input: |random, seeds, number| (npy_input(random, seeds, number).0, None),
        read: |_, file| {
            program(&["compare", "--engine", "cpu", "--permutations", "19", &text(file), &text(file)])
        },
        of_header: &[],
        most: OF_PROGRAM,
    },
    Reader {
        name: "program, tables",
        file: "x.csv",
        seeds: csv_seeds,
        input: |random, seeds, number| (csv_input(random, seeds, number).0, None),
        read: |_, file| {
            let columns = ["independence", "--engine", "cpu", "--permutations", "19", "--json"];
            program(&[&columns[..], &[&text(file), &text(file)]].concat())
        },
        of_header: &[],
        most: OF_PROGRAM,
    },
];

fn none(_: &Path) -> Vec<Vec<u8>> {
    Vec::new()
}

fn references(place: &Path) -> Vec<Vec<u8>> {
    use elbo::statistic::reference::ReferenceSample;
    let device = elbo::engine::Device::open(elbo::engine::Choice::Cpu, None).expect("the CPU");
    let file = place.join("seed.csv");
    std::fs::write(&file, "age,city\n1,a\n2.5,b\n4,a\n8,\n").expect("a file");
    let options = ReadOptions { categories: vec!["city".into()], ..ReadOptions::default() };
    let table = format::read(&text(&file), &options).expect("a table");
    let (family, bandwidth) = (elbo::kernel::pairs::Family::default(), elbo::statistic::Bandwidth::default());
    let reference =
        ReferenceSample::new(&device, table, 4, (family, &bandwidth), None, 0).expect("a reference");
    let path = place.join("seed.elbo");
    reference.save(&path).expect("a file");
    vec![std::fs::read(&path).expect("bytes"); 3]
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn answer<T>(result: Result<T, impl Display>) -> Verdict {
    match result {
        Ok(_) => Verdict::Read(Vec::new()),
        Err(error) => Verdict::Refused(error.to_string()),
    }
}

/// Reads a sample, and images to learn from.
fn table(_: &Path, file: &Path) -> Verdict {
    table_of(&text(file), &text(file))
}

fn table_of(images: &str, sample: &str) -> Verdict {
    let drop = ReadOptions { missing: Missing::Drop, ..ReadOptions::default() };
    let loaded = elbo::data::load(images, 1, None);
    match (format::read(sample, &drop), loaded) {
        // Of two messages, that which should not be.
        (_, Err(error)) if error.to_string().chars().any(char::is_control) => {
            Verdict::Refused(error.to_string())
        }
        (Ok(table), _) => sound(&table).unwrap_or(Verdict::Read(table.values.to_vec())),
        (Err(error), _) => Verdict::Refused(error.to_string()),
    }
}

/// What is wrong with a table, if anything is.
fn sound(table: &Table) -> Option<Verdict> {
    let Table { rows, columns, ref values, .. } = *table;
    let wrong =
        rows == 0 || columns == 0 || values.len() != rows * columns || values.iter().any(|v| !v.is_finite());
    wrong.then(|| Verdict::Wrong(format!("a table of {rows} x {columns} with {} numbers", values.len())))
}

/// Runs `elbo`, which must end by itself and say one sentence if it fails.
fn program(arguments: &[&str]) -> Verdict {
    let output = match Command::new(env!("CARGO_BIN_EXE_elbo")).args(arguments).output() {
        Ok(output) => output,
        Err(error) => return Verdict::Wrong(error.to_string()),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error")).collect();
    match (output.status.code(), &errors[..]) {
        (Some(0), []) => Verdict::Read(Vec::new()),
        (Some(1 | 2), [error]) => Verdict::Refused((*error).to_owned()),
        (code, _) => Verdict::Wrong(format!("exit code {code:?}, and it said: {said}")),
    }
}

/// A number of a type of NumPy's, as bytes in its order and as f64.
struct Element {
    npy: &'static str,
    idx: u8,
    bytes: fn(i64, bool) -> Vec<u8>,
    value: fn(i64) -> f64,
}

macro_rules! element {
    ($npy:literal, $idx:literal, $type:ty) => {
        Element {
            npy: $npy,
            idx: $idx,
            bytes: |n, big| {
                let value = n as $type;
                if big { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
            },
            value: |n| (n as $type) as f64,
        }
    };
}

const ELEMENTS: [Element; 8] = [
    element!("u1", 0x08, u8),
    element!("i1", 0x09, i8),
    element!("i2", 0x0B, i16),
    element!("i4", 0x0C, i32),
    element!("f4", 0x0D, f32),
    element!("f8", 0x0E, f64),
    element!("i8", 0, i64),
    element!("u4", 0, u32),
];

/// Sizes of a sample or of images.
fn shape(random: &mut Random) -> Vec<usize> {
    let mut size = |most: usize| 1 + random.below(most);
    match size(3) {
        1 => vec![size(12)],
        2 => vec![size(8), size(4)],
        _ => vec![size(5), size(4), size(4)],
    }
}

/// A .npy file and its numbers in C order.
fn npy(random: &mut Random) -> (Vec<u8>, Vec<f64>) {
    let (element, shape) = (random.choice(&ELEMENTS), shape(random));
    let (big, fortran) = (random.once_in(3), random.once_in(3));
    let count: usize = shape.iter().product();
    let numbers: Vec<i64> = (0..count).map(|_| random.next() as i64 >> (40 + random.below(24))).collect();
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let sizes = if sizes.len() == 1 { format!("({},)", sizes[0]) } else { format!("({})", sizes.join(", ")) };
    let order = if element.npy.ends_with('1') { '|' } else { ['<', '>'][usize::from(big)] };
    let header = format!(
        "{{'descr': '{order}{}', 'fortran_order': {}, 'shape': {sizes}, }}",
        element.npy,
        if fortran { "True" } else { "False" }
    );
    let mut file = b"\x93NUMPY\x01\x00\x00\x00".to_vec();
    file.extend(header.bytes());
    file.push(b'\n');
    // In Fortran order the first index changes fastest.
    let place = |mut at: usize| {
        let mut index = vec![0; shape.len()];
        for (index, size) in index.iter_mut().zip(&shape) {
            (*index, at) = (at % size, at / size);
        }
        index.iter().zip(&shape).fold(0, |place, (index, size)| place * size + index)
    };
    for at in 0..count {
        file.extend((element.bytes)(numbers[if fortran { place(at) } else { at }], big));
    }
    right_length(&mut file);
    (file, numbers.into_iter().map(element.value).collect())
}

/// Writes the length of a .npy file's header into it, if there is one.
fn right_length(file: &mut [u8]) {
    let end = file.iter().skip(10).position(|&byte| byte == b'\n');
    if let Some(length) = end.map(|end| end + 1).filter(|&length| length < 1 << 16) {
        file[8..10].copy_from_slice(&(length as u16).to_le_bytes());
    }
}

fn npy_input(random: &mut Random, _: &[Vec<u8>], number: u64) -> Input {
    let (mut file, values) = npy(random);
    if number.is_multiple_of(4) {
        return (file, Some(values));
    }
    let others = [npy(random).0];
    if random.once_in(2) {
        let mut header: Vec<u8> = file[10..].to_vec();
        let end = header.iter().position(|&byte| byte == b'\n').unwrap_or(0);
        let data = header.split_off(end);
        for _ in 0..=random.below(2) {
            damage_text(random, &mut header);
        }
        file = [&file[..10], &header[..], &data[..]].concat();
    } else {
        damage(random, &mut file, &others);
    }
    if file.len() > 10 && !random.once_in(4) {
        file[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
        right_length(&mut file);
    }
    (file, None)
}

/// A .npz file of some arrays, of which some are damaged, and sometimes the archive itself.
fn archive(random: &mut Random) -> Vec<u8> {
    const NAMES: [&str; 12] = [
        "imgs",
        "images",
        "labels",
        "latents_classes",
        "latents_values",
        "x",
        "x_train",
        "y_train",
        "x_test",
        "y_test",
        "train_images",
        "test_images",
    ];
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut names: Vec<&str> = Vec::new();
    for number in 0..=random.below(4) {
        let name = if number == 0 { NAMES[0] } else { *random.choice(&NAMES) };
        if names.contains(&name) {
            continue;
        }
        names.push(name);
        let number = random.next();
        let file = if random.once_in(2) { npy(random).0 } else { npy_input(random, &[], number).0 };
        let method =
            if random.once_in(2) { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{name}.npy"), options)
            .and_then(|()| Ok(zip.write_all(&file)?))
            .expect("memory");
    }
    let mut bytes = zip.finish().expect("memory").into_inner();
    if random.once_in(4) {
        let others = [bytes.clone()];
        damage(random, &mut bytes, &others);
    }
    bytes
}

fn csv_seeds(_: &Path) -> Vec<Vec<u8>> {
    [
        "a,b,c\n1,2.5,x\n,3,y\n-4e3,nan,z\n",
        "\u{feff}\"a\";\"b\"\r\n\"1,5\";\"2\"\r\n3,25;4\r\n",
        "# comment\n1 2 3\n4 5 6\n",
        ",x,y\n0,1,2\n1,3,4\n",
        "label\ncat\ndog\n\"a, b\"\ncat\n",
        "1\t2\n\n3\t4\n",
        "1|2|3\r4|5|6\r",
        "true,False\n0,1\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .chain(["a,b\n1,2\n3,4\n"].iter().map(|text| {
        [&[0xFF, 0xFE][..], &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()].concat()
    }))
    .collect()
}

fn csv_input(random: &mut Random, seeds: &[Vec<u8>], number: u64) -> Input {
    if !number.is_multiple_of(4) {
        let mut bytes = random.choice(seeds).clone();
        damage(random, &mut bytes, seeds);
        return (bytes, None);
    }
    let (rows, separator) = (2 + random.below(6), *random.choice(&[',', ';', '\t', '|', ' ']));
    // Of numbers, which look like nothing else, in three columns.
    let values: Vec<f64> =
        (0..3 * rows).map(|_| (random.next() as i64 >> (24 + random.below(30))) as f64 + 0.375).collect();
    let mut text = String::new();
    if random.once_in(2) {
        text += &["alpha", "beta", "gamma"].join(&separator.to_string());
        text += "\n";
    }
    let end = *random.choice(&["\n", "\r\n"]);
    for row in values.chunks_exact(3) {
        text += &row.iter().map(f64::to_string).collect::<Vec<_>>().join(&separator.to_string());
        text += end;
    }
    (text.into_bytes(), Some(values))
}

fn idx_input(random: &mut Random, _: &[Vec<u8>], number: u64, gzipped: bool) -> Input {
    let element = &ELEMENTS[random.below(6)];
    let shape = [1 + random.below(5), 1 + random.below(4), 1 + random.below(4)];
    let numbers: Vec<i64> =
        (0..shape.iter().product()).map(|_| random.next() as i64 >> (40 + random.below(24))).collect();
    let mut file = vec![0, 0, element.idx, 3];
    shape.iter().for_each(|&size| file.extend((size as u32).to_be_bytes()));
    numbers.iter().for_each(|&number| file.extend((element.bytes)(number, true)));
    let right = number.is_multiple_of(4);
    if !right {
        let others = [file.clone()];
        damage(random, &mut file, &others);
        if file.len() > 4 && !random.once_in(4) {
            file[..4].copy_from_slice(&[0, 0, random.choice(&ELEMENTS[..6]).idx, 1 + random.below(4) as u8]);
        }
    }
    if gzipped {
        file = gzip(&file);
        if !right && random.once_in(8) {
            let others = [file.clone()];
            damage(random, &mut file, &others);
        }
    }
    (file, right.then(|| numbers.into_iter().map(element.value).collect()))
}

fn png_input(random: &mut Random, _: &[Vec<u8>], number: u64) -> Input {
    let (width, height) = (1 + random.below(6), 1 + random.below(6));
    let (colour, channels) = *random.choice(&[(0, 1), (2, 3), (4, 2), (6, 4)]);
    let right = number.is_multiple_of(4);
    let (colour, channels) = if right { (0, 1) } else { (colour, channels) };
    let mut header = [0; 13];
    header[..4].copy_from_slice(&(width as u32).to_be_bytes());
    header[4..8].copy_from_slice(&(height as u32).to_be_bytes());
    header[8] = 8;
    header[9] = colour;
    let pixels: Vec<u8> = (0..height * width * channels).map(|_| random.next() as u8).collect();
    // Each line begins with its filter: none.
    let mut lines: Vec<u8> =
        pixels.chunks_exact(width * channels).flat_map(|line| [&[0], line].concat()).collect();
    if right {
        return (png(&header, &lines, &[]), Some(pixels.into_iter().map(f64::from).collect()));
    }
    let mut more = Vec::new();
    match random.below(4) {
        0 => header[random.below(13)] = random.next() as u8,
        1 => damage(random, &mut lines, &[vec![1, 2, 3, 4]]),
        2 => {
            let name = *random.choice(&[b"PLTE", b"tRNS", b"gAMA", b"iCCP", b"eXIf", b"zTXt"]);
            more.push((name, (0..random.below(40)).map(|_| random.next() as u8).collect()));
        }
        _ => header[random.below(8)] = *random.choice(&[0, 1, 0x7F, 0x80, 0xFF]),
    }
    let mut file = png(&header, &lines, &more);
    if random.once_in(8) {
        let others = [file.clone()];
        damage(random, &mut file, &others);
    }
    (file, None)
}

/// Files of three checkpoints; the last one stays in `run` of the place.
fn models(place: &Path, file: &str) -> Vec<Vec<u8>> {
    let grey = About {
        architecture: None,
        channels: 1,
        columns: None,
        height: 2,
        likelihood: LikelihoodName::Gaussian,
        sigma: 1.0,
        width: 3,
    };
    let convolutions = Architecture {
        image: elbo::grid::Grid { channels: 1, height: 8, width: 8 },
        hidden: "conv:2x4/2,linear:5".parse().expect("layers"),
        latent: 2,
    };
    let about =
        About { architecture: Some("conv:2x4/2,linear:5".into()), height: 8, width: 8, ..grey.clone() };
    let columns = serde_json::from_str(r#"{"means":[0.5,-1.0],"names":["a","b"],"stds":[1.0,2.0]}"#).ok();
    let of_table = About { columns, height: 1, width: 2, ..grey.clone() };
    let models = [
        (convolutions, about),
        (Architecture::linear(2, &[3], 1), of_table),
        (Architecture::linear(6, &[4, 3], 2), grey),
    ];
    let run = place.join("run");
    models
        .into_iter()
        .map(|(architecture, about)| {
            let mut state = State::initial(architecture, about, 1);
            state.progress.step = 3;
            let _ = fs::remove_dir_all(run.join("checkpoints"));
            fs::create_dir_all(run.join("checkpoints")).expect("a folder");
            state.write(&run).expect("a checkpoint");
            fs::read(run.join("checkpoints/3").join(file)).expect("its file")
        })
        .collect()
}

/// A file whose header fits its data, but says something else; sometimes any damage, with the length right again.
fn safetensors_input(random: &mut Random, seeds: &[Vec<u8>], number: u64) -> Input {
    let seed = if number == 0 { &seeds[2] } else { random.choice(seeds) };
    if number == 0 {
        return (seed.clone(), Some(Vec::new()));
    }
    let length = u64::from_le_bytes(seed[..8].try_into().expect("8 bytes")) as usize;
    let (mut header, mut data) = (seed[8..8 + length].to_vec(), seed[8 + length..].to_vec());
    match random.below(8) {
        0 => damage(random, &mut header, seeds),
        1 => damage_text(random, &mut header),
        2 => data.truncate(random.below(data.len())),
        3 => (0..8).for_each(|_| damage_number(random, &mut data)),
        _ => header = other_header(random, &header),
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    if random.once_in(16) {
        damage(random, &mut file, seeds);
    }
    (file, None)
}

/// Another 32-bit number in some place.
fn damage_number(random: &mut Random, data: &mut [u8]) {
    const NUMBERS: [f32; 6] = [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE / 2.0, -0.0, -1e30];
    let number = random.choice(&NUMBERS).to_le_bytes();
    let at = 4 * random.below(data.len() / 4);
    data[at..at + 4].copy_from_slice(&number);
}

/// A header of the same tensors with another name, another shape of as many numbers, or another description.
fn other_header(random: &mut Random, header: &[u8]) -> Vec<u8> {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_slice(header) else {
        return header.to_vec();
    };
    let names: Vec<String> = fields.keys().filter(|name| *name != "__metadata__").cloned().collect();
    let name = random.choice(&names).clone();
    match random.below(3) {
        0 => {
            let mut text = name.clone().into_bytes();
            damage_text(random, &mut text);
            if let Some(tensor) = fields.remove(&name) {
                fields.insert(String::from_utf8_lossy(&text).into_owned(), tensor);
            }
        }
        1 => {
            let shape = &mut fields[&name]["shape"];
            let sizes = shape.as_array().cloned().unwrap_or_default();
            let count: u64 = sizes.iter().filter_map(serde_json::Value::as_u64).product();
            *shape = match random.below(4) {
                0 => serde_json::json!([count]),
                1 => sizes.into_iter().rev().collect(),
                2 => serde_json::json!([1, count]),
                _ => serde_json::json!([count / 2, 2, 1, 1]),
            };
        }
        _ => {
            let about = fields.get("__metadata__").and_then(|metadata| metadata["elbo"].as_str());
            let mut about = about.unwrap_or("{}").as_bytes().to_vec();
            (0..=random.below(2)).for_each(|_| damage_text(random, &mut about));
            fields
                .insert("__metadata__".into(), serde_json::json!({"elbo": String::from_utf8_lossy(&about)}));
        }
    }
    serde_json::Value::Object(fields).to_string().into_bytes()
}

fn config_seeds(_: &Path) -> Vec<Vec<u8>> {
    let plain = Config::default().to_toml().expect("text");
    let more = "objective = \"beta-vae\"\nbeta = \"linear:20:1\"\nlearning-rate = \"piecewise:0=1e-3,100=1e-4\"\n\
                architecture = \"conv:32x4/2,linear:256\"\nlatent = 10\nsteps = 100\nbatch = 64\nsigma = \"learned\"\n\
                data = \"sprites:colour\"\nfresh = true\n";
    vec![plain.into_bytes(), more.as_bytes().to_vec()]
}

/// A text with some other words in it.
fn text_input(random: &mut Random, seeds: &[Vec<u8>], number: u64) -> Input {
    let mut bytes = random.choice(seeds).clone();
    if number == 0 {
        return (seeds[0].clone(), Some(Vec::new()));
    }
    if random.once_in(4) {
        damage(random, &mut bytes, seeds);
    } else {
        (0..=random.below(3)).for_each(|_| damage_text(random, &mut bytes));
    }
    (bytes, None)
}

const METRICS: [&str; 2] = [
    "{\"split\":\"train\",\"step\":10,\"epoch\":0.5,\"elbo\":-738.5,\"reconstruction\":-730.0,\"kl\":8.5,\"sse\":20.0}\n",
    "{\"split\":\"test\",\"step\":20,\"epoch\":1.0,\"elbo\":-700.0,\"reconstruction\":-690.0,\"kl\":10.0,\"sse\":15.5,\
     \"beta\":4.0,\"loss\":700.5,\"kl_by_dimension\":[1.5,0.0,8.5],\"images_per_second\":1234.5,\
     \"codes\":[{\"image\":3,\"mean\":[0.5,1.0],\"std\":[0.1,0.2]}]}\n",
];

const DISTRIBUTIONS: [&str; 7] = [
    r#"{"family":"gaussian","mean":[1.0,-2.0],"covariance":[[2.0,0.5],[0.5,1.0]]}"#,
    r#"{"family":"gaussian","mean":[1.0,-2.0],"covariance":[2.0,1.0]}"#,
    r#"{"family":"gaussian-mixture","weights":[0.25,0.75],"means":[[0.0],[1.0]],"covariances":[[[1.0]],[4.0]]}"#,
    r#"{"family":"student-t","location":[0.0],"scale":[[2.0]],"degrees-of-freedom":5.0}"#,
    r#"{"family":"laplace","location":[0.0,1.0],"scale":[1.0,2.0]}"#,
    r#"{"family":"gamma","shape":[0.5],"scale":[3.0]}"#,
    r#"{"family":"gauss-bernoulli-rbm","B":[[0.5,-0.5]],"b":[0.1],"c":[0.0,1.0]}"#,
];

const POWER: &str = "{\"test\":\"mmd\"}\n\
    {\"parameter\":0.5,\"repetition\":0,\"p_value\":0.04,\"reject\":true,\"seconds\":0.1}\n\
    {\"parameter\":0.5,\"repetition\":1,\"p_value\":0.5,\"reject\":false,\"seconds\":0.1}\n\
    {\"parameter\":1.0,\"repetition\":0,\"p_value\":1.0,\"reject\":false,\"seconds\":0.1}\n";

const OPTIONS: [&str; 8] = [
    "linear:20:1",
    "linear:0:25:4000",
    "piecewise:0=200,2000=100,10000=30",
    "cyclic:0:1:4",
    "conv:32x4/2,conv:64x4/2,linear:256/deconv:32x4/2",
    "512,256",
    "0.5*median,median,2*median",
    "median-per-feature",
];
