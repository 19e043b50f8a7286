//! Sparse files: which parts of the content are there.

use super::{Block, TarError, header::number};

/// The most parts of one file.
const SEGMENTS: usize = 100_000;

/// A part that has data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// The map of a file without holes.
pub fn whole(size: u64) -> Vec<Segment> {
    if size == 0 { Vec::new() } else { vec![Segment { offset: 0, length: size }] }
}

/// A map that wasn't checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map {
    /// How long the file is for a reader.
    pub size: u64,
    segments: Vec<Segment>,
}

impl Map {
    /// A map of the parts `numbers`: offset, length, offset, length …
    pub fn new(size: u64, numbers: &[u64]) -> Result<Self, TarError> {
        if !numbers.len().is_multiple_of(2) {
            return Err(TarError::broken("its sparse map has an odd number of numbers"));
        }
        let mut map = Self { size, segments: Vec::new() };
        for pair in numbers.chunks_exact(2) {
            map.push(pair[0], pair[1])?;
        }
        Ok(map)
    }

    fn push(&mut self, offset: u64, length: u64) -> Result<(), TarError> {
        if self.segments.len() >= SEGMENTS {
            return Err(TarError::broken(format!("its sparse map has more than {SEGMENTS} parts")));
        }
        self.segments.push(Segment { offset, length });
        Ok(())
    }

    /// The map in a header of GNU's old form, and whether more of it follows.
    pub fn from_header(block: &Block) -> Result<(Self, bool), TarError> {
        let size =
            u64::try_from(number(&block[483..495])?).map_err(|_| TarError::broken("a size is negative"))?;
        let mut map = Self { size, segments: Vec::new() };
        map.extend(&block[386..482])?;
        Ok((map, block[482] != 0))
    }

    /// Takes a block that follows such a header; says whether one more follows.
    pub fn extend_from_block(&mut self, block: &Block) -> Result<bool, TarError> {
        self.extend(&block[..504])?;
        Ok(block[504] != 0)
    }

    fn extend(&mut self, fields: &[u8]) -> Result<(), TarError> {
        for field in fields.chunks_exact(24).take_while(|field| field[0] != 0) {
            let negative = |_| TarError::broken("a part of its sparse map is negative");
            let offset = u64::try_from(number(&field[..12])?).map_err(negative)?;
            let length = u64::try_from(number(&field[12..])?).map_err(negative)?;
            self.push(offset, length)?;
        }
        Ok(())
    }

    /// The parts, once they are ascending, within the file, and together as long as the data that is `stored`.
    pub fn checked(self, stored: u64) -> Result<Vec<Segment>, TarError> {
        let mut end = 0_u64;
        let mut sum = 0_u64;
        for segment in &self.segments {
            let segment_end = segment.offset.checked_add(segment.length).filter(|end| *end <= self.size);
            if segment.offset < end {
                return Err(TarError::broken("the parts of its sparse map overlap"));
            }
            end = segment_end.ok_or_else(|| TarError::broken("its sparse map goes beyond its size"))?;
            sum += segment.length;
        }
        if sum != stored {
            return Err(TarError::broken("its sparse map isn't as long as its data"));
        }
        Ok(self.segments.into_iter().filter(|segment| segment.length > 0).collect())
    }
}

/// The map that PAX 1.0 has before the data: a count, then that many pairs, a number a line, filled up to a block.
pub struct InContent {
    size: u64,
    text: Vec<u8>,
    lines: usize,
    /// How many lines there will be.
    wanted: Option<usize>,
}

impl InContent {
    /// A map of a file that is so long for a reader.
    pub fn new(size: Option<u64>) -> Result<Self, TarError> {
        let size = size.ok_or_else(|| TarError::broken("its sparse map has no size"))?;
        Ok(Self { size, text: Vec::new(), lines: 0, wanted: None })
    }

    /// Takes the next block; the map once it is whole. Counts lines, as reading all of them for each block would be
    /// quadratic.
    pub fn push(&mut self, block: &[u8]) -> Result<Option<Map>, TarError> {
        self.text.extend_from_slice(block);
        self.lines += block.split(|byte| *byte == b'\n').count() - 1;
        let mut lines = self.text.split(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        if self.lines == 0 {
            return Ok(None);
        }
        let wanted = if let Some(wanted) = self.wanted {
            wanted
        } else {
            let count = decimal(first)?;
            if count > SEGMENTS as u64 {
                return Err(TarError::broken(format!("its sparse map has more than {SEGMENTS} parts")));
            }
            *self.wanted.insert(usize::try_from(count * 2).unwrap_or(usize::MAX))
        };
        if self.lines <= wanted {
            return Ok(None);
        }
        let numbers = lines.take(wanted).map(decimal).collect::<Result<Vec<u64>, TarError>>()?;
        Map::new(self.size, &numbers).map(Some)
    }
}

/// A decimal number of up to 63 bits.
pub fn decimal(text: &[u8]) -> Result<u64, TarError> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let value = text.and_then(|text| text.parse::<u64>().ok()).filter(|value| i64::try_from(*value).is_ok());
    value.ok_or_else(|| TarError::broken("a number in an extended header can't be read"))
}
