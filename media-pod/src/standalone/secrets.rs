//! [`SecretBook`]: the keys of a folder's Secret objects, and those that were made because no Secret was there, as the operator makes them.

use super::object::Object;
use headgate_api::{SecretKeyRef, StreamKey};
use headgate_resolve::{KeySource, Secrets};
use k8s_openapi::api::core::v1::Secret;
use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of randomness in a key that is made.
const RANDOM_BYTES: usize = 16;

/// All Secrets by name, with their entries.
#[derive(Clone, Default)]
pub struct SecretBook(HashMap<String, HashMap<String, Vec<u8>>>);

/// Where made keys are: `FOLDER/SECRET/ENTRY`, readable by the owner alone.
#[derive(Clone, Debug)]
pub struct MadeKeys {
    folder: PathBuf,
}

impl SecretBook {
    /// The Secrets among `objects`.
    pub fn new<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let secrets = objects.into_iter().filter_map(|object| match object {
            Object::Secret(secret) => Some((secret.metadata.name.clone()?, entries(secret))),
            _ => None,
        });
        Self(secrets.collect())
    }

    /// Adds an entry of a Secret that was made.
    pub fn add(&mut self, secret: &str, entry: &str, key: Vec<u8>) {
        self.0.entry(secret.into()).or_default().insert(entry.into(), key);
    }
}

impl Secrets for SecretBook {
    fn entry(&self, secret: &str, entry: &str) -> KeySource<'_> {
        match self.0.get(secret) {
            None => KeySource::NoSecret,
            Some(entries) => entries
                .get(entry)
                .map_or(KeySource::NoEntry, |key| KeySource::Found(key)),
        }
    }
}

impl MadeKeys {
    /// Below the state folder.
    pub fn new(state: &Path) -> Self {
        Self {
            folder: state.join("keys"),
        }
    }

    /// The folders whose files hold made keys.
    pub fn folders(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.map(|e| e.path()).filter(|path| path.is_dir()).collect()
    }

    /// Gives every key of `keys` whose Secret is not in `book` the one that was made for it, and makes it if there is none. The files of
    /// those made now come back.
    pub fn complete<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a StreamKey>,
        book: &mut SecretBook,
    ) -> Vec<Result<PathBuf, String>> {
        let wanted = keys.into_iter().map(|key| &key.spec.secret_ref);
        let missing = |r: &&SecretKeyRef| book.entry(&r.name, &r.key) == KeySource::NoSecret;
        let wanted: Vec<&SecretKeyRef> = wanted
            .filter(missing)
            .filter(|r| is_file_name(&r.name) && is_file_name(&r.key))
            .collect();
        wanted
            .into_iter()
            .filter_map(|r| self.one(r, book).transpose())
            .collect()
    }

    fn one(&self, wanted: &SecretKeyRef, book: &mut SecretBook) -> Result<Option<PathBuf>, String> {
        let path = self.folder.join(&wanted.name).join(&wanted.key);
        let (content, new) = read_or_make(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        book.add(&wanted.name, &wanted.key, content);
        Ok(new.then_some(path))
    }
}

fn read_or_make(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    match fs::read(path) {
        Ok(content) => return Ok((content, false)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let key = hex::encode(rand::random::<[u8; RANDOM_BYTES]>()).into_bytes();
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok((key, true))
}

fn entries(secret: &Secret) -> HashMap<String, Vec<u8>> {
    let data = secret
        .data
        .iter()
        .flatten()
        .map(|(name, bytes)| (name.clone(), bytes.0.clone()));
    let text = secret
        .string_data
        .iter()
        .flatten()
        .map(|(name, text)| (name.clone(), text.clone().into_bytes()));
    data.chain(text).collect()
}

/// As Kubernetes bounds names of Secrets and of their entries, so that neither leaves the folder.
fn is_file_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 253 && !name.starts_with('.') && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::super::object::read;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn object(yaml: &str) -> Object {
        read(&serde_yaml::from_str(yaml).unwrap()).unwrap()
    }

    fn key(secret: &str) -> StreamKey {
        let yaml = format!(
            "{{apiVersion: headgate.dev/v1alpha1, kind: StreamKey, metadata: {{name: k}}, spec: {{serverRefs: [{{name: live}}], stream: {{app: live}}, secretRef: {{name: {secret}}}}}}}"
        );
        serde_yaml::from_str(&yaml).unwrap()
    }

    #[test]
    fn data_is_decoded_and_string_data_wins() {
        let book = SecretBook::new([&object(
            "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: YWJj, b: YWJj}, stringData: {b: plain}}",
        )]);
        assert_eq!(book.entry("s", "a"), KeySource::Found(b"abc"));
        assert_eq!(book.entry("s", "b"), KeySource::Found(b"plain"));
        assert_eq!(book.entry("s", "c"), KeySource::NoEntry);
        assert_eq!(book.entry("t", "a"), KeySource::NoSecret);
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let made = MadeKeys::new(dir.path());
        let mut first = SecretBook::default();
        let path = made.complete([&key("s")], &mut first).pop().unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut again = SecretBook::default();
        assert!(made.complete([&key("s")], &mut again).is_empty());
        assert_eq!(first.entry("s", "key"), again.entry("s", "key"));
        assert_eq!(first.entry("s", "key"), KeySource::Found(&fs::read(path).unwrap()));
    }

    #[test]
    fn no_key_is_made_for_a_secret_that_is_there_or_for_a_name_that_is_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let mut book = SecretBook::new([&object(
            "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {other: x}}",
        )]);
        assert!(
            MadeKeys::new(dir.path())
                .complete([&key("s"), &key("../out")], &mut book)
                .is_empty()
        );
        assert_eq!(book.entry("s", "key"), KeySource::NoEntry);
    }
}
