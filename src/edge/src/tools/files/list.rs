//! `fs.list` and `fs.glob`

use aegis_kinds::{
    policy::Grant,
    tool::arguments::{FsGlob, FsList},
};
use regex::bytes::Regex;
use rustix::fs::{FileType, readlinkat};
use serde_json::json;

use super::{
    super::{Call, Refused, arguments, place},
    Context, Job, Place, Report,
    entry::{self, Listing},
    glob,
    place::kind,
    walk::{Entry, Next, Walk},
};

/// Which entries are shown, and how.
struct Filter {
    deep: bool,
    pattern: Option<Regex>,
}

pub(super) fn list(call: &Call, grant: &Grant) -> Result<Job, Refused> {
    let asked: FsList = arguments(&call.arguments)?;
    let place = place(grant, &call.tool, &asked.path)?;
    let filter = Filter { deep: asked.recursive, pattern: None };
    Ok(Box::new(move |context: &Context| walk(context, &place, &filter, asked.limit)))
}

pub(super) fn glob(call: &Call, grant: &Grant) -> Result<Job, Refused> {
    let asked: FsGlob = arguments(&call.arguments)?;
    let place = place(grant, &call.tool, &asked.path)?;
    let pattern = glob::compile(&asked.pattern).map_err(|message| Refused::new("arguments", message))?;
    let deep = asked.pattern.contains('/') || asked.pattern.contains("**");
    let filter = Filter { deep, pattern: Some(pattern) };
    Ok(Box::new(move |context: &Context| walk(context, &place, &filter, asked.limit)))
}

fn walk(context: &Context, place: &Place, filter: &Filter, limit: Option<u32>) -> Result<Report, String> {
    let found = place.find()?;
    let directory = found.list(place)?;
    let own = context.shield.now();
    own.check(&place.path, &directory, &found.stat)?;
    let mut listing = Listing::new(limit);
    let mut walk = Walk { context, own: &own, deep: filter.deep, cut: false };
    walk.go(&directory, &mut |entry| {
        let more = match &filter.pattern {
            Some(pattern) if !pattern.is_match(entry.path) => true,
            Some(_) => listing.add(entry::describe(entry.path, &entry.stat, None), entry.path),
            None => {
                let target = (kind(&entry.stat) == FileType::Symlink).then(|| target(entry)).flatten();
                let described = entry::describe(entry.path, &entry.stat, target.as_deref());
                listing.add(described, &line(entry, target.as_deref()))
            }
        };
        Ok(if more { Next::On } else { Next::Enough })
    })?;
    listing.cut |= walk.cut;
    let (entries, text, cut) = listing.finish();
    Ok(Report { text, data: json!({ "path": place.path, "entries": entries, "cut": cut }) })
}

fn target(entry: &Entry<'_>) -> Option<Vec<u8>> {
    readlinkat(entry.parent, entry.name, Vec::new()).ok().map(std::ffi::CString::into_bytes)
}

/// `0644 1234 2026-11-20T12:00:00Z name`, a directory with a slash behind it.
fn line(entry: &Entry<'_>, target: Option<&[u8]>) -> Vec<u8> {
    let stat = &entry.stat;
    let mut line =
        format!("{} {:>10} {} ", entry::octal(stat), stat.st_size, entry::modified(stat)).into_bytes();
    line.extend_from_slice(entry.path);
    if kind(stat) == FileType::Directory {
        line.push(b'/');
    }
    if let Some(target) = target {
        line.extend_from_slice(b" -> ");
        line.extend_from_slice(target);
    }
    line
}
