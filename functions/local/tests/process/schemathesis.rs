//! Requests made up after the OpenAPI document, well-formed and not: no answer may be one that the document does not tell.
//!
//! `scripts/setup schemathesis` installs what makes them up; without it these tests fail. `tests/openapi/schemathesis.toml` says what is checked.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::service::Service;

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Runs it with these options, and returns what it says unless all is well.
fn complaints(service: &Service, folder: &TempDir, options: &[&str]) -> Option<String> {
    let program = in_repository(".tools/schemathesis/bin/schemathesis");
    let output = Command::new(&program)
        .current_dir(folder)
        .arg("--config-file")
        .arg(in_repository("tests/openapi/schemathesis.toml"))
        .args([
            "run",
            &format!("http://{}/openapi.json", service.address),
            "--no-color",
            "--workers",
            "2",
            "--suppress-health-check",
            "all",
        ])
        .args(options)
        .output();
    let output = output.unwrap_or_else(|error| panic!("{} does not run ({error}): call scripts/setup schemathesis", program.display()));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("SUMMARY"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    (!output.status.success()).then_some(said)
}

#[test]
fn whoever_may_do_everything_gets_no_answer_that_is_not_documented() {
    let data = TempDir::new().unwrap();
    let service = Service::start(data.path(), &[]);
    let key = format!("X-API-Key: {}", service.key);
    let complaints = complaints(&service, &data, &["--header", &key, "--max-examples", "10", "--seed", "1"]);
    assert_eq!(complaints, None, "{}", complaints.as_deref().unwrap_or_default());
}

#[test]
fn whoever_has_no_credential_gets_no_answer_that_is_not_documented() {
    let data = TempDir::new().unwrap();
    let service = Service::start(data.path(), &[]);
    let complaints = complaints(&service, &data, &["--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--seed", "2"]);
    assert_eq!(complaints, None, "{}", complaints.as_deref().unwrap_or_default());
}
