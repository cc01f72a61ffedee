//! Names that are derived: short enough, and distinct where what they stand for is distinct.

use sha2::{Digest, Sha256};

/// The longest value of a label, and the longest DNS label.
pub const LABEL_MAX: usize = 63;

/// The first digits of the SHA-256 of some texts; an empty byte that no name contains keeps them apart.
pub fn digest(parts: &[&str], digits: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
        text.push_str(&format!("{byte:02x}"));
    }
    text.truncate(digits);
    text
}

/// The name itself when it has at most `max` bytes, else its beginning and ten digits of its hash. Ends with a
/// letter or a digit when the name does.
pub fn fit(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_owned();
    }
    let mut end = max.saturating_sub(11);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{}", name[..end].trim_end_matches(['-', '.', '_']), digest(&[name], 10))
}

/// The value of a label that stands for a name.
pub fn label_value(name: &str) -> String {
    fit(name, LABEL_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_name_stays_and_a_long_one_is_told_apart() {
        assert_eq!(fit("web", 63), "web");
        let (a, b) = (format!("{}a", "x".repeat(80)), format!("{}b", "x".repeat(80)));
        assert!(fit(&a, 63).len() == 63 && fit(&a, 63) != fit(&b, 63));
        assert_ne!(digest(&["a", "bc"], 20), digest(&["ab", "c"], 20));
    }

    proptest! {
        #[test]
        fn a_fitted_name_is_a_name(name in "[a-z0-9]([-a-z0-9.]{0,98}[a-z0-9])?") {
            let short = fit(&name, 63);
            prop_assert!(short.len() <= 63);
            prop_assert!(short.ends_with(|c: char| c.is_ascii_alphanumeric()));
            prop_assert!(short.starts_with(|c: char| c.is_ascii_alphanumeric()));
        }
    }
}
