//! `fs.grep`

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
};

use aegis_kinds::{policy::Grant, tool::arguments::FsGrep};
use regex::bytes::{Regex, RegexBuilder};
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use serde_json::json;

use super::{
    super::{Call, Refused, arguments, place},
    Context, Job, Place, Report,
    entry::Listing,
    glob::{self, LARGEST_PATTERN},
    place::kind,
    walk::{Next, Walk},
};

/// What begins with a NUL in so many bytes is no text.
const SNIFFED: usize = 8 * 1024;
/// Of a longer line only so much is looked at.
const LONGEST_LINE: u64 = 64 * 1024;
/// Of a longer line only so much is shown.
const SHOWN: usize = 1024;
/// So many lines are looked at between two looks at the clock.
const PACE: u64 = 1024;

pub(super) fn job(call: &Call, grant: &Grant) -> Result<Job, Refused> {
    let asked: FsGrep = arguments(&call.arguments)?;
    let place = place(grant, &call.tool, &asked.path)?;
    let refused = |message: String| Refused::new("arguments", message);
    let pattern = RegexBuilder::new(&asked.pattern)
        .case_insensitive(asked.ignore_case)
        .size_limit(LARGEST_PATTERN)
        .build()
        .map_err(|error| {
            refused(format!("'pattern' is no valid regular expression: {}", in_one_line(&error)))
        })?;
    let glob = asked.glob.as_deref().map(glob::compile).transpose().map_err(refused)?;
    Ok(Box::new(move |context: &Context| {
        let listing = Listing::new(asked.limit);
        let mut search = Search { context, pattern, listing, files: 0, place: &place };
        search.go(glob.as_ref())?;
        let (matches, text, cut) = search.listing.finish();
        let data = json!({ "path": place.path, "matches": matches, "files": search.files, "cut": cut });
        Ok(Report { text, data })
    }))
}

/// The parser draws the spot over several lines; the last one says what it is.
fn in_one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

struct Search<'a> {
    context: &'a Context,
    place: &'a Place,
    pattern: Regex,
    listing: Listing,
    files: u64,
}

impl Search<'_> {
    fn go(&mut self, glob: Option<&Regex>) -> Result<(), String> {
        let found = self.place.find()?;
        let own = self.context.shield.now();
        own.check(&self.place.path, &found.fd, &found.stat)?;
        if kind(&found.stat) != FileType::Directory {
            let file = found.read(self.place)?;
            self.file(file, self.place.path.as_bytes())?;
            return Ok(());
        }
        let directory = found.list(self.place)?;
        let mut walk = Walk { context: self.context, own: &own, deep: true, cut: false };
        walk.go(&directory, &mut |entry| {
            let wanted = kind(&entry.stat) == FileType::RegularFile
                && glob.is_none_or(|glob| glob.is_match(entry.path) || glob.is_match(entry.name.to_bytes()));
            if !wanted {
                return Ok(Next::On);
            }
            let flags =
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let Ok(fd) = openat(entry.parent, entry.name, flags, Mode::empty()) else { return Ok(Next::On) };
            // Another file may have this name by now.
            let same = fstat(&fd)
                .is_ok_and(|stat| kind(&stat) == FileType::RegularFile && own.check("", &fd, &stat).is_ok());
            if same { self.file(fd.into(), entry.path) } else { Ok(Next::On) }
        })?;
        self.listing.cut |= walk.cut;
        Ok(())
    }

    /// Adds the lines that match. A file that can't be read to its end has those before.
    fn file(&mut self, file: File, name: &[u8]) -> Result<Next, String> {
        let mut reader = BufReader::with_capacity(SNIFFED, file);
        match reader.fill_buf() {
            Ok(begin) if !begin.contains(&0) => self.files += 1,
            _ => return Ok(Next::On),
        }
        let mut line = Vec::new();
        for number in 1_u64.. {
            if number % PACE == 1 {
                self.context.go_on()?;
            }
            line.clear();
            match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() as u64 == LONGEST_LINE {
                self.skip_line(&mut reader)?;
            }
            if self.pattern.is_match(&line) && !self.add(name, number, &line) {
                return Ok(Next::Enough);
            }
        }
        Ok(Next::On)
    }

    fn skip_line(&self, reader: &mut BufReader<File>) -> Result<(), String> {
        loop {
            self.context.go_on()?;
            let Ok(buffer) = reader.fill_buf() else { return Ok(()) };
            if buffer.is_empty() {
                return Ok(());
            }
            let (length, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (buffer.len(), false),
            };
            reader.consume(length);
            if ended {
                return Ok(());
            }
        }
    }

    fn add(&mut self, name: &[u8], number: u64, line: &[u8]) -> bool {
        let shown = &line[..line.len().min(SHOWN)];
        let mut text = name.to_vec();
        text.extend_from_slice(format!(":{number}:").as_bytes());
        text.extend_from_slice(shown);
        let found = json!({
            "path": String::from_utf8_lossy(name), "line": number, "text": String::from_utf8_lossy(shown),
        });
        self.listing.add(found, &text)
    }
}
