//! `fs.create_dir` and `fs.delete`

use aegis_kinds::{
    policy::Grant,
    tool::arguments::{FsCreateDir, FsDelete},
};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{
        AtFlags, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat, openat2, statat,
        unlinkat,
    },
    io::Errno,
};
use serde_json::json;

use super::{
    super::{Call, Refused, arguments, place},
    Context, Job, Place, Report, look,
    place::kind,
    shield::Own,
    walk::{DEEPEST, names},
    write::mode,
};

pub(super) fn create(call: &Call, grant: &Grant) -> Result<Job, Refused> {
    let asked: FsCreateDir = arguments(&call.arguments)?;
    let place = place(grant, &call.tool, &asked.path)?;
    let mode = mode(asked.mode.as_deref())?.unwrap_or(0o755);
    Ok(Box::new(move |context: &Context| {
        let (directory, name) = place.parent(asked.parents.then_some(&context.shield))?;
        let parent = fstat(&directory).map_err(|e| place.fault("look at", e))?;
        context.shield.now().check_entry(&place.path, &directory, &parent, name)?;
        let have = look(directory.as_fd(), name).map_err(|e| place.fault("look at", e))?;
        let created = match have.as_ref().map(kind) {
            None => {
                make(&place, &directory, name, mode)?;
                true
            }
            Some(FileType::Directory) if asked.parents => false,
            Some(other) => {
                return Err(place.wrong(other, "it is there already; say parents=true where that is fine"));
            }
        };
        let text = if created { "made" } else { "is there already:" };
        let data = json!({ "path": place.path, "created": created });
        Ok(Report { text: format!("{text} {}\n", place.path).into_bytes(), data })
    }))
}

fn make(place: &Place, directory: &OwnedFd, name: &str, mode: u32) -> Result<(), String> {
    let fault = |error| place.fault("make", error);
    mkdirat(directory, name, Mode::from_raw_mode(mode & 0o700)).map_err(fault)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(directory, name, flags, Mode::empty()).map_err(fault)?;
    // Not left to `mkdir`: the umask would take bits away.
    fchmod(&made, Mode::from_raw_mode(mode)).map_err(fault)
}

pub(super) fn delete(call: &Call, grant: &Grant) -> Result<Job, Refused> {
    let asked: FsDelete = arguments(&call.arguments)?;
    let place = place(grant, &call.tool, &asked.path)?;
    Ok(Box::new(move |context: &Context| {
        let (directory, name) = place.parent(None)?;
        let parent = fstat(&directory).map_err(|e| place.fault("look at", e))?;
        let Some(have) = look(directory.as_fd(), name).map_err(|e| place.fault("look at", e))? else {
            return Err(place.fault("delete", Errno::NOENT));
        };
        let own = context.shield.now();
        own.check_entry(&place.path, &directory, &parent, name)?;
        own.check_removal(&place.path, &have)?;
        let mut removal = Removal { context, place: &place, own: &own, removed: 0 };
        match kind(&have) {
            FileType::Directory if asked.recursive => removal.directory(&directory, name, 0)?,
            FileType::Directory => match unlinkat(&directory, name, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    return Err(place.wrong(
                        FileType::Directory,
                        "it isn't empty; say recursive=true to delete all that is in it",
                    ));
                }
                done => removal.done(done)?,
            },
            _ => removal.done(unlinkat(&directory, name, AtFlags::empty()))?,
        }
        let removed = removal.removed;
        let data = json!({ "path": place.path, "removed": removed });
        let text = match removed {
            1 => format!("deleted {}\n", place.path),
            more => format!("deleted {}, {more} files and directories\n", place.path),
        };
        Ok(Report { text: text.into_bytes(), data })
    }))
}

struct Removal<'a> {
    context: &'a Context,
    place: &'a Place,
    own: &'a Own,
    removed: u64,
}

impl Removal<'_> {
    fn done(&mut self, done: Result<(), Errno>) -> Result<(), String> {
        match done {
            Ok(()) => {
                self.removed += 1;
                Ok(())
            }
            // Somebody else was faster.
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.place.fault("delete", error)),
        }
    }

    /// Removes a directory with all that is in it: symlinks themselves, never what they lead to.
    fn directory(
        &mut self,
        parent: &OwnedFd,
        name: impl rustix::path::Arg + Copy,
        depth: usize,
    ) -> Result<(), String> {
        if depth >= DEEPEST {
            let path = &self.place.path;
            return Err(format!("the directories in '{path}' are too deep; delete the deepest ones first"));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // What is mounted there belongs to somebody else.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let directory =
            openat2(parent, name, flags, Mode::empty(), resolve).map_err(|error| match error {
                Errno::XDEV => {
                    format!("something is mounted in '{}'; unmount it before deleting", self.place.path)
                }
                error => self.place.fault("delete", error),
            })?;
        loop {
            let (names, complete) = names(&directory);
            for name in &names {
                self.context.go_on()?;
                let name = name.as_c_str();
                let Ok(stat) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
                self.own.check_removal(&self.place.path, &stat)?;
                if kind(&stat) == FileType::Directory {
                    self.directory(&directory, name, depth + 1)?;
                } else {
                    let done = unlinkat(&directory, name, AtFlags::empty());
                    self.done(done)?;
                }
            }
            if complete {
                break;
            }
        }
        let done = unlinkat(parent, name, AtFlags::REMOVEDIR);
        self.done(done)
    }
}
