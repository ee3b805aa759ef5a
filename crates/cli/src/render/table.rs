//! Columns of text, as Go's tabwriter lays them out.

/// The distance between columns.
const PADDING: usize = 3;

/// Aligns the columns of `text`, in which a tab ends a cell. No column is narrower than `min_width`. A column is
/// as wide as its widest cell in a run of neighbouring lines that have it.
pub(crate) fn table(text: &str, min_width: usize) -> String {
    laid_out(text, min_width, PADDING)
}

/// [`table`] with another distance between columns.
pub(crate) fn table_padded(text: &str, padding: usize) -> String {
    laid_out(text, 0, padding)
}

fn laid_out(text: &str, min_width: usize, padding: usize) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut layout = Layout { lines: &lines, min_width, padding, widths: Vec::new(), out: String::new() };
    layout.block(0, lines.len());
    layout.out
}

struct Layout<'a> {
    lines: &'a [Vec<&'a str>],
    min_width: usize,
    padding: usize,
    widths: Vec<usize>,
    out: String,
}

impl Layout<'_> {
    /// Lays out the lines `from..to`, whose columns before the next one have their width already.
    fn block(&mut self, mut from: usize, to: usize) {
        let column = self.widths.len();
        let has_column = |line: &Vec<&str>| column + 1 < line.len();
        let mut at = from;
        while at < to {
            if !has_column(&self.lines[at]) {
                at += 1;
                continue;
            }
            self.write(from, at);
            from = at;
            let mut width = self.min_width;
            while at < to && has_column(&self.lines[at]) {
                width = width.max(self.lines[at][column].chars().count() + self.padding);
                at += 1;
            }
            self.widths.push(width);
            self.block(from, at);
            self.widths.pop();
            from = at;
        }
        self.write(from, to);
    }

    fn write(&mut self, from: usize, to: usize) {
        for line in &self.lines[from..to] {
            for (column, cell) in line.iter().enumerate() {
                self.out.push_str(cell);
                if let Some(width) = self.widths.get(column) {
                    self.out.push_str(&" ".repeat(width.saturating_sub(cell.chars().count())));
                }
            }
            self.out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::table;
    use expect_test::expect;

    #[test]
    fn columns_fit_their_widest_cell() {
        expect![[r#"
            ID             NAME        LAST
            1              something   x
            123456789012   é
            alone
            1         something else   x
        "#]]
        .assert_eq(&table(
            "ID\tNAME\tLAST\n1\tsomething\tx\n123456789012\té\nalone\n1\tsomething else\tx\n",
            10,
        ));
    }

    #[test]
    fn cells_may_be_empty() {
        assert_eq!(table("A\tB\tC\n\t\tz\n", 10), "A         B         C\n                    z\n");
        assert_eq!(table("", 10), "");
    }
}
