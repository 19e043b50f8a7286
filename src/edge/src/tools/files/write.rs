//! `fs.write` and `fs.edit`: a file is the old one or the new one, never half, and never readable too widely.

use std::{
    fs::File,
    io::{Read, Write},
    sync::atomic::{AtomicU32, Ordering},
};

use aegis_kinds::{
    policy::Grant,
    tool::arguments::{Encoding, FsEdit, FsWrite},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid, fchmod, fchown, fstat, fsync, openat,
        renameat, renameat_with, unlinkat,
    },
    io::Errno,
};
use serde_json::json;

use super::{
    super::{Call, Refused, arguments, place},
    Context, Job, Place, Report, look,
    place::kind,
};
use crate::state::TEMPORARY_PREFIX;

/// The largest file that is edited: it is held in memory twice.
const LARGEST_EDIT: u64 = 16 << 20;
/// Of a new file, where the call doesn't say.
const MODE: u32 = 0o644;

/// What lets whoever runs a file do it as its owner or group, and gives a directory's group to what is made in it.
const SET_ID: u32 = 0o6000;
/// What of a file's mode stays when its content is replaced: what ran as another was other content.
const KEPT: u32 = 0o1777;

/// A mode in octal. The schema has let it through.
pub(super) fn mode(text: Option<&str>) -> Result<Option<u32>, Refused> {
    let refused = |message| Refused::new("arguments", message);
    let Some(text) = text else { return Ok(None) };
    let mode = u32::from_str_radix(text, 8)
        .map_err(|_| refused("'mode' is no mode; write it in octal, such as 0644"))?;
    if mode & SET_ID != 0 {
        return Err(refused(
            "'mode' holds setuid or setgid, which no file tool gives; leave it out, such as 0755",
        ));
    }
    Ok(Some(mode))
}

pub(super) fn write(call: &Call, grant: &Grant) -> Result<Job, Refused> {
    let asked: FsWrite = arguments(&call.arguments)?;
    let place = place(grant, &call.tool, &asked.path)?;
    let mode = mode(asked.mode.as_deref())?;
    let content = match asked.encoding {
        Encoding::Utf8 => asked.content.into_bytes(),
        Encoding::Base64 => STANDARD.decode(asked.content.trim()).map_err(|_| {
            Refused::new("arguments", "'content' isn't base64; write it so, or leave out 'encoding'")
        })?,
    };
    Ok(Box::new(move |context: &Context| {
        let target = Target::find(context, &place, asked.create_parents)?;
        if target.have.is_some() && !asked.overwrite {
            return Err(is_there(&place));
        }
        let mode = target.replace(context, &content, mode, asked.overwrite)?;
        let data = json!({
            "path": place.path,
            "bytes": content.len(),
            "created": target.have.is_none(),
            "mode": format!("{mode:04o}"),
        });
        Ok(Report { text: format!("wrote {} bytes to {}\n", content.len(), place.path).into_bytes(), data })
    }))
}

pub(super) fn edit(call: &Call, grant: &Grant) -> Result<Job, Refused> {
    let asked: FsEdit = arguments(&call.arguments)?;
    let place = place(grant, &call.tool, &asked.path)?;
    Ok(Box::new(move |context: &Context| {
        let target = Target::find(context, &place, false)?;
        let text = target.read()?;
        let count = text.matches(&asked.old).count();
        match count {
            0 => return Err(format!("'old' doesn't stand in '{}'; read it with fs.read", place.path)),
            2.. if !asked.all => {
                return Err(format!(
                    "'old' stands {count} times in '{}'; give more of what is around it, or say all=true",
                    place.path
                ));
            }
            _ => {}
        }
        let edited = text.replace(&asked.old, &asked.new);
        target.replace(context, edited.as_bytes(), None, true)?;
        let data = json!({ "path": place.path, "replaced": count, "bytes": edited.len() });
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        Ok(Report { text: format!("replaced it {times} in {}\n", place.path).into_bytes(), data })
    }))
}

fn is_there(place: &Place) -> String {
    format!("'{}' is there already; say overwrite=true to replace it", place.path)
}

/// The directory of a file, its name there, and what has this name by now.
struct Target<'a> {
    place: &'a Place,
    directory: OwnedFd,
    name: &'a str,
    have: Option<Stat>,
}

impl<'a> Target<'a> {
    fn find(context: &Context, place: &'a Place, make: bool) -> Result<Self, String> {
        let (directory, name) = place.parent(make.then_some(&context.shield))?;
        let parent = fstat(&directory).map_err(|e| place.fault("look at", e))?;
        let have = look(directory.as_fd(), name).map_err(|e| place.fault("look at", e))?;
        let own = context.shield.now();
        own.check_entry(&place.path, &directory, &parent, name)?;
        if let Some(have) = &have {
            if own.has(have) {
                own.check_removal(&place.path, have)?;
            }
            match kind(have) {
                FileType::RegularFile => {}
                FileType::Symlink => {
                    return Err(
                        place.wrong(FileType::Symlink, "name the file that it leads to, or delete it")
                    );
                }
                other => return Err(place.wrong(other, "only files are written")),
            }
        }
        Ok(Self { place, directory, name, have })
    }

    fn read(&self) -> Result<String, String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = openat(&self.directory, self.name, flags, Mode::empty());
        let mut file: File = fd.map_err(|e| self.place.fault("read", e))?.into();
        let mut bytes = Vec::new();
        let path = &self.place.path;
        Read::by_ref(&mut file)
            .take(LARGEST_EDIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("can't read '{path}': {error}"))?;
        if bytes.len() as u64 > LARGEST_EDIT {
            return Err(format!("'{path}' is larger than 16 MiB; write it with fs.write"));
        }
        String::from_utf8(bytes).map_err(|_| format!("'{path}' isn't text in UTF-8; write it with fs.write"))
    }

    /// Puts a file with this content in its place; gives its mode.
    fn replace(
        &self,
        context: &Context,
        content: &[u8],
        mode: Option<u32>,
        overwrite: bool,
    ) -> Result<u32, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mode = mode.or(self.have.as_ref().map(|have| have.st_mode & KEPT)).unwrap_or(MODE);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id());
        let done = self.write_to(context, &temporary, content, mode).and_then(|()| {
            if overwrite {
                renameat(&self.directory, &temporary, &self.directory, self.name)
            } else {
                let flags = RenameFlags::NOREPLACE;
                renameat_with(&self.directory, &temporary, &self.directory, self.name, flags)
            }
            .map_err(|error| match error {
                Errno::EXIST => is_there(self.place),
                error => self.place.fault("write", error),
            })
        });
        if done.is_err() {
            let _ = unlinkat(&self.directory, &temporary, AtFlags::empty());
        }
        done?;
        fsync(&self.directory).map_err(|e| self.place.fault("write", e))?;
        Ok(mode)
    }

    /// Owner and mode are right before there is anything to read in it.
    fn write_to(&self, context: &Context, temporary: &str, content: &[u8], mode: u32) -> Result<(), String> {
        let fault = |error| self.place.fault("write", error);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&self.directory, temporary, flags, Mode::from_raw_mode(0o600)).map_err(fault)?;
        if let Some(have) = &self.have {
            // Only root may give a file away; then it becomes the daemon's user's.
            let _ = fchown(&fd, Some(Uid::from_raw(have.st_uid)), Some(Gid::from_raw(have.st_gid)));
        }
        fchmod(&fd, Mode::from_raw_mode(mode)).map_err(fault)?;
        let mut file = File::from(fd);
        file.write_all(content).and_then(|()| file.sync_all()).map_err(|error| {
            match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(error) => fault(error),
                None => format!("can't write '{}': {error}", self.place.path),
            }
        })?;
        context.go_on()
    }
}
