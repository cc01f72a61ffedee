//! Files are named by what they do.

use super::Finding;

/// Names that say nothing.
const BANNED: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

/// Finds files and folders with such names.
pub fn check(files: &[String]) -> Vec<Finding> {
    let banned = |file: &&String| {
        file.split('/').any(|part| {
            let stem = part.split('.').next().unwrap_or(part);
            BANNED.contains(&stem.to_ascii_lowercase().as_str())
        })
    };
    files.iter().filter(banned).map(|file| format!("{file}: name it by what it does")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_does() {
        let table = [
            ("syncer/src/pods.rs", true),
            ("syncer/src/utils.rs", false),
            ("syncer/src/Helpers/pods.rs", false),
            ("common/Cargo.toml", false),
            ("docs/misc.md", false),
            ("docs/uncommon.md", true),
            ("src/common_names.rs", true),
        ];
        for (file, good) in table {
            assert_eq!(check(&[file.to_owned()]).is_empty(), good, "{file}");
        }
    }
}
