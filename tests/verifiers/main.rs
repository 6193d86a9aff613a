//! Webhooks, verified by the official libraries of other languages: what our receivers use.
//!
//! `scripts/setup verifiers` installs them into `.tools/`; without them these tests fail.

#![cfg(test)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use shared::adapters::system::SystemClock;
use shared::domain::signature::{WebhookSecret, signature_headers};
use shared::domain::timestamp::Timestamp;
use shared::ports::clock::Clock as _;

const BODY: &str = r#"{"type":"order.placed","data":{"text":"ü 🦀 \u0000 \" \\","amount":1.50}}"#;

/// A delivery as a verifier reads it, and whether it must accept it.
struct Delivery {
    what: &'static str,
    signed_with: Vec<WebhookSecret>,
    at: Timestamp,
    /// What the receiver knows, in the form that libraries take.
    known: String,
    /// What the receiver gets.
    body: String,
    accepted: bool,
}

impl Delivery {
    fn to_json(&self) -> Value {
        let secrets: Vec<&WebhookSecret> = self.signed_with.iter().collect();
        let headers = signature_headers(&secrets, "0195a3c0-7c1d-8b5e-9f00-123456789abc", self.at, BODY);
        let headers: Map<String, Value> = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
        json!({ "secret": self.known, "headers": headers, "body": self.body })
    }
}

fn secret(text: &str) -> WebhookSecret {
    WebhookSecret::from_text(text.to_owned()).unwrap()
}

fn deliveries() -> Vec<Delivery> {
    const RAW: &str = "secret123, très secret";
    let now = SystemClock.now();
    let made = || WebhookSecret::generate([7; 32]);
    let made_text = made().reveal().to_owned();
    let good = |what, signed_with, known: &str| Delivery {
        what,
        signed_with,
        at: now,
        known: known.to_owned(),
        body: BODY.to_owned(),
        accepted: true,
    };
    let bad = |what, delivery: Delivery| Delivery { what, accepted: false, ..delivery };
    let signed = || good("a secret that we made", vec![made()], &made_text);
    vec![
        signed(),
        good(
            "a secret of the specification",
            vec![secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
        good("a text, which libraries take in base64", vec![secret(RAW)], &STANDARD.encode(RAW)),
        good("the new secret of a rotation", vec![made(), secret(RAW)], &made_text),
        good("the old secret of a rotation", vec![made(), secret(RAW)], &STANDARD.encode(RAW)),
        bad("a body that was changed", Delivery { body: BODY.replace("1.50", "9.50"), ..signed() }),
        bad("a body that was written anew", Delivery { body: BODY.replace("1.50", "1.5"), ..signed() }),
        bad("another secret", Delivery { known: STANDARD.encode("another"), ..signed() }),
        bad("no secret", Delivery { signed_with: Vec::new(), ..signed() }),
        bad("a message from yesterday", Delivery { at: now.plus_micros(-86_400_000_000), ..signed() }),
    ]
}

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Runs a verifier over all deliveries, and holds its verdicts to what they should be.
fn verify(program: &Path, script: &str) {
    let deliveries = deliveries();
    let mut verifier = Command::new(program)
        .arg(in_repository(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not run ({error}): call scripts/setup verifiers", program.display()));
    let lines: String = deliveries.iter().map(|delivery| delivery.to_json().to_string() + "\n").collect();
    let written = verifier.stdin.take().unwrap().write_all(lines.as_bytes());
    let output = verifier.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} failed: its message is above. If a library is missing, call scripts/setup verifiers");
    written.unwrap();
    let verdicts = String::from_utf8(output.stdout).unwrap();
    let expected = |delivery: &Delivery| if delivery.accepted { "accepted" } else { "refused" };
    let report = |verdict: &str, delivery: &Delivery| format!("{}: {verdict}", delivery.what);
    let found: Vec<String> = verdicts.lines().zip(&deliveries).map(|(verdict, delivery)| report(verdict, delivery)).collect();
    let expected: Vec<String> = deliveries.iter().map(|delivery| report(expected(delivery), delivery)).collect();
    assert_eq!(found, expected);
}

/// BR-SUB-006.
#[test]
fn the_official_python_library_accepts_what_we_sign_and_nothing_else() {
    verify(&in_repository(".tools/python/bin/python"), "tests/verifiers/verify.py");
}

/// BR-SUB-006.
#[test]
fn the_official_javascript_library_accepts_what_we_sign_and_nothing_else() {
    verify(Path::new("node"), "tests/verifiers/verify.mjs");
}
