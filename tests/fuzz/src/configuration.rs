//! Configuration files: no panic, and a file that is refused says why.

use promrelay::config;

/// Longer ones only take longer: what is quadratic shows in these.
const MAX_BYTES: usize = 16 << 10;

/// Reads the file.
pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if text.len() > MAX_BYTES {
        return;
    }
    let environment = |name: &str| name.len().is_multiple_of(2).then(|| "a b: [c".to_owned());
    match config::parse("f.yml", text, &environment) {
        Ok(config) => assert!(!config.routes.is_empty()),
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(problem.to_string().starts_with("f.yml:"), "{problem}");
            }
        }
    }
}
