//! `fs.read`

use std::os::unix::fs::FileExt;

use aegis_kinds::{
    policy::Grant,
    tool::arguments::{Encoding, FsRead, LARGEST_READ},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    super::{Call, Refused, arguments, place},
    Context, Job, Report, entry,
};

pub(super) fn job(call: &Call, grant: &Grant) -> Result<Job, Refused> {
    let asked: FsRead = arguments(&call.arguments)?;
    let place = place(grant, &call.tool, &asked.path)?;
    Ok(Box::new(move |context: &Context| {
        let found = place.find()?;
        let file = found.read(&place)?;
        context.shield.now().check(&place.path, &file, &found.stat)?;
        let most = asked.limit.unwrap_or(LARGEST_READ).min(LARGEST_READ);
        let mut bytes = vec![0; usize::try_from(most).unwrap_or(0)];
        let mut length = 0;
        let mut ended = false;
        while length < bytes.len() && !ended {
            context.go_on()?;
            let at = asked.offset.saturating_add(length as u64);
            let read = file
                .read_at(&mut bytes[length..], at)
                .map_err(|error| format!("can't read '{}': {error}", place.path))?;
            length += read;
            ended = read == 0;
        }
        bytes.truncate(length);
        if asked.encoding == Encoding::Utf8 {
            whole_characters(&mut bytes, &place.path)?;
        }
        let next = asked.offset.saturating_add(bytes.len() as u64);
        // What the kernel makes up on reading, as under /proc, has no size.
        let size = u64::try_from(found.stat.st_size).unwrap_or(0);
        let data = json!({
            "path": place.path,
            "offset": asked.offset,
            "length": bytes.len(),
            "size": size,
            "eof": ended || (size > 0 && next >= size),
            "encoding": asked.encoding,
            "mode": entry::octal(&found.stat),
            "modified": entry::modified(&found.stat),
        });
        let text = match asked.encoding {
            Encoding::Utf8 => bytes,
            Encoding::Base64 => STANDARD.encode(&bytes).into_bytes(),
        };
        Ok(Report { text, data })
    }))
}

/// Leaves out a character that the limit cut in two; the next read begins with it.
fn whole_characters(bytes: &mut Vec<u8>, path: &str) -> Result<(), String> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            bytes.truncate(error.valid_up_to());
            Ok(())
        }
        Err(_) => Err(format!("'{path}' isn't text in UTF-8 from there on; ask for it with encoding=base64")),
    }
}
