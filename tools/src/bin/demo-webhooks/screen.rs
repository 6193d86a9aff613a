//! What is seen: headings, commands as one would type them, and what came of them; in colour on a terminal.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};
use serde_json::Value;

/// How long somebody has to read a heading and what came before it.
pub(crate) const PAUSE: Duration = Duration::from_millis(2500);

/// Where all is shown.
pub(crate) struct Screen {
    in_colour: bool,
    pause: Duration,
    steps: u32,
}

impl Screen {
    /// The standard output.
    pub(crate) fn stdout(pause: Duration) -> Self {
        let in_colour = std::io::stdout().is_terminal() && tools::environment("NO_COLOR").is_none();
        Self { in_colour, pause, steps: 0 }
    }

    fn paint(&self, style: Style, text: impl Display) -> String {
        if self.in_colour { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// The text in green.
    pub(crate) fn good(&self, text: impl Display) -> String {
        self.paint(AnsiColor::Green.on_default(), text)
    }

    /// The text in red.
    pub(crate) fn bad(&self, text: impl Display) -> String {
        self.paint(AnsiColor::Red.on_default().bold(), text)
    }

    /// The text in yellow.
    pub(crate) fn doubtful(&self, text: impl Display) -> String {
        self.paint(AnsiColor::Yellow.on_default(), text)
    }

    /// The text in bold.
    pub(crate) fn strong(&self, text: impl Display) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// Begins the next part, once the one before could be read.
    pub(crate) async fn step(&mut self, title: &str) {
        if self.steps > 0 {
            tools::rest(self.pause).await;
        }
        self.step_at_once(title);
    }

    /// Begins the next part while something is under way.
    pub(crate) fn step_at_once(&mut self, title: &str) {
        self.steps += 1;
        println!("\n{}", self.strong(format!("{}. {title}", self.steps)));
    }

    /// Shows a line, with whatever colours it has.
    #[expect(clippy::unused_self, reason = "whoever writes lines has the screen")]
    pub(crate) fn line(&self, text: impl Display) {
        println!("   {text}");
    }

    /// Shows a command.
    pub(crate) fn command(&self, command: impl Display) {
        println!("   {}", self.paint(Style::new().dimmed(), format!("$ {command}")));
    }

    /// Shows a request as `curl` makes it.
    pub(crate) fn curl(&self, path: &str, body: Option<&Value>) {
        let body = body.map_or_else(String::new, |body| format!(" -H 'Content-Type: application/json' -d '{body}'"));
        self.command(format!("curl -s \"$URL{path}\" -H \"X-API-Key: $KEY\"{body}"));
    }
}
