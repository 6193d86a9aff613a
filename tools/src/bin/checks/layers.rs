//! Dependencies point inwards: `domain ← ports ← {commands, queries, adapters}`, `{commands, queries} ← http`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::code::{Token, tokens};
use crate::sources::{self, SourceFile};
use crate::{CheckError, Finding, secrets};

/// The longest a `main.rs` of a function may be: it wires, and nothing else.
const MAIN_LINES: usize = 40;

/// The one function crate that may use the others: it runs all of them in one process.
const LOCAL: &str = "local";

/// Names of files that end up holding anything.
const CATCH_ALLS: [&str; 4] = ["utils", "common", "types", "helpers"];

/// The modules at the top of `shared`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Domain,
    Ports,
    Commands,
    Queries,
    Adapters,
    Http,
    Testing,
    Config,
    Telemetry,
    Wiring,
    Lambda,
}

impl Layer {
    const ALL: [Self; 11] = [
        Self::Domain,
        Self::Ports,
        Self::Commands,
        Self::Queries,
        Self::Adapters,
        Self::Http,
        Self::Testing,
        Self::Config,
        Self::Telemetry,
        Self::Wiring,
        Self::Lambda,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Ports => "ports",
            Self::Commands => "commands",
            Self::Queries => "queries",
            Self::Adapters => "adapters",
            Self::Http => "http",
            Self::Testing => "testing",
            Self::Config => "config",
            Self::Telemetry => "telemetry",
            Self::Wiring => "wiring",
            Self::Lambda => "lambda",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.name() == name)
    }

    /// What a layer may use besides itself.
    fn may_use(self) -> &'static [Self] {
        match self {
            Self::Ports | Self::Config => &[Self::Domain],
            Self::Commands | Self::Queries | Self::Adapters => &[Self::Domain, Self::Ports, Self::Telemetry],
            Self::Http => &[Self::Domain, Self::Ports, Self::Commands, Self::Queries, Self::Telemetry],
            // What stands in for a service is an adapter's other end.
            Self::Testing => &[Self::Domain, Self::Ports, Self::Adapters],
            Self::Wiring => &[Self::Domain, Self::Ports, Self::Commands, Self::Adapters, Self::Http, Self::Config],
            Self::Lambda => &[Self::Ports, Self::Adapters, Self::Config, Self::Telemetry],
            Self::Domain | Self::Telemetry => &[],
        }
    }

    /// What its tests may use besides that.
    fn tests_may_use(self) -> &'static [Self] {
        match self {
            Self::Adapters => &[Self::Testing],
            Self::Domain
            | Self::Ports
            | Self::Commands
            | Self::Queries
            | Self::Http
            | Self::Testing
            | Self::Config
            | Self::Telemetry
            | Self::Wiring
            | Self::Lambda => &[],
        }
    }
}

/// A path that starts at `crate`, `super` or `self`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    /// From the crate's root.
    path: Vec<String>,
    line: usize,
    in_tests: bool,
}

pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, CheckError> {
    let rust = sources::rust_files(root)?;
    let manifests = sources::files(&root.join("functions"), |name| name == "Cargo.toml")?;
    let shared = rust.iter().filter(|file| file.path.starts_with("shared/src/")).count();
    if shared == 0 || manifests.is_empty() {
        return Err(CheckError::NothingToCheck { path: if shared == 0 { "shared/src" } else { "functions" }.to_owned() });
    }
    let mut findings: Vec<_> =
        rust.iter().flat_map(|file| [layer_findings(file), file_findings(file), secrets::findings(file)].concat()).collect();
    findings.extend(function_findings(&manifests));
    findings.sort();
    if findings.is_empty() {
        println!("{shared} files of shared keep to their layers, and {} functions to themselves", manifests.len());
    }
    Ok(findings)
}

/// What a file of `shared` uses that its layer may not.
fn layer_findings(file: &SourceFile) -> Vec<Finding> {
    let Some(module) = module_of(&file.path) else { return Vec::new() };
    // lib.rs is the map of the crate, and no layer.
    let Some(top) = module.first() else { return Vec::new() };
    let Some(layer) = Layer::named(top) else {
        return vec![Finding::new(&file.path, 1, format!("the module `{top}` is in no layer: give it a place in the layers check"))];
    };
    uses(&file.text, &module)
        .into_iter()
        .filter_map(|used| {
            let name = used.path.first()?;
            if name == "*" {
                return Some(Finding::new(&file.path, used.line, "`crate::*` hides which layers are used"));
            }
            // What is no module of the crate's root is a macro: those have no layer.
            let other = Layer::named(name)?;
            let allowed = other == layer || layer.may_use().contains(&other) || (used.in_tests && layer.tests_may_use().contains(&other));
            let message = || format!("{top} may not use {name} (`crate::{}`)", used.path.join("::"));
            (!allowed).then(|| Finding::new(&file.path, used.line, message()))
        })
        .collect()
}

/// `shared/src/ports/clock.rs` is `["ports", "clock"]`; `None` for a file elsewhere.
fn module_of(path: &str) -> Option<Vec<String>> {
    let inside = path.strip_prefix("shared/src/")?.strip_suffix(".rs")?;
    let mut module: Vec<_> = inside.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    Some(module)
}

/// A block that is open, as the text is read.
struct Block {
    /// It is a module, so `super` in it is one more step.
    is_module: bool,
    in_tests: bool,
}

/// Every path in `text` that starts at `crate`, `super` or `self`, for a file that is `module`.
fn uses(text: &str, module: &[String]) -> Vec<Use> {
    let tokens = tokens(text);
    let mut here = module.to_vec();
    let file_is_tests = module.last().is_some_and(|name| name == "tests");
    let mut blocks: Vec<Block> = Vec::new();
    // A `#[cfg(test)]` has been read, and what it stands above has not begun.
    let mut awaits_tests = false;
    let mut found = Vec::new();

    for (at, token) in tokens.iter().enumerate() {
        let before = |steps: usize| at.checked_sub(steps).map_or("", |index| tokens[index].text.as_str());
        let in_tests = awaits_tests || file_is_tests || blocks.iter().any(|block| block.in_tests);
        match token.text.as_str() {
            "#" if is_cfg_test(&tokens[at..]) => awaits_tests = true,
            "{" => {
                let is_module = before(2) == "mod";
                if is_module {
                    here.push(before(1).to_owned());
                }
                blocks.push(Block { is_module, in_tests: awaits_tests });
                awaits_tests = false;
            }
            "}" => {
                let closed = blocks.pop();
                if closed.is_some_and(|block| block.is_module) {
                    here.pop();
                }
            }
            ";" => awaits_tests = false,
            // `a::self` and `super::super` go on with a path that has been read from its start.
            "crate" | "super" | "self" if before(1) != "::" && tokens.get(at + 1).is_some_and(|next| next.text == "::") => {
                read_path(&tokens, at, &here, in_tests, &mut found);
            }
            _ => {}
        }
    }
    found
}

/// `#[cfg(test)]`, `#[cfg(all(test, …))]`.
fn is_cfg_test(tokens: &[Token]) -> bool {
    let attribute = tokens.iter().take_while(|token| token.text != "]").map(|token| token.text.as_str());
    let words: Vec<_> = attribute.collect();
    words.starts_with(&["#", "[", "cfg"]) && words.contains(&"test") && !words.contains(&"not")
}

/// Reads the path at `at`, groups and all, into `found`; answers where it ends.
fn read_path(tokens: &[Token], at: usize, start: &[String], in_tests: bool, found: &mut Vec<Use>) -> usize {
    let mut path = start.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.line);
    let mut at = at;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "crate" => path.clear(),
            "self" => {}
            "super" => {
                path.pop();
            }
            "{" => return read_group(tokens, at + 1, &path, in_tests, found),
            name => path.push(name.to_owned()),
        }
        at += 1;
        if tokens.get(at).is_none_or(|next| next.text != "::") {
            break;
        }
        at += 1;
    }
    found.push(Use { path, line, in_tests });
    at
}

/// Reads `a, b::c}`; answers where it ends.
fn read_group(tokens: &[Token], at: usize, start: &[String], in_tests: bool, found: &mut Vec<Use>) -> usize {
    let mut at = at;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "}" => return at + 1,
            "," => at += 1,
            // `a as b`: the name is no path.
            "as" => at += 2,
            _ => at = read_path(tokens, at, start, in_tests, found).max(at + 1),
        }
    }
    at
}

/// What is wrong with a file whatever it holds.
fn file_findings(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let parts: Vec<_> = file.path.split('/').collect();
    for part in &parts {
        let name = part.strip_suffix(".rs").unwrap_or(part);
        if CATCH_ALLS.contains(&name) {
            findings.push(Finding::new(&file.path, 1, format!("`{part}` says nothing: name the file after the one thing it holds")));
        }
    }
    let lines = file.text.lines().count();
    if let ["functions", _, "src", "main.rs"] = parts[..]
        && lines > MAIN_LINES
    {
        let message = format!("{lines} lines, at most {MAIN_LINES}: `main.rs` wires, the handler is in `lib.rs`");
        findings.push(Finding::new(&file.path, MAIN_LINES + 1, message));
    }
    findings
}

/// Functions that depend on functions. The paths are below `functions/`.
fn function_findings(manifests: &[SourceFile]) -> Vec<Finding> {
    let functions: BTreeSet<_> = manifests.iter().filter_map(|manifest| package_name(&manifest.text)).collect();
    let mut findings = Vec::new();
    for manifest in manifests {
        let own = package_name(&manifest.text);
        if own.as_deref() == Some(LOCAL) {
            continue;
        }
        for (line, dependency) in dependencies(&manifest.text) {
            if functions.contains(&dependency) && own.as_ref() != Some(&dependency) {
                let message = format!("a function may not depend on another function, and `{dependency}` is one");
                findings.push(Finding::new(&format!("functions/{}", manifest.path), line, message));
            }
        }
    }
    findings
}

fn package_name(manifest: &str) -> Option<String> {
    let package = manifest.lines().map(str::trim).skip_while(|line| *line != "[package]").skip(1);
    let mut keys = package.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('='));
    keys.find(|(key, _)| key.trim() == "name").map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

/// The packages a manifest depends on, in any of its tables, and the line of each.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_dependencies = false;
    for (index, line) in manifest.lines().map(str::trim).enumerate() {
        if let Some(table) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            in_dependencies = table.ends_with("dependencies");
            if let Some((_, name)) = table.rsplit_once("dependencies.") {
                found.push((index + 1, name.trim_matches('"').to_owned()));
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|(key, _)| !key.starts_with('#')) else { continue };
        let (key, value) = (key.trim(), value.trim());
        if in_dependencies {
            found.push((index + 1, key.split('.').next().unwrap_or(key).trim_matches('"').to_owned()));
        }
        // A renamed dependency, in a table of its own or inline.
        let renamed = if key == "package" { Some(value) } else { value.split_once("package = ").map(|(_, name)| name) };
        if let Some(name) = renamed.and_then(|name| name.split('"').nth(1)) {
            found.push((index + 1, name.to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        layer_findings(&SourceFile::new(path, text)).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_layer_that_reaches_outwards_is_found() {
        let rows = [
            ("shared/src/domain/event.rs", "use crate::ports::Clock;", "domain may not use ports"),
            ("shared/src/domain/event.rs", "fn f() { crate::http::respond() }", "domain may not use http"),
            ("shared/src/domain/event.rs", "use super::super::adapters::memory;", "domain may not use adapters"),
            ("shared/src/domain/mod.rs", "use super::config;", "domain may not use config"),
            ("shared/src/ports/clock.rs", "use crate::{domain::Event, commands::record};", "ports may not use commands"),
            ("shared/src/commands/record.rs", "use crate::queries::read;", "commands may not use queries"),
            ("shared/src/commands/record.rs", "use crate::adapters::memory;", "commands may not use adapters"),
            ("shared/src/queries/read.rs", "use crate::commands::record;", "queries may not use commands"),
            ("shared/src/queries/read.rs", "use crate::{self as root, http::{a, b as c}};", "queries may not use http"),
            ("shared/src/adapters/memory/log.rs", "use crate::queries::read;", "adapters may not use queries"),
            ("shared/src/adapters/memory/log.rs", "use crate::testing::some_event;", "adapters may not use testing"),
            ("shared/src/http/respond.rs", "use crate::adapters::memory;", "http may not use adapters"),
            ("shared/src/testing/mod.rs", "use crate::commands::record;", "testing may not use commands"),
            ("shared/src/domain/event.rs", "use crate::*;", "hides which layers are used"),
        ];
        for (path, text, expected) in rows {
            let found = messages(path, text);
            assert!(found.iter().any(|message| message.contains(expected)), "{path}: {text}: {found:?}");
        }
    }

    #[test]
    fn a_layer_that_reaches_inwards_is_fine() {
        let rows = [
            ("shared/src/domain/event.rs", "use super::stream_id::StreamId; use crate::domain::{a, b};"),
            ("shared/src/ports/clock.rs", "use crate::domain::Timestamp; use super::random;"),
            ("shared/src/commands/record.rs", "use crate::{domain::Event, ports::{Clock, Random}, telemetry::Chain};"),
            ("shared/src/adapters/memory/log.rs", "use super::super::super::ports; use super::keys;"),
            ("shared/src/http/respond.rs", "use crate::commands::{self, record}; use crate::queries;"),
            ("shared/src/lib.rs", "pub use crate::http::respond;"),
            ("functions/local/src/lib.rs", "use crate::http::respond;"),
            ("shared/src/adapters/memory/log.rs", "crate::commit_log_contract!(Memory);"),
            ("shared/src/domain/event.rs", "pub(crate) struct A; impl A { fn f(&self) -> Self { self.a } }"),
        ];
        for (path, text) in rows {
            assert_eq!(messages(path, text), Vec::<String>::new(), "{path}: {text}");
        }
    }

    #[test]
    fn comments_and_strings_use_nothing() {
        let text = "/// See [`crate::http::respond`].\nconst A: &str = \"crate::http::respond\"; // crate::http::x";
        assert_eq!(messages("shared/src/domain/event.rs", text), Vec::<String>::new());
    }

    #[test]
    fn tests_of_adapters_may_use_testing() {
        let text = "#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::testing::some_event;\n}";
        assert_eq!(messages("shared/src/adapters/memory/log.rs", text), Vec::<String>::new());
        assert_eq!(messages("shared/src/commands/record.rs", text).len(), 1);
    }

    #[test]
    fn code_after_the_tests_is_no_test() {
        let text = "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::testing::some_event;";
        assert_eq!(
            messages("shared/src/adapters/memory/log.rs", text),
            ["shared/src/adapters/memory/log.rs:3: adapters may not use testing (`crate::testing::some_event`)"]
        );
    }

    #[test]
    fn super_in_an_inner_module_is_the_file() {
        assert_eq!(messages("shared/src/domain/event.rs", "mod inner { use super::super::super::ports::Clock; }").len(), 1);
        assert_eq!(messages("shared/src/domain/event.rs", "mod inner { use super::super::stream_id::StreamId; }").len(), 0);
    }

    #[test]
    fn a_module_without_a_layer_is_found() {
        assert_eq!(messages("shared/src/extras.rs", "").len(), 1);
    }

    #[test]
    fn a_long_main_is_found() {
        let file = |path: &str, lines: usize| SourceFile::new(path, &"\n".repeat(lines));
        assert_eq!(file_findings(&file("functions/local/src/main.rs", MAIN_LINES)), []);
        assert_eq!(file_findings(&file("functions/local/src/main.rs", MAIN_LINES + 1)).len(), 1);
        assert_eq!(file_findings(&file("functions/local/src/lib.rs", MAIN_LINES + 1)), []);
    }

    #[test]
    fn a_catch_all_file_is_found() {
        assert_eq!(file_findings(&SourceFile::new("tests/api/common/mod.rs", "")).len(), 1);
        assert_eq!(file_findings(&SourceFile::new("shared/src/http/utils.rs", "")).len(), 1);
        assert_eq!(file_findings(&SourceFile::new("shared/src/http/respond.rs", "")), []);
    }

    #[test]
    fn a_function_that_uses_a_function_is_found() {
        let manifest =
            |name: &str, rest: &str| SourceFile::new(&format!("{name}/Cargo.toml"), &format!("[package]\nname = \"{name}\"\n\n{rest}"));
        let read = manifest("read", "[dependencies]\nshared.workspace = true\n");
        let rows = [
            "[dependencies]\nread.workspace = true\n",
            "[dev-dependencies]\nread = { path = \"../read\" }\n",
            "[dependencies.read]\nworkspace = true\n",
            "[dependencies]\nother = { package = \"read\", path = \"../read\" }\n",
            "[target.'cfg(unix)'.dependencies]\nread.workspace = true\n",
        ];
        for row in rows {
            let findings = function_findings(&[read.clone(), manifest("record", row)]);
            assert_eq!(findings.len(), 1, "{row}: {findings:?}");
            assert_eq!(findings[0].path, "functions/record/Cargo.toml");
            assert_eq!(function_findings(&[read.clone(), manifest(LOCAL, row)]), [], "{row}");
        }
    }
}
