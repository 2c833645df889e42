//! Event files, as TensorBoard reads them.
//!
//! ```text
//! record     length (u64), masked CRC of it (u32), event, masked CRC of the event (u32); little-endian
//! event      wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7         (event.proto)
//! summary    value = 1: tag = 1, simple_value = 2, image = 4, histo = 5                      (summary.proto)
//! CRC        Castagnoli's, turned to the right by 15 bits, plus 0xa282ead8                   (record_writer.cc)
//! ```

use super::run::LogLine;
use crate::error::{Error, Result};
use crc::{CRC_32_ISCSI, Crc};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Castagnoli's polynomial.
const CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// What TensorBoard looks for in the names of files; it reads them in the order of these.
const PREFIX: &str = "events.out.tfevents.";

/// The first event of a file.
const VERSION: &str = "brain.Event:2";

/// Bars of a histogram.
const BARS: usize = 30;

/// Fields of a line of the log that are no curves.
const NO_CURVES: [&str; 6] = ["split", "step", "codes", "followed", "decomposition", "kl_by_dimension"];

/// A file of events, open to be written.
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in a folder, after those that are there. What they have of steps after `step` is void: a start at a step
    /// makes TensorBoard forget this step and those after it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn create(folder: &Path, step: u64) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let name = |number: u32| folder.join(format!("{PREFIX}{number:04}.elbo"));
        let path = (0..).map(name).find(|path| path.symlink_metadata().is_err());
        let path = path.ok_or_else(|| Error::run(folder, "is full of event files"))?;
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(Error::io(&path, "create"))?;
        let mut events = Self { path, file };
        events.write(0, &field(3, VERSION.as_bytes()))?;
        if step > 0 {
            events.write(step + 1, &field(7, &varint_field(1, 1)))?;
        }
        Ok(events)
    }

    /// The numbers of a line of the log: those of the averages as `split/elbo`, and how the KL is spread over the latents.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn log(&mut self, line: &LogLine) -> Result<()> {
        let fields = serde_json::to_value(line).map_err(|e| Error::run(&self.path, e.to_string()))?;
        let mut values = Vec::new();
        for (name, value) in fields.as_object().into_iter().flatten() {
            if let (Value::Number(number), false) = (value, NO_CURVES.contains(&name.as_str())) {
                let number = number.as_f64().unwrap_or(f64::NAN) as f32;
                values.extend(summary_value(&format!("{}/{name}", line.split), &float_field(2, number)));
            }
        }
        for (j, kl) in line.kl_by_dimension.iter().enumerate() {
            values.extend(summary_value(
                &format!("{}/kl_of_latent/{}", line.split, j + 1),
                &float_field(2, *kl as f32),
            ));
        }
        self.write(line.step, &field(5, &values))
    }

    /// How numbers are spread.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn histogram(&mut self, step: u64, tag: &str, numbers: &[f32]) -> Result<()> {
        let Some(histogram) = histogram(numbers) else { return Ok(()) };
        self.write(step, &field(5, &summary_value(tag, &field(5, &histogram))))
    }

    /// A picture, as a PNG file.
    ///
    /// # Errors
    /// If the file cannot be written, or the picture is none.
    pub(super) fn picture(&mut self, step: u64, tag: &str, file: &Path) -> Result<()> {
        let png = std::fs::read(file).map_err(Error::io(file, "read"))?;
        let (width, height) = image::image_dimensions(file).map_err(|e| Error::data(file, e.to_string()))?;
        /// Red, green and blue.
        const COLOUR: u64 = 3;
        let image = [
            varint_field(1, u64::from(height)),
            varint_field(2, u64::from(width)),
            varint_field(3, COLOUR),
            field(4, &png),
        ];
        self.write(step, &field(5, &summary_value(tag, &field(4, &image.concat()))))
    }

    fn write(&mut self, step: u64, what: &[u8]) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let event = [double_field(1, now), varint_field(2, step), what.to_vec()].concat();
        self.file.write_all(&record(&event)).map_err(Error::io(&self.path, "write"))
    }
}

/// Whether a file of a folder of events is one of ours.
pub(super) fn is_own(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(".elbo")
}

fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let masked =
        |bytes: &[u8]| CASTAGNOLI.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    [&length[..], &masked(&length), event, &masked(event)].concat()
}

/// Limits and counts of equal bars from the least to the largest of some finite numbers, as a `HistogramProto`.
fn histogram(numbers: &[f32]) -> Option<Vec<u8>> {
    let finite: Vec<f64> = numbers.iter().filter(|v| v.is_finite()).map(|&v| f64::from(v)).collect();
    let least = finite.iter().copied().reduce(f64::min)?;
    let largest = finite.iter().copied().reduce(f64::max)?;
    let bars = if least == largest { 1 } else { BARS };
    let width = (largest - least) / bars as f64;
    let mut counts = vec![0.0; bars];
    for value in &finite {
        // Ends that are equal make 0 / 0, which becomes bar 0.
        counts[(((value - least) / width) as usize).min(bars - 1)] += 1.0;
    }
    let limits = (1..=bars).map(|bar| if bar == bars { largest } else { least + bar as f64 * width });
    let packed = |values: Vec<f64>| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let fields = [
        double_field(1, least),
        double_field(2, largest),
        double_field(3, finite.len() as f64),
        double_field(4, finite.iter().sum()),
        double_field(5, finite.iter().map(|v| v * v).sum()),
        field(6, &packed(limits.collect())),
        field(7, &packed(counts)),
    ];
    Some(fields.concat())
}

/// A value of a summary: `content` is one of its kinds.
fn summary_value(tag: &str, content: &[u8]) -> Vec<u8> {
    field(1, &[&field(1, tag.as_bytes())[..], content].concat())
}

/// Fields of Protocol Buffers: a number with a type of its encoding in the last three bits, and the content.
fn key(number: u64, encoding: u64) -> Vec<u8> {
    varint(number << 3 | encoding)
}

fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [&key(number, 2), &varint(bytes.len() as u64), bytes].concat()
}

fn varint_field(number: u64, value: u64) -> Vec<u8> {
    [key(number, 0), varint(value)].concat()
}

fn double_field(number: u64, value: f64) -> Vec<u8> {
    [&key(number, 1)[..], &value.to_le_bytes()].concat()
}

fn float_field(number: u64, value: f32) -> Vec<u8> {
    [&key(number, 5)[..], &value.to_le_bytes()].concat()
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::metrics::Metrics;

    /// The events of a file, whose checksums are right.
    fn events(path: &Path) -> Vec<Vec<u8>> {
        let bytes = std::fs::read(path).expect("a file");
        let (mut rest, mut events) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().expect("eight bytes")) as usize;
            let event = rest[12..12 + length].to_vec();
            assert_eq!(&record(&event), &rest[..16 + length]);
            events.push(event);
            rest = &rest[16 + length..];
        }
        events
    }

    /// The fields of a message: numbers and contents.
    fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn take(message: &mut &[u8]) -> u64 {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = message[0];
                *message = &message[1..];
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        }
        let mut found = Vec::new();
        while !message.is_empty() {
            let key = take(&mut message);
            let length = match key & 7 {
                0 => {
                    let value = take(&mut message);
                    found.push((key >> 3, value.to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                5 => 4,
                _ => take(&mut message) as usize,
            };
            found.push((key >> 3, message[..length].to_vec()));
            message = &message[length..];
        }
        found
    }

    fn one(message: &[u8], number: u64) -> Vec<u8> {
        fields(message).into_iter().find(|field| field.0 == number).expect("a field").1
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(CASTAGNOLI.checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(varint(300), [0xac, 0x02]);
    }

    #[test]
    fn curves_histograms_and_a_new_start_are_read_back() {
        let directory = tempfile::tempdir().expect("a folder");
        let mut file = EventFile::create(directory.path(), 7).expect("a file");
        let metrics = Metrics { sse: 2.0, reconstruction: 3.0, kl: 0.5, elbo: -3.5 };
        let line = LogLine { kl_by_dimension: vec![0.25, 0.125], ..LogLine::new("test", 9, 0.5, metrics) };
        file.log(&line).expect("written");
        file.histogram(9, "weights", &[0.0, 1.0, f32::NAN, 4.0]).expect("written");
        file.histogram(9, "none", &[f32::NAN]).expect("nothing to write");
        let events = events(&directory.path().join("events.out.tfevents.0000.elbo"));
        assert_eq!(events.len(), 4);
        assert_eq!(one(&events[0], 3), b"brain.Event:2");
        assert_eq!(one(&events[1], 2), 8u64.to_le_bytes(), "this step and those after it are void");
        assert_eq!(one(&one(&events[1], 7), 1), 1u64.to_le_bytes());
        let curves: Vec<(String, f32)> = fields(&one(&events[2], 5))
            .iter()
            .map(|(_, value)| {
                let number = one(value, 2).try_into().expect("four bytes");
                (String::from_utf8(one(value, 1)).expect("text"), f32::from_le_bytes(number))
            })
            .collect();
        for expected in
            [("test/elbo", -3.5), ("test/kl", 0.5), ("test/kl_of_latent/2", 0.125), ("test/epoch", 0.5)]
        {
            assert!(curves.contains(&(expected.0.into(), expected.1)), "{expected:?} in {curves:?}");
        }
        let histogram = one(&one(&one(&events[3], 5), 1), 5);
        let numbers = |bytes: Vec<u8>| -> Vec<f64> {
            bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes"))).collect()
        };
        assert_eq!(numbers(one(&histogram, 3)), [3.0]);
        assert_eq!(numbers(one(&histogram, 7)).iter().sum::<f64>(), 3.0);
        assert_eq!(numbers(one(&histogram, 6)).last(), Some(&4.0));
        EventFile::create(directory.path(), 9).expect("another file");
        assert!(directory.path().join("events.out.tfevents.0001.elbo").exists());
    }
}
