//! Files that may be gzipped: their bytes say so.

use crate::error::{Error, Result};
use crate::files;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The first bytes of a gzipped file.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// Opens a file, unpacked; of one that is not packed also its length.
pub(super) fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>)> {
    let file = File::open(path).map_err(Error::io(path, "read"))?;
    let length = files::length(&file);
    let mut file = BufReader::new(file);
    let packed = file.fill_buf().map_err(Error::io(path, "read"))?.starts_with(&GZIP);
    Ok(if packed { (Box::new(MultiGzDecoder::new(file)), None) } else { (Box::new(file), length) })
}
