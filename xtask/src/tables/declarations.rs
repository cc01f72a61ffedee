//! What the Go declarations and the proto files say about a type's fields.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// All declarations, by definition prefix (`io.k8s.api.core.v1`).
#[derive(Default)]
pub struct Declarations {
    packages: BTreeMap<String, Package>,
    messages: Messages,
}

/// Numbers in the proto files, and whether their fields repeat: by prefix and message.
type Messages = BTreeMap<(String, String), BTreeMap<u32, bool>>;

#[derive(Default)]
struct Package {
    structs: BTreeMap<String, Vec<Member>>,
    /// Named types that are no structs, with what they stand for.
    names: BTreeMap<String, String>,
    constants: BTreeMap<String, String>,
}

/// A member of a struct.
#[derive(Clone, Debug)]
struct Member {
    json: String,
    go: String,
    omit_empty: bool,
    omit_zero: bool,
    inline: bool,
    number: Option<u32>,
    repeated: bool,
    default: Option<String>,
}

/// A field as JSON shows it.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The type as declared.
    pub go: String,
    /// Left out when empty.
    pub omit_empty: bool,
    /// Left out when its value is the zero value, structs included.
    pub omit_zero: bool,
    /// Protobuf numbers from the outermost message inwards; empty when protobuf has it not.
    pub path: Vec<u32>,
    /// Protobuf repeats it.
    pub repeated: bool,
    /// The declared default, in JSON.
    pub default: Option<String>,
}

impl Declarations {
    /// Reads all `*.go` and `generated.proto` below a folder.
    pub fn read(root: &Path) -> Result<Declarations> {
        let mut declarations = Declarations::default();
        declarations.walk(root, root)?;
        declarations.check()?;
        Ok(declarations)
    }

    fn walk(&mut self, root: &Path, folder: &Path) -> Result<()> {
        let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                self.walk(root, &path)?;
                continue;
            }
            let Some(file) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let relative = folder.strip_prefix(root)?.to_string_lossy().replace('/', ".");
            let relative = relative.split_once("k8s.io.").map_or(relative.as_str(), |(_, rest)| rest);
            let prefix = format!("io.k8s.{relative}");
            if file == "generated.proto" {
                let text = std::fs::read_to_string(&path)?;
                read_proto(&prefix, &text, &mut self.messages);
            } else if file.ends_with(".go") && !file.ends_with("_test.go") {
                let text = std::fs::read_to_string(&path)?;
                read_go(&text, self.packages.entry(prefix).or_default());
            }
        }
        Ok(())
    }

    /// Every number of a struct tag has to be in the proto file, which also knows better what repeats.
    fn check(&mut self) -> Result<()> {
        for (prefix, package) in &mut self.packages {
            for (name, members) in &mut package.structs {
                let Some(numbers) = self.messages.get(&(prefix.clone(), name.clone())) else { continue };
                for member in members {
                    let Some(number) = member.number else { continue };
                    match numbers.get(&number) {
                        Some(repeats) => member.repeated = *repeats,
                        None => {
                            bail!(
                                "{prefix}.{name}: number {number} is in the Go tags but not in the proto file"
                            )
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The fields of a struct by their JSON names, members of inlined structs included; none when it is not
    /// declared.
    pub fn fields(&self, prefix: &str, name: &str) -> Option<BTreeMap<String, Declared>> {
        let members = self.packages.get(prefix)?.structs.get(name)?;
        let mut fields = BTreeMap::new();
        for member in members {
            if !member.inline {
                fields.insert(member.json.clone(), self.declared(prefix, member));
                continue;
            }
            let (inner_prefix, inner_name) = self.resolve(prefix, &member.go);
            for (json, mut inner) in self.fields(&inner_prefix, &inner_name).unwrap_or_default() {
                match member.number {
                    Some(number) => inner.path.insert(0, number),
                    // Protobuf leaves out what has no number of its own, such as `kind` and `apiVersion`.
                    None => inner.path.clear(),
                }
                fields.insert(json, inner);
            }
        }
        Some(fields)
    }

    fn declared(&self, prefix: &str, member: &Member) -> Declared {
        let constant = |name: &str| self.packages.get(prefix)?.constants.get(name).cloned();
        let default = member.default.as_ref().and_then(|text| match text.strip_prefix("ref(") {
            Some(name) => constant(name.trim_end_matches(')')),
            None => Some(text.clone()),
        });
        Declared {
            go: member.go.clone(),
            omit_empty: member.omit_empty,
            omit_zero: member.omit_zero,
            path: member.number.into_iter().collect(),
            repeated: member.repeated,
            default,
        }
    }

    /// What a named type that is no struct stands for.
    pub fn underlying(&self, prefix: &str, go: &str) -> Option<&str> {
        let (prefix, name) = self.resolve(prefix, go);
        self.packages.get(&prefix)?.names.get(&name).map(String::as_str)
    }

    /// The package and the name of a type as a file of `prefix` writes it.
    fn resolve(&self, prefix: &str, go: &str) -> (String, String) {
        let go = go.trim_start_matches('*');
        match go.split_once('.') {
            Some(("metav1", name)) => ("io.k8s.apimachinery.pkg.apis.meta.v1".into(), name.into()),
            Some(("corev1" | "v1", name)) => ("io.k8s.api.core.v1".into(), name.into()),
            Some((_, name)) => (String::new(), name.into()),
            None => (prefix.into(), go.into()),
        }
    }
}

/// Reads messages and the numbers of their fields.
fn read_proto(prefix: &str, text: &str, messages: &mut Messages) {
    let mut current = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("message ").and_then(|rest| rest.strip_suffix(" {")) {
            current = Some((prefix.to_owned(), name.to_owned()));
        } else if line == "}" {
            current = None;
        } else if let Some(key) = &current
            && !line.starts_with("//")
            && let Some((_, number)) = line.trim_end_matches(';').rsplit_once(" = ")
            && let Ok(number) = number.parse()
        {
            let repeats = line.starts_with("repeated ") || line.starts_with("map<");
            messages.entry(key.clone()).or_default().insert(number, repeats);
        }
    }
}

/// Reads structs, named types and string constants.
fn read_go(text: &str, package: &mut Package) {
    let mut current: Option<String> = None;
    let mut default = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(comment) = trimmed.strip_prefix("//") {
            if let Some(value) = comment.trim().strip_prefix("+default=") {
                default = Some(value.to_owned());
            }
            continue;
        }
        if let Some(rest) = line.strip_prefix("type ") {
            if let Some(name) = rest.strip_suffix(" struct {") {
                package.structs.entry(name.to_owned()).or_default();
                current = Some(name.to_owned());
            } else if let Some((name, of)) = rest.split_once(' ')
                && !of.starts_with("struct")
                && !of.starts_with("interface")
            {
                let of = of.split("//").next().unwrap_or(of).trim();
                package.names.insert(name.to_owned(), of.to_owned());
            }
        } else if line == "}" {
            current = None;
        } else if let Some(name) = &current {
            if let Some(member) = read_member(trimmed, default.take()) {
                package.structs.entry(name.clone()).or_default().push(member);
            }
        } else if let Some((left, value)) = trimmed.split_once(" = ")
            && value.starts_with('"')
            && let Some(name) = left.trim_start_matches("const ").split_whitespace().next()
        {
            package.constants.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// Reads `Name Type `json:"name,omitempty" protobuf:"bytes,1,opt,name=name"``.
fn read_member(line: &str, default: Option<String>) -> Option<Member> {
    let (left, tags) = line.split_once('`')?;
    let tags = tags.split('`').next()?;
    let json = tag(tags, "json")?;
    let mut words = left.split_whitespace();
    let first = words.next()?;
    let go = words.next().unwrap_or(first).to_owned();
    let mut options = json.split(',');
    let name = options.next()?.to_owned();
    let options: Vec<&str> = options.collect();
    let protobuf = tag(tags, "protobuf").unwrap_or_default();
    let mut wire = protobuf.split(',').skip(1);
    let number = wire.next().and_then(|number| number.parse().ok());
    if name == "-" {
        return None;
    }
    Some(Member {
        inline: options.contains(&"inline"),
        omit_empty: options.contains(&"omitempty"),
        omit_zero: options.contains(&"omitzero"),
        json: name,
        go,
        number,
        repeated: wire.next() == Some("rep"),
        default,
    })
}

fn tag<'a>(tags: &'a str, name: &str) -> Option<&'a str> {
    let start = tags.match_indices(&format!("{name}:\"")).map(|(at, _)| at).find(|&at| {
        // `proto:` also ends in the letters of no other tag, but `protobuf:` has to start a word.
        at == 0 || tags.as_bytes()[at - 1] == b' '
    })?;
    tags[start + name.len() + 2..].split('"').next()
}
