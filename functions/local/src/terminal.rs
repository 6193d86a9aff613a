//! What the person at the terminal sees.

use std::error::Error;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;

use shared::domain::access::ApiKeySecret;
use shared::telemetry::Chain;

use crate::options::Auth;

/// What is shown once the service answers.
pub struct Banner<'a> {
    /// Where it answers.
    pub url: &'a str,
    /// The development key.
    pub key: &'a ApiKeySecret,
    /// Whether requests need it.
    pub auth: Auth,
    /// Where events are kept; nowhere if they are not.
    pub data: Option<&'a Path>,
    /// The NATS servers that events are published on, if there are any.
    pub nats: Option<&'a str>,
}

/// An event to start with.
const EXAMPLE: &str =
    r#"{"event_type":"order.placed","event_category":"order","user_id":"user_12345","data":{"order_id":"42","total":50.0}}"#;

/// Shows where the service answers and how to talk to it.
#[expect(clippy::print_stdout, reason = "this is what the command is asked for")]
pub fn welcome(banner: &Banner<'_>) {
    let paint = Paint::stdout();
    let mut text = String::new();
    let header = match banner.auth {
        Auth::On => format!(" \\\n    -H 'X-API-Key: {}'", banner.key.reveal()),
        Auth::Off => String::new(),
    };
    let key = match banner.auth {
        Auth::On => banner.key.reveal(),
        Auth::Off => "none needed (--auth off)",
    };
    let data = banner.data.map_or_else(|| "in memory, gone when the process ends".to_owned(), |folder| folder.display().to_string());
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        writeln!(text, "  {}  {value}", paint.bold(&format!("{name:<5}"))).unwrap_or_default();
    };
    line("URL", &paint.green(banner.url));
    line("Key", key);
    line("Data", &data);
    line("Docs", &format!("{}/docs", banner.url));
    line("Hooks", "webhooks may call this machine, and other internal hosts if WEBHOOK_ALLOWED_HOSTS names them");
    if let Some(nats) = banner.nats {
        line("NATS", nats);
    }
    println!("\n{}\n\n{text}", paint.bold("Event Service is ready."));
    println!("  Record an event:\n\n  curl {}/api/v1/events/create{header} \\", banner.url);
    println!("    -H 'Content-Type: application/json' \\\n    -d '{EXAMPLE}'\n\n  Ctrl-C stops it.\n");
}

/// Says that the service is stopping.
#[expect(clippy::print_stdout, reason = "whoever pressed Ctrl-C wants to know that it was heard")]
pub fn farewell() {
    println!("\nStopping: answering what is under way, counting what is left …");
}

/// Prints what is asked for.
#[expect(clippy::print_stdout, reason = "this is what the command is asked for")]
pub fn print(text: &str) {
    println!("{text}");
}

/// Says in one line what went wrong.
#[expect(clippy::print_stderr, reason = "the process ends with this line")]
pub fn complain(error: &(dyn Error + 'static)) {
    eprintln!("event-service: {}", Chain(error));
}

struct Paint {
    on: bool,
}

impl Paint {
    fn stdout() -> Self {
        Self { on: std::io::stdout().is_terminal() && shared::config::optional("NO_COLOR").is_none() }
    }

    fn wrap(&self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn green(&self, text: &str) -> String {
        self.wrap("32", text)
    }
}
