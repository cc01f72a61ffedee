//! Calls, and those of them that stand for something else.

use super::tree::{Builder, GATHERED, Kind, Loop, Part};

/// A call, expanded when it is that of a macro. `at` is the place of its bracket. `None`: a macro that is used in a way
/// that is not read here.
pub fn call(
    builder: &mut Builder,
    at: usize,
    target: Option<Part>,
    function: &str,
    arguments: Vec<Part>,
) -> Option<Part> {
    let count = arguments.len();
    match (&target, function, count) {
        (None, "has", 1) => return has(at, arguments),
        (Some(_), "all" | "exists" | "exists_one" | "existsOne" | "filter" | "map", 2)
        | (Some(_), "map", 3)
        | (Some(_), "optMap" | "optFlatMap", 2) => {}
        (Some(_), "all" | "exists" | "existsOne", 3) | (Some(_), "transformList", 3 | 4) => {
            return pairs(builder, at, target?, function, arguments);
        }
        // Macros that are not there when rules run.
        (Some(_), "exists_one", 3)
        | (Some(_), "transformMap" | "transformMapEntry", 3 | 4)
        | (Some(_), "sortBy", 2) => return None,
        _ => {
            let kind = Kind::Call { target: target.map(Box::new), function: function.to_owned(), arguments };
            return Some(builder.part(at, kind));
        }
    }
    let range = target?;
    let mut arguments = arguments.into_iter();
    let Kind::Name(variable) = arguments.next()?.kind else { return None };
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
    let Kind::Name(variable) = arguments.next()?.kind else { return None };
    let Kind::Name(value) = arguments.next()?.kind else { return None };
    let (first, second) = (arguments.next()?, arguments.next());
    let mut maker = Maker { builder, at, second: Some(value) };
    let function = if function == "transformList" { "map" } else { function };
    Some(maker.expanded(function, range, variable, first, second))
}

/// `has(e.f)`: the field with a test.
fn has(at: usize, arguments: Vec<Part>) -> Option<Part> {
    let argument = arguments.into_iter().next()?;
    match argument.kind {
        Kind::Select { operand, field, test: false } => {
            Some(Part { id: argument.id, at, kind: Kind::Select { operand, field, test: true } })
        }
        _ => None,
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

    /// What is made of a value that may be absent; absent when it is.
    fn optional(&mut self, target: Part, variable: String, made: Part, wrapped: bool) -> Part {
        let method = |maker: &mut Self, target: Part, function: &str| {
            let target = Some(Box::new(target));
            let kind = Kind::Call { target, function: function.to_owned(), arguments: Vec::new() };
            maker.builder.part(maker.at, kind)
        };
        let there = method(self, target.clone(), "hasValue");
        let value = method(self, target, "value");
        let range = self.builder.part(self.at, Kind::List(Vec::new()));
        let condition = self.bool(false);
        let step = self.name(&variable);
        let bound = Loop {
            range,
            variable: "#unused".to_owned(),
            second: None,
            gathered: variable,
            begin: value,
            condition,
            step,
            result: made,
        };
        let mut yes = self.builder.part(self.at, Kind::Loop(Box::new(bound)));
        if wrapped {
            yes = self.call("optional.of", vec![yes]);
        }
        let no = self.call("optional.none", Vec::new());
        self.call("_?_:_", vec![there, yes, no])
    }
}
