use super::{Regex, Template};

/// Patterns with a text that matches and one that does not, as Go has it: Prometheus' own tools
/// were asked for what is not obvious.
const MATCHES: &[(&str, &str, &str)] = &[
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
    (r"(?)a", "a", "A"),
    (r"(?ii)a", "A", "b"),
    (r"(?i-i)a", "a", "A"),
    (r"(?i)s", "ſ", "x"),
    (r"(?i)\w", "\u{212a}", "é"),
    (r"(?i)[^k]", "x", "\u{212a}"),
    (r"(?i)é", "É", "e"),
    (r"(?i)a|b", "B", "c"),
    (r"(?P<n>a)|(?P<n>b)", "b", "ab"),
    (r"(?P<1x>a)", "a", "b"),
    (r"\p{Yi}", "ꀀ", "a"),
    (r"\pL\p{Nd}", "é٣", "1a"),
    (r"\P{Cs}", "a", "ab"),
    (r"a|\p{Cs}", "a", "b"),
    (r"[[:word:]-]+", "a-_", "é"),
    (r"[+--]+", "+,-", "."),
    (r"[[-\]]+", "[\\]", "a"),
    (r"\1417", "a7", "a"),
    (r"\_\-\ ", "_- ", "a"),
    (r"((x{1000}){0}){1000}y", "y", "xy"),
    (r"(x{1000})*", "", "x"),
    (r"a{0}b", "b", "ab"),
    (r"a{}", "a{}", "a"),
    (r"a{1a}", "a{1a}", "a"),
    (r"(a*)+", "aaa", "b"),
    (r"a||b", "", "ab"),
    (r"x*", "", "a"),
    (r"\B.a", "-a", "aa"),
    (r"(?m)a$", "a", "a\n"),
];

/// What Go refuses, and its reason.
const REFUSED: &[(&str, &str)] = &[
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
    ("x{1,1001}", "invalid repeat count: `{1,1001}`"),
    ("x{99999999999}", "invalid repeat count: `{99999999999}`"),
    ("(x{10}){101}", "invalid repeat count: `{101}`"),
    ("(x{501}){2}", "invalid repeat count: `{2}`"),
    ("(x{2,}){501}", "invalid repeat count: `{501}`"),
    ("((x{10}){10}){11}?", "invalid repeat count: `{11}?`"),
    ("((x{600}|y){1}){2}", "invalid repeat count: `{2}`"),
    ("(?:x{1000}){2,}", "invalid repeat count: `{2,}`"),
    ("{2}", "missing argument to repetition operator: `{2}`"),
    ("+?", "missing argument to repetition operator: `+?`"),
    ("a*{2}", "invalid nested repetition operator: `*{2}`"),
    ("a*?+", "invalid nested repetition operator: `*?+`"),
    (r"\Q\E*", "missing argument to repetition operator: `*`"),
    ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
    ("(?!a)", "invalid or unsupported Perl syntax: `(?!`"),
    ("(?<=a)", "invalid or unsupported Perl syntax: `(?<`"),
    ("(?<!a)", "invalid or unsupported Perl syntax: `(?<`"),
    ("(?>a)", "invalid or unsupported Perl syntax: `(?>`"),
    ("(?#c)", "invalid or unsupported Perl syntax: `(?#`"),
    ("(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`"),
    ("(?-:a)", "invalid or unsupported Perl syntax: `(?-:`"),
    ("(?--i)a", "invalid or unsupported Perl syntax: `(?--`"),
    ("(?P<n", "invalid named capture: `(?P<n`"),
    ("(?P<>a)", "invalid named capture: `(?P<>`"),
    ("(?P<é>a)", "invalid named capture: `(?P<é>`"),
    ("(", "missing closing ): `(`"),
    ("(?i", "missing closing ): `(?i`"),
    ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
    ("(?P=n)", "invalid or unsupported Perl syntax: `(?P`"),
    ("(?P<a-b>x)", "invalid named capture: `(?P<a-b>`"),
    (r"\1", r"invalid escape sequence: `\1`"),
    (r"\8", r"invalid escape sequence: `\8`"),
    (r"\y", r"invalid escape sequence: `\y`"),
    (r"\Z", r"invalid escape sequence: `\Z`"),
    (r"\C", r"invalid escape sequence: `\C`"),
    (r"\u0041", r"invalid escape sequence: `\u`"),
    (r"\é", r"invalid escape sequence: `\é`"),
    (r"[\b]", r"invalid escape sequence: `\b`"),
    (r"[\Qa\E]", r"invalid escape sequence: `\Q`"),
    (r"\x{110000}", r"invalid escape sequence: `\x{110000}`"),
    (r"\x{4g}", r"invalid escape sequence: `\x{4g`"),
    (r"\x{}", r"invalid escape sequence: `\x{}`"),
    (r"\xg", r"invalid escape sequence: `\xg`"),
    (r"\x4", r"invalid escape sequence: `\x4)`"),
    (r"\p{}", r"invalid character class range: `\p{}`"),
    (
        r"\p{Alphabetic}",
        r"invalid character class range: `\p{Alphabetic}`",
    ),
    (r"[a-\d]", r"invalid escape sequence: `\d`"),
    (r"\p{Foo}", r"invalid character class range: `\p{Foo}`"),
    (r"\pX", r"invalid character class range: `\pX`"),
];

#[test]
fn patterns_match_as_in_go() {
    for &(pattern, matches, not) in MATCHES {
        let regex = Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert!(regex.is_match(matches), "{pattern} on {matches:?}");
        assert!(!regex.is_match(not), "{pattern} on {not:?}");
    }
}

#[test]
fn what_go_refuses_is_refused_in_its_words() {
    for &(pattern, expected) in REFUSED {
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
    let error = |pattern: &str| Regex::new(pattern).unwrap_err().to_string();
    assert!(error(r"(\pL{1000})").contains("expression too large"));
    let nested = |depth| format!("{}{}", "(".repeat(depth), ")".repeat(depth));
    assert!(error(&nested(1000)).contains("expression nests too deeply"));
    drop(Regex::new(&"(?:a|b(".repeat(120)).unwrap_err());
    assert!(
        Regex::new("(x{10}){100}")
            .unwrap()
            .is_match(&"x".repeat(1000))
    );
    let deep = format!("{}{}", "(?:a|b".repeat(240), ")*".repeat(240));
    drop(Regex::new(&deep).unwrap());
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
        // A superscript two is no decimal digit, hence no part of the name.
        ("$1²", "aa²"),
        ("$1٣", ""),
        ("$100000000", ""),
        ("$$$$", "$$"),
        ("$first$2", "aab"),
    ] {
        let [expanded] = regex.expand("aab", [&Template::new(template)]).unwrap();
        assert_eq!(expanded, expected, "{template}");
    }
}

#[test]
fn a_few_texts_can_be_named() {
    for (pattern, expected) in [
        ("container_name", Some(vec!["container_name"])),
        ("service|pod|pod", Some(vec!["pod", "service"])),
        ("a[bc]?", Some(vec!["a", "ab", "ac"])),
        ("(?i)ab", Some(vec!["AB", "Ab", "aB", "ab"])),
        (r"a\b-|a\bb", Some(vec!["a-"])),
        ("", Some(vec![""])),
        ("a)|(b", None),
        ("a.*", None),
        ("(.*)", None),
    ] {
        let regex = Regex::new(pattern).unwrap();
        let finite: Option<Vec<&str>> = regex
            .finite()
            .map(|texts| texts.iter().map(String::as_str).collect());
        assert_eq!(finite, expected, "{pattern}");
    }
}

#[test]
fn shapes_match_what_the_automaton_matches() {
    let texts = [
        "", "a", "b", "ab", "abc", "a\n", "\n", "é", "aé", "pod", "pods", "POD", "x;y", "x;", "x",
    ];
    for pattern in [
        "",
        "a",
        "a|b",
        "(a|b)?",
        ".*",
        "(.*)",
        ".+",
        "a.*",
        "(?:a)(.+)",
        "a(.*)?",
        "(?-s:a.*)",
        "(?-s).+",
        "(?i)pod",
        "(?i)pod.*",
        "pod.*|x",
        "x;.+",
        ".?",
        ".{2,}",
        "^a$",
        "a$.*",
        "(?U)a.*",
        "(?m)a$",
        r"a\b",
        r"\p{Cs}",
        "[ab]",
        "a.*b.*",
        "a)|(b",
        ".*)|(?:b",
        "x;(?:a|po(?:d|ds)|b.*|(?:é|x;).+)",
        "(?:a|b)(?:c|.*)",
        "(?:a|b.*)c",
        "(?:ab?|p[no]d)s?",
        "(?:a.*|b)(?:|c)",
        "(?:^a|b)",
        "(?:a|b$).*",
        "(?i)x;|a.*",
    ] {
        let regex = Regex::new(pattern).unwrap();
        for text in texts {
            let automaton = regex.compiled.is_match(text);
            assert_eq!(regex.is_match(text), automaton, "{pattern} on {text:?}");
        }
    }
    let decided = |pattern: &str| Regex::new(pattern).unwrap().shape.is_match("a").is_some();
    for pattern in [
        "a",
        "node-exporter;windows_.*",
        "(.*)",
        ".+",
        "kubelet|cadvisor",
        "node-exporter;(?:windows_cpu_time_total|windows_memory_.*|windows_os_.*)",
        "coredns;(?:coredns_cache_(size|entries|(hits|misses)_total)|process_open_fds)",
    ] {
        assert!(decided(pattern), "{pattern}");
    }
}
