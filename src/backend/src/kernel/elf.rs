//! The little that is read of ELF files: a kernel's PVH entry, a module's `.modinfo`.

use std::ops::Range;

const NOTE_SEGMENT: u64 = 4;
/// `XEN_ELFNOTE_PHYS32_ENTRY`: where a hypervisor enters without a boot loader.
const PVH_ENTRY: u64 = 18;

/// Whether it is a 64-bit little-endian ELF file.
pub(super) fn is_elf(file: &[u8]) -> bool {
    file.starts_with(b"\x7fELF\x02\x01")
}

/// Whether a kernel can be entered as QEMU's `microvm` does.
pub(super) fn has_pvh_entry(kernel: &[u8]) -> bool {
    let Some((offset, size, count)) = table(kernel, 0x20, 0x36) else { return false };
    let segments = (0..count).filter_map(|number| slice(kernel, offset + number * size, size));
    let notes = segments.filter(|segment| number(segment, 0, 4) == Some(NOTE_SEGMENT));
    notes.filter_map(|segment| slice(kernel, at(segment, 8)?, at(segment, 0x20)?)).any(has_pvh_note)
}

fn has_pvh_note(mut notes: &[u8]) -> bool {
    while let (Some(name), Some(content), Some(kind)) = (at4(notes, 0), at4(notes, 4), number(notes, 8, 4)) {
        if kind == PVH_ENTRY && notes.get(12..15) == Some(b"Xen") {
            return true;
        }
        let next = 12 + name.next_multiple_of(4) + content.next_multiple_of(4);
        notes = notes.get(next..).unwrap_or_default();
    }
    false
}

/// The bytes of a section.
pub(super) fn section<'a>(file: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (offset, size, count) = table(file, 0x28, 0x3a)?;
    let header = |number: usize| slice(file, offset.checked_add(number.checked_mul(size)?)?, size);
    let content = |header: &[u8]| slice(file, at(header, 0x18)?, at(header, 0x20)?);
    let names = content(header(at_size(file, 0x3e, 2)?)?)?;
    (0..count).find_map(|number| {
        let header = header(number)?;
        let found = names.get(at4(header, 0)?..)?;
        (found.split(|byte| *byte == 0).next()? == name.as_bytes()).then(|| content(header))?
    })
}

/// Offset, size of an entry and count of the table whose offset and sizes stand at these places of the header.
fn table(file: &[u8], offset: usize, sizes: usize) -> Option<(usize, usize, usize)> {
    is_elf(file).then_some(())?;
    Some((at(file, offset)?, at_size(file, sizes, 2)?, at_size(file, sizes + 2, 2)?))
}

fn slice(file: &[u8], offset: usize, size: usize) -> Option<&[u8]> {
    file.get(Range { start: offset, end: offset.checked_add(size)? })
}

fn number(bytes: &[u8], offset: usize, size: usize) -> Option<u64> {
    let field = slice(bytes, offset, size)?;
    Some(field.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)))
}

fn at_size(bytes: &[u8], offset: usize, size: usize) -> Option<usize> {
    usize::try_from(number(bytes, offset, size)?).ok()
}

fn at(bytes: &[u8], offset: usize) -> Option<usize> {
    at_size(bytes, offset, 8)
}

fn at4(bytes: &[u8], offset: usize) -> Option<usize> {
    at_size(bytes, offset, 4)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn header(program_headers: u64, sections: u64, counts: [u16; 3]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x20..0x28].copy_from_slice(&program_headers.to_le_bytes());
        file[0x28..0x30].copy_from_slice(&sections.to_le_bytes());
        let sizes = [56, counts[0], 64, counts[1], counts[2]];
        for (index, value) in sizes.into_iter().enumerate() {
            file[0x36 + 2 * index..0x38 + 2 * index].copy_from_slice(&value.to_le_bytes());
        }
        file
    }

    /// The least file that passes for a kernel.
    pub(in crate::kernel) fn kernel_with_pvh() -> Vec<u8> {
        let mut file = header(64, 0, [1, 0, 0]);
        let mut segment = vec![0; 56];
        segment[0] = 4;
        segment[8] = 120;
        segment[0x20] = 20;
        file.extend(segment);
        for word in [4_u32, 4, 18] {
            file.extend(word.to_le_bytes());
        }
        file.extend(b"Xen\0\0\0\0\x01");
        file
    }

    /// The least file that passes for a module.
    pub(in crate::kernel) fn module(modinfo: &str) -> Vec<u8> {
        let names = b"\0.modinfo\0";
        let (names_at, info_at) = (64_u64, 64 + names.len() as u64);
        let mut file = header(0, info_at + modinfo.len() as u64, [0, 2, 0]);
        file.extend(names);
        file.extend(modinfo.as_bytes());
        for (name, offset, size) in [(0_u32, names_at, names.len()), (1, info_at, modinfo.len())] {
            let mut section = vec![0; 64];
            section[..4].copy_from_slice(&name.to_le_bytes());
            section[0x18..0x20].copy_from_slice(&offset.to_le_bytes());
            section[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
            file.extend(section);
        }
        file
    }

    #[test]
    fn the_entry_and_the_sections_are_found() {
        let kernel = kernel_with_pvh();
        assert!(has_pvh_entry(&kernel));
        let mut other = kernel.clone();
        other[128] = 17;
        assert!(!has_pvh_entry(&other));
        assert_eq!(section(&module("depends=a,b\0"), ".modinfo"), Some(b"depends=a,b\0".as_slice()));
        assert_eq!(section(&module(""), ".symtab"), None);
    }

    #[test]
    fn no_file_is_read_beyond_its_end() {
        for whole in [kernel_with_pvh(), module("depends=\0")] {
            for length in 0..whole.len() {
                has_pvh_entry(&whole[..length]);
                section(&whole[..length], ".modinfo");
            }
            for index in 0..whole.len() {
                let mut broken = whole.clone();
                broken[index] = 0xff;
                has_pvh_entry(&broken);
                section(&broken, ".modinfo");
            }
        }
    }
}
