//! Patterns of `${v#p}` and its kin: `*` and `?`, with a backslash before what is meant literally.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Star,
    Any,
    Char(char),
}

impl Token {
    /// compat: wildcards stop at a line's end, as they do in Docker, where they become regular expressions.
    fn takes(self, c: char) -> bool {
        match self {
            Self::Star | Self::Any => c != '\n',
            Self::Char(want) => c == want,
        }
    }
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Token>);

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::Any,
                // These two are escaped for the substitution's sake, not for the pattern's.
                '\\' if matches!(chars.peek(), Some('}' | '/')) => continue,
                '\\' => match chars.next() {
                    Some(c @ ('*' | '?' | '\\')) => Token::Char(c),
                    other => return Err(format!("invalid escape '\\{}'", other.unwrap_or('\u{fffd}'))),
                },
                c => Token::Char(c),
            });
        }
        Ok(Self(tokens))
    }

    /// `value` without the shortest or longest start that matches.
    pub(super) fn trim_start(&self, value: &str, longest: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let end = pick(&ends(&self.0, &chars), longest).unwrap_or(0);
        chars[end..].iter().collect()
    }

    /// `value` without the shortest or longest end that matches.
    pub(super) fn trim_end(&self, value: &str, longest: bool) -> String {
        let chars: Vec<char> = value.chars().rev().collect();
        let tokens: Vec<Token> = self.0.iter().rev().copied().collect();
        let end = pick(&ends(&tokens, &chars), longest).unwrap_or(0);
        chars[end..].iter().rev().collect()
    }

    /// `value` with the first match, or all, replaced; each is as long as can be.
    ///
    /// # Errors
    /// If a long value would have to be searched again and again, or the result is too long.
    pub(super) fn replace(&self, value: &str, replacement: &str, all: bool) -> Result<String, String> {
        let chars: Vec<char> = value.chars().collect();
        let mut out = String::new();
        let (mut pos, mut last_end, mut work) = (0, None, 0);
        while pos <= chars.len() {
            let found = ends(&self.0, &chars[pos..]);
            work += found.work;
            if work > MOST_WORK {
                return Err("the pattern takes too long".to_owned());
            }
            match pick(&found, true) {
                // An empty match right after another one does not count.
                Some(len) if len > 0 || last_end != Some(pos) => {
                    out.push_str(replacement);
                    pos += len;
                    last_end = Some(pos);
                    if !all {
                        break;
                    }
                    if len > 0 {
                        continue;
                    }
                }
                _ => {}
            }
            out.extend(chars.get(pos));
            pos += 1;
            if out.len() > super::LONGEST {
                return Err(format!("the result is longer than {} bytes", super::LONGEST));
            }
        }
        out.extend(chars.get(pos..).unwrap_or_default());
        Ok(out)
    }
}

/// Steps that a replacement may take.
const MOST_WORK: usize = 1 << 25;

/// Places where a match that begins at the start can end, in order, and how many steps it took to find them.
struct Ends {
    places: Vec<usize>,
    work: usize,
}

fn pick(ends: &Ends, longest: bool) -> Option<usize> {
    if longest { ends.places.last() } else { ends.places.first() }.copied()
}

/// Follows all ways at once, so that no pattern takes more than tokens × characters.
fn ends(tokens: &[Token], chars: &[char]) -> Ends {
    let mut places = vec![0];
    let mut work = 1;
    for token in tokens {
        if *token == Token::Star {
            let mut reached = Vec::new();
            for place in places {
                // Whatever an earlier place reached is there already.
                if reached.last().is_some_and(|last| *last >= place) {
                    continue;
                }
                reached.push(place);
                let taken = chars[place..].iter().take_while(|c| token.takes(**c)).count();
                reached.extend(place + 1..=place + taken);
            }
            places = reached;
        } else {
            places.retain(|place| chars.get(*place).is_some_and(|c| token.takes(*c)));
            places.iter_mut().for_each(|place| *place += 1);
        }
        work += places.len();
        if places.is_empty() {
            break;
        }
    }
    Ends { places, work }
}
