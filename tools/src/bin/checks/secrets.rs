//! The time that a comparison takes tells of no secret: whatever reveals one is compared in constant time, and never with `==`.

use crate::Finding;
use crate::code::{Token, tokens};
use crate::sources::SourceFile;

/// What gives away the text of a secret.
const REVEALS: &str = "reveal";

/// Where a file compares the text of a secret with `==` or `!=`. Tests may.
pub(crate) fn findings(file: &SourceFile) -> Vec<Finding> {
    if !file.path.contains("/src/") || file.path.ends_with("/tests.rs") {
        return Vec::new();
    }
    let text = file.text.split("#[cfg(test)]").next().unwrap_or_default();
    let tokens = tokens(text);
    let is_compared = |at: usize| compares_after(&tokens[at..]) || compares_before(&tokens[..at]);
    let revealed = (0..tokens.len()).filter(|at| tokens[*at].text == REVEALS && is_compared(*at));
    let message = "a secret is compared with `==`, whose time tells how much of it is right: use `ct_eq`, or a MAC's `verify`";
    revealed.map(|at| Finding::new(&file.path, tokens[at].line, message)).collect()
}

fn is_comparison(one: Option<&Token>, other: Option<&Token>) -> bool {
    matches!((one.map(|token| token.text.as_str()), other.map(|token| token.text.as_str())), (Some("=" | "!"), Some("=")))
}

/// Whether a token is a word, or one of these signs.
fn is_part(token: &Token, signs: &[&str]) -> bool {
    signs.contains(&token.text.as_str()) || token.text.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}

/// Whether what begins here goes on to be compared: `reveal().as_bytes() == `.
fn compares_after(tokens: &[Token]) -> bool {
    let end = tokens.iter().take_while(|token| is_part(token, &["(", ")", ".", "?"])).count();
    is_comparison(tokens.get(end), tokens.get(end + 1))
}

/// Whether what ends here was compared: `== *self.secret.`.
fn compares_before(tokens: &[Token]) -> bool {
    let end = tokens.len() - tokens.iter().rev().take_while(|token| is_part(token, &[".", "&", "*", "::"])).count();
    end >= 2 && is_comparison(tokens.get(end - 2), tokens.get(end - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str) -> Vec<usize> {
        findings(&SourceFile::new("shared/src/domain/signature.rs", source)).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_secret_that_is_compared_with_an_operator_is_found() {
        for bad in [
            "fn f() { given == secret.reveal() }",
            "fn f() { secret.reveal() == given }",
            "fn f() { self.secret.reveal().as_bytes() != given }",
            "fn f() { if given.as_bytes() == &*key.inner.reveal() {} }",
        ] {
            assert_eq!(lines(bad), [1], "{bad}");
        }
        for good in [
            "fn f() { given.ct_eq(secret.reveal().as_bytes()) }",
            "fn f() { let key = secret.reveal(); a == b }",
            "fn f() { a == b; header(secret.reveal()) }",
            "fn f() { secret.reveal().len() }\n#[cfg(test)] mod tests { fn f() { given == secret.reveal() } }",
        ] {
            assert_eq!(lines(good), Vec::<usize>::new(), "{good}");
        }
    }
}
