//! The file of `--web.config.file`: read as promrelay.yml is, so that every mistake in it has its
//! place.

use std::path::{Path, PathBuf};

use super::problem::Problems;
use super::routes;
use super::typed::{self, Findings};
use super::yaml::{self, Content, Node};
use super::{LoadError, Problem, environment, read};
use crate::http::{Settings, WebConfig};

/// A web configuration without mistakes.
#[derive(Debug)]
pub struct WebFile {
    /// What it comes to.
    pub settings: Settings,
    /// It and the files that it names.
    pub files: Vec<PathBuf>,
}

/// Reads the web configuration at `path` and the files that it names, with variables from the
/// process's environment.
///
/// # Errors
/// If it cannot be read or has mistakes; then it says which, up to 50.
pub fn load_web(path: &Path) -> Result<WebFile, LoadError> {
    let (name, text) = read(path)?;
    let base = path.parent().unwrap_or(Path::new(""));
    let problems = Problems {
        name: &name,
        text: &text,
    };
    let mut file = parse(&problems, base).map_err(LoadError::Problems)?;
    file.files.push(path.to_owned());
    Ok(file)
}

fn parse(problems: &Problems<'_>, base: &Path) -> Result<WebFile, Vec<Problem>> {
    let read = yaml::read(problems.text);
    let mut root = read.map_err(|error| vec![problems.of_syntax(error)])?;
    let message = match root.content {
        Content::Mapping(_) => None,
        // It may have been emptied by accident.
        Content::Null => Some("the file is empty: write {} to let everybody in without TLS"),
        _ => Some("a web configuration is a mapping"),
    };
    if let Some(message) = message {
        return Err(vec![problems.at_start(message.to_owned())]);
    }
    let mut unset = Vec::new();
    environment::expand(&mut root, &|name| std::env::var(name).ok(), &mut unset);
    let mut findings = Findings::default();
    for unset in &unset {
        findings.prune(unset.fault.node);
    }
    let config: Option<WebConfig> = typed::read(&root, &mut findings);
    let file = config
        .filter(|_| unset.is_empty() && !findings.has_faults())
        .and_then(|config| build(&config, base, &root, &findings));
    let faults = findings.into_faults();
    file.ok_or_else(|| problems.of_faults(&root, &faults, &unset))
}

fn build(config: &WebConfig, base: &Path, root: &Node, findings: &Findings) -> Option<WebFile> {
    match Settings::build(config, base) {
        Ok(settings) => Some(WebFile {
            settings,
            files: Settings::files(config, base),
        }),
        Err(mistakes) => {
            for mistake in mistakes {
                let path: Vec<&str> = mistake.path.iter().map(String::as_str).collect();
                routes::note(findings, root, &path, mistake.message);
            }
            None
        }
    }
}
