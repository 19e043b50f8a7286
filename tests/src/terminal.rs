//! A program on a terminal, with somebody in front of it.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    path::PathBuf,
    process::{Child, Command},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::{
    output::Output,
    wait::{SOON, eventually},
};

/// A program whose three streams are a terminal. It is killed when this is dropped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    command: String,
    keyboard: File,
    /// What was shown so far, and whether nothing more can come.
    screen: Arc<Mutex<(Vec<u8>, bool)>>,
    read: usize,
}

impl Terminal {
    /// Starts `command` on a new terminal.
    pub fn start(mut command: Command) -> Self {
        let shown = format!("{command:?}");
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let theirs = OpenOptions::new().read(true).write(true).open(path).unwrap();
        command.stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap()).stderr(theirs);
        let child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        // It holds their end; the screen goes dark only once nobody holds it any more.
        drop(command);
        let keyboard = File::from(ours);
        let mut eyes = keyboard.try_clone().unwrap();
        let screen = Arc::<Mutex<(Vec<u8>, bool)>>::default();
        let sink = Arc::clone(&screen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = eyes.read(&mut buffer) {
                sink.lock().unwrap().0.extend_from_slice(&buffer[..count]);
            }
            sink.lock().unwrap().1 = true;
        });
        Self { child, command: shown, keyboard, screen, read: 0 }
    }

    /// Waits until `text` appears after what was read before.
    #[track_caller]
    pub fn read_until(&mut self, text: &str) {
        let end = Instant::now() + SOON;
        loop {
            let screen = self.screen();
            if let Some(at) = screen.get(self.read..).and_then(|rest| rest.find(text)) {
                self.read += at + text.len();
                return;
            }
            assert!(Instant::now() < end, "'{text}' doesn't appear; on the screen is:\n{screen}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Everything that was on the screen.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap().0).into_owned()
    }

    /// Waits for its end. Everything that it wrote is in `stdout`.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let what = format!("{} ends", self.command);
        let status = eventually(&what, SOON, || self.child.try_wait().unwrap());
        eventually("the screen goes dark", SOON, || self.screen.lock().unwrap().1.then_some(()));
        Output {
            command: self.command.clone(),
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            stdout: self.screen(),
            stderr: String::new(),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
