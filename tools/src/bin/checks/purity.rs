//! `shared` without features is the domain alone: no AWS, no HTTP, no database.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{CheckError, Finding};

/// What the names of crates begin with that the domain must not need.
const FORBIDDEN: [&str; 13] =
    ["aws-", "aws_", "axum", "dynoxide", "http", "hyper", "lambda", "libsqlite3", "reqwest", "rusqlite", "rustls", "tonic", "tower"];

pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, CheckError> {
    let tree = "tree -p shared --no-default-features -e normal --target all --prefix none --format {p}";
    let mut cargo = cargo(root, tree);
    let output = cargo.stderr(Stdio::inherit()).output().map_err(|source| no_start(tree, source))?;
    if !output.status.success() {
        return Err(failed(tree));
    }
    let names = crate_names(&String::from_utf8_lossy(&output.stdout));
    if !names.iter().any(|name| name == "shared") {
        return Err(CheckError::NothingToCheck { path: format!("`cargo {tree}`") });
    }
    let findings = findings(&names);
    if !findings.is_empty() {
        return Ok(findings);
    }

    let build = "check -p shared --no-default-features";
    let status = self::cargo(root, build).status().map_err(|source| no_start(build, source))?;
    if !status.success() {
        return Err(failed(build));
    }
    println!("shared without features builds on {} crates, none of them forbidden", names.len() - 1);
    Ok(Vec::new())
}

fn cargo(root: &Path, arguments: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root).args(arguments.split(' '));
    command
}

fn no_start(arguments: &str, source: std::io::Error) -> CheckError {
    CheckError::NoStart { command: format!("cargo {arguments}"), source }
}

fn failed(arguments: &str) -> CheckError {
    CheckError::Failed { command: format!("cargo {arguments}") }
}

/// The crates in what `cargo tree` printed, each once.
fn crate_names(tree: &str) -> Vec<String> {
    let mut names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

fn findings(names: &[String]) -> Vec<Finding> {
    let forbidden = names.iter().filter(|name| FORBIDDEN.iter().any(|start| name.starts_with(start)));
    forbidden
        .map(|name| {
            let why =
                format!("without features, shared needs the crate {name}; see `cargo tree -p shared --no-default-features -i {name}`");
            Finding::new("shared/Cargo.toml", 1, why)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "shared v0.1.0 (/src/shared)\nserde v1.0.0\nhyper-util v0.1.0\naws_lambda_events v1.2.0\nserde v1.0.0 (*)\n";

    #[test]
    fn crates_are_counted_once() {
        assert_eq!(crate_names(TREE), ["aws_lambda_events", "hyper-util", "serde", "shared"]);
    }

    #[test]
    fn aws_and_http_crates_are_found() {
        let found: Vec<_> = findings(&crate_names(TREE)).into_iter().map(|finding| finding.message).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("the crate aws_lambda_events;"), "{found:?}");
        assert!(found[1].contains("the crate hyper-util;"), "{found:?}");
    }

    #[test]
    fn a_pure_tree_has_no_findings() {
        assert_eq!(findings(&crate_names("shared v0.1.0\nserde v1.0.0\nuuid v1.0.0\n")), []);
    }
}
