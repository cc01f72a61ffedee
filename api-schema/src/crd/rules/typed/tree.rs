//! An expression, with the place of each part.

/// A part of an expression.
#[derive(Clone, Debug)]
pub struct Part {
    /// Tells it apart from the other parts.
    pub id: usize,
    /// Where it is: the letter in the text. For what an operator makes, the operator.
    pub at: usize,
    pub kind: Kind,
}

/// What a part is.
#[derive(Clone, Debug)]
pub enum Kind {
    Literal(Literal),
    Name(String),
    Select {
        operand: Box<Part>,
        field: String,
        /// Asks whether it is there: `has`.
        test: bool,
    },
    Call {
        target: Option<Box<Part>>,
        function: String,
        arguments: Vec<Part>,
    },
    List(Vec<Part>),
    Map(Vec<(Part, Part)>),
    /// An element or a value of an entry that is there when this optional value is.
    Maybe(Box<Part>),
    /// An object of a type, with its fields.
    Struct(String, Vec<(String, Part)>),
    Loop(Box<Loop>),
}

/// A value that stands in the text.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// What a macro makes: a loop that gathers something.
#[derive(Clone, Debug)]
pub struct Loop {
    pub range: Part,
    pub variable: String,
    /// The value, where the first one is the index or key.
    pub second: Option<String>,
    pub gathered: String,
    pub begin: Part,
    pub condition: Part,
    pub step: Part,
    pub result: Part,
}

impl Part {
    /// Visits the parts right below.
    pub fn each<'p>(&'p self, visit: &mut dyn FnMut(&'p Part)) {
        match &self.kind {
            Kind::Literal(_) | Kind::Name(_) => {}
            Kind::Select { operand, .. } => visit(operand),
            Kind::Maybe(inner) => visit(inner),
            Kind::Call { target, arguments, .. } => {
                target.iter().for_each(|target| visit(target));
                arguments.iter().for_each(visit);
            }
            Kind::List(elements) => elements.iter().for_each(visit),
            Kind::Map(entries) => {
                for (key, value) in entries {
                    visit(key);
                    visit(value);
                }
            }
            Kind::Struct(_, fields) => fields.iter().for_each(|(_, value)| visit(value)),
            Kind::Loop(looped) => {
                let Loop { range, begin, condition, step, result, .. } = &**looped;
                [range, begin, condition, step, result].into_iter().for_each(visit);
            }
        }
    }

    /// How many parts it has, itself included.
    fn count(&self) -> usize {
        let mut count = 1;
        self.each(&mut |part| count += part.count());
        count
    }

    /// How deep it is nested.
    pub fn depth(&self) -> usize {
        let mut deepest = 0;
        self.each(&mut |part| deepest = deepest.max(part.depth()));
        deepest + 1
    }

    /// True when it reads a variable.
    pub fn names(&self, variable: &str) -> bool {
        let mut found = matches!(&self.kind, Kind::Name(name) if name == variable);
        self.each(&mut |part| found = found || part.names(variable));
        found
    }

    /// A name, or names with dots between them.
    pub fn qualified(&self) -> Option<String> {
        match &self.kind {
            Kind::Name(name) => Some(name.clone()),
            Kind::Select { operand, field, test: false } => Some(format!("{}.{field}", operand.qualified()?)),
            _ => None,
        }
    }
}

/// What loops gather, unless they bind a name.
pub const GATHERED: &str = "@result";

/// Adds entries to a map.
pub const INSERT: &str = "cel.@mapInsert";
/// Sorts a list by keys, one for each element.
pub const SORT_BY: &str = "@sortByAssociatedKeys";

/// Parts that the checker has to tell apart.
#[derive(Debug, Default)]
pub struct Builder {
    count: usize,
    copied: usize,
    problems: Vec<(usize, String)>,
}

/// The most parts that an expression has twice.
const MAX_COPIED: usize = 20_000;

impl Builder {
    pub fn part(&mut self, at: usize, kind: Kind) -> Part {
        self.count += 1;
        Part { id: self.count - 1, at, kind }
    }

    pub fn call(&mut self, at: usize, function: &str, arguments: Vec<Part>) -> Part {
        self.part(at, Kind::Call { target: None, function: function.to_owned(), arguments })
    }

    pub fn name(&mut self, at: usize, name: &str) -> Part {
        self.part(at, Kind::Name(name.to_owned()))
    }

    pub fn bool(&mut self, at: usize, value: bool) -> Part {
        self.part(at, Kind::Literal(Literal::Bool(value)))
    }

    pub fn int(&mut self, at: usize, value: i64) -> Part {
        self.part(at, Kind::Literal(Literal::Int(value)))
    }

    /// Notes what is wrong at a place. Something stands there instead.
    pub fn problem(&mut self, at: usize, why: impl Into<String>) -> Part {
        self.problems.push((at, why.into()));
        self.part(at, Kind::Literal(Literal::Null))
    }

    /// Takes note of a part that stands in the expression once more. False: it would become too large.
    pub fn affords_copy(&mut self, part: &Part) -> bool {
        self.copied = self.copied.saturating_add(part.count());
        self.copied <= MAX_COPIED
    }

    /// What is wrong, each with its place.
    pub fn problems(self) -> Vec<(usize, String)> {
        self.problems
    }

    /// How many parts there are.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// An expression and how many parts it has.
#[derive(Debug)]
pub struct Tree {
    pub root: Part,
    pub count: usize,
    /// What is wrong with macros, each with its place.
    pub problems: Vec<(usize, String)>,
}
