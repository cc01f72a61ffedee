//! What a run of an expression costs at most, as Kubernetes estimates it: by the sizes that the schema lets values have.

use super::check::Checked;
use super::declared;
use super::span::{Entries, Rate, Span, UNKNOWN, joined, replaced};
use super::tree::{GATHERED, Kind, Literal, Loop, Part, SORT_BY, Tree};
use super::types::Type;
use crate::crd::schema::Schema;
use std::collections::HashMap;

/// For each letter that is looked at.
const TEXT: Rate = Rate(1, 10);
/// For each letter that is looked at twice.
const TEXT_TWICE: Rate = Rate(2, 10);
/// For each letter of a regular expression.
const REGEX: Rate = Rate(1, 4);
const ONCE: Rate = Rate(1, 1);
const TWICE: Rate = Rate(2, 1);
const NEW_LIST: u64 = 10;
const NEW_MAP: u64 = 30;
const NEW_OBJECT: u64 = 40;
/// For the regular expressions of `format`, of 128 letters.
const FORMAT_REGEX: Rate = Rate(32, 1);

/// What is known of a variable of a loop.
#[derive(Clone, Debug)]
struct Local {
    name: String,
    path: Vec<String>,
    size: Option<Span>,
    entries: Option<Entries>,
}

/// What a call costs without its arguments, and how large what it gives is.
struct Call {
    cost: Span,
    size: Option<Span>,
    /// The cost of the arguments is in it.
    whole: bool,
}

impl Call {
    fn of(cost: Span) -> Call {
        Call { cost, size: None, whole: false }
    }

    fn sized(cost: Span, size: Span) -> Call {
        Call { cost, size: Some(size), whole: false }
    }
}

/// The most that one run of an expression over a value of a schema costs.
pub fn estimate(tree: &Tree, checked: &Checked<'_>, schema: &Schema, resource: bool) -> u64 {
    let mut coster = Coster {
        checked,
        schema,
        resource,
        paths: HashMap::new(),
        sizes: HashMap::new(),
        entries: HashMap::new(),
        locals: Vec::new(),
    };
    coster.cost(&tree.root).max
}

struct Coster<'a, 'c> {
    checked: &'c Checked<'a>,
    schema: &'a Schema,
    resource: bool,
    paths: HashMap<usize, Vec<String>>,
    sizes: HashMap<usize, Span>,
    entries: HashMap<usize, Entries>,
    locals: Vec<Local>,
}

impl Coster<'_, '_> {
    fn cost(&mut self, part: &Part) -> Span {
        match &part.kind {
            Kind::Literal(_) => Span::of(0),
            Kind::Name(name) => {
                let path = self.local(name).map_or_else(|| vec![name.clone()], |local| local.path.clone());
                self.paths.insert(part.id, path);
                Span::of(1)
            }
            Kind::Select { operand, test: true, .. } => self.cost(operand),
            Kind::Select { operand, field, .. } => {
                let mut cost = self.cost(operand);
                if matches!(self.checked.of_part(operand), Type::Map(_) | Type::Object(_)) {
                    cost = cost.plus(Span::of(1));
                }
                self.follow(part, operand, field);
                cost
            }
            Kind::Call { target, function, arguments } => {
                self.call(part, target.as_deref(), function, arguments)
            }
            Kind::List(elements) => {
                let mut cost = Span::of(NEW_LIST);
                let mut size = Span { min: if elements.is_empty() { 0 } else { u64::MAX }, max: 0 };
                for element in elements {
                    cost = cost.plus(self.cost(element));
                    size = size.or(self.size_or_unknown(element));
                }
                self.entries.insert(part.id, Entries { list: true, keys: Span::of(1), values: size });
                cost
            }
            Kind::Map(entries) => {
                let mut cost = Span::of(NEW_MAP);
                let none = Span { min: if entries.is_empty() { 0 } else { u64::MAX }, max: 0 };
                let (mut keys, mut values) = (none, none);
                for (key, value) in entries {
                    cost = cost.plus(self.cost(key)).plus(self.cost(value));
                    keys = keys.or(self.size_or_unknown(key));
                    values = values.or(self.size_or_unknown(value));
                }
                self.entries.insert(part.id, Entries { list: false, keys, values });
                cost
            }
            Kind::Maybe(inner) => {
                let (cost, size) = (self.cost(inner), self.size(inner));
                self.note(part, size, None);
                cost
            }
            Kind::Struct(_, fields) => {
                fields.iter().fold(Span::of(NEW_OBJECT), |cost, (_, value)| cost.plus(self.cost(value)))
            }
            Kind::Loop(looped) => self.looped(part, looped),
        }
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| local.name == name)
    }

    fn path(&self, part: &Part) -> Vec<String> {
        if let Kind::Name(name) = &part.kind
            && let Some(local) = self.local(name)
        {
            return local.path.clone();
        }
        self.paths.get(&part.id).cloned().unwrap_or_default()
    }

    /// Notes where a step from another part leads.
    fn follow(&mut self, part: &Part, from: &Part, step: &str) {
        let mut path = self.path(from);
        path.push(step.to_owned());
        self.paths.insert(part.id, path);
    }

    /// What the schema says of the size at a path, which begins with a variable.
    fn declared(&self, path: &[String]) -> Option<Span> {
        let (variable, rest) = path.split_first()?;
        if variable == GATHERED {
            return None;
        }
        declared::size(self.schema, self.resource, rest).map(|max| Span { min: 0, max })
    }

    fn size(&mut self, part: &Part) -> Option<Span> {
        if let Some(size) = self.sizes.get(&part.id) {
            return Some(*size);
        }
        let own = match &part.kind {
            Kind::Literal(Literal::Text(text)) => Some(text.chars().count()),
            Kind::Literal(Literal::Bytes(bytes)) => Some(bytes.len()),
            Kind::Literal(_) => Some(1),
            Kind::List(elements) => Some(elements.len()),
            Kind::Map(entries) => Some(entries.len()),
            _ => None,
        };
        if let Some(count) = own {
            return Some(Span::of(count as u64));
        }
        if let Some(size) = self.declared(&self.path(part)) {
            self.sizes.insert(part.id, size);
            return Some(size);
        }
        if self.checked.of_part(part).is_scalar() {
            return Some(Span::of(1));
        }
        match &part.kind {
            Kind::Name(name) => self.local(name).and_then(|local| local.size),
            _ => None,
        }
    }

    fn size_or_unknown(&mut self, part: &Part) -> Span {
        self.size(part).unwrap_or(UNKNOWN)
    }

    fn entries(&self, part: &Part) -> Option<Entries> {
        if let Some(entries) = self.entries.get(&part.id) {
            return Some(*entries);
        }
        match &part.kind {
            Kind::Name(name) => self.local(name).and_then(|local| local.entries),
            _ => None,
        }
    }

    /// The size of the elements of a list.
    fn element_size(&self, list: &Part) -> Span {
        let mut path = self.path(list);
        if path.is_empty() || path.first().is_some_and(|first| first == GATHERED) {
            return UNKNOWN;
        }
        path.push("@items".to_owned());
        self.declared(&path).unwrap_or(UNKNOWN)
    }

    fn call(&mut self, part: &Part, target: Option<&Part>, function: &str, arguments: &[Part]) -> Span {
        let costs: Vec<Span> = arguments.iter().map(|argument| self.cost(argument)).collect();
        let sum = costs.iter().fold(Span::of(0), |sum, cost| sum.plus(*cost));
        if function == "dyn" {
            if let [argument] = arguments {
                let (size, entries) = (self.size(argument), self.entries(argument));
                self.note(part, size, entries);
            }
            return sum.plus(Span::of(1));
        }
        let ways = self.checked.ways(part).to_vec();
        if ways.is_empty() {
            return Span::of(0);
        }
        // What stands before a function of a library is no value.
        let target = target.filter(|_| ways.iter().any(|way| way.method));
        let on = target.map_or(Span::of(0), |target| self.cost(target));
        let mut total = Span { min: u64::MAX, max: 0 };
        let mut size: Option<Span> = None;
        for way in &ways {
            let call = self.overload(part, function, way.counted, target, arguments, &costs);
            total = total.or(if call.whole { call.cost } else { call.cost.plus(sum) });
            size = match (size, call.size) {
                (Some(before), Some(now)) => Some(before.or(now)),
                (before, now) => before.or(now),
            };
            if let (Some(step), Some(of)) = (
                match way.counted {
                    "index_list" => Some("@items"),
                    "index_map" => Some("@values"),
                    _ => None,
                },
                arguments.first(),
            ) {
                size = self.entries(of).map(|entries| entries.values);
                self.follow(part, of, step);
            }
            size = size.or_else(|| self.size(part));
        }
        self.note(part, size, None);
        on.plus(total)
    }

    fn note(&mut self, part: &Part, size: Option<Span>, entries: Option<Entries>) {
        if let Some(size) = size {
            self.sizes.insert(part.id, size);
        }
        if let Some(entries) = entries {
            self.entries.insert(part.id, entries);
        }
    }

    fn overload(
        &mut self,
        part: &Part,
        function: &str,
        counted: &str,
        target: Option<&Part>,
        arguments: &[Part],
        costs: &[Span],
    ) -> Call {
        let mut sizes: Vec<Span> = Vec::with_capacity(arguments.len());
        for argument in arguments {
            sizes.push(self.size_or_unknown(argument));
        }
        let on = target.map_or(UNKNOWN, |target| self.size_or_unknown(target));
        let size = |at: usize| sizes.get(at).copied().unwrap_or(UNKNOWN);
        if let Some(call) = self.library(function, counted, target, on, arguments, &sizes) {
            return call;
        }
        match (function, counted) {
            (_, "format") => Call::of(on.by(TEXT)),
            (_, "text_to_bytes") => {
                let bytes = Span { min: size(0).min, max: size(0).max.saturating_mul(4) };
                Call::sized(size(0).by(TEXT), bytes)
            }
            (_, "bytes_to_text") => {
                Call::sized(size(0).by(TEXT), Span { min: size(0).min / 4, max: size(0).max })
            }
            (_, "quote") => {
                let quoted = Span {
                    min: size(0).min.saturating_add(2),
                    max: size(0).max.saturating_mul(2).saturating_add(2),
                };
                Call::sized(size(0).by(TEXT), quoted)
            }
            (_, "affix") => Call::of(size(0).by(TEXT)),
            (_, "in_list") => Call::of(size(1)),
            (_, "matches") => Call::of(on.plus(Span::of(1)).by(TEXT).times(size(0).by(REGEX))),
            (_, "contains") => Call::of(on.by(TEXT).times(size(0).by(TEXT))),
            ("_&&_" | "_||_", _) => {
                let cost = |at: usize| costs.get(at).copied().unwrap_or(Span::of(0));
                let both = Span { min: cost(0).min, max: cost(0).plus(cost(1)).max };
                Call { cost: both, size: None, whole: true }
            }
            ("_?_:_", _) => {
                let cost = |at: usize| costs.get(at).copied().unwrap_or(Span::of(0));
                if let [_, yes, no] = arguments
                    && let (Some(a), Some(b)) = (self.entries(yes), self.entries(no))
                {
                    self.entries.insert(part.id, joined(a, b));
                }
                let cost = cost(0).plus(cost(1).or(cost(2)));
                Call { cost, size: Some(size(1).or(size(2))), whole: true }
            }
            (_, "add_text" | "add_list") => {
                let both = size(0).plus(size(1));
                if let [left, right] = arguments
                    && let (Some(a), Some(b)) = (self.entries(left), self.entries(right))
                {
                    self.entries.insert(part.id, joined(a, b));
                }
                Call::sized(if counted == "add_list" { Span::of(1) } else { both.by(TEXT) }, both)
            }
            (_, "equals") => {
                let most = size(0).max.min(size(1).max);
                Call::of(Span { min: u64::from(most > 0), max: most }.by(TEXT))
            }
            _ => Call::of(Span::of(1)),
        }
    }

    /// The functions of Kubernetes' libraries.
    fn library(
        &mut self,
        function: &str,
        counted: &str,
        target: Option<&Part>,
        on: Span,
        arguments: &[Part],
        sizes: &[Span],
    ) -> Option<Call> {
        let size = |at: usize| sizes.get(at).copied().unwrap_or(UNKNOWN);
        let method = target.is_some();
        if let ("pairs" | "pairs_twice", [_, _]) = (counted, arguments) {
            let factor = if counted == "pairs" { 1 } else { 2 };
            return Some(Call::of(size(0).times(size(1)).times(Span::of(factor)).plus(Span::of(1))));
        }
        let listed =
            |factor: Rate, size: Span| Call::sized(size.by(factor).plus(Span::of(1 + NEW_LIST)), size);
        let whole = |at: usize| match arguments.get(at).map(|argument| &argument.kind) {
            Some(Kind::Literal(Literal::Int(number))) => Some(number.cast_unsigned()),
            _ => None,
        };
        Some(match function {
            "slice" if method => {
                let (begin, end) = (whole(0).unwrap_or(0), whole(1).unwrap_or(on.max));
                listed(ONCE, Span::of(end.wrapping_sub(begin)))
            }
            _ if counted == "range" => listed(ONCE, Span::of(whole(0).unwrap_or(u64::MAX))),
            "reverse" if method => listed(ONCE, on),
            "flatten" if method => {
                let depth = if arguments.is_empty() { 1 } else { whole(0).unwrap_or(u64::MAX) };
                listed(Rate(depth, 1), on)
            }
            "distinct" if method => listed(TWICE, on.times(on)),
            "sort" | SORT_BY if method => {
                let keys = if function == "sort" { on } else { size(0) };
                let of = arguments.first().or(target).map(|part| self.checked.of_part(part).clone());
                let is_text = matches!(of, Some(Type::List(of)) if matches!(*of, Type::Text | Type::Bytes));
                listed(if is_text { Rate(21, 10) } else { TWICE }, keys.times(keys))
            }
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" if method => {
                let list = target?;
                let Type::List(of) = self.checked.of_part(list) else { return Some(Call::of(on.by(TEXT))) };
                let each = match **of {
                    Type::Text | Type::Bytes => Span::of(1).plus(self.element_size(list).by(TEXT)),
                    _ => Span::of(1),
                };
                Call::of(on.times(each))
            }
            "url" => Call::sized(size(0).by(TEXT), size(0)),
            "lowerAscii" | "upperAscii" | "substring" | "trim" if method => Call::sized(on.by(TEXT), on),
            "replace" if method && arguments.len() >= 2 => {
                Call::sized(on.by(TEXT_TWICE), replaced(on, size(0), size(1)))
            }
            "split" if method => {
                let most = match arguments.get(1).map(|limit| &limit.kind) {
                    Some(Kind::Literal(Literal::Int(most))) => most.cast_unsigned(),
                    _ => on.max,
                };
                Call::sized(on.by(TEXT_TWICE), Span { min: 0, max: most })
            }
            "join" if method => {
                let mut made = on.times(self.element_size(target?));
                if !arguments.is_empty() {
                    let between = Span { min: on.min.saturating_sub(1), max: on.max.saturating_sub(1) };
                    made = made.plus(size(0).times(between));
                }
                Call::sized(made.by(TEXT), made)
            }
            "find" | "findAll" if method => {
                let cost = on.plus(Span::of(1)).by(TEXT).times(size(0).by(REGEX));
                Call::sized(cost, Span { min: 0, max: on.max })
            }
            "ip" if counted == "cidr_ip" => Call::of(Span::of(1)),
            "ip" | "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver" => {
                Call::of(size(0).by(TEXT))
            }
            // Of an address: its prefix is told apart from the function by what it is called on.
            "isCanonical" => Call::of(size(0).by(TEXT_TWICE)),
            "containsIP" | "containsCIDR" => {
                let address = Span { min: 4, max: 16 };
                let mut cost = address.plus(address).by(TEXT);
                if function == "containsCIDR" {
                    cost = cost.plus(address.by(TEXT)).plus(Span::of(1));
                }
                if counted == "from_text" {
                    cost = cost.plus(size(0).by(TEXT));
                }
                Call::of(cost)
            }
            "validate" => Call::of(size(0).by(TEXT).by(FORMAT_REGEX)),
            "_==_" if self.is_small(arguments) => Call::of(Span::of(1)),
            _ => return None,
        })
    }

    /// Values of types whose comparison costs nothing to speak of.
    fn is_small(&self, arguments: &[Part]) -> bool {
        let [left, right] = arguments else { return false };
        let (left, right) = (self.checked.of_part(left), self.checked.of_part(right));
        matches!(left, Type::Named(name) if *name != "kubernetes.URL" && *name != "kubernetes.NamedFormat")
            && left.is(right)
    }

    fn looped(&mut self, part: &Part, looped: &Loop) -> Span {
        let range = self.cost(&looped.range);
        let begin = self.cost(&looped.begin);
        let (path, size, entries) =
            (self.path(&looped.begin), self.size(&looped.begin), self.entries(&looped.begin));
        self.locals.push(Local { name: looped.gathered.clone(), path, size, entries });
        if looped.gathered != GATHERED {
            // A name for a value.
            let result = self.cost(&looped.result);
            self.locals.pop();
            let (size, entries) = (self.size(&looped.result), self.entries(&looped.result));
            self.note(part, size, entries);
            return range.plus(begin).plus(result);
        }
        let entries = self.entries(&looped.range);
        let list = entries.map_or_else(
            || matches!(self.checked.of_part(&looped.range), Type::List(_)),
            |entries| entries.list,
        );
        let step = |what: &str| {
            let mut path = self.path(&looped.range);
            path.push(what.to_owned());
            path
        };
        let (keys, values) = (entries.map(|entries| entries.keys), entries.map(|entries| entries.values));
        let mut locals = match (&looped.second, list) {
            (None, true) => vec![(&looped.variable, step("@items"), values)],
            (None, false) => vec![(&looped.variable, step("@keys"), keys)],
            (Some(second), true) => {
                vec![(&looped.variable, step("@indices"), keys), (second, step("@items"), values)]
            }
            (Some(second), false) => {
                vec![(&looped.variable, step("@keys"), keys), (second, step("@values"), values)]
            }
        };
        let count = locals.len();
        for (name, path, size) in locals.drain(..) {
            self.locals.push(Local { name: name.clone(), path, size, entries: None });
        }
        let step = self.cost(&looped.condition).plus(self.cost(&looped.step));
        self.locals.truncate(self.locals.len() - count);
        let result = self.cost(&looped.result);
        self.locals.pop();
        let times = self.size_or_unknown(&looped.range);
        match &looped.begin.kind {
            Kind::Literal(_) => {
                let size = self.size(&looped.begin);
                self.note(part, size, None);
            }
            _ => {
                let entries = self.entries(&looped.step);
                self.note(part, Some(times), entries);
            }
        }
        range.plus(begin).plus(result).plus(times.times(step))
    }
}
