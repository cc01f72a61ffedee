//! Calls, and those of them that stand for something else.

use super::tree::{Builder, GATHERED, INSERT, Kind, Loop, Part, SORT_BY};

/// The names of what loops gather, which no variable may have.
const GATHERING: [&str; 2] = [GATHERED, "__result__"];
const OVERWRITES: &str = "iteration variable overwrites accumulator variable";
/// The name of a list that is sorted.
const SORTED: &str = "@__sortBy_input__";

/// A call, expanded when it is that of a macro. `at` is the place of its bracket.
pub fn call(
    builder: &mut Builder,
    at: usize,
    target: Option<Part>,
    function: &str,
    arguments: Vec<Part>,
) -> Option<Part> {
    let count = arguments.len();
    match (&target, function, count) {
        (None, "has", 1) => return has(builder, at, arguments),
        (Some(_), "all" | "exists" | "exists_one" | "filter" | "map", 2)
        | (Some(_), "map", 3)
        | (Some(_), "optMap" | "optFlatMap", 2) => {}
        (Some(_), "all" | "exists" | "existsOne" | "exists_one", 3)
        | (Some(_), "transformList" | "transformMap" | "transformMapEntry", 3 | 4) => {
            return pairs(builder, at, target?, function, arguments);
        }
        (Some(_), "sortBy", 2) => return sort_by(builder, at, target?, arguments),
        _ => {
            let kind = Kind::Call { target: target.map(Box::new), function: function.to_owned(), arguments };
            return Some(builder.part(at, kind));
        }
    }
    let range = target?;
    let mut arguments = arguments.into_iter();
    let name = arguments.next()?;
    let Kind::Name(variable) = name.kind else {
        let why = match function {
            "map" | "filter" => "argument is not an identifier",
            "optMap" => "optMap() variable name must be a simple identifier",
            "optFlatMap" => "optFlatMap() variable name must be a simple identifier",
            _ => "argument must be a simple name",
        };
        return Some(builder.problem(name.at, why));
    };
    if GATHERING.contains(&variable.as_str()) {
        return Some(builder.problem(name.at, OVERWRITES));
    }
    let (first, second) = (arguments.next()?, arguments.next());
    let mut maker = Maker { builder, at, second: None };
    Some(maker.expanded(function, range, variable, first, second))
}

/// Loops over indexes or keys with their values.
fn pairs(
    builder: &mut Builder,
    at: usize,
    range: Part,
    function: &str,
    arguments: Vec<Part>,
) -> Option<Part> {
    let mut arguments = arguments.into_iter();
    let (key, of) = (arguments.next()?, arguments.next()?);
    let not_simple = "argument must be a simple name";
    let Kind::Name(variable) = key.kind else { return Some(builder.problem(key.at, not_simple)) };
    let Kind::Name(value) = of.kind else { return Some(builder.problem(of.at, not_simple)) };
    for (name, place) in [(&variable, key.at), (&value, of.at)] {
        if GATHERING.contains(&name.as_str()) {
            return Some(builder.problem(place, OVERWRITES));
        }
    }
    if variable == value {
        return Some(builder.problem(of.at, format!("duplicate variable name: {value}")));
    }
    let (first, second) = (arguments.next()?, arguments.next());
    let mut maker = Maker { builder, at, second: Some(value) };
    let function = if function == "transformList" { "map" } else { function };
    Some(maker.expanded(function, range, variable, first, second))
}

/// `list.sortBy(x, key)`: the list, bound to a name, sorted by the list of its keys.
fn sort_by(builder: &mut Builder, at: usize, list: Part, arguments: Vec<Part>) -> Option<Part> {
    if matches!(list.kind, Kind::Literal(_) | Kind::Map(_) | Kind::Struct(..)) {
        let why =
            "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
        return Some(builder.problem(list.at, why));
    }
    let mut arguments = arguments.into_iter();
    let name = arguments.next()?;
    let Kind::Name(variable) = name.kind else {
        return Some(builder.problem(name.at, "argument is not an identifier"));
    };
    let key = arguments.next()?;
    let mut maker = Maker { builder, at, second: None };
    let input = maker.name(SORTED);
    let keys = maker.list(input, variable, None, key);
    let target = Some(Box::new(maker.name(SORTED)));
    let function = SORT_BY.to_owned();
    let sorted = maker.builder.part(at, Kind::Call { target, function, arguments: vec![keys] });
    Some(maker.bound(SORTED.to_owned(), list, sorted))
}

/// `has(e.f)`: the field with a test.
fn has(builder: &mut Builder, at: usize, arguments: Vec<Part>) -> Option<Part> {
    let argument = arguments.into_iter().next()?;
    match argument.kind {
        Kind::Select { operand, field, test: false } => {
            Some(Part { id: argument.id, at, kind: Kind::Select { operand, field, test: true } })
        }
        _ => Some(builder.problem(argument.at, "invalid argument to has() macro")),
    }
}

/// A test, where there is one, and what stands behind it.
fn tested(first: Part, second: Option<Part>) -> (Option<Part>, Part) {
    match second {
        Some(second) => (Some(first), second),
        None => (None, first),
    }
}

struct Maker<'b> {
    builder: &'b mut Builder,
    at: usize,
    /// The second variable of its loop.
    second: Option<String>,
}

impl Maker<'_> {
    fn expanded(
        &mut self,
        function: &str,
        range: Part,
        variable: String,
        first: Part,
        second: Option<Part>,
    ) -> Part {
        match (function, second) {
            ("all", _) => {
                let (begin, gathered) = (self.bool(true), self.gathered());
                let condition = self.call("@not_strictly_false", vec![gathered]);
                let gathered = self.gathered();
                let step = self.call("_&&_", vec![gathered, first]);
                self.looped(range, variable, begin, condition, step)
            }
            ("exists", _) => {
                let (begin, gathered) = (self.bool(false), self.gathered());
                let not = self.call("!_", vec![gathered]);
                let condition = self.call("@not_strictly_false", vec![not]);
                let gathered = self.gathered();
                let step = self.call("_||_", vec![gathered, first]);
                self.looped(range, variable, begin, condition, step)
            }
            ("exists_one" | "existsOne", _) => self.exactly_one(range, variable, first),
            ("filter", _) => {
                let element = self.name(&variable);
                self.list(range, variable, Some(first), element)
            }
            ("map", None) => self.list(range, variable, None, first),
            ("transformMap", second) => {
                let (test, value) = tested(first, second);
                let key = self.name(&variable);
                self.map(range, variable, test, vec![key, value])
            }
            ("transformMapEntry", second) => {
                let (test, entry) = tested(first, second);
                self.map(range, variable, test, vec![entry])
            }
            ("map", Some(second)) => self.list(range, variable, Some(first), second),
            (_, _) => self.optional(range, variable, first, function == "optMap"),
        }
    }

    fn call(&mut self, function: &str, arguments: Vec<Part>) -> Part {
        self.builder.call(self.at, function, arguments)
    }

    fn name(&mut self, name: &str) -> Part {
        self.builder.name(self.at, name)
    }

    fn gathered(&mut self) -> Part {
        self.name(GATHERED)
    }

    fn bool(&mut self, value: bool) -> Part {
        self.builder.bool(self.at, value)
    }

    fn looped(&mut self, range: Part, variable: String, begin: Part, condition: Part, step: Part) -> Part {
        let result = self.gathered();
        let gathered = GATHERED.to_owned();
        let made =
            Loop { range, variable, second: self.second.take(), gathered, begin, condition, step, result };
        self.builder.part(self.at, Kind::Loop(Box::new(made)))
    }

    fn exactly_one(&mut self, range: Part, variable: String, test: Part) -> Part {
        let (begin, condition) = (self.builder.int(self.at, 0), self.bool(true));
        let (gathered, one) = (self.gathered(), self.builder.int(self.at, 1));
        let more = self.call("_+_", vec![gathered, one]);
        let gathered = self.gathered();
        let step = self.call("_?_:_", vec![test, more, gathered]);
        let (gathered, one) = (self.gathered(), self.builder.int(self.at, 1));
        let result = self.call("_==_", vec![gathered, one]);
        let gathered = GATHERED.to_owned();
        let made =
            Loop { range, variable, second: self.second.take(), gathered, begin, condition, step, result };
        self.builder.part(self.at, Kind::Loop(Box::new(made)))
    }

    /// Gathers a list of elements, those for which the test holds.
    fn list(&mut self, range: Part, variable: String, test: Option<Part>, element: Part) -> Part {
        let begin = self.builder.part(self.at, Kind::List(Vec::new()));
        let condition = self.bool(true);
        let one = self.builder.part(self.at, Kind::List(vec![element]));
        let gathered = self.gathered();
        let mut step = self.call("_+_", vec![gathered, one]);
        if let Some(test) = test {
            let gathered = self.gathered();
            step = self.call("_?_:_", vec![test, step, gathered]);
        }
        self.looped(range, variable, begin, condition, step)
    }

    /// Gathers a map of entries, those for which the test holds.
    fn map(&mut self, range: Part, variable: String, test: Option<Part>, entry: Vec<Part>) -> Part {
        let begin = self.builder.part(self.at, Kind::Map(Vec::new()));
        let condition = self.bool(true);
        let mut given = vec![self.gathered()];
        given.extend(entry);
        let mut step = self.call(INSERT, given);
        if let Some(test) = test {
            let gathered = self.gathered();
            step = self.call("_?_:_", vec![test, step, gathered]);
        }
        self.looped(range, variable, begin, condition, step)
    }

    /// What a value makes, under a name.
    fn bound(&mut self, name: String, value: Part, result: Part) -> Part {
        let range = self.builder.part(self.at, Kind::List(Vec::new()));
        let condition = self.bool(false);
        let step = self.name(&name);
        let variable = "#unused".to_owned();
        let bound =
            Loop { range, variable, second: None, gathered: name, begin: value, condition, step, result };
        self.builder.part(self.at, Kind::Loop(Box::new(bound)))
    }

    /// What is made of a value that may be absent; absent when it is.
    fn optional(&mut self, target: Part, variable: String, made: Part, wrapped: bool) -> Part {
        let method = |maker: &mut Self, target: Part, function: &str| {
            let target = Some(Box::new(target));
            let kind = Kind::Call { target, function: function.to_owned(), arguments: Vec::new() };
            maker.builder.part(maker.at, kind)
        };
        // It stands there twice: a chain of these would grow without end.
        if !self.builder.affords_copy(&target) {
            return self.builder.problem(self.at, "the expression is too large");
        }
        let there = method(self, target.clone(), "hasValue");
        let value = method(self, target, "value");
        let mut yes = self.bound(variable, value, made);
        if wrapped {
            yes = self.call("optional.of", vec![yes]);
        }
        let no = self.call("optional.none", Vec::new());
        self.call("_?_:_", vec![there, yes, no])
    }
}
