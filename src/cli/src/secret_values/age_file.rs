//! Values that are encrypted with age, and the identities that open them.

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use aegis_core::Secret;
use age::{Decryptor, IdentityFile, armor::ArmoredReader};

use super::{LONGEST, Unread, text};
use crate::{environment, paths};

/// How an armoured file begins.
const ARMOUR: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// The files of identities, read when the first value needs them.
pub(super) struct Identities {
    files: Vec<PathBuf>,
    read: Option<Vec<Box<dyn age::Identity>>>,
}

impl Identities {
    /// Those of the flag, else of the environment, else of the home.
    pub fn new(given: &[PathBuf]) -> Self {
        let files = if !given.is_empty() {
            given.to_vec()
        } else if let Some(file) = environment::get(&environment::AGE_IDENTITY) {
            vec![file.into()]
        } else {
            paths::home().map(|home| home.join("age.key")).into_iter().collect()
        };
        Self { files, read: None }
    }

    /// The value in `given`: a file's path, relative to `directory`, or an armoured text.
    pub fn open(&mut self, given: &str, directory: &Path) -> Result<Secret<String>, Unread> {
        let (shown, bytes) = if given.trim_start().starts_with(ARMOUR) {
            ("the encrypted text".to_owned(), given.trim_start().as_bytes().to_vec())
        } else {
            let path = directory.join(given);
            let shown = path.display().to_string();
            let bytes = fs::read(&path).map_err(|error| {
                Unread::new(format!("{shown}: {error}"), "make it with `age -r RECIPIENT -o FILE`")
            })?;
            (shown, bytes)
        };
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        let identities = self.identities()?;
        let opened = || -> Result<Vec<u8>, age::DecryptError> {
            let decryptor = Decryptor::new_buffered(ArmoredReader::new(bytes.as_slice()))?;
            let mut value = Vec::new();
            let reader = decryptor.decrypt(identities.iter().map(|identity| &**identity))?;
            reader.take(LONGEST + 2).read_to_end(&mut value)?;
            Ok(value)
        };
        let bytes = opened().map_err(|error| {
            Unread::new(
                format!("{shown} can't be opened with {}: {error}", files.join(", ")),
                "name another identity with --identity FILE",
            )
        })?;
        text(bytes)
    }

    fn identities(&mut self) -> Result<&[Box<dyn age::Identity>], Unread> {
        if self.read.is_none() {
            let mut identities = Vec::new();
            for file in &self.files {
                let unread = |error: &dyn std::fmt::Display| {
                    Unread::new(
                        format!("the age identity {}: {error}", file.display()),
                        "make one with `age-keygen -o FILE`, and name it with --identity FILE",
                    )
                };
                let opened = File::open(file).map_err(|error| unread(&error))?;
                let found =
                    IdentityFile::from_buffer(BufReader::new(opened)).map_err(|error| unread(&error))?;
                identities.extend(found.into_identities().map_err(|error| unread(&error))?);
            }
            self.read = Some(identities);
        }
        Ok(self.read.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;

    use age::{Encryptor, Recipient, armor::ArmoredWriter, x25519};

    use super::*;

    fn encrypt(value: &str, recipient: &x25519::Recipient, armour: bool) -> Vec<u8> {
        let recipient: &dyn Recipient = recipient;
        let encryptor = Encryptor::with_recipients(std::iter::once(recipient)).unwrap();
        let mut out = Vec::new();
        if armour {
            let armoured = ArmoredWriter::wrap_output(&mut out, age::armor::Format::AsciiArmor).unwrap();
            let mut writer = encryptor.wrap_output(armoured).unwrap();
            writer.write_all(value.as_bytes()).unwrap();
            writer.finish().unwrap().finish().unwrap();
        } else {
            let mut writer = encryptor.wrap_output(&mut out).unwrap();
            writer.write_all(value.as_bytes()).unwrap();
            writer.finish().unwrap();
        }
        out
    }

    #[test]
    fn files_and_armoured_texts_are_opened_by_their_identity() {
        use age::secrecy::ExposeSecret;
        let directory = tempfile::tempdir().unwrap();
        let (mine, other) = (x25519::Identity::generate(), x25519::Identity::generate());
        let key = directory.path().join("age.key");
        fs::write(&key, format!("# created: today\n{}\n", mine.to_string().expose_secret())).unwrap();
        fs::write(directory.path().join("token.age"), encrypt("hunter2\n", &mine.to_public(), false))
            .unwrap();
        let mut identities = Identities::new(std::slice::from_ref(&key));
        let open = |identities: &mut Identities, given: &str| identities.open(given, directory.path());
        assert_eq!(open(&mut identities, "token.age").ok().unwrap().expose(), "hunter2");
        let armoured = String::from_utf8(encrypt("hunter3", &mine.to_public(), true)).unwrap();
        assert_eq!(open(&mut identities, &armoured).ok().unwrap().expose(), "hunter3");
        // Encrypted again, the same value is the same.
        fs::write(directory.path().join("token.age"), encrypt("hunter2\n", &mine.to_public(), true)).unwrap();
        assert_eq!(open(&mut identities, "token.age").ok().unwrap().expose(), "hunter2");
        let foreign = String::from_utf8(encrypt("x", &other.to_public(), true)).unwrap();
        for given in [foreign.as_str(), "missing.age", "age.key"] {
            assert!(open(&mut identities, given).is_err(), "{given}");
        }
        let mut none = Identities::new(&[directory.path().join("none.key")]);
        assert!(open(&mut none, "token.age").is_err());
    }
}
