//! The official libraries of Standard Webhooks, which check the signatures of hooks: installed below the cache by pip and npm.

use super::paths::Paths;
use super::{node, python};
use crate::error::Result;
use crate::ui::say;
use std::path::PathBuf;

/// Both in one version each: what verifies must not change by itself.
const PYTHON: &str = "standardwebhooks==1.1.0";
const JAVASCRIPT: &str = "standardwebhooks@1.1.1";

/// A library where it is, and the tests that need it.
#[derive(Clone, Debug)]
pub struct Library {
    /// The variable by which the tests are told.
    pub variable: &'static str,
    /// The folder.
    pub folder: PathBuf,
    /// Name of the test.
    pub test: &'static str,
}

/// Installs what is missing. A library whose language is not on this machine is left out, and that is said.
pub async fn ensure(paths: &Paths) -> Result<Vec<Library>> {
    let mut found = Vec::new();
    if let Some(folder) = python::library(paths, PYTHON, "standardwebhooks").await? {
        found.push(Library {
            variable: "HEADGATE_PYTHONPATH",
            folder,
            test: "the_python_library_verifies_what_is_sent",
        });
    } else {
        say("not checked: signatures by the Python library of Standard Webhooks (python3 with pip is not here)");
    }
    if let Some(folder) = node::library(paths, JAVASCRIPT).await? {
        found.push(Library {
            variable: "HEADGATE_NODE_MODULES",
            folder,
            test: "the_javascript_library_verifies_what_is_sent",
        });
    } else {
        say("not checked: signatures by the JavaScript library of Standard Webhooks (node with npm is not here)");
    }
    Ok(found)
}
