//! Names of files with wildcards in the last part.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, de};

const EXTENSIONS: [&str; 6] = ["json", "yml", "yaml", "JSON", "YML", "YAML"];
/// Files that one pattern can match.
const MAX_FILES: usize = 10_000;

/// The name of a JSON or YAML file; in its last part `*` stands for any text, `?` for any
/// character, and `[a-z]` or `[^a-z]` for one of a kind, as in Go's `filepath.Glob`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The files that match, below `base` unless the pattern is absolute, sorted.
    ///
    /// # Errors
    /// If the directory cannot be read; one that does not exist has no files.
    pub(super) fn files(&self, base: &Path) -> std::io::Result<Vec<PathBuf>> {
        let path = base.join(&self.0);
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(Vec::new());
        };
        let name: Vec<char> = name.to_string_lossy().chars().collect();
        if !name.iter().any(|character| "*?[\\".contains(*character)) {
            return Ok(if path.exists() {
                vec![path]
            } else {
                Vec::new()
            });
        }
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let candidate: Vec<char> = entry.file_name().to_string_lossy().chars().collect();
            if matches(&name, &candidate) && files.len() < MAX_FILES {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let last = text.rsplit('/').next().unwrap_or_default();
        let extension = last.rsplit_once('.').map(|(_, extension)| extension);
        let known = extension.is_some_and(|extension| EXTENSIONS.contains(&extension));
        // One star at the most, and no directory below it, as Prometheus has it.
        let star = text.find('*').is_none_or(|at| {
            let rest = text.get(at + 1..).unwrap_or_default();
            !rest.contains(['*', '/'])
        });
        if known && star {
            return Ok(Self(text));
        }
        Err(de::Error::custom(format!(
            "path name \"{text}\" is not valid for file discovery: it must end in .json, .yml or \
             .yaml, and can have one `*` in its last part"
        )))
    }
}

/// Whether `text` is what `pattern` describes. Without stars there is one way to try, and each
/// star adds a loop; a pattern has one.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return text.is_empty();
    };
    match (first, text.split_first()) {
        ('*', _) => (0..=text.len()).any(|taken| matches(rest, &text[taken..])),
        (_, None) => false,
        ('?', Some((_, text))) => matches(rest, text),
        ('[', Some((character, text))) => match class(rest, *character) {
            Some((true, rest)) => matches(rest, text),
            _ => false,
        },
        ('\\', Some((character, text))) if !cfg!(windows) => match rest.split_first() {
            Some((escaped, rest)) => escaped == character && matches(rest, text),
            None => false,
        },
        (literal, Some((character, text))) => literal == character && matches(rest, text),
    }
}

/// Whether the class that `pattern` begins with has `character`, and what follows the class.
fn class(pattern: &[char], character: char) -> Option<(bool, &[char])> {
    let (negated, mut rest) = match pattern {
        ['^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        match rest {
            [']', after @ ..] => return Some((found != negated, after)),
            [low, '-', high, after @ ..] if *high != ']' => {
                found |= (*low..=*high).contains(&character);
                rest = after;
            }
            [one, after @ ..] => {
                found |= *one == character;
                rest = after;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, matches};

    #[test]
    fn wildcards_match_as_in_go() {
        let check = |pattern: &str, text: &str| {
            let (pattern, text): (Vec<_>, Vec<_>) =
                (pattern.chars().collect(), text.chars().collect());
            matches(&pattern, &text)
        };
        for (pattern, text) in [
            ("*.json", "a.json"),
            ("*.json", ".json"),
            ("node-?.yml", "node-1.yml"),
            ("node-[0-9a].yml", "node-a.yml"),
            ("node-[^0-9].yml", "node-a.yml"),
            ("a*b.yml", "aéb.yml"),
        ] {
            assert!(check(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("*.json", "a.yml"),
            ("node-?.yml", "node-.yml"),
            ("node-[0-9].yml", "node-a.yml"),
            ("node-[.yml", "node-[.yml"),
            ("a.yml", "A.yml"),
        ] {
            assert!(!check(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn only_names_that_prometheus_takes_are_taken() {
        let parse = |text: &str| serde_json::from_value::<Pattern>(text.into());
        for text in ["a.json", "/x/y.yml", "x/*.yaml", "a*b.JSON"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in ["", "a", "a.txt", "*/a.json", "**.json", "a.json/", "*"] {
            let message = parse(text).unwrap_err().to_string();
            assert!(
                message.contains("is not valid for file discovery"),
                "{text}: {message}"
            );
        }
    }
}
