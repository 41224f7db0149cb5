//! Character classes and escapes: those in brackets, Perl's, POSIX', Unicode's.

use std::fmt::Write as _;

use super::ParseError;

/// Go's Perl classes are ASCII; each is written for the inside of brackets.
const PERL: [(&str, &str); 6] = [
    ("\\d", "0-9"),
    ("\\D", "[^0-9]"),
    ("\\w", "0-9A-Za-z_"),
    ("\\W", "[^0-9A-Za-z_]"),
    ("\\s", "\\t\\n\\x0C\\r "),
    ("\\S", "[^\\t\\n\\x0C\\r ]"),
];
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Translates the class in brackets at the front of `text`; also answers what follows it.
pub(super) fn translate(text: &str) -> Result<(String, &str), ParseError> {
    let mut class = String::from("[");
    let mut rest = text.strip_prefix('[').unwrap_or(text);
    if let Some(after) = rest.strip_prefix('^') {
        class.push('^');
        rest = after;
    }
    let mut first = true;
    loop {
        if rest.is_empty() {
            return Err(ParseError::new("missing closing ]", text));
        }
        if !first && let Some(after) = rest.strip_prefix(']') {
            class.push(']');
            return Ok((class, after));
        }
        first = false;
        if let Some((posix, after)) = posix(rest)? {
            class.push_str(&posix);
            rest = after;
        } else if let Some((named, after)) = named(rest)? {
            class.push_str(&named);
            rest = after;
        } else {
            rest = range(rest, text, &mut class)?;
        }
    }
}

/// A Perl or Unicode class at the front of `text`, written for the inside of brackets.
pub(super) fn named(text: &str) -> Result<Option<(String, &str)>, ParseError> {
    for (perl, class) in PERL {
        if let Some(rest) = text.strip_prefix(perl) {
            return Ok(Some((class.to_owned(), rest)));
        }
    }
    let (negated, after) = match (text.strip_prefix("\\p"), text.strip_prefix("\\P")) {
        (Some(after), _) => (false, after),
        (_, Some(after)) => (true, after),
        _ => return Ok(None),
    };
    let invalid = |length: usize| {
        let excerpt = text.get(..length).unwrap_or(text);
        ParseError::new("invalid character class range", excerpt)
    };
    let (name, rest) = if let Some(braced) = after.strip_prefix('{') {
        braced.split_once('}').ok_or_else(|| invalid(text.len()))?
    } else {
        let length = after.chars().next().map_or(0, char::len_utf8);
        after.split_at(length)
    };
    let (inverted, name) = name
        .strip_prefix('^')
        .map_or((false, name), |name| (true, name));
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(invalid(text.len() - rest.len()));
    }
    let sign = if negated == inverted { 'p' } else { 'P' };
    // Go knows general categories and scripts, by their names. No text holds a surrogate.
    let known = match (name, sign) {
        ("Cs", 'p') => Some("[^\\x{0}-\\x{10FFFF}]".to_owned()),
        ("Cs", _) => Some("\\x{0}-\\x{10FFFF}".to_owned()),
        _ => ["gc", "sc"]
            .map(|property| format!("\\{sign}{{{property}={name}}}"))
            .into_iter()
            .find(|class| regex_syntax::parse(class).is_ok()),
    };
    let class = known.ok_or_else(|| invalid(text.len() - rest.len()))?;
    Ok(Some((class, rest)))
}

/// `[:alpha:]` or `[:^alpha:]` at the front of what stands in brackets.
fn posix(text: &str) -> Result<Option<(String, &str)>, ParseError> {
    let Some((name, rest)) = text
        .strip_prefix("[:")
        .and_then(|after| after.split_once(":]"))
    else {
        return Ok(None);
    };
    if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        let excerpt = text.get(..name.len() + 4).unwrap_or(text);
        return Err(ParseError::new("invalid character class range", excerpt));
    }
    Ok(Some((format!("[:{name}:]"), rest)))
}

/// A character or a range of two; answers what follows.
fn range<'t>(text: &'t str, whole: &str, class: &mut String) -> Result<&'t str, ParseError> {
    let (low, rest) = character(text, whole)?;
    push_literal(class, low);
    let Some(after) = rest
        .strip_prefix('-')
        .filter(|after| !after.starts_with(']'))
    else {
        return Ok(rest);
    };
    if after.is_empty() {
        return Err(ParseError::new("missing closing ]", whole));
    }
    let (high, rest) = character(after, whole)?;
    if high < low {
        let excerpt = text.get(..text.len() - rest.len()).unwrap_or(text);
        return Err(ParseError::new("invalid character class range", excerpt));
    }
    class.push('-');
    push_literal(class, high);
    Ok(rest)
}

fn character<'t>(text: &'t str, whole: &str) -> Result<(char, &'t str), ParseError> {
    if text.starts_with('\\') {
        return escaped(text);
    }
    let mut characters = text.chars();
    let missing = || ParseError::new("missing closing ]", whole);
    characters
        .next()
        .map(|first| (first, characters.as_str()))
        .ok_or_else(missing)
}

/// The character that the escape at the front of `text` stands for, and what follows it.
pub(super) fn escaped(text: &str) -> Result<(char, &str), ParseError> {
    let mut characters = text.chars();
    characters.next();
    let Some(letter) = characters.next() else {
        return Err(ParseError::new(
            "trailing backslash at end of expression",
            "",
        ));
    };
    let rest = characters.as_str();
    let invalid = || {
        let excerpt = text.get(..1 + letter.len_utf8()).unwrap_or(text);
        ParseError::new("invalid escape sequence", excerpt)
    };
    let character = match letter {
        'a' => '\x07',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => {
            let shown = || ParseError::new("invalid escape sequence", hexadecimal_excerpt(text));
            return hexadecimal(rest).ok_or_else(shown);
        }
        '0'..='7' => return octal(letter, rest).ok_or_else(invalid),
        letter if letter.is_ascii() && !letter.is_ascii_alphanumeric() => letter,
        _ => return Err(invalid()),
    };
    Ok((character, rest))
}

/// `7F` or `{10FFFF}`.
fn hexadecimal(text: &str) -> Option<(char, &str)> {
    let (digits, rest) = match text.strip_prefix('{') {
        Some(braced) => braced.split_once('}')?,
        None => (text.get(..2)?, text.get(2..)?),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let code = u32::from_str_radix(digits, 16).ok()?;
    char::from_u32(code).map(|character| (character, rest))
}

/// A hexadecimal escape that is invalid, up to the character that makes it so.
fn hexadecimal_excerpt(text: &str) -> &str {
    let digit = |character: char| character.is_ascii_hexdigit();
    let end = text
        .char_indices()
        .skip(2)
        .find(|&(at, character)| !digit(character) && (at, character) != (2, '{'));
    end.and_then(|(at, character)| text.get(..at + character.len_utf8()))
        .unwrap_or(text)
}

/// One to three octal digits. A single one that is not zero would be a backreference, which RE2
/// does not have.
fn octal(first: char, rest: &str) -> Option<(char, &str)> {
    let more = rest
        .bytes()
        .take(2)
        .take_while(|byte| (b'0'..=b'7').contains(byte))
        .count();
    if first != '0' && more == 0 {
        return None;
    }
    let (digits, rest) = rest.split_at(more);
    let code = digits.bytes().fold(first.to_digit(8)?, |code, digit| {
        code * 8 + u32::from(digit - b'0')
    });
    char::from_u32(code).map(|character| (character, rest))
}

/// Writes a character so that it stands for itself, inside brackets and outside.
pub(super) fn push_literal(pattern: &mut String, character: char) {
    if character.is_ascii_alphanumeric() || character == '_' || !character.is_ascii() {
        pattern.push(character);
    } else {
        write!(pattern, "\\x{:02X}", u32::from(character))
            .expect("writing to a string does not fail");
    }
}
