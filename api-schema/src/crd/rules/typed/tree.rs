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
    Loop(Box<Loop>),
}

/// A value that stands in the text.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint,
    Double,
    Text(String),
    /// So many bytes.
    Bytes(usize),
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

/// What loops gather, unless they bind a name.
pub const GATHERED: &str = "@result";

/// Parts that the checker has to tell apart.
#[derive(Debug, Default)]
pub struct Builder {
    count: usize,
}

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
}
