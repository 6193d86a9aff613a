//! A document of headings, texts and tables, for a terminal and as Markdown.

use std::iter;

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    /// A heading of a section.
    Heading(String),
    /// Prose, which terminals do without.
    Text(String),
    /// A table.
    Table(Table),
}

/// A table. Its first column is text, its others are numbers unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    fn all(&self) -> impl Iterator<Item = &Vec<String>> {
        iter::once(&self.header).chain(&self.rows)
    }

    fn markdown(&self) -> String {
        let line = |cells: &Vec<String>| format!("| {} |", cells.join(" | "));
        let rule = format!("|{}", "---|".repeat(self.header.len()));
        let rows = self.rows.iter().map(line);
        iter::once(line(&self.header)).chain(iter::once(rule)).chain(rows).collect::<Vec<_>>().join("\n")
    }

    fn plain(&self) -> String {
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| self.all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
            .collect();
        let line = |cells: &Vec<String>| {
            let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            padded.join("  ").trim_end().to_owned()
        };
        self.all().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The document as Markdown, with its title.
pub(crate) fn markdown(title: &str, blocks: &[Block]) -> String {
    let parts = blocks.iter().map(|block| match block {
        Block::Heading(heading) => format!("## {heading}"),
        Block::Text(text) => text.clone(),
        Block::Table(table) => table.markdown(),
    });
    iter::once(format!("# {title}")).chain(parts).collect::<Vec<_>>().join("\n\n")
}

/// The document for a terminal: what it comes to, without the prose.
pub(crate) fn plain(blocks: &[Block]) -> String {
    let parts = blocks.iter().filter_map(|block| match block {
        Block::Heading(heading) => Some(format!("== {heading}")),
        Block::Text(_) => None,
        Block::Table(table) => Some(table.plain()),
    });
    parts.collect::<Vec<_>>().join("\n\n")
}

/// Dollars, to the cent.
pub(crate) fn dollars(amount: f64) -> String {
    if amount.abs() < 1e-9 {
        "0".to_owned()
    } else if amount < 0.005 {
        "< 0.01".to_owned()
    } else {
        format!("{amount:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_the_same_on_a_terminal_and_as_markdown() {
        let mut table = Table::new(["what", "$"]);
        table.row(["a long name".to_owned(), dollars(1.0)]);
        let blocks = [Block::Text("prose".to_owned()), Block::Table(table)];
        assert_eq!(plain(&blocks), "what         $\na long name  1.00");
        assert_eq!(markdown("Title", &blocks), "# Title\n\nprose\n\n| what | $ |\n|---|---|\n| a long name | 1.00 |");
    }

    #[test]
    fn what_is_less_than_a_cent_is_not_nothing() {
        assert_eq!(dollars(0.001), "< 0.01");
        assert_eq!(dollars(0.0), "0");
    }
}
