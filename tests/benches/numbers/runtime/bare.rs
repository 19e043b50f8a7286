//! The peers of our VMs: a QEMU with the same kernel and the same initramfs and nothing else, booted, and cloned from a
//! template. A boot is over when the guest's first word comes back; a clone, when `true` of the image whose disk it was given
//! has ended. No daemon, no command line, no log, nothing written down.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aegis_backend::{
    kernel::{Discovery, GuestKernel, cpio, prepare},
    machine::ROOTFS_DISK_SIZE,
};
use aegis_harness::{
    frame::{self, Kind},
    message::{self as command, Root, Setup, ToGuest},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child;

/// No step takes longer.
const WITHIN: Duration = Duration::from_mins(1);

/// What is booted.
pub struct Bare {
    kernel: GuestKernel,
    initramfs: PathBuf,
    /// The disk of the base image, as a daemon made it.
    image: PathBuf,
    /// What runs its instructions: `tcg` or `kvm`.
    accelerator: String,
    directory: TempDir,
}

/// The memory and the devices of a machine that has booted and waits.
pub struct Template {
    memory: PathBuf,
    state: PathBuf,
}

/// A QEMU that is killed in the end.
struct Qemu {
    child: Child,
    directory: TempDir,
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bare {
    pub fn new(accelerator: &str, image: PathBuf) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let kernel =
            prepare(&child::programs().join("guest"), &directory.path().join("kernel")).expect("make guest");
        let initramfs = directory.path().join("initramfs");
        let parts = [fs::read(&kernel.initramfs).unwrap(), cpio::token("first")].concat();
        fs::write(&initramfs, parts).unwrap();
        Self { kernel, initramfs, image, accelerator: accelerator.to_owned(), directory }
    }

    /// Boots one. What it takes to its first word.
    pub fn boot(&self) -> Duration {
        let begun = Instant::now();
        let qemu = self.start("", &self.image, &[]);
        first_word(&mut qemu.channel());
        begun.elapsed()
    }

    /// Boots one and keeps it as a template.
    pub fn template(&self) -> Template {
        let (memory, state) = (self.directory.path().join("memory"), self.directory.path().join("state"));
        let placeholder = self.directory.path().join("placeholder");
        fs::File::create(&placeholder).unwrap().set_len(ROOTFS_DISK_SIZE).unwrap();
        let qemu = self.start(&format!("mem-path={},share=on", memory.display()), &placeholder, &[]);
        let mut channel = qemu.channel();
        first_word(&mut channel);
        // What follows the first line is on its way.
        std::thread::sleep(Duration::from_millis(300));
        let mut control = qemu.control();
        control.ask("stop", &json!({}));
        control.ask("migrate-set-capabilities", &ignore_shared());
        control.ask("migrate", &json!({"uri": format!("exec:cat >{}", state.display())}));
        let end = Instant::now() + WITHIN;
        while control.ask("query-migrate", &json!({}))["status"] != "completed" {
            assert!(Instant::now() < end, "the template is saved");
            std::thread::sleep(Duration::from_millis(10));
        }
        Template { memory, state }
    }

    /// Starts one from a template, with the image's disk, and runs `true` in it. What it takes to its end.
    pub fn clone_of(&self, template: &Template) -> Duration {
        let begun = Instant::now();
        let memory = format!("mem-path={},share=off", template.memory.display());
        let qemu = self.start(&memory, &self.image, &["-incoming", "defer"]);
        let mut channel = qemu.channel();
        let mut control = qemu.control();
        control.ask("migrate-set-capabilities", &ignore_shared());
        control.ask("migrate-incoming", &json!({"uri": format!("exec:cat {}", template.state.display())}));
        let end = Instant::now() + WITHIN;
        while control.ask("query-status", &json!({}))["status"] != "paused" {
            assert!(Instant::now() < end, "the clone is loaded");
            std::thread::sleep(Duration::from_millis(1));
        }
        control.ask("cont", &json!({}));
        let setup = Setup {
            token: "second".to_owned(),
            hostname: "bare".to_owned(),
            entropy: "YmFyZWJhcmViYXJlYmFyZWJhcmViYXJlYmFyZWJhcmU=".to_owned(),
            root: Root::Device { device: "vda".to_owned(), file_system: "erofs".to_owned() },
            unix_ns: 1_790_000_000_000_000_000,
            scratch_mib: 64,
            ..Setup::default()
        };
        say(&mut channel, &ToGuest::Setup(Box::new(setup)));
        hear(&mut channel, "\"ready\"");
        let env = [("PATH".to_owned(), "/bin:/usr/bin".to_owned())].into();
        let run = command::Command { argv: vec!["true".to_owned()], env, ..command::Command::default() };
        say(&mut channel, &ToGuest::Start { process: 1, command: Box::new(run) });
        hear(&mut channel, "\"exited\"");
        begun.elapsed()
    }

    fn start(&self, memory: &str, disk: &Path, more: &[&str]) -> Qemu {
        let directory = tempfile::tempdir().unwrap();
        let socket = |name: &str| directory.path().join(name);
        let kvm = self.accelerator == "kvm";
        let acpi = if self.kernel.discovery == Discovery::Acpi { "on" } else { "off" };
        let back = if memory.is_empty() {
            "memory-backend-ram,id=ram,size=256M".to_owned()
        } else {
            format!("memory-backend-file,id=ram,size=256M,{memory}")
        };
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args([
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-no-reboot",
                "-smp",
                "1",
                "-m",
                "256",
            ])
            .args(if kvm { ["-accel", "kvm", "-cpu", "host"] } else { ["-accel", "tcg", "-cpu", "Nehalem"] })
            .arg("-M")
            .arg(format!("microvm,acpi={acpi},memory-backend=ram"))
            .args(["-object", &back, "-kernel"])
            .arg(&self.kernel.vmlinux)
            .arg("-initrd")
            .arg(&self.initramfs)
            .args(["-append", &command_line(), "-device", "virtio-serial-device", "-chardev"])
            .arg(format!("socket,id=ctl,path={},server=on,wait=off", socket("channel").display()))
            .args([
                "-device",
                &format!("virtserialport,chardev=ctl,name={}", aegis_harness::PORT_NAME),
                "-qmp",
            ])
            .arg(format!("unix:{},server=on,wait=off", socket("control").display()))
            .arg("-blockdev")
            .arg(format!(
                "driver=raw,node-name=vda,read-only=on,file.driver=file,file.filename={}",
                disk.display()
            ))
            .args(["-device", "virtio-blk-device,drive=vda,serial=vda"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Qemu { child: command.spawn().expect("qemu-system-x86_64"), directory }
    }
}

/// The options with which the facts' quickest boots were measured.
fn command_line() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mhz = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("cpu MHz")?.split(':').nth(1)?.trim().parse::<f64>().ok());
    format!(
        "quiet no_timer_check tsc_early_khz={:.0} mitigations=off cryptomgr.notests=1 nokaslr reboot=t panic=-1",
        mhz.unwrap_or(2000.0) * 1000.0
    )
}

fn ignore_shared() -> Value {
    json!({"capabilities": [{"capability": "x-ignore-shared", "state": true}]})
}

fn connect(path: &Path) -> UnixStream {
    let end = Instant::now() + WITHIN;
    loop {
        if let Ok(stream) = UnixStream::connect(path) {
            stream.set_read_timeout(Some(WITHIN)).unwrap();
            return stream;
        }
        assert!(Instant::now() < end, "QEMU listens at {}", path.display());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn first_word(channel: &mut UnixStream) {
    let mut byte = [0];
    channel.read_exact(&mut byte).expect("the guest's first word");
}

fn say(channel: &mut UnixStream, message: &ToGuest) {
    let mut bytes = Vec::new();
    frame::write(Kind::Control, 0, &serde_json::to_vec(message).unwrap(), &mut bytes);
    channel.write_all(&bytes).unwrap();
}

/// Waits until the guest says this.
fn hear(channel: &mut UnixStream, word: &str) {
    let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&heard).contains(word) {
        let count = channel.read(&mut piece).expect(word);
        assert_ne!(count, 0, "the guest ended: {}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&piece[..count]);
    }
}

impl Qemu {
    fn channel(&self) -> UnixStream {
        connect(&self.directory.path().join("channel"))
    }

    fn control(&self) -> Control {
        let mut control = Control(BufReader::new(connect(&self.directory.path().join("control"))));
        control.ask("qmp_capabilities", &json!({}));
        control
    }
}

/// QEMU's own protocol: a JSON object a line.
struct Control(BufReader<UnixStream>);

impl Control {
    /// Runs a command. Gives what it returns; greetings and events are passed over.
    fn ask(&mut self, command: &str, arguments: &Value) -> Value {
        let request = json!({"execute": command, "arguments": arguments});
        self.0.get_mut().write_all(format!("{request}\n").as_bytes()).unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).expect("QEMU answers"), 0, "QEMU ended at {command}");
            let mut answer: Value = serde_json::from_str(&line).expect("JSON");
            assert!(answer["error"].is_null(), "{command}: {answer}");
            if !answer["return"].is_null() {
                return answer["return"].take();
            }
        }
    }
}
