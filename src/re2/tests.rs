use super::{Regex, Template};

/// Patterns with a text that matches and one that does not, as Go has it.
#[test]
fn patterns_match_as_in_go() {
    for (pattern, matches, not) in [
        (r"a.c", "a\nc", "abcd"),
        (r"\d", "7", "٣"),
        (r"\D", "٣", "7"),
        (r"\w+", "a_9", "é"),
        (r"\W", "é", "a"),
        (r"\s", "\t", "\u{a0}"),
        (r"\S", "\u{b}", " "),
        (r"[\d\s]+", "1 2", "1\u{a0}2"),
        (r"[^\d]", "٣", "7"),
        (r"[\D]", "٣", "7"),
        (r"é\b.", "éa", "éé"),
        (r"\Qa.b\E", "a.b", "axb"),
        (r"\Qab\E+", "abb", "abab"),
        (r"[[]", "[", "]"),
        (r"[]]", "]", "["),
        (r"[^]]", "[", "]"),
        (r"[a-z&&b]+", "a&b", "A"),
        (r"[a~~b]+", "a~b", "c"),
        (r"[a-]", "-", "b"),
        (r"[-a]", "-", "b"),
        (r"[a#]", "#", " "),
        (r"\07", "\u{7}", "7"),
        (r"\123", "S", "1"),
        (r"\0", "\0", "0"),
        (r"a{,2}", "a{,2}", "aa"),
        (r"a{", "a{", "a"),
        (r"a{1", "a{1", "a"),
        (r"a{2}", "aa", "a"),
        (r"a{1,2}?b", "ab", "aaab"),
        (r"a{01}", "a{01}", "a"),
        (r"\<a", "<a", "a"),
        (r"\>", ">", ""),
        (r"\pN", "٣", "x"),
        (r"\PN", "x", "٣"),
        (r"\p{Greek}+", "αβ", "ab"),
        (r"\p{^Greek}", "a", "α"),
        (r"[\p{Lu}_]+", "A_", "a"),
        (r"\x41\x{1F600}", "A😀", "A"),
        (r"a\z", "a", "a\n"),
        (r"\Aa", "a", "ba"),
        (r"(?P<n>a)(?<m>b)", "ab", "a"),
        (r"[[:word:]]+", "a_1", "é"),
        (r"[[:^alpha:]]", "1", "a"),
        (r"a\/b", "a/b", "a"),
        (r"(?i)k", "\u{212a}", "x"),
        (r"(?i:A)b", "ab", "aB"),
        (r"(?-s:.)", "a", "\n"),
        (r"(?s-i:a)", "a", "A"),
        (r"(?U)a+b", "aab", "b"),
        (r"(?m)^a$\nb", "a\nb", "a"),
        (r"a|b", "b", "ab"),
        (r"", "", "a"),
        (r"(|a)*", "aa", "b"),
        (r"^*a", "a", "b"),
        (r"[a-c-e]+", "b-e", "d"),
        (r"a b # c", "a b # c", "ab"),
        (r"[\x41-\x43]", "B", "D"),
        (r"\.\*\+\?\(\)\|\[\]\{\}\^\$\\", r".*+?()|[]{}^$\", "a"),
        (r"}", "}", "{"),
        (r"]", "]", "["),
        (r"a)|(b", "ax", "ca"),
    ] {
        let regex = Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert!(regex.is_match(matches), "{pattern} on {matches:?}");
        assert!(!regex.is_match(not), "{pattern} on {not:?}");
    }
}

#[test]
fn what_go_refuses_is_refused_in_its_words() {
    for (pattern, expected) in [
        // The quotation takes in the end of the group that Prometheus puts around a pattern.
        (r"\Qa.b", r"missing closing ): `\Qa.b`"),
        ("abc(def", "missing closing ): `abc(def`"),
        ("a))", "unexpected ): `a))`"),
        ("[a", "missing closing ]"),
        ("[]", "missing closing ]"),
        ("[a--b]", "invalid character class range: `a--`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a*+", "invalid nested repetition operator: `*+`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("a???", "invalid nested repetition operator: `???`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("a|*", "missing argument to repetition operator: `*`"),
        ("(+)", "missing argument to repetition operator: `+`"),
        ("x{1001}", "invalid repeat count: `{1001}`"),
        ("x{2,1}", "invalid repeat count: `{2,1}`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?!a)", "invalid or unsupported Perl syntax: `(?!`"),
        ("(?<=a)", "invalid or unsupported Perl syntax: `(?<=`"),
        ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
        ("(?P=n)", "invalid or unsupported Perl syntax: `(?P`"),
        ("(?P<n>a)(?P<n>b)", "invalid named capture: `(?P<n>`"),
        ("(?P<a-b>x)", "invalid named capture: `(?P<a-b>`"),
        (r"\1", r"invalid escape sequence: `\1`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        (r"\y", r"invalid escape sequence: `\y`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"\x{110000}", r"invalid escape sequence: `\x`"),
        (r"\xg", r"invalid escape sequence: `\x`"),
        (r"\p{Foo}", r"invalid character class range: `\p{Foo}`"),
        (r"\pX", r"invalid character class range: `\pX`"),
    ] {
        let error = Regex::new(pattern).expect_err(pattern).to_string();
        assert!(
            error.starts_with("error parsing regexp: "),
            "{pattern}: {error}"
        );
        assert!(error.contains(expected), "{pattern}: {error}");
    }
}

#[test]
fn a_pattern_that_explodes_is_refused_quickly() {
    let error = Regex::new("((a{1000}){1000}){1000}")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("too large") || error.contains("size"),
        "{error}"
    );
    drop(Regex::new(&"(".repeat(100_000)).unwrap_err());
    drop(Regex::new(&format!("{}{}", "(".repeat(50_000), ")".repeat(50_000))).unwrap_err());
}

#[test]
fn templates_expand_as_in_go() {
    let regex = Regex::new("(?P<first>a+)(b*)(?P<third>c)?").unwrap();
    for (template, expected) in [
        ("$1", "aa"),
        ("${1}x", "aax"),
        ("$1x", ""),
        ("$first", "aa"),
        ("${first}-$2", "aa-b"),
        ("$third", ""),
        ("$4", ""),
        ("$0", "aab"),
        ("$00", ""),
        ("$01", ""),
        ("$$1", "$1"),
        ("$", "$"),
        ("a$", "a$"),
        ("${", "${"),
        ("${}", "${}"),
        ("${1", "${1"),
        ("$-", "$-"),
        ("ch${1}-ch${1}", "chaa-chaa"),
        ("", ""),
        ("ü${1}ü", "üaaü"),
        ("ü$1ü", "ü"),
        ("$1ü", ""),
    ] {
        let [expanded] = regex.expand("aab", [&Template::new(template)]).unwrap();
        assert_eq!(expanded, expected, "{template}");
    }
}

#[test]
fn finite_texts_are_all_that_match() {
    let finite = |pattern| {
        let mut texts = Regex::new(pattern).unwrap().finite()?;
        texts.sort();
        Some(texts)
    };
    assert_eq!(
        finite("container_name"),
        Some(vec!["container_name".to_owned()])
    );
    assert_eq!(
        finite("pod|service"),
        Some(vec!["pod".to_owned(), "service".to_owned()])
    );
    assert_eq!(
        finite("a[bc]?"),
        Some(vec!["a".to_owned(), "ab".to_owned(), "ac".to_owned()])
    );
    assert_eq!(finite("a.*"), None);
    assert_eq!(finite("(.*)"), None);
}
