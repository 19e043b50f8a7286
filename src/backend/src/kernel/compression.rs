//! The ELF kernel in a compressed one, and modules that are compressed.

use std::io::{self, Read};

use super::elf::is_elf;

/// No kernel is larger.
const MOST: u64 = 512 * 1024 * 1024;
const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// What the LZ4 legacy format makes of one block at most.
const LZ4_BLOCK: usize = 8 * 1024 * 1024;

/// The ELF file in a kernel, which may be one or a `bzImage` (Documentation/arch/x86/boot.rst).
pub(super) fn vmlinux(image: &[u8]) -> Result<Vec<u8>, String> {
    if is_elf(image) {
        return Ok(image.to_vec());
    }
    let field = |at: usize| {
        let bytes = image.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).and_then(|value| usize::try_from(value).ok())
    };
    let is_linux = image.get(0x202..0x206) == Some(b"HdrS");
    let (Some(offset), Some(length), Some(&sectors), true) =
        (field(0x248), field(0x24c), image.get(0x1f1), is_linux)
    else {
        return Err("it is no Linux kernel for x86".to_owned());
    };
    // Zero means four, for loaders that are older than the field.
    let setup = (usize::from(if sectors == 0 { 4 } else { sectors }) + 1) * 512;
    let start = setup.saturating_add(offset);
    let payload = image.get(start..start.saturating_add(length)).ok_or("it is cut short")?;
    let kernel = unpack(payload)?;
    if is_elf(&kernel) { Ok(kernel) } else { Err("its payload is no ELF file".to_owned()) }
}

/// What was compressed; files that aren't are given back.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let describe = |error: io::Error| error.to_string();
    match packed {
        [0x1f, 0x8b, ..] => read_all(flate2::read::GzDecoder::new(packed)).map_err(describe),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            read_all(lzma_rust2::XzReader::new(packed, false)).map_err(describe)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(packed).map_err(|e| e.to_string())?;
            read_all(decoder).map_err(describe)
        }
        _ if packed.starts_with(&LZ4_LEGACY) => unpack_lz4(&packed[LZ4_LEGACY.len()..]),
        _ if is_elf(packed) => Ok(packed.to_vec()),
        _ => Err("its compression isn't known (gzip, xz, zstd and lz4 are)".to_owned()),
    }
}

fn read_all(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    reader.take(MOST).read_to_end(&mut content)?;
    Ok(content)
}

/// Blocks, each after its length. The kernel's build puts the whole size behind them.
fn unpack_lz4(mut packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        if rest.is_empty() && length == content.len() {
            break;
        }
        let block = rest.get(..length).ok_or("a block of it is cut short")?;
        let block = lz4_flex::block::decompress(block, LZ4_BLOCK).map_err(|error| error.to_string())?;
        content.extend_from_slice(&block);
        if content.len() as u64 > MOST {
            return Err("it is too large".to_owned());
        }
        packed = &rest[length..];
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::kernel::elf::tests::kernel_with_pvh;

    /// A `bzImage` around a payload.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        image.extend([0; 16]);
        image.extend(payload);
        image.extend(b"what follows");
        image
    }

    /// All of it as literals, in the format of one block.
    fn lz4(content: &[u8]) -> Vec<u8> {
        let mut block = vec![0xf0, u8::try_from(content.len() - 15).unwrap()];
        block.extend(content);
        let mut packed = LZ4_LEGACY.to_vec();
        packed.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
        packed.extend(block);
        packed.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        packed
    }

    #[test]
    fn the_kernel_in_an_image_is_found() {
        let kernel = kernel_with_pvh();
        assert_eq!(vmlinux(&kernel).unwrap(), kernel);
        assert_eq!(vmlinux(&image(&lz4(&kernel))).unwrap(), kernel);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut gzip, &kernel).unwrap();
        assert_eq!(vmlinux(&image(&gzip.finish().unwrap())).unwrap(), kernel);
    }

    #[test]
    fn what_is_no_kernel_says_so() {
        let kernel = kernel_with_pvh();
        let mut cut = image(&lz4(&kernel));
        cut.truncate(1060);
        for (broken, reason) in [
            (b"text".to_vec(), "no Linux kernel"),
            (cut, "cut short"),
            (image(b"BZh9"), "compression"),
            (image(&lz4(&[b'x'; 99])), "no ELF file"),
        ] {
            let error = vmlinux(&broken).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
