//! The two spellings of a key, Prometheus' `remote_timeout` and the operator's `remoteTimeout`.

/// Where the operator's spelling is not simply Prometheus' in the other style.
const IRREGULAR: [(&str, &str); 5] = [
    ("azureAd", "azuread"),
    ("enableHTTP2", "enable_http2"),
    ("messageVersion", "protobuf_message"),
    ("retryOnRateLimit", "retry_on_http_429"),
    ("roundRobinDNS", "round_robin_dns"),
];
/// How like each other two keys must be for one to be suggested for the other, from 0 to 1.
const LIKE: f64 = 0.75;

/// A key in Prometheus' spelling.
pub(super) fn snake_case(key: &str) -> String {
    if let Some((_, snake)) = IRREGULAR.iter().find(|(camel, _)| *camel == key) {
        return (*snake).to_owned();
    }
    let mut snake = String::with_capacity(key.len() + 4);
    for character in key.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// What to say of a key that is none of `fields`.
pub(super) fn unknown_key(written: &str, fields: &[&str]) -> String {
    let wanted = snake_case(written);
    let own = fields.iter().filter(|field| snake_case(field) == **field);
    let likeness = |field: &&str| strsim::normalized_damerau_levenshtein(&wanted, field);
    let closest = own.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match closest.filter(|field| likeness(field) >= LIKE || field.replace('_', "") == wanted) {
        Some(field) if written.contains(|c: char| c.is_ascii_uppercase()) => {
            format!(
                "unknown key `{written}`, did you mean `{}`?",
                camel_case(field)
            )
        }
        Some(field) => format!("unknown key `{written}`, did you mean `{field}`?"),
        None => format!("unknown key `{written}`"),
    }
}

fn camel_case(key: &str) -> String {
    if let Some((camel, _)) = IRREGULAR.iter().find(|(_, snake)| *snake == key) {
        return (*camel).to_owned();
    }
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut camel, word| {
        let mut characters = word.chars();
        camel.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(characters.as_str());
        camel
    })
}
