//! The CustomResourceDefinitions go up and down with the release, over objects that are there and media that is live.

use super::fleet::settled;
use super::site::{CHART_DIR, RELEASE, SOON, START, SYSTEM, Site};
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::harness::{Context, eventually};
use crate::media::{Player, Publisher};
use crate::tools::paths::{read, workspace, write};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What it proves.
pub(super) const ABOUT: &str =
    "helm upgrade adds a field to a definition, helm rollback takes it away: objects stay, no media pod restarts";

/// The definition of MediaServers, in the chart.
const DEFINITION: &str = "templates/crds/mediaservers.yaml";
/// A field that an older revision of it did not have.
const FIELD: &str = "vhosts";
/// Where the fields of the spec are, in a definition.
const FIELDS: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let folder = tempfile::tempdir().context("a folder for the older chart")?;
    let older = older_chart(folder.path())?;
    let newer = workspace().join(CHART_DIR);
    let helm = &context.helm;
    helm.install(RELEASE, SYSTEM, &older.to_string_lossy(), &[]).await?;
    ensure!(!has_field(context).await?, "the older definition has the field already");
    let site = Site::quickstart_on(context).await?;
    let before = settled(context, 1, START).await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    let stream = site.stream().await?;
    let mut player = Player::start(&site.flv("alice").await?)?;
    player.gets(10, SOON).await?;
    let refused = named(context).await;
    ensure!(
        refused.is_err(),
        "the older definition took a field that it does not have"
    );

    helm.upgrade(RELEASE, SYSTEM, &newer.to_string_lossy(), &[]).await?;
    eventually(SOON, "the field is there and is taken", async || {
        ensure!(has_field(context).await?, "the definition is as it was");
        named(context).await
    })
    .await?;
    let server = context.get("mediaserver", "live").await?;
    ensure!(
        server.pointer("/spec/vhosts/0") == Some(&json!("example.org")),
        "the field was not kept"
    );
    site.all_in_force().await?;
    player.gets(25, SOON).await?;

    helm.rollback(RELEASE, SYSTEM, None).await?;
    ensure!(!has_field(context).await?, "the rollback left the newer definition");
    site.all_in_force().await?;
    player.gets(25, SOON).await?;
    publisher.must_be_live()?;
    let after = settled(context, 1, START).await?;
    ensure!(after == before, "the media pod is another or has restarted");
    let uid = |object: &Value| object.pointer("/metadata/uid").cloned();
    ensure!(uid(&site.stream().await?) == uid(&stream), "the Stream was made anew");
    let now = context.get("mediaserver", "live").await?;
    ensure!(uid(&now) == uid(&server), "the MediaServer was made anew");
    publisher.stop().await
}

/// Names a virtual host, as kubectl does it: a field that is not known is an error.
async fn named(context: &Context) -> Result<()> {
    let patch = json!({"spec": {FIELD: ["example.org"]}}).to_string();
    let args = [
        "patch",
        "mediaserver",
        "live",
        "-n",
        &context.namespace,
        "--type=merge",
        "-p",
        &patch,
    ];
    let said = context.kubectl.run(&args).await?;
    // An unknown field of a patch is only warned of, and dropped.
    let server = context.get("mediaserver", "live").await?;
    ensure!(server.pointer(&format!("/spec/{FIELD}")).is_some(), "dropped: {said}");
    Ok(())
}

/// Whether the API server's definition has the field.
async fn has_field(context: &Context) -> Result<bool> {
    let definition = context.kubectl.get("crd", None, "mediaservers.headgate.dev").await?;
    let fields = definition.pointer(FIELDS).context("the definition has no fields")?;
    Ok(fields.get(FIELD).is_some())
}

/// A copy of the chart whose definition of MediaServers lacks the field.
fn older_chart(folder: &Path) -> Result<PathBuf> {
    let chart = folder.join("headgate");
    copy(&workspace().join(CHART_DIR), &chart)?;
    let file = chart.join(DEFINITION);
    let (first, rest) = split(&read(&file)?)?;
    let mut definition: Value = serde_yaml::from_str(&rest).map_err(|e| Error::new(e.to_string()))?;
    let fields = definition.pointer_mut(FIELDS).and_then(Value::as_object_mut);
    let taken = fields.and_then(|fields| fields.remove(FIELD));
    taken.context(format_args!("{DEFINITION} has no field {FIELD}"))?;
    let text = serde_yaml::to_string(&definition).map_err(|e| Error::new(e.to_string()))?;
    write(&file, format!("{first}\n{text}{{{{- end }}}}\n"))?;
    Ok(chart)
}

/// The template's condition, and the definition within it.
fn split(template: &str) -> Result<(String, String)> {
    let (first, rest) = template.split_once('\n').context("the definition is no template")?;
    let rest = rest.trim_end().strip_suffix("{{- end }}");
    Ok((
        first.to_owned(),
        rest.context("the definition's template has no end")?.to_owned(),
    ))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).context(to.display())?;
    for entry in std::fs::read_dir(from).context(from.display())? {
        let entry = entry.context(from.display())?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            std::fs::copy(&path, &target).context(path.display())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_chart_lacks_the_field_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let chart = older_chart(folder.path()).unwrap();
        let parsed = |path: &Path| -> Value {
            let (first, rest) = split(&read(path).unwrap()).unwrap();
            assert_eq!(first, "{{- if .Values.crds.install }}");
            serde_yaml::from_str(&rest).unwrap()
        };
        let (older, newer) = (chart.join(DEFINITION), workspace().join(CHART_DIR).join(DEFINITION));
        let (older, mut newer) = (parsed(&older), parsed(&newer));
        assert_ne!(older, newer);
        newer
            .pointer_mut(FIELDS)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(FIELD);
        assert_eq!(older, newer);
    }
}
