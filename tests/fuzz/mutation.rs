//! Damage: random changes of bytes and of texts, and lengths and checksums that are right again.

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use std::io::Write;

/// Random numbers (splitmix64, Steele, Lea, Flood 2014).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let mut random = Self(seed.rotate_left(32) ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        random.next();
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number below `n`; 0 if there is none.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n.max(1)
    }

    /// Once in `n` times.
    pub(super) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn choice<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Numbers that programs stumble over.
const EDGES: [u64; 14] = [
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    65_535,
    1 << 20,
    i32::MAX as u64,
    u32::MAX as u64,
    1 << 40,
    i64::MAX as u64,
    u64::MAX,
];

/// Words that texts of numbers, JSON and TOML stumble over.
const WORDS: [&str; 30] = [
    "0",
    "-0",
    "-1",
    "1e308",
    "1e-320",
    "1e999",
    "nan",
    "inf",
    "-inf",
    "null",
    "true",
    "\"\"",
    "\"x\"",
    "[]",
    "{}",
    "[[[[[[[[[[",
    "99999999999999999999",
    "4294967296",
    "9223372036854775808",
    "0x10",
    "1_000",
    "1.",
    ".5",
    "+",
    ",",
    ";",
    "\u{1b}[31m",
    "\u{0}",
    "\u{feff}",
    "é",
];

/// Changes some bytes.
pub(super) fn damage(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    for _ in 0..1 << random.below(4) {
        let at = random.below(bytes.len());
        let len = 1 + random.below(16).min(bytes.len().saturating_sub(at + 1));
        match random.below(9) {
            _ if bytes.is_empty() => bytes.push(random.next() as u8),
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..at + len)),
            4 => {
                let part = bytes[at..at + len].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            5 => {
                let other = random.choice(seeds);
                let from = random.below(other.len());
                let part = other[from..other.len().min(from + 1 + random.below(64))].to_vec();
                bytes.splice(at..at, part);
            }
            6 | 7 => {
                let (edge, width) = (*random.choice(&EDGES), 1 << random.below(4));
                let number = if random.once_in(2) {
                    edge.to_le_bytes()
                } else {
                    (edge << (64 - 8 * width)).to_be_bytes()
                };
                let end = bytes.len().min(at + width);
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            _ => damage_text(random, bytes),
        }
        bytes.truncate(1 << 16);
    }
}

/// Changes a word of a text: a run of digits, a name, or whatever is there.
pub(super) fn damage_text(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len());
    let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.' || *byte == b'-';
    let start = bytes[..at].iter().rposition(|byte| !in_word(byte)).map_or(0, |place| place + 1);
    let end = bytes[at..].iter().position(|byte| !in_word(byte)).map_or(bytes.len(), |place| at + place);
    let word = match random.below(4) {
        0 => random.choice(&EDGES).to_string(),
        1 => (random.next() as i64 >> random.below(63)).to_string(),
        2 => String::new(),
        _ => (*random.choice(&WORDS)).to_owned(),
    };
    bytes.splice(start.min(end)..end, word.into_bytes());
}

/// A whole gzip file, or its bytes damaged again.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A PNG file of chunks that are right, around damaged pixels and header.
pub(super) fn png(header: &[u8; 13], lines: &[u8], more: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(lines).expect("memory");
    let data = encoder.finish().expect("memory");
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8; 4], content: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(name);
        crc.update(content);
        file.extend((content.len() as u32).to_be_bytes());
        file.extend(name);
        file.extend(content);
        file.extend(crc.sum().to_be_bytes());
    };
    chunk(b"IHDR", header);
    more.iter().for_each(|(name, content)| chunk(name, content));
    chunk(b"IDAT", &data);
    chunk(b"IEND", &[]);
    file
}
