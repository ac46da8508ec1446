//! Runs the chart's scrape configuration with a Prometheus that cannot ask Kubernetes itself: Debian's is built without that.
//!
//! `kubernetes_sd_configs` becomes `file_sd_configs`, and the files hold what Kubernetes would have given: the selected pods, one target a
//! container port, with the same `__meta_kubernetes_…` labels. The relabelling stays as users have it.

mod names;
mod targets;

pub use names::{PROMISED, documented, metrics_named};
pub use targets::targets;

use serde_yaml::{Mapping, Value};

/// Why a configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no YAML.
    #[error("not the YAML that was expected: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// A job has no name or does not look for pods.
    #[error("the scrape configuration {0} is not a named one for pods")]
    NotForPods(usize),
}

/// The configuration with files in the place of Kubernetes: `FOLDER/JOB.json`, re-read every second.
pub fn from_files(config: &str, folder: &str) -> Result<String, Error> {
    let mut config: Value = serde_yaml::from_str(config)?;
    for (index, job) in jobs_mut(&mut config).enumerate() {
        let name = name_of(job).ok_or(Error::NotForPods(index))?;
        let files = format!("files: ['{folder}/{name}.json']\nrefresh_interval: 1s\n");
        job.remove("kubernetes_sd_configs").ok_or(Error::NotForPods(index))?;
        job.insert(
            "file_sd_configs".into(),
            Value::Sequence(vec![serde_yaml::from_str(&files)?]),
        );
    }
    Ok(serde_yaml::to_string(&config)?)
}

fn jobs_mut(config: &mut Value) -> impl Iterator<Item = &mut Mapping> {
    let jobs = config.get_mut("scrape_configs").and_then(Value::as_sequence_mut);
    jobs.into_iter().flatten().filter_map(Value::as_mapping_mut)
}

fn name_of(job: &Mapping) -> Option<String> {
    job.get("job_name").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_way_to_find_targets_changes() {
        let config = include_str!("../../../config/prometheus/prometheus.yaml");
        let before: Value = serde_yaml::from_str(config).unwrap();
        let after: Value = serde_yaml::from_str(&from_files(config, "/targets").unwrap()).unwrap();
        for (old, new) in before["scrape_configs"]
            .as_sequence()
            .unwrap()
            .iter()
            .zip(after["scrape_configs"].as_sequence().unwrap())
        {
            assert_eq!(old["relabel_configs"], new["relabel_configs"]);
            assert_eq!(old["honor_labels"], new["honor_labels"]);
            assert!(new.get("kubernetes_sd_configs").is_none());
            let file = format!("/targets/{}.json", new["job_name"].as_str().unwrap());
            assert_eq!(new["file_sd_configs"][0]["files"][0].as_str(), Some(file.as_str()));
        }
    }

    #[test]
    fn a_job_that_looks_for_no_pods_is_an_error() {
        let config = "scrape_configs: [{job_name: a, static_configs: []}]";
        assert!(matches!(from_files(config, "/targets"), Err(Error::NotForPods(0))));
    }
}
