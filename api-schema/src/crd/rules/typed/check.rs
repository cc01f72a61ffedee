//! Finding the type of each part of an expression.

use super::functions::{FREE, Overload, named_type, overloads, read};
use super::parse::OPTIONAL;
use super::tree::{Kind, Literal, Loop, Part, Tree};
use super::types::{Found, Type};
use super::{alike, declared, literals};
use crate::cel::{is_structure, structure_field};
use std::collections::BTreeSet;

/// What has been found.
pub struct Checked<'a> {
    types: Vec<Type<'a>>,
    /// How each call is meant: often in one way, in several when the type is not known.
    calls: Vec<Vec<&'static Overload>>,
    /// The variables that have been named.
    named: BTreeSet<String>,
}

impl<'a> Checked<'a> {
    /// True when a variable is named.
    pub fn names(&self, variable: &str) -> bool {
        self.named.contains(variable)
    }

    /// The type of an expression.
    pub fn of(&self, tree: &Tree) -> &Type<'a> {
        self.of_part(&tree.root)
    }

    /// The type of a part.
    pub fn of_part(&self, part: &Part) -> &Type<'a> {
        self.types.get(part.id).unwrap_or(&Type::Dyn)
    }

    /// The ways in which a call is meant.
    pub fn ways(&self, part: &Part) -> &[&'static Overload] {
        self.calls.get(part.id).map_or(&[], Vec::as_slice)
    }
}

/// Checks an expression over variables.
///
/// Errors: what is wrong, each with its place.
/// `constructs`: objects and patches may be made.
pub fn check<'a>(
    tree: &Tree,
    variables: Vec<(&str, Type<'a>)>,
    constructs: bool,
) -> Result<Checked<'a>, Vec<(usize, String)>> {
    let mut checker = Checker {
        variables: variables.into_iter().map(|(name, of)| (name.to_owned(), of)).collect(),
        types: vec![Type::Error; tree.count],
        calls: vec![Vec::new(); tree.count],
        found: Found::default(),
        free: 0,
        problems: Vec::new(),
        named: BTreeSet::new(),
        constructs,
    };
    checker.part(&tree.root);
    if !checker.problems.is_empty() {
        return Err(checker.problems);
    }
    let types = checker.types.iter().map(|of| checker.found.apply(of, true)).collect();
    let checked = Checked { types, calls: checker.calls, named: checker.named };
    let mut problems = alike::problems(&tree.root, &checked);
    problems.extend(literals::problems(&tree.root, &checked));
    if problems.is_empty() { Ok(checked) } else { Err(problems) }
}

struct Checker<'a> {
    variables: Vec<(String, Type<'a>)>,
    types: Vec<Type<'a>>,
    calls: Vec<Vec<&'static Overload>>,
    found: Found<'a>,
    free: usize,
    problems: Vec<(usize, String)>,
    named: BTreeSet<String>,
    constructs: bool,
}

impl<'a> Checker<'a> {
    fn problem(&mut self, part: &Part, what: String) {
        self.problems.push((part.at, what));
    }

    fn mismatch(&mut self, part: &Part, wanted: &Type<'_>, given: &Type<'_>) {
        self.problem(part, format!("expected type '{wanted}' but found '{given}'"));
    }

    fn undeclared(&mut self, part: &Part, name: &str) {
        self.problem(part, format!("undeclared reference to '{name}' (in container '')"));
    }

    fn free(&mut self) -> Type<'a> {
        self.free += 1;
        Type::Free(self.free - 1)
    }

    /// Finds the type of a part and of all below it.
    fn part(&mut self, part: &Part) -> Type<'a> {
        let of = match &part.kind {
            Kind::Literal(literal) => match literal {
                Literal::Null => Type::Null,
                Literal::Bool(_) => Type::Bool,
                Literal::Int(_) => Type::Int,
                Literal::Uint(_) => Type::Uint,
                Literal::Double(_) => Type::Double,
                Literal::Text(_) => Type::Text,
                Literal::Bytes(_) => Type::Bytes,
            },
            Kind::Name(name) => self.name(part, name),
            Kind::Select { operand, field, test } => {
                let of = self.select(part, operand, field);
                if *test { Type::Bool } else { self.found.apply(&of, false) }
            }
            Kind::Call { target, function, arguments } => {
                self.call(part, target.as_deref(), function, arguments)
            }
            Kind::List(elements) => {
                let mut joined = None;
                for element in elements {
                    let of = self.part(element);
                    joined = Some(self.join(joined, of));
                }
                Type::List(Box::new(joined.unwrap_or_else(|| self.free())))
            }
            Kind::Map(entries) => {
                let (mut keys, mut values) = (None, None);
                for (key, value) in entries {
                    let of = self.part(key);
                    keys = Some(self.join(keys, of));
                    let of = self.part(value);
                    values = Some(self.join(values, of));
                }
                let (keys, values) =
                    (keys.unwrap_or_else(|| self.free()), values.unwrap_or_else(|| self.free()));
                Type::Map(Box::new((keys, values)))
            }
            Kind::Maybe(inner) => self.maybe(inner),
            Kind::Struct(name, fields) => self.structure(part, name, fields),
            Kind::Loop(looped) => self.looped(looped),
        };
        if let Some(place) = self.types.get_mut(part.id) {
            *place = of.clone();
        }
        of
    }

    /// What is in an optional value that stands where it may be absent.
    fn maybe(&mut self, inner: &Part) -> Type<'a> {
        let of = self.part(inner);
        match self.found.apply(&of, false) {
            Type::Optional(of) => *of,
            other if other.is_dyn() => Type::Dyn,
            other => {
                self.mismatch(inner, &Type::Optional(Box::new(other.clone())), &other);
                other
            }
        }
    }

    /// An object under construction, or a patch. What is nested in an object is named by the path to it.
    fn structure(&mut self, part: &Part, name: &str, fields: &[(String, Part)]) -> Type<'a> {
        let is_object = name == "Object" || name.starts_with("Object.");
        let known = self.constructs && (is_object || name == "JSONPatch");
        if !known {
            self.undeclared(part, name);
        }
        for (field, value) in fields {
            let of = self.part(value);
            if is_object && known {
                self.nested(value, &format!("{name}.{field}"));
            } else if known && !matches!(field.as_str(), "op" | "path" | "from" | "value") {
                self.problem(value, format!("undefined field '{field}'"));
            } else if known && field != "value" && !self.found.fits(&Type::Text, &of) {
                let of = self.found.apply(&of, true);
                let why = format!("expected type of field '{field}' is 'string' but provided type is '{of}'");
                self.problem(value, why);
            }
        }
        if known { Type::Made(name.to_owned()) } else { Type::Error }
    }

    fn nested(&mut self, value: &Part, expected: &str) {
        match &value.kind {
            Kind::Struct(name, _) if name != expected => self.problem(
                value,
                format!(
                    "type mismatch: unexpected type name {name:?}, expected {expected:?}, which matches field name \
                     path from root Object type"
                ),
            ),
            Kind::List(elements) => elements.iter().for_each(|element| self.nested(element, expected)),
            Kind::Maybe(inner) => self.nested(inner, expected),
            _ => {}
        }
    }

    fn name(&mut self, part: &Part, name: &str) -> Type<'a> {
        if let Some((_, of)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            self.named.insert(name.to_owned());
            return of.clone();
        }
        match named_type(name) {
            Some(of) => of,
            None => {
                self.undeclared(part, name);
                Type::Error
            }
        }
    }

    fn select(&mut self, part: &Part, operand: &Part, field: &str) -> Type<'a> {
        // A variable may have a dot in its name.
        if let Kind::Name(name) = &operand.kind
            && let Some((_, of)) =
                self.variables.iter().rev().find(|(known, _)| known.split_once('.') == Some((name, field)))
        {
            return of.clone();
        }
        // So may a type.
        if let Some(name) = part.qualified()
            && !self.variables.iter().any(|(known, _)| name.split('.').next() == Some(known))
            && let Some(of) = named_type(&name)
        {
            return of;
        }
        let operand = self.part(operand);
        let operand = self.found.apply(&operand, false);
        let (target, optional) = match operand {
            Type::Optional(of) => (*of, true),
            other => (other, false),
        };
        let of = match &target {
            Type::Map(of) => of.1.clone(),
            Type::Object(object) => match declared::field(object, field) {
                Some(of) => of,
                None => {
                    self.problem(part, format!("undefined field '{field}'"));
                    Type::Error
                }
            },
            Type::Free(_) => {
                self.found.fits(&Type::Dyn, &target);
                Type::Dyn
            }
            Type::Named(name) if is_structure(name) => match structure_field(name, field).and_then(read) {
                Some(of) => of,
                None => {
                    self.problem(part, format!("undefined field '{field}'"));
                    Type::Error
                }
            },
            Type::Named(name) => {
                self.problem(part, format!("unexpected failed resolution of '{name}'"));
                Type::Error
            }
            Type::Made(_) => Type::Dyn,
            other => {
                if !other.is_dyn() {
                    self.problem(part, format!("type '{other}' does not support field selection"));
                }
                Type::Dyn
            }
        };
        if optional { Type::Optional(Box::new(of)) } else { of }
    }

    fn call(&mut self, part: &Part, target: Option<&Part>, function: &str, arguments: &[Part]) -> Type<'a> {
        if let (OPTIONAL, [operand, Part { kind: Kind::Literal(Literal::Text(field)), .. }]) =
            (function, arguments)
        {
            let of = self.select(part, operand, field);
            self.note(part, overloads(OPTIONAL).into_iter().flatten().collect());
            return match self.found.apply(&of, false) {
                optional @ Type::Optional(_) => optional,
                of => Type::Optional(Box::new(of)),
            };
        }
        let mut given: Vec<Type<'a>> = arguments.iter().map(|argument| self.part(argument)).collect();
        // A function may have a prefix, which is no variable then.
        let prefixed = target.and_then(|target| match &target.kind {
            Kind::Name(prefix) => Some(format!("{prefix}.{function}")),
            _ => None,
        });
        let prefixed = prefixed.filter(|name| self.constructs || !name.starts_with("jsonpatch."));
        if let Some((name, ways)) =
            prefixed.and_then(|name| Some((overloads(&name)?, name))).map(|(w, n)| (n, w))
        {
            return self.resolve(part, &name, ways, false, arguments, given);
        }
        if let Some(target) = target {
            let of = self.part(target);
            given.insert(0, of);
        }
        match overloads(function) {
            Some(ways) => self.resolve(part, function, ways, target.is_some(), arguments, given),
            None => {
                self.undeclared(part, function);
                Type::Error
            }
        }
    }

    fn resolve(
        &mut self,
        part: &Part,
        name: &str,
        ways: &'static [Overload],
        method: bool,
        arguments: &[Part],
        given: Vec<Type<'a>>,
    ) -> Type<'a> {
        if matches!(name, "_&&_" | "_||_") {
            let mut right = true;
            for (argument, of) in arguments.iter().zip(&given) {
                if !self.found.fits(of, &Type::Bool) {
                    self.mismatch(argument, &Type::Bool, of);
                    right = false;
                }
            }
            self.note(part, ways.iter().collect());
            return if right { Type::Bool } else { Type::Error };
        }
        let mut fitting = Vec::new();
        let mut gives: Option<Type<'a>> = None;
        for way in ways.iter().filter(|way| way.method == method) {
            let base = self.free;
            self.free += FREE;
            let wanted: Vec<Type<'a>> = way.arguments.iter().map(|of| of.fresh(base)).collect();
            if !self.found.all_fit(&given, &wanted) {
                continue;
            }
            fitting.push(way);
            let made = self.found.apply(&way.gives.fresh(base), false);
            gives = Some(match gives {
                None => made,
                Some(before) if before.is_dyn() || before.is(&made) => before,
                Some(_) => Type::Dyn,
            });
        }
        let Some(gives) = gives else {
            let shown: Vec<String> = given.iter().map(|of| self.found.apply(of, true).to_string()).collect();
            let applied = match shown.split_first() {
                Some((on, rest)) if method => format!("{on}.({})", rest.join(", ")),
                _ => format!("({})", shown.join(", ")),
            };
            self.problem(part, format!("found no matching overload for '{name}' applied to '{applied}'"));
            return Type::Error;
        };
        self.note(part, fitting);
        gives
    }

    fn note(&mut self, part: &Part, ways: Vec<&'static Overload>) {
        if let Some(place) = self.calls.get_mut(part.id) {
            *place = ways;
        }
    }

    /// The type of elements that have one type so far.
    fn join(&mut self, before: Option<Type<'a>>, of: Type<'a>) -> Type<'a> {
        let Some(before) = before else { return of };
        if self.found.fits(&before, &of) {
            return Found::general(&before, &of);
        }
        Type::Dyn
    }

    fn looped(&mut self, looped: &Loop) -> Type<'a> {
        let range = self.part(&looped.range);
        let begin = self.part(&looped.begin);
        let range = self.found.apply(&range, false);
        let depth = self.variables.len();
        self.variables.push((looped.gathered.clone(), begin.clone()));
        let mut value = Type::Dyn;
        let element = match &range {
            Type::List(of) if looped.second.is_some() => {
                value = (**of).clone();
                Type::Int
            }
            Type::List(of) => (**of).clone(),
            Type::Map(of) => {
                value = of.1.clone();
                of.0.clone()
            }
            Type::Dyn | Type::Error | Type::Free(_) => {
                self.found.fits(&Type::Dyn, &range);
                Type::Dyn
            }
            other => {
                let why = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.problem(&looped.range, why);
                Type::Error
            }
        };
        self.variables.push((looped.variable.clone(), element));
        if let Some(second) = &looped.second {
            self.variables.push((second.clone(), value));
        }
        let condition = self.part(&looped.condition);
        self.wants(&looped.condition, &Type::Bool, &condition);
        let step = self.part(&looped.step);
        self.wants(&looped.step, &begin, &step);
        self.variables.truncate(depth + 1);
        let result = self.part(&looped.result);
        self.variables.truncate(depth);
        self.found.apply(&result, false)
    }

    fn wants(&mut self, part: &Part, wanted: &Type<'a>, given: &Type<'a>) {
        if !self.found.fits(wanted, given) {
            self.mismatch(part, wanted, given);
        }
    }
}
