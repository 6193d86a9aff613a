//! The demonstration, run as `make demo-webhooks` runs it, without the pauses.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The demonstration with the service that the tests are built with: `cargo test --workspace` puts both into one folder.
fn demo() -> Command {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_demo-webhooks"));
    let service = program.with_file_name(format!("event-service{}", std::env::consts::EXE_SUFFIX));
    assert!(service.exists(), "{} is built with the whole workspace: make test", service.display());
    let mut command = Command::new(program);
    command.arg("--hurry").env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Kills the demonstration if the test ends before it.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        drop(self.0.wait());
    }
}

/// BR-SUB-006.
#[test]
fn the_demonstration_of_webhooks_ends_well() {
    let output = demo().output().unwrap();
    let (shown, complaints) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), complaints.as_str()), (Some(0), ""), "{shown}");
    for expected in ["signature ok", "attempt 2: connection refused, next attempt in 1 s", "order.flagged", "kill -9 ", "none missing"] {
        assert!(shown.contains(expected), "{expected} is not in:\n{shown}");
    }
    // Fifteen orders, of which four are flagged.
    assert!(shown.contains("all 19 events arrived, in order"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours where nobody sees them");
}

#[test]
fn an_interrupt_ends_the_demonstration_and_what_it_has_started() {
    let mut demo = Guard(demo().spawn().unwrap());
    let mut stdout = BufReader::new(demo.0.stdout.take().unwrap());
    let mut addresses: Vec<String> = Vec::new();
    let mut line = String::new();
    while !line.contains("It subscribes") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the demonstration ended early");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        addresses.extend(address.map(str::to_owned));
    }
    addresses.dedup();
    assert!(addresses.len() >= 2, "{addresses:?}");
    let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", demo.0.id())]).status().unwrap();
    assert!(kill.success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(demo.0.wait().unwrap().code(), Some(130), "{rest}");
    for address in addresses {
        assert!(TcpStream::connect(&address).is_err(), "something still answers at {address}");
    }
}
