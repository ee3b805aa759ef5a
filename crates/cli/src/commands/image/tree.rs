//! `image ls --tree`: the images with all their names, one block each.

use wharf_api::image::Summary;

use crate::{print, render, terminal};

/// Blanks between two columns.
const SPACING: usize = 3;

/// Columns after the first: title, width, and whether the text stands at the right.
const COLUMNS: [(&str, usize, bool); 4] =
    [("ID", 12, false), ("DISK USAGE", 10, true), ("CONTENT SIZE", 12, true), ("EXTRA", 5, false)];

const WARNING: &str =
    "WARNING: This is an experimental feature. The output may change and shouldn't be depended on.";

/// How things look. compat: titles have their attributes also where nothing else has any.
struct Look {
    colors: bool,
}

impl Look {
    fn paint(&self, codes: &[&str], text: &str) -> String {
        if !self.colors || text.is_empty() {
            return text.to_owned();
        }
        let start: String = codes.iter().map(|code| format!("\x1b[{code}m")).collect();
        format!("{start}{text}\x1b[0m")
    }

    /// The mark of an image in use.
    fn mark(&self) -> String {
        if self.colors { self.paint(&["38;5;0", "48;5;14"], " U ") } else { "U".to_owned() }
    }

    fn legend(&self) -> String {
        match self.colors {
            true => format!(
                "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m {}\x1b[0m {} In Use ",
                self.paint(&["96"], "Info → "),
                self.mark()
            ),
            false => format!("Info ->  {} In Use ", self.mark()),
        }
    }
}

/// Prints the tree. Images without a name are only in it with `all`.
pub(super) fn print(images: &[Summary], all: bool) {
    let look = Look { colors: print::is_terminal() };
    let width = terminal::size()
        .map(|(_, columns)| usize::from(columns))
        .filter(|columns| *columns > 0)
        .unwrap_or(80);
    print::out(&text(images, all, width, &look));
}

fn text(images: &[Summary], all: bool, width: usize, look: &Look) -> String {
    let shown: Vec<_> = images.iter().filter(|image| all || !names(image).is_empty()).collect();
    let (first, columns) = layout(&shown, width);
    let legend_width =
        if look.colors { "i Info →   U  In Use ".chars().count() } else { look.legend().len() };
    let mut out = format!(
        "{}\n{}{}\n\n",
        look.paint(&["93"], WARNING),
        " ".repeat(width.saturating_sub(legend_width)),
        look.legend()
    );
    let title = |text: &str| format!("\x1b[39m\x1b[1m{text}\x1b[0m");
    out.push_str(&cell(&title("IMAGE"), 5, first, false));
    for (text, width, right) in columns {
        out.push_str(&" ".repeat(SPACING));
        out.push_str(&cell(&title(text), text.len(), *width, *right));
    }
    out.push('\n');
    for image in shown {
        block(&mut out, image, first, columns, look);
    }
    out
}

/// The width of the first column, and the others that fit beside it.
fn layout(images: &[&Summary], width: usize) -> (usize, &'static [(&'static str, usize, bool)]) {
    const NARROWEST: usize = 12;
    let mut first = width;
    let mut fit = 0;
    for (_, column, _) in COLUMNS {
        match first.checked_sub(column + SPACING) {
            Some(left) if left >= NARROWEST => first = left,
            _ => break,
        }
        fit += 1;
    }
    let names = images.iter().flat_map(|image| names(image));
    let widest = names.map(|name| name.chars().count()).chain(["IMAGE".len()]).max().unwrap_or_default();
    (first.min(widest), &COLUMNS[..fit])
}

/// All names of an image, one line each; the last has the details beside it.
fn block(out: &mut String, image: &Summary, first: usize, columns: &[(&str, usize, bool)], look: &Look) {
    let names = names(image);
    let lines = if names.is_empty() { vec!["<untagged>"] } else { names };
    let color = if image.repo_tags.iter().flatten().next().is_some() { ["34", "1"] } else { ["39", "2"] };
    let size = render::human_size_3(image.size as f64);
    let mark = if image.containers > 0 { look.mark() } else { String::new() };
    let details = [render::truncate_id(&image.id), &size, "0B", &mark];
    for (at, name) in lines.iter().enumerate() {
        let short = render::ellipsis(name, first);
        let painted = look.paint(&color, &short);
        if at + 1 < lines.len() {
            out.push_str(&painted);
            out.push('\n');
            continue;
        }
        out.push_str(&cell(&painted, short.chars().count(), first, false));
    }
    for (text, (title, width, right)) in details.into_iter().zip(columns) {
        out.push_str(&" ".repeat(SPACING));
        let (painted, length) = match *title {
            "EXTRA" if look.colors && !text.is_empty() => (text.to_owned(), 3),
            "EXTRA" => (text.to_owned(), text.len()),
            _ => (look.paint(&["39"], text), text.len()),
        };
        out.push_str(&cell(&painted, length, *width, *right));
    }
    out.push('\n');
}

/// The names with tags.
fn names(image: &Summary) -> Vec<&str> {
    image.repo_tags.iter().flatten().map(String::as_str).collect()
}

/// A text that takes `length` places, filled up to `width`.
fn cell(text: &str, length: usize, width: usize, right: bool) -> String {
    let fill = " ".repeat(width.saturating_sub(length));
    if right { format!("{fill}{text}") } else { format!("{text}{fill}") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn image(tags: &[&str], containers: i64) -> Summary {
        Summary {
            id: "sha256:0123456789abcdef".to_owned(),
            repo_tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
            size: 2_063_396,
            containers,
            ..Summary::default()
        }
    }

    fn show(images: &[Summary], all: bool, width: usize, colors: bool) -> String {
        text(images, all, width, &Look { colors }).replace('\x1b', "~")
    }

    #[test]
    fn plain_and_narrow() {
        let images = [
            image(&["a/c:1", "b:2"], 1),
            image(&["a-name-that-is-longer-than-its-column:latest"], 0),
            image(&[], 0),
        ];
        expect![[r#"
            WARNING: This is an experimental feature. The output may change and shouldn't be depended on.
                                                                          Info ->  U In Use 

            ~[39m~[1mIMAGE~[0m                           ~[39m~[1mID~[0m             ~[39m~[1mDISK USAGE~[0m   ~[39m~[1mCONTENT SIZE~[0m   ~[39m~[1mEXTRA~[0m
            a/c:1
            b:2                             0123456789ab       2.06MB             0B   U    
            a-name-that-is-longer-than-i…   0123456789ab       2.06MB             0B        
        "#]].assert_eq(&show(&images, false, 80, false));
        expect![[r#"
            WARNING: This is an experimental feature. The output may change and shouldn't be depended on.
                                            Info ->  U In Use 

            ~[39m~[1mIMAGE~[0m   ~[39m~[1mID~[0m             ~[39m~[1mDISK USAGE~[0m
            <unt…   0123456789ab       2.06MB
        "#]]
        .assert_eq(&show(&images[2..], true, 50, false));
    }

    #[test]
    fn colored() {
        expect![[r#"
            ~[93mWARNING: This is an experimental feature. The output may change and shouldn't be depended on.~[0m
                                                                       ~[1m~[106m~[30mi~[0m~[0m ~[96mInfo → ~[0m~[0m ~[38;5;0m~[48;5;14m U ~[0m In Use 

            ~[39m~[1mIMAGE~[0m   ~[39m~[1mID~[0m             ~[39m~[1mDISK USAGE~[0m   ~[39m~[1mCONTENT SIZE~[0m   ~[39m~[1mEXTRA~[0m
            ~[34m~[1ma:1~[0m     ~[39m0123456789ab~[0m       ~[39m2.06MB~[0m             ~[39m0B~[0m   ~[38;5;0m~[48;5;14m U ~[0m  
        "#]].assert_eq(&show(&[image(&["a:1"], 1)], false, 80, true));
    }
}
