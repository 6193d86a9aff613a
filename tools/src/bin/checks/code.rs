//! Rust text as words and signs, without comments and literals: enough to find paths and blocks.

/// A word or a sign, and the line it is on, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The words and signs of `source`. `::` is one sign, every other sign is one character.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest).unwrap_or_else(|| {
            let length = word(rest).unwrap_or(if rest.starts_with("::") { 2 } else { first.len_utf8() });
            tokens.push(Token { text: rest[..length].to_owned(), line });
            length
        });
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The length of the white space, comment or literal at the start of `rest`.
fn skipped(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    if first.is_whitespace() {
        Some(first.len_utf8())
    } else if rest.starts_with("//") {
        Some(rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        Some(block_comment(rest))
    } else {
        raw_string(rest).or_else(|| quoted(rest)).or_else(|| character(rest))
    }
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        let tail = &rest[at..];
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else if let Some(next) = tail.chars().next() {
            at += next.len_utf8();
        } else {
            return rest.len();
        }
    }
}

/// `r"…"`, `r#"…"#`, `br"…"`, `cr"…"`.
fn raw_string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix("br").or_else(|| rest.strip_prefix("cr")).or_else(|| rest.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let body = body[hashes..].strip_prefix('"')?;
    let start = rest.len() - body.len();
    let end = format!("\"{}", "#".repeat(hashes));
    Some(body.find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

/// `"…"`, `b"…"`, `c"…"`.
fn quoted(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix(['b', 'c']).unwrap_or(rest).strip_prefix('"')?;
    let start = rest.len() - body.len();
    let mut escaped = false;
    for (at, character) in body.char_indices() {
        match character {
            '"' if !escaped => return Some(start + at + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Some(rest.len())
}

/// `'a'`, `b'a'`, `'\n'`; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('\'')?;
    let start = rest.len() - body.len();
    if let Some(escape) = body.strip_prefix('\\') {
        // The escaped character itself may be a quote.
        let after = escape.chars().next()?.len_utf8();
        return escape[after..].find('\'').map(|at| start + 1 + after + at + 1);
    }
    let length = body.chars().next()?.len_utf8();
    body[length..].starts_with('\'').then_some(start + length + 1)
}

fn word(rest: &str) -> Option<usize> {
    let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    (length > 0).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> String {
        tokens(source).into_iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        let rows = [
            ("a // b\nc", "a c"),
            ("a /* b /* c */ d */ e", "a e"),
            (r#"a("b \" c", d)"#, "a ( , d )"),
            (r##"a(r#"b " c"#, d)"##, "a ( , d )"),
            ("a(b\"c\", d)", "a ( , d )"),
            (r"['a', '\'', '\\', b'x', 'é', d]", "[ , , , , , d ]"),
        ];
        for (source, expected) in rows {
            assert_eq!(words(source), expected, "{source}");
        }
    }

    #[test]
    fn a_lifetime_is_no_character() {
        assert_eq!(words("fn f<'a>(x: &'a str) -> &'static str"), "fn f < ' a > ( x : & ' a str ) - > & ' static str");
    }

    #[test]
    fn a_path_separator_is_one_sign() {
        assert_eq!(words("use crate::{a::b};"), "use crate :: { a :: b } ;");
    }

    #[test]
    fn every_token_knows_its_line() {
        let lines: Vec<_> = tokens("a\n/*\n*/ b \"\n\" c").into_iter().map(|token| (token.text, token.line)).collect();
        assert_eq!(lines, [("a".to_owned(), 1), ("b".to_owned(), 3), ("c".to_owned(), 4)]);
    }
}
