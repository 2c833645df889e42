//! Folders of pictures: PNG and JPEG files of one size, in subfolders by class or not.

use super::Dataset;
use super::array::{Array, Element, Order};
use super::images::{ImageParts, title};
use super::scale::Range;
use crate::error::{Error, Result};
use image::{DynamicImage, ImageFormat, ImageReader};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The formats that are read.
const FORMATS: [ImageFormat; 2] = [ImageFormat::Png, ImageFormat::Jpeg];

/// Most classes: labels are bytes.
const MOST_CLASSES: usize = 256;

/// Colours as they are stored, or grey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ColourChoice {
    /// Luma by ITU-R 601, and a note where there were colours.
    #[default]
    Unsaid,
    /// Luma by ITU-R 601, as was asked for.
    Grey,
    /// Red, green and blue.
    Kept,
}

/// The pictures of a folder.
pub(super) struct Folder {
    /// `(N, H, W)` or `(N, H, W, 3)`.
    pub(super) array: Array<'static>,
    /// The class of each, where there are subfolders.
    pub(super) labels: Option<Vec<u8>>,
    /// The names of the subfolders.
    pub(super) classes: Vec<String>,
    /// What was left out or changed, for the user.
    pub(super) notes: Vec<String>,
}

/// Reads all pictures of a folder in the order of their names, or those of its subfolders.
pub(super) fn read(directory: &Path, colour: ColourChoice) -> Result<Folder> {
    let mut listing = Listing::new(directory)?;
    let mut files: Vec<(PathBuf, u8)> = listing.pictures.drain(..).map(|path| (path, 0)).collect();
    let mut classes = Vec::new();
    if files.is_empty() {
        for folder in &listing.folders {
            let inside = Listing::new(folder)?;
            listing.others += inside.others + inside.folders.len();
            if inside.pictures.is_empty() {
                listing.others += 1;
                continue;
            }
            let label = u8::try_from(classes.len()).map_err(|_| {
                let problem =
                    format!("there are more than {MOST_CLASSES} subfolders with pictures; use fewer classes");
                Error::data(directory, problem)
            })?;
            files.extend(inside.pictures.into_iter().map(|path| (path, label)));
            classes.push(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    } else {
        listing.others += listing.folders.len();
    }
    if files.is_empty() {
        let problem = "there are no images here, neither train-images-idx3-ubyte nor any .png or .jpg file; give a \
                       directory with the files of MNIST or a folder of PNG or JPEG images";
        return Err(Error::data(directory, problem));
    }
    let mut notes = Vec::new();
    if listing.others > 0 {
        let name = directory.display();
        notes.push(format!("{name}: {} entries that are no pictures are left out", listing.others));
    }
    if !classes.is_empty() {
        notes.push(format!("{}: subfolders are classes: {}", directory.display(), classes.join(", ")));
    }
    let array = Pictures::read(directory, &files, colour)?.array(directory, &mut notes)?;
    let labels = (!classes.is_empty()).then(|| files.into_iter().map(|(_, label)| label).collect());
    Ok(Folder { array, labels, classes, notes })
}

/// The data set of two folders, to learn from and for tests, whose subfolders have the same names.
pub(super) fn dataset(path: &Path, folders: [Folder; 2], range: Option<Range>) -> Result<Dataset> {
    let [train, test] = folders;
    if train.classes != test.classes {
        let problem = format!(
            "the classes of `train` are {}, but those of `test` are {}; both must have the same subfolders",
            train.classes.join(", "),
            test.classes.join(", ")
        );
        return Err(Error::data(path, problem));
    }
    let mut parts = ImageParts::new(range);
    let classes = train.classes.clone();
    let labels =
        [&train, &test].map(|folder| folder.labels.clone().unwrap_or_else(|| vec![0; folder.array.shape[0]]));
    for (part, folder) in [train, test].into_iter().enumerate() {
        parts.note(folder.notes);
        parts.add(part, folder.array)?;
    }
    let classes = if classes.is_empty() { vec![title(path)] } else { classes };
    parts.with_classes(path, labels, classes)
}

/// The entries of a folder, sorted.
struct Listing {
    pictures: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// How many entries are neither.
    others: usize,
}

impl Listing {
    fn new(directory: &Path) -> Result<Self> {
        let mut paths = fs::read_dir(directory)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
            .map_err(Error::io(directory, "read"))?;
        paths.sort();
        let mut listing = Self { pictures: Vec::new(), folders: Vec::new(), others: 0 };
        for path in paths {
            // Hidden files too are no pictures, such as `._a.png`, where macOS keeps what its file system knows of a.png.
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            match ImageFormat::from_path(&path) {
                _ if hidden => listing.others += 1,
                _ if path.is_dir() => listing.folders.push(path),
                Ok(format) if !FORMATS.contains(&format) => {
                    let problem =
                        "only PNG and JPEG images can be read; convert all images of the folder to PNG";
                    return Err(Error::data(path, problem));
                }
                Ok(_) => listing.pictures.push(path),
                Err(_) => listing.others += 1,
            }
        }
        Ok(listing)
    }
}

/// Decoded pictures of one size.
struct Pictures {
    /// Height and width.
    size: [usize; 2],
    channels: usize,
    /// `(N, height, width, channels)`: 0 black, 65535 white.
    values: Vec<u16>,
    /// Whether all had 8 bits.
    eight_bits: bool,
    count: usize,
    /// How many lost their colours, and how many their transparency.
    coloured: usize,
    transparent: usize,
}

impl Pictures {
    fn read(directory: &Path, files: &[(PathBuf, u8)], colour: ColourChoice) -> Result<Self> {
        let channels = if colour == ColourChoice::Kept { 3 } else { 1 };
        let mut pictures = Self {
            size: [0; 2],
            channels,
            values: Vec::new(),
            eight_bits: true,
            count: files.len(),
            coloured: 0,
            transparent: 0,
        };
        for (i, (file, _)) in files.iter().enumerate() {
            let reader = ImageReader::open(file).and_then(ImageReader::with_guessed_format);
            let picture = reader.map_err(Error::io(file, "read"))?.decode().map_err(|source| {
                Error::data(file, format!("this is no readable image ({source}); save or copy it again"))
            })?;
            let size = [picture.height() as usize, picture.width() as usize];
            if i == 0 {
                pictures.size = size;
            } else if size != pictures.size {
                let [[height, width], [first_height, first_width]] = [size, pictures.size];
                let problem = format!(
                    "this image has {height} x {width} pixels, but {} has {first_height} x {first_width}; all images \
                     of the folder must have one size",
                    files[0].0.display()
                );
                return Err(Error::data(file, problem));
            }
            let wanted = size[0] * size[1] * channels;
            let wanted = if i == 0 { wanted.saturating_mul(files.len()) } else { wanted };
            // The copy that `add` makes, of eight bytes per pixel: asked for here, since there it would end the program.
            let copy = Vec::<u64>::new().try_reserve_exact(size[0] * size[1]);
            if pictures.values.try_reserve(wanted).is_err() || copy.is_err() {
                let problem = format!("its {} images take more memory than there is; use fewer", files.len());
                return Err(Error::data(directory, problem));
            }
            pictures.add(&picture);
        }
        if colour != ColourChoice::Unsaid {
            pictures.coloured = 0;
        }
        Ok(pictures)
    }

    /// Adds a picture, its transparent parts over white.
    fn add(&mut self, picture: &DynamicImage) {
        self.eight_bits &= picture.color().bytes_per_pixel() == picture.color().channel_count();
        // Eight bits become sixteen by a factor of 257, and come back without a loss.
        let rgba = picture.to_rgba16();
        let (mut coloured, mut transparent) = (false, false);
        for pixel in rgba.pixels() {
            let [r, g, b, alpha] = pixel.0.map(u64::from);
            transparent |= alpha != 0xFFFF;
            coloured |= r != g || g != b;
            let over_white = |v: u64| (v * alpha + 0xFFFF * (0xFFFF - alpha) + 0x7FFF) / 0xFFFF;
            let [r, g, b] = [r, g, b].map(over_white);
            match self.channels {
                1 => self.values.push(self.luma([r, g, b])),
                _ => self.values.extend([r, g, b].map(|v| v as u16)),
            }
        }
        self.coloured += usize::from(coloured);
        self.transparent += usize::from(transparent);
    }

    /// ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B, in the whole numbers that Pillow and torchvision take.
    fn luma(&self, rgb: [u64; 3]) -> u16 {
        const WEIGHTS: [u64; 3] = [19595, 38470, 7471];
        let luma = |rgb: [u64; 3]| {
            (rgb.iter().zip(WEIGHTS).map(|(v, weight)| v * weight).sum::<u64>() + 0x8000) >> 16
        };
        if self.eight_bits { (luma(rgb.map(|v| (v + 128) / 257)) * 257) as u16 } else { luma(rgb) as u16 }
    }

    /// The pictures as an array, with notes of what was lost.
    fn array(self, directory: &Path, notes: &mut Vec<String>) -> Result<Array<'static>> {
        let (name, n) = (directory.display(), self.count);
        if self.coloured > 0 {
            notes.push(format!(
                "{name}: the colours of {} of {n} images became greys (ITU-R 601); add `:colour` to keep them, or \
                 `:grey` to leave out this note",
                self.coloured
            ));
        }
        if self.transparent > 0 {
            notes.push(format!(
                "{name}: {} of {n} images have transparent parts, which were laid over white",
                self.transparent
            ));
        }
        let mut bytes = Vec::new();
        let (element, size) = if self.eight_bits { (Element::U8, 1) } else { (Element::U16, 2) };
        if bytes.try_reserve_exact(self.values.len() * size).is_err() {
            let problem = format!("its {n} images take more memory than there is; use fewer");
            return Err(Error::data(directory, problem));
        }
        match element {
            Element::U8 => bytes.extend(self.values.iter().map(|&v| ((u32::from(v) + 128) / 257) as u8)),
            _ => bytes.extend(self.values.iter().flat_map(|v| v.to_le_bytes())),
        }
        let mut shape = [&[n][..], &self.size].concat();
        if self.channels > 1 {
            shape.push(self.channels);
        }
        Ok(Array {
            place: directory.into(),
            shape,
            element,
            order: Order::LittleEndian,
            is_fortran: false,
            available: None,
            reader: Box::new(Cursor::new(bytes)),
        })
    }
}
