//! [`Folder`]: the manifests of a folder, kept over reloads so that a file that is being written, or that someone broke, takes nothing
//! out of force.

use super::object::{BadObject, Id, Object, read};
use serde::Deserialize;
use serde_yaml::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Reason of a refusal because an object of that kind and name is there already.
pub(super) const TWO_OF_ONE_NAME: &str = "TwoOfOneName";

/// The content of a folder's files by name. An unreadable file comes as the error that it gave.
pub type Files = BTreeMap<String, Result<String, String>>;

/// What was read so far.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    files: BTreeMap<String, File>,
    objects: Vec<Object>,
    problems: Vec<Refused>,
}

/// One file as it was read last.
#[derive(Clone, Debug, Default)]
struct File {
    /// Of its content: a file that did not change is not read again.
    digest: [u8; 32],
    objects: Vec<Object>,
    problems: Vec<Refused>,
}

/// Something that was not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// File name.
    pub file: String,
    /// Which object, when that much could be read.
    pub id: Option<Id>,
    /// PascalCase.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
    /// An older version of it stays in force.
    pub kept: bool,
}

impl Folder {
    /// Takes over what is good in `files`. A file that does not parse keeps its last good objects, and an object that is refused keeps
    /// its last good version, as it would on an API server.
    pub fn update(&mut self, files: &Files) {
        let mut old = std::mem::take(&mut self.files);
        for (name, content) in files {
            let before = old.remove(name).unwrap_or_default();
            self.files.insert(name.clone(), before.next(name, content));
        }
        self.gather();
    }

    /// All objects, by file and place in it.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter()
    }

    /// What was not taken over, by file.
    pub fn problems(&self) -> &[Refused] {
        &self.problems
    }

    /// Of two objects of one kind and name the first stays.
    fn gather(&mut self) {
        self.objects.clear();
        self.problems.clear();
        let mut seen: BTreeMap<Id, &str> = BTreeMap::new();
        for (name, file) in &self.files {
            self.problems.extend_from_slice(&file.problems);
            for object in &file.objects {
                let id = object.id();
                if let Some(first) = seen.get(&id) {
                    self.problems.push(twin(name, id, first));
                } else {
                    seen.insert(id, name);
                    self.objects.push(object.clone());
                }
            }
        }
    }
}

impl File {
    /// The file with its content of now.
    fn next(self, name: &str, content: &Result<String, String>) -> Self {
        let text = content.as_ref().unwrap_or_else(|error| error);
        let digest = Sha256::new()
            .chain_update([u8::from(content.is_ok())])
            .chain_update(text)
            .finalize()
            .into();
        if digest == self.digest {
            return self;
        }
        let mut problems = Vec::new();
        let objects = one_file(name, content, &self.objects, &mut problems);
        Self {
            digest,
            objects,
            problems,
        }
    }
}

fn twin(file: &str, id: Id, first: &str) -> Refused {
    Refused {
        file: file.into(),
        message: format!("{id} stands in {first:?} already: keep one of them"),
        id: Some(id),
        reason: TWO_OF_ONE_NAME,
        kept: true,
    }
}

fn one_file(
    file: &str,
    content: &Result<String, String>,
    before: &[Object],
    problems: &mut Vec<Refused>,
) -> Vec<Object> {
    let parsed = content.clone().and_then(|text| documents(&text));
    let documents = match parsed {
        Ok(documents) => documents,
        Err(message) => {
            let kept = !before.is_empty();
            problems.push(Refused {
                file: file.into(),
                id: None,
                reason: "FileUnreadable",
                message,
                kept,
            });
            return before.to_vec();
        }
    };
    documents
        .iter()
        .filter_map(|d| one_object(file, d, before, problems))
        .collect()
}

fn one_object(file: &str, document: &Value, before: &[Object], problems: &mut Vec<Refused>) -> Option<Object> {
    let (id, why) = match read(document) {
        Ok(object) => return Some(object),
        Err(refused) => refused,
    };
    let old = before.iter().find(|o| Some(o.id()) == id).cloned();
    problems.push(refused(file, id, &why, old.is_some()));
    old
}

fn refused(file: &str, id: Option<Id>, why: &BadObject, kept: bool) -> Refused {
    Refused {
        file: file.into(),
        id,
        reason: why.reason(),
        message: why.to_string(),
        kept,
    }
}

/// The documents of a file; empty ones are left out.
fn documents(text: &str) -> Result<Vec<Value>, String> {
    let all: Result<Vec<Value>, _> = serde_yaml::Deserializer::from_str(text)
        .map(Value::deserialize)
        .collect();
    let all = all.map_err(|error| format!("is no YAML: {error}"))?;
    Ok(all.into_iter().filter(|d| !d.is_null()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> String {
        format!("---\napiVersion: headgate.dev/v1alpha1\nkind: MediaServer\nmetadata: {{name: {name}}}\nspec: {{}}\n")
    }

    fn files<const N: usize>(all: [(&str, String); N]) -> Files {
        all.into_iter().map(|(name, text)| (name.into(), Ok(text))).collect()
    }

    fn state(folder: &Folder) -> (Vec<String>, Vec<&'static str>) {
        let names = folder.objects().map(|o| o.id().name).collect();
        (names, folder.problems().iter().map(|p| p.reason).collect())
    }

    #[test]
    fn a_file_may_hold_several_documents_and_empty_ones() {
        let mut folder = Folder::default();
        folder.update(&files([(
            "a.yaml",
            format!("---\n{}---\n# none\n{}", server("a"), server("b")),
        )]));
        assert_eq!(state(&folder), (vec!["a".into(), "b".into()], vec![]));
    }

    #[test]
    fn a_file_that_is_half_written_keeps_its_last_good_objects() {
        let mut folder = Folder::default();
        folder.update(&files([("a.yaml", server("a")), ("b.yaml", server("b"))]));
        folder.update(&files([("a.yaml", "kind: [".into()), ("b.yaml", server("c"))]));
        assert_eq!(state(&folder), (vec!["a".into(), "c".into()], vec!["FileUnreadable"]));
        assert!(folder.problems().iter().all(|p| p.kept));
        folder.update(&files([("a.yaml", server("d")), ("b.yaml", server("c"))]));
        assert_eq!(state(&folder), (vec!["d".into(), "c".into()], vec![]));
    }

    #[test]
    fn an_object_that_is_refused_keeps_its_last_good_version_and_disturbs_nobody() {
        let mut folder = Folder::default();
        folder.update(&files([("a.yaml", server("a") + &server("b"))]));
        folder.update(&files([("a.yaml", server("a").replace("{}", "{x: 1}") + &server("c"))]));
        assert_eq!(state(&folder), (vec!["a".into(), "c".into()], vec!["UnknownField"]));
    }

    #[test]
    fn a_file_that_is_deleted_takes_its_objects_with_it() {
        let mut folder = Folder::default();
        folder.update(&files([("a.yaml", server("a")), ("b.yaml", server("b"))]));
        folder.update(&files([("b.yaml", server("b"))]));
        assert_eq!(state(&folder).0, ["b"]);
    }

    #[test]
    fn of_two_objects_of_one_name_the_first_stays() {
        let mut folder = Folder::default();
        folder.update(&files([("a.yaml", server("a")), ("b.yaml", server("a"))]));
        assert_eq!(state(&folder), (vec!["a".into()], vec!["TwoOfOneName"]));
    }

    #[test]
    fn a_broken_file_that_was_never_good_holds_nothing() {
        let mut folder = Folder::default();
        folder.update(&files([("a.yaml", "kind: [".into())]));
        assert_eq!(state(&folder), (vec![], vec!["FileUnreadable"]));
        assert!(!folder.problems()[0].kept);
    }
}
