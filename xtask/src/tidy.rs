//! `cargo xtask tidy`: rules of the project that the compiler does not know.

mod layers;
mod lengths;
mod links;
mod names;
mod reasons;

use crate::checkout;
use crate::steps::say;
use anyhow::{Result, bail};

/// One thing that is not as it should be: `file: what`.
pub type Finding = String;

/// Checks everything, and prints all findings.
pub fn run() -> Result<()> {
    let files = checkout::files()?;
    let texts = Texts::read(&files)?;
    let mut findings = Vec::new();
    findings.extend(names::check(&files));
    findings.extend(lengths::check(&texts.rust, lengths::EXCEPTIONS));
    findings.extend(links::check(&texts.markdown, &|path| checkout::root().join(path).exists()));
    findings.extend(reasons::check(&texts.rust, &texts.markdown));
    findings.extend(layers::check(&layers::read()?, layers::LAYERS));
    findings.iter().for_each(|finding| say(finding));
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} to tidy up"),
    }
}

/// Path and text of the files that rules look into.
struct Texts {
    rust: Vec<(String, String)>,
    markdown: Vec<(String, String)>,
}

impl Texts {
    fn read(files: &[String]) -> Result<Self> {
        let with = |extension: &str| {
            files
                .iter()
                .filter(|file| file.ends_with(extension))
                .map(|file| Ok((file.clone(), checkout::read(file)?)))
                .collect::<Result<_>>()
        };
        Ok(Texts { rust: with(".rs")?, markdown: with(".md")? })
    }
}
