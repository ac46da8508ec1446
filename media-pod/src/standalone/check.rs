//! `media-pod check DIR`: what is wrong with a folder, without running it.

use super::{Folder, Loaded, NoServer, hooks, keys, servers, source};
use headgate_api::condition::Finding;
use headgate_resolve::{KeySource, Secrets, hook_findings, key_findings, server_findings};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Says what is wrong, a line each, and fails when anything is.
pub fn check(dir: &Path, server: Option<&str>) -> ExitCode {
    let lines = match source::read(dir) {
        Ok(files) => {
            let mut folder = Folder::default();
            folder.update(&files);
            problems(&Loaded::new(&folder, server, None))
        }
        Err(error) => vec![NoServer::Unreadable(dir.into(), error.to_string()).to_string()],
    };
    let mut out = io::stdout().lock();
    let said = if lines.is_empty() {
        "all good".into()
    } else {
        lines.join("\n")
    };
    // Nobody may be reading; the exit code says it all.
    let _ = writeln!(out, "{said}");
    if lines.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn problems(loaded: &Loaded) -> Vec<String> {
    let mut lines: Vec<String> = loaded
        .refused
        .iter()
        .map(|r| {
            let object = r.id.as_ref().map(|id| format!("{id}: ")).unwrap_or_default();
            format!("{}: {object}{}: {}", r.file, r.reason, r.message)
        })
        .collect();
    lines.extend(
        loaded
            .chosen
            .as_ref()
            .err()
            .map(|why| format!("{}: {why}", why.reason())),
    );
    let exists = |name: &str| servers(&loaded.objects).any(|s| s.metadata.name.as_deref() == Some(name));
    for server in servers(&loaded.objects) {
        let finding = server_findings(&server.spec, &loaded.secrets);
        lines.extend(bad("MediaServer", server.metadata.name.as_deref(), finding.as_slice()));
    }
    for key in keys(&loaded.objects) {
        let findings = key_findings(key, &exists, &WouldBeMade(&loaded.secrets));
        lines.extend(bad("StreamKey", key.metadata.name.as_deref(), &findings));
    }
    for hook in hooks(&loaded.objects) {
        lines.extend(bad(
            "HookEndpoint",
            hook.metadata.name.as_deref(),
            &hook_findings(hook, &exists, &loaded.secrets),
        ));
    }
    lines
}

fn bad(kind: &str, name: Option<&str>, findings: &[Finding]) -> Vec<String> {
    let name = name.unwrap_or_default();
    let wrong = findings.iter().filter(|f| f.status != Some(true));
    wrong
        .map(|f| format!("{kind} {name:?}: {}: {}", f.reason, f.message))
        .collect()
}

/// A Secret that is not there would be made by a run.
struct WouldBeMade<'a>(&'a dyn Secrets);

impl Secrets for WouldBeMade<'_> {
    fn entry(&self, secret: &str, entry: &str) -> KeySource<'_> {
        match self.0.entry(secret, entry) {
            KeySource::NoSecret => KeySource::Found(b"made"),
            found => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_with(manifest: &str) -> Vec<String> {
        let mut folder = Folder::default();
        let server = "---\n{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {name: live}}\n";
        folder.update(&[("a.yaml".to_owned(), Ok(format!("{server}---\n{manifest}")))].into());
        problems(&Loaded::new(&folder, None, None))
    }

    #[test]
    fn a_good_folder_has_no_problems_even_before_its_keys_are_made() {
        let key = "{apiVersion: headgate.dev/v1alpha1, kind: StreamKey, metadata: {name: k}, spec: {serverRefs: [{name: live}], stream: {app: live}, secretRef: {name: s}}}";
        assert_eq!(wrong_with(key), Vec::<String>::new());
    }

    #[test]
    fn every_problem_is_a_line_with_its_reason() {
        let hook = |spec: &str| {
            format!(
                "{{apiVersion: headgate.dev/v1alpha1, kind: HookEndpoint, metadata: {{name: h}}, spec: {{dialect: SRS, events: [Publish], {spec}}}}}"
            )
        };
        let first = |manifest: &str| wrong_with(manifest).swap_remove(0);
        assert!(
            first(&hook("serverRefs: [{name: live}], urls: [nonsense]")).starts_with("HookEndpoint \"h\": BadUrl: ")
        );
        assert!(
            first(&hook("serverRefs: [{name: gone}], urls: ['http://b/']"))
                .starts_with("HookEndpoint \"h\": ServerNotFound: ")
        );
        assert!(first(&hook("urlz: []")).starts_with("a.yaml: HookEndpoint \"h\": "));
        assert!(first("kind: [").starts_with("a.yaml: FileUnreadable: "));
    }
}
