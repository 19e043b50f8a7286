//! The calls of the library (its `libkrun.h`), made in the child.
#![allow(unsafe_code, reason = "a library that is loaded at run time")]

use std::{
    ffi::{CString, c_char, c_int},
    fs::File,
    io::Read,
    os::fd::{FromRawFd, RawFd},
    path::Path,
};

use libloading::{Library, Symbol};

use super::Config;

/// `KRUN_KERNEL_FORMAT_ELF` and `KRUN_DISK_FORMAT_RAW`.
const ELF: u32 = 1;
const RAW: u32 = 0;

/// Everything that is called. One that is missing makes the library unusable before a machine is tried.
const NAMES: &[&str] = &[
    "krun_create_ctx",
    "krun_set_vm_config",
    "krun_set_kernel",
    "krun_add_disk2",
    "krun_disable_implicit_console",
    "krun_add_virtio_console_multiport",
    "krun_add_console_port_inout",
    "krun_start_enter",
];

/// Whether a library can be loaded and has all that is called.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let library = load(path)?;
    for name in NAMES {
        function::<unsafe extern "C" fn()>(&library, name)?;
    }
    Ok(())
}

fn load(path: &Path) -> Result<Library, String> {
    // SAFETY: loading runs the library's initialisers; it is the system's libkrun, which has none that do harm.
    unsafe { Library::new(path) }.map_err(|error| format!("{} can't be loaded: {error}", path.display()))
}

fn function<'a, T>(library: &'a Library, name: &str) -> Result<Symbol<'a, T>, String> {
    // SAFETY: the callers give the type that `libkrun.h` declares.
    unsafe { library.get(name.as_bytes()) }
        .map_err(|_| format!("this libkrun has no {name}: a newer one is needed"))
}

/// The child: reads its document from the inherited file and becomes the VM. Returns only if that failed.
pub fn child(number: &str) -> String {
    match number.parse().map_err(|_| "libkrun-child needs the number of a file".to_owned()).and_then(read) {
        Ok(config) => enter(&config).err().unwrap_or_else(|| "libkrun returned".to_owned()),
        Err(reason) => reason,
    }
}

fn read(number: RawFd) -> Result<Config, String> {
    if number < 3 {
        return Err("libkrun-child is started by aegisd".to_owned());
    }
    // SAFETY: the file was inherited for this and nobody else in this process uses it.
    let mut file = unsafe { File::from_raw_fd(number) };
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn enter(config: &Config) -> Result<(), String> {
    let library = load(&config.library)?;
    let text = |text: &str| CString::new(text).map_err(|error| error.to_string());
    let path = |file: RawFd| text(&format!("/proc/self/fd/{file}"));
    let (vmlinux, initramfs) = (path(config.vmlinux)?, path(config.initramfs)?);
    let command_line = text(&config.command_line)?;
    let (console_name, port_name) = (text("aegis.console")?, text(aegis_harness::PORT_NAME)?);
    let create: Symbol<'_, unsafe extern "C" fn() -> i32> = function(&library, "krun_create_ctx")?;
    let set_vm: Symbol<'_, unsafe extern "C" fn(u32, u8, u32) -> i32> =
        function(&library, "krun_set_vm_config")?;
    let set_kernel: Symbol<
        '_,
        unsafe extern "C" fn(u32, *const c_char, u32, *const c_char, *const c_char) -> i32,
    > = function(&library, "krun_set_kernel")?;
    let add_disk: Symbol<'_, unsafe extern "C" fn(u32, *const c_char, *const c_char, u32, bool) -> i32> =
        function(&library, "krun_add_disk2")?;
    let no_console: Symbol<'_, unsafe extern "C" fn(u32) -> i32> =
        function(&library, "krun_disable_implicit_console")?;
    let add_console: Symbol<'_, unsafe extern "C" fn(u32) -> i32> =
        function(&library, "krun_add_virtio_console_multiport")?;
    let add_port: Symbol<'_, unsafe extern "C" fn(u32, u32, *const c_char, c_int, c_int) -> i32> =
        function(&library, "krun_add_console_port_inout")?;
    let start: Symbol<'_, unsafe extern "C" fn(u32) -> i32> = function(&library, "krun_start_enter")?;
    // SAFETY: each is called with the types that `libkrun.h` declares; all strings live to the end of this function, and
    // the files are inherited and stay open.
    unsafe {
        let context = checked("krun_create_ctx", create())?;
        checked("krun_set_vm_config", set_vm(context, config.cpus, config.memory_mib))?;
        let kernel = (vmlinux.as_ptr(), initramfs.as_ptr(), command_line.as_ptr());
        checked("krun_set_kernel", set_kernel(context, kernel.0, ELF, kernel.1, kernel.2))?;
        let disks = [("vda", Some(config.rootfs), true), ("vdb", config.workspace, false)];
        for (name, file, is_read_only) in disks {
            if let Some(file) = file {
                let (name, path) = (text(name)?, path(file)?);
                checked(
                    "krun_add_disk2",
                    add_disk(context, name.as_ptr(), path.as_ptr(), RAW, is_read_only),
                )?;
            }
        }
        checked("krun_disable_implicit_console", no_console(context))?;
        let console = checked("krun_add_virtio_console_multiport", add_console(context))?;
        // The first port of a device is a console; what the kernel says there goes to our output.
        checked("krun_add_console_port_inout", add_port(context, console, console_name.as_ptr(), -1, 1))?;
        let channel = config.channel;
        checked(
            "krun_add_console_port_inout",
            add_port(context, console, port_name.as_ptr(), channel, channel),
        )?;
        checked("krun_start_enter", start(context))?;
    }
    Ok(())
}

/// Negative results are errors of the system.
fn checked(name: &str, result: i32) -> Result<u32, String> {
    u32::try_from(result).map_err(|_| format!("{name}: {}", std::io::Error::from_raw_os_error(-result)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{path::PathBuf, process::Command};

    use super::*;

    /// A library that writes its calls to a file and answers as it is told.
    fn fake(directory: &Path, start: i32, is_old: bool) -> PathBuf {
        let log = directory.join("calls");
        let source = directory.join("fake.c");
        let port = if is_old {
            ""
        } else {
            "int krun_add_console_port_inout(unsigned c, unsigned d, const char *n, int i, int o) { say(\"port %u %u %s %d %d\\n\", c, d, n, i, o); return 0; }"
        };
        let text = format!(
            r#"#include <stdio.h>
#include <stdarg.h>
#include <stdbool.h>
static void say(const char *f, ...) {{ FILE *l = fopen("{log}", "a"); va_list a; va_start(a, f); vfprintf(l, f, a); va_end(a); fclose(l); }}
int krun_create_ctx(void) {{ say("create\n"); return 4; }}
int krun_set_vm_config(unsigned c, unsigned char n, unsigned m) {{ say("vm %u %u %u\n", c, n, m); return 0; }}
int krun_set_kernel(unsigned c, const char *k, unsigned f, const char *i, const char *l) {{ say("kernel %u %s %u %s %s\n", c, k, f, i, l); return 0; }}
int krun_add_disk2(unsigned c, const char *n, const char *p, unsigned f, bool r) {{ say("disk %u %s %s %u %d\n", c, n, p, f, r); return 0; }}
int krun_disable_implicit_console(unsigned c) {{ say("no console %u\n", c); return 0; }}
int krun_add_virtio_console_multiport(unsigned c) {{ say("console %u\n", c); return 2; }}
{port}
int krun_start_enter(unsigned c) {{ say("start %u\n", c); return {start}; }}
"#,
            log = log.display()
        );
        std::fs::write(&source, text).unwrap();
        let library = directory.join("libkrun.so.1");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap();
        assert!(built.success(), "cc builds the fake library");
        library
    }

    fn config(library: PathBuf) -> Config {
        Config {
            library,
            memory_mib: 256,
            cpus: 2,
            vmlinux: 10,
            initramfs: 11,
            command_line: "console=hvc0".to_owned(),
            rootfs: 12,
            workspace: Some(13),
            channel: 14,
        }
    }

    #[test]
    fn the_library_is_called_as_its_header_says() {
        let directory = tempfile::tempdir().unwrap();
        let library = fake(directory.path(), -22, false);
        check(&library).unwrap();
        let error = enter(&config(library)).unwrap_err();
        assert_eq!(error, "krun_start_enter: Invalid argument (os error 22)");
        let calls = std::fs::read_to_string(directory.path().join("calls")).unwrap();
        assert_eq!(
            calls,
            "create\nvm 4 2 256\nkernel 4 /proc/self/fd/10 1 /proc/self/fd/11 console=hvc0\n\
             disk 4 vda /proc/self/fd/12 0 1\ndisk 4 vdb /proc/self/fd/13 0 0\nno console 4\nconsole 4\n\
             port 4 2 aegis.console -1 1\nport 4 2 aegis.ctl 14 14\nstart 4\n"
        );
    }

    #[test]
    fn a_library_that_lacks_a_call_or_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let library = fake(directory.path(), 0, true);
        assert!(check(&library).unwrap_err().contains("has no krun_add_console_port_inout"));
        std::fs::write(&library, b"text").unwrap();
        assert!(check(&library).unwrap_err().contains("can't be loaded"));
    }

    #[test]
    fn a_child_without_its_document_says_so() {
        assert_eq!(child("x"), "libkrun-child needs the number of a file");
        assert_eq!(child("0"), "libkrun-child is started by aegisd");
    }
}
