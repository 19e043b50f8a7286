//! The values of declared secrets, read between the decoding of manifests and the plan.

mod age_file;
mod vault;

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use aegis_core::{ObjectKey, Secret, diagnostic::Diagnostic};
use aegis_engine::manifest::{Diagnostics, Document, Sources};
use aegis_kinds::{SecretSpec, Spec, ValueFrom};
use clap::Args;

use crate::terminal::{Paint, Stream};

/// The longest value: it has to fit into an environment.
const LONGEST: u64 = 64 << 10;

/// The flag.
#[derive(Debug, Clone, Default, Args)]
pub struct SecretArgs {
    /// An age identity file that opens secrets with `valueFrom.age`; may be repeated [default: $AEGIS_AGE_IDENTITY, else
    /// ~/.aegis/age.key]
    #[arg(long, value_name = "FILE")]
    pub identity: Vec<PathBuf>,
}

/// Values by their objects. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Values(Arc<BTreeMap<ObjectKey, Secret<String>>>);

impl Values {
    /// These.
    pub fn new(values: BTreeMap<ObjectKey, Secret<String>>) -> Self {
        Self(Arc::new(values))
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The value of one.
    pub fn get(&self, key: &ObjectKey) -> Option<&Secret<String>> {
        self.0.get(key)
    }
    /// All.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Secret<String>)> {
        self.0.iter()
    }
}

/// Why a value can't be read, and the way out.
pub(crate) struct Unread {
    message: String,
    help: String,
}

impl Unread {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// The values of `secrets`, or where each of those that can't be read stands. What is declared without a value keeps the
/// one that it has.
pub fn read(
    sources: &Sources,
    secrets: &[&[Document<Spec>]],
    args: &SecretArgs,
) -> Result<HashMap<ObjectKey, Secret<String>>, Diagnostics> {
    let mut values = HashMap::new();
    let mut reader = Reader::new(sources, args);
    let mut found = Diagnostics::default();
    for document in secrets.iter().copied().flatten() {
        let Spec::Secret(spec) = &document.spec else { continue };
        match reader.value(document, spec).and_then(|value| value.map(checked).transpose()) {
            Ok(Some(value)) => drop(values.insert(document.key.clone(), value)),
            Ok(None) => {}
            Err(unread) => found.add(|| diagnostic(sources, document, spec, unread)),
        }
    }
    if found.is_empty() { Ok(values) } else { Err(found) }
}

/// What of these secrets can't be read, without reading more than names: for `validate`.
pub fn check(sources: &Sources, documents: &[Document<Spec>]) -> Diagnostics {
    let mut found = Diagnostics::default();
    for document in documents {
        let Spec::Secret(spec) = &document.spec else { continue };
        if let Some(ValueFrom::Env(name)) = &spec.value_from
            && let Err(unread) = from_env(name)
        {
            found.add(|| diagnostic(sources, document, spec, unread));
        }
    }
    found
}

fn diagnostic(sources: &Sources, document: &Document<Spec>, spec: &SecretSpec, unread: Unread) -> Diagnostic {
    let path = match &spec.value_from {
        Some(ValueFrom::Env(_)) => "spec.valueFrom.env",
        Some(ValueFrom::File(_)) => "spec.valueFrom.file",
        Some(ValueFrom::Stdin(_)) => "spec.valueFrom.stdin",
        Some(ValueFrom::Age(_)) => "spec.valueFrom.age",
        Some(ValueFrom::Vault(_)) => "spec.valueFrom.vault",
        None => "spec.value",
    };
    Diagnostic::error(unread.message).at(sources.place(&document.origin, path)).help(unread.help)
}

fn checked(value: Secret<String>) -> Result<Secret<String>, Unread> {
    let too_long = value.expose().len() as u64 > LONGEST;
    if too_long || value.expose().contains('\0') {
        let what = if too_long { "longer than 64 KiB" } else { "no text: it has a zero byte" };
        return Err(Unread::new(format!("the value is {what}"), "a guest gets it as a variable"));
    }
    Ok(value)
}

struct Reader<'a> {
    sources: &'a Sources,
    identities: age_file::Identities,
    /// Whether standard input was read already: by the manifests, or for another secret.
    stdin_is_read: bool,
}

impl<'a> Reader<'a> {
    fn new(sources: &'a Sources, args: &SecretArgs) -> Self {
        let stdin_is_read = sources.sources().iter().any(|source| &*source.name == "<stdin>");
        Self { sources, identities: age_file::Identities::new(&args.identity), stdin_is_read }
    }

    fn value(
        &mut self,
        document: &Document<Spec>,
        spec: &SecretSpec,
    ) -> Result<Option<Secret<String>>, Unread> {
        if let Some(literal) = &spec.value {
            let place = self.sources.place(&document.origin, "spec.value");
            warn(&format!(
                "{}:{}: {} has its value in the manifest, where everybody can read it; valueFrom is better",
                place.source, place.line, document.key
            ));
            return Ok(Some(literal.0.clone()));
        }
        let Some(from) = &spec.value_from else { return Ok(None) };
        let directory = Path::new(&*self.sources.sources()[document.origin.source].name)
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default();
        match from {
            ValueFrom::Env(name) => from_env(name),
            ValueFrom::File(path) => from_file(&directory.join(path)),
            ValueFrom::Stdin(_) => self.stdin(),
            ValueFrom::Age(text) => self.identities.open(text, &directory),
            ValueFrom::Vault(field) => vault::read(field),
        }
        .map(Some)
    }

    fn stdin(&mut self) -> Result<Secret<String>, Unread> {
        if std::mem::replace(&mut self.stdin_is_read, true) {
            return Err(Unread::new(
                "standard input is read already",
                "one secret can come from it, and then the manifests can't",
            ));
        }
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .take(LONGEST + 2)
            .read_to_end(&mut bytes)
            .map_err(|error| Unread::new(format!("standard input: {error}"), "pipe the value in"))?;
        text(bytes)
    }
}

fn from_env(name: &str) -> Result<Secret<String>, Unread> {
    match std::env::var(name) {
        Ok(value) => Ok(Secret::new(value)),
        Err(std::env::VarError::NotPresent) => {
            Err(Unread::new(format!("the variable {name} isn't set"), format!("set it: export {name}=…")))
        }
        Err(std::env::VarError::NotUnicode(_)) => Err(not_text()),
    }
}

fn from_file(path: &Path) -> Result<Secret<String>, Unread> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LONGEST + 2).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let shown = path.display();
    let bytes = read().map_err(|error| {
        Unread::new(format!("{shown}: {error}"), format!("check that it is there: ls -l {shown}"))
    })?;
    text(bytes)
}

/// Bytes of a file as a value: a newline at the end is the editor's.
fn text(bytes: Vec<u8>) -> Result<Secret<String>, Unread> {
    // What isn't text is overwritten as well.
    let bytes = Secret::new(bytes);
    let mut value = std::str::from_utf8(bytes.expose()).map_err(|_| not_text())?;
    value = value.strip_suffix('\n').unwrap_or(value);
    value = value.strip_suffix('\r').unwrap_or(value);
    Ok(Secret::new(value.to_owned()))
}

fn not_text() -> Unread {
    Unread::new("the value is no text in UTF-8", "encode it first, such as with base64")
}

#[allow(clippy::print_stderr, reason = "warnings go to stderr")]
fn warn(message: &str) {
    eprintln!("{} {message}", Paint::of(Stream::Stderr).yellow("warning:"));
}
