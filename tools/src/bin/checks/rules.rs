//! docs/rules.md says where every business rule is held, and the tests agree.
//!
//! A test claims the rules that the comment above it names; a contract clause is a test of every adapter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::sources::{self, SourceFile};
use crate::{CheckError, Finding};

const TABLE: &str = "docs/rules.md";

/// Contract clauses: functions that a macro makes a test of each adapter.
const CLAUSES: &str = "shared/src/testing/";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// A test holds it.
    Claimed,
    /// Nothing holds it yet.
    Planned,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    id: String,
    text: String,
    /// File and function of each test that the row names.
    tests: Vec<(String, String)>,
    status: Status,
    line: usize,
}

/// A test that claims rules.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    path: String,
    name: String,
    line: usize,
    rules: BTreeSet<String>,
}

/// The table and the tests, as read.
struct Read {
    rules: Vec<Rule>,
    /// What is wrong with rows of the table.
    findings: Vec<Finding>,
    claims: Vec<Claim>,
}

pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, CheckError> {
    let Read { rules, mut findings, claims } = read(root)?;
    findings.extend(disagreements(&rules, &claims));
    findings.sort();
    if findings.is_empty() {
        let claimed = rules.iter().filter(|rule| rule.status == Status::Claimed).count();
        println!("{claimed} of {} rules are claimed, each by a test", rules.len());
    }
    Ok(findings)
}

/// Prints the rules without a test.
pub(crate) fn list(root: &Path) -> Result<(), CheckError> {
    let Read { rules, claims, .. } = read(root)?;
    let without = without_a_test(&rules, &claims);
    for rule in &without {
        println!("{}  {}", rule.id, rule.text);
    }
    println!("{} of {} rules have no test", without.len(), rules.len());
    Ok(())
}

fn read(root: &Path) -> Result<Read, CheckError> {
    let (rules, findings) = rows(&sources::read(&root.join(TABLE))?);
    if rules.is_empty() {
        return Err(CheckError::NothingToCheck { path: TABLE.to_owned() });
    }
    let claims = sources::rust_files(root)?.iter().flat_map(claims).collect();
    Ok(Read { rules, findings, claims })
}

fn without_a_test<'a>(rules: &'a [Rule], claims: &[Claim]) -> Vec<&'a Rule> {
    rules.iter().filter(|rule| !claims.iter().any(|claim| claim.rules.contains(&rule.id))).collect()
}

/// The rows of the table, and what is wrong with them as rows.
fn rows(markdown: &str) -> (Vec<Rule>, Vec<Finding>) {
    let (mut rules, mut findings) = (Vec::<Rule>::new(), Vec::new());
    for (index, line) in markdown.lines().enumerate() {
        let line_number = index + 1;
        let Some(row) = line.trim().strip_prefix('|').map(|row| row.strip_suffix('|').unwrap_or(row)) else { continue };
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let Some(id) = cells.first().copied().filter(|id| id.starts_with("BR-")) else { continue };
        let mut wrong = |message: String| findings.push(Finding::new(TABLE, line_number, message));
        if rule_ids(id).iter().ne([id]) {
            wrong(format!("`{id}` is not written like `BR-EVT-001`"));
            continue;
        }
        let [_, text, held, status] = cells[..] else {
            wrong(format!("{id} has {} cells; id, rule, where it is held and status are 4", cells.len()));
            continue;
        };
        let status = match status {
            "claimed" => Status::Claimed,
            "planned" => Status::Planned,
            other => {
                wrong(format!("{id} is `{other}`; a rule is `claimed` or `planned`"));
                continue;
            }
        };
        if rules.iter().any(|rule| rule.id == id) {
            wrong(format!("{id} has a row above"));
            continue;
        }
        rules.push(Rule { id: id.to_owned(), text: text.to_owned(), tests: named_tests(held), status, line: line_number });
    }
    (rules, findings)
}

/// The tests in a cell: what is in backticks and has a file before its `::`.
fn named_tests(cell: &str) -> Vec<(String, String)> {
    let in_backticks = cell.split('`').skip(1).step_by(2);
    in_backticks
        .filter_map(|text| text.rsplit_once("::"))
        .filter(|(path, _)| Path::new(path).extension().is_some_and(|extension| extension == "rs"))
        .map(|(path, name)| (path.to_owned(), name.to_owned()))
        .collect()
}

/// Where the table and the tests disagree.
fn disagreements(rules: &[Rule], claims: &[Claim]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in rules {
        let id = &rule.id;
        let mut wrong = |message: String| findings.push(Finding::new(TABLE, rule.line, message));
        for (path, name) in &rule.tests {
            let claims_it = |claim: &&Claim| claim.path == *path && claim.name == *name && claim.rules.contains(id);
            if !claims.iter().any(|claim| claims_it(&claim)) {
                wrong(format!("{id} names `{path}::{name}`, but no such test has `{id}` in the comment above it"));
            }
        }
        match rule.status {
            Status::Claimed if rule.tests.is_empty() => {
                wrong(format!("{id} is claimed, but names no test as `path/to/file.rs::test_name`"));
            }
            Status::Planned if !rule.tests.is_empty() => wrong(format!("{id} names a test: it is claimed, not planned")),
            Status::Claimed | Status::Planned => {}
        }
    }

    let statuses: BTreeMap<_, _> = rules.iter().map(|rule| (rule.id.as_str(), rule.status)).collect();
    for claim in claims {
        for id in &claim.rules {
            let message = match statuses.get(id.as_str()) {
                Some(Status::Claimed) => continue,
                Some(Status::Planned) => format!("`{}` claims {id}, which {TABLE} has as planned", claim.name),
                None => format!("`{}` claims {id}, which {TABLE} does not have", claim.name),
            };
            findings.push(Finding::new(&claim.path, claim.line, message));
        }
    }
    findings
}

/// The tests of a file that claim rules.
fn claims(file: &SourceFile) -> Vec<Claim> {
    let is_clause = file.path.starts_with(CLAUSES);
    let mut found = Vec::new();
    let (mut rules, mut is_test) = (BTreeSet::new(), is_clause);
    // Attributes may take several lines.
    let mut open_brackets = 0_usize;
    for (index, line) in file.text.lines().map(str::trim).enumerate() {
        if open_brackets > 0 || line.starts_with("#[") {
            is_test |= open_brackets == 0 && is_test_attribute(line);
            open_brackets = (open_brackets + line.matches('[').count()).saturating_sub(line.matches(']').count());
        } else if let Some(comment) = line.strip_prefix("///") {
            rules.extend(rule_ids(comment));
        } else if !line.is_empty() && !line.starts_with("//") {
            if let Some(name) = function_name(line)
                && is_test
                && !rules.is_empty()
            {
                found.push(Claim { path: file.path.clone(), name, line: index + 1, rules: std::mem::take(&mut rules) });
            }
            rules.clear();
            is_test = is_clause;
        }
    }
    found
}

/// `#[test]`, `#[tokio::test(…)]`, but not `#[cfg(test)]`.
fn is_test_attribute(line: &str) -> bool {
    let name = line.trim_start_matches("#[").split(['(', ']', ' ']).next().unwrap_or_default();
    name.rsplit("::").next() == Some("test")
}

/// The name in a line that opens a function.
fn function_name(line: &str) -> Option<String> {
    let mut words = line.split_whitespace().skip_while(|word| ["pub", "pub(crate)", "pub(super)", "async", "const"].contains(word));
    let name = words.next().filter(|word| *word == "fn").and_then(|_| words.next())?;
    Some(name.split(['(', '<']).next().unwrap_or(name).to_owned())
}

/// The ids in a text, written `BR-EVT-001`.
fn rule_ids(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| {
            let parts: Vec<_> = word.split('-').collect();
            matches!(parts[..], ["BR", area, number]
                if !area.is_empty()
                    && area.chars().all(|c| c.is_ascii_uppercase())
                    && number.len() == 3
                    && number.chars().all(|c| c.is_ascii_digit()))
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // On one line, so that this file does not claim the rule itself.
    const TEST: &str = "\n\n/// BR-EVT-001.\n#[tokio::test]\nasync fn an_id_is_used_once() {}\n";

    fn messages(table: &str, source: &str) -> Vec<String> {
        let (rules, mut findings) = rows(table);
        findings.extend(disagreements(&rules, &claims(&SourceFile::new("shared/src/domain/event.rs", source))));
        findings.into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_claimed_rule_with_its_test_is_fine() {
        let row = "| BR-EVT-001 | Ids are unique | `EventId`, `shared/src/domain/event.rs::an_id_is_used_once` | claimed |";
        assert_eq!(messages(row, TEST), Vec::<String>::new());
    }

    #[test]
    fn a_claimed_rule_without_a_test_is_found() {
        let gone = "| BR-EVT-001 | Ids are unique | `shared/src/domain/event.rs::an_id_is_unique` | claimed |";
        assert_eq!(
            messages(gone, TEST),
            ["docs/rules.md:1: BR-EVT-001 names `shared/src/domain/event.rs::an_id_is_unique`, \
              but no such test has `BR-EVT-001` in the comment above it"]
        );
        let unnamed = "| BR-EVT-001 | Ids are unique | `EventId` | claimed |";
        assert_eq!(messages(unnamed, TEST), ["docs/rules.md:1: BR-EVT-001 is claimed, but names no test as `path/to/file.rs::test_name`"]);
    }

    #[test]
    fn a_test_of_another_rule_or_file_is_not_the_one() {
        let rows = [
            "| BR-EVT-002 | A type is required | `shared/src/domain/event.rs::an_id_is_used_once` | claimed |",
            "| BR-EVT-001 | Ids are unique | `shared/src/domain/event_id.rs::an_id_is_used_once` | claimed |",
        ];
        for row in rows {
            let found = messages(row, TEST);
            assert!(found.iter().any(|message| message.contains("no such test")), "{row}: {found:?}");
        }
    }

    #[test]
    fn a_test_of_a_planned_rule_is_found() {
        let row = "| BR-EVT-001 | Ids are unique | | planned |";
        let expected = "shared/src/domain/event.rs:5: `an_id_is_used_once` claims BR-EVT-001, which docs/rules.md has as planned";
        assert_eq!(messages(row, TEST), [expected]);
    }

    #[test]
    fn a_test_of_an_unknown_rule_is_found() {
        let expected = "shared/src/domain/event.rs:5: `an_id_is_used_once` claims BR-EVT-001, which docs/rules.md does not have";
        assert_eq!(messages("| Rule | Text |\n|---|---|", TEST), [expected]);
    }

    #[test]
    fn only_tests_claim() {
        let rows = [
            "/// Keeps BR-EVT-001.\nfn record() {}",
            "/// Keeps BR-EVT-001.\n#[cfg(test)]\nfn record() {}",
            "/// Keeps BR-EVT-001.\nstruct Event;\n#[test]\nfn a_test() {}",
            "// BR-EVT-001.\n#[test]\nfn a_test() {}",
        ];
        for source in rows {
            assert_eq!(claims(&SourceFile::new("shared/src/domain/event.rs", source)), [], "{source}");
        }
    }

    #[test]
    fn a_contract_clause_claims_without_an_attribute() {
        let clause = "/// Two writers cannot both win. BR-STM-003, BR-EVT-008.\npub async fn one_writer_wins(log: &dyn CommitLog) {}";
        let found = claims(&SourceFile::new("shared/src/testing/commit_log.rs", clause));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "one_writer_wins");
        assert_eq!(found[0].rules, BTreeSet::from(["BR-EVT-008".to_owned(), "BR-STM-003".to_owned()]));
    }

    #[test]
    fn attributes_may_stand_between_comment_and_test() {
        let source = "#[test]\n/// BR-EVT-001.\n#[expect(\n    clippy::too_many_lines,\n    reason = \"[a table]\"\n)]\nfn a_test() {}";
        assert_eq!(claims(&SourceFile::new("tests/api/events.rs", source)).len(), 1);
    }

    #[test]
    fn a_row_that_cannot_be_read_is_found() {
        let rows = [
            ("| BR-EVT-1 | Text | | planned |", "is not written like"),
            ("| BR-EVT-001 | Text | planned |", "has 3 cells"),
            ("| BR-EVT-001 | Text | | done |", "`claimed` or `planned`"),
            ("| BR-EVT-001 | Text | | planned |\n| BR-EVT-001 | Text | | planned |", "has a row above"),
            ("| BR-EVT-001 | Text | `shared/src/a.rs::b` | planned |", "is claimed, not planned"),
        ];
        for (table, expected) in rows {
            let found = messages(table, "");
            assert!(found.iter().any(|message| message.contains(expected)), "{table}: {found:?}");
        }
    }

    #[test]
    fn rules_without_a_test_are_listed() {
        let (rules, _) = rows("| BR-EVT-001 | Ids | | planned |\n| BR-EVT-002 | Types | | planned |");
        let claims = claims(&SourceFile::new("shared/src/domain/event.rs", TEST));
        let ids: Vec<_> = without_a_test(&rules, &claims).into_iter().map(|rule| rule.id.as_str()).collect();
        assert_eq!(ids, ["BR-EVT-002"]);
    }
}
