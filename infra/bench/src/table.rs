//! Tables for people to read.

use std::fmt;

/// Rows under a heading, columns as wide as they need to be: words to the left, numbers to the right.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    words: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table whose first `words` columns are words.
    pub(crate) fn new(title: impl Into<String>, words: usize, heading: &[&str]) -> Self {
        Self { title: title.into(), words, rows: vec![heading.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a row. One that is too short is filled with empty cells.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        writeln!(f, "{}", self.title)?;
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        for (number, row) in self.rows.iter().enumerate() {
            self.line(f, row, &widths)?;
            if number == 0 {
                self.line(f, &rule, &widths)?;
            }
        }
        Ok(())
    }
}

impl Table {
    fn line(&self, f: &mut fmt::Formatter<'_>, cells: &[String], widths: &[usize]) -> fmt::Result {
        let mut line = String::new();
        for (column, width) in widths.iter().enumerate() {
            let cell = cells.get(column).map_or("", String::as_str);
            line.push_str("  ");
            line.push_str(&if column < self.words {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            });
        }
        writeln!(f, "{}", line.trim_end())
    }
}

/// A number that is not negative, with as many decimals as its size deserves.
pub(crate) fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        size if size >= 1000.0 => thousands(&format!("{size:.0}")),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A count.
pub(crate) fn whole(count: u64) -> String {
    thousands(&count.to_string())
}

/// A number that may be missing.
pub(crate) fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_is_in_them() {
        let mut table = Table::new("Fruit", 1, &["name", "each", "in all"]);
        table.row(["Äpfel".to_owned(), "1".to_owned(), "10".to_owned()]);
        table.row(["fig".to_owned(), "1,000".to_owned()]);
        let expected = "Fruit
  name    each  in all
  ─────  ─────  ──────
  Äpfel      1      10
  fig    1,000
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn a_table_without_rows_is_its_heading() {
        assert_eq!(Table::new("Empty", 1, &["a", "b"]).to_string(), "Empty\n  a  b\n  ─  ─\n");
    }

    #[test]
    fn numbers_have_the_decimals_they_deserve() {
        for (value, text) in [
            (0.0, "0"),
            (0.004, "0.00"),
            (1.256, "1.26"),
            (12.34, "12.3"),
            (123.4, "123"),
            (999.9, "1000"),
            (1234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(
            (maybe(None), whole(60), whole(3000)),
            ("–".to_owned(), "60".to_owned(), "3,000".to_owned())
        );
    }
}
