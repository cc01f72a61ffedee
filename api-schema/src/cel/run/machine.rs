//! From a tree to a value.

use super::calls;
use super::operators;
use super::optionals;
use super::prices;
use super::values::{Given, Key, List, Stop, Value, fail, no_overload};
use super::work::Work;
use crate::crd::rules::{GATHERED, INSERT, Kind, Literal, Loop, OPTIONAL, Part};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The variables of an expression.
pub(crate) trait Names {
    /// A variable; `None`: there is none of the name.
    fn variable(&mut self, name: &str) -> Option<Given>;

    /// A variable with a dot in its name; `None`: there is none.
    fn dotted(&mut self, _name: &str, _field: &str) -> Option<Given> {
        None
    }
}

/// Runs an expression that may cost so much. Gives what it cost too.
pub(crate) fn run(tree: &Part, names: &mut dyn Names, limit: u64) -> (Given, u64) {
    let mut machine = Machine { names, locals: Vec::new(), spent: 0, limit, work: Work::new() };
    let given = machine.part(tree);
    (given, machine.spent)
}

const LIST: u64 = 10;
const MAP: u64 = 30;
const OBJECT: u64 = 40;

pub(super) struct Machine<'t, 'n> {
    names: &'n mut dyn Names,
    /// What loops have set; a failure is told where it is read.
    locals: Vec<(&'t str, Given)>,
    spent: u64,
    limit: u64,
    pub work: Work,
}

impl<'t> Machine<'t, '_> {
    fn spend(&mut self, cost: u64) -> Result<(), Stop> {
        self.spent = self.spent.saturating_add(cost);
        if self.spent > self.limit { Err(Stop::Limit) } else { Ok(()) }
    }

    /// Fails when something would cost more than is left.
    fn affords(&self, cost: u64) -> Result<(), Stop> {
        if self.spent.saturating_add(cost) > self.limit { Err(Stop::Limit) } else { Ok(()) }
    }

    fn part(&mut self, part: &'t Part) -> Given {
        match &part.kind {
            Kind::Literal(literal) => Ok(constant(literal)),
            Kind::Name(name) => {
                self.spend(1)?;
                self.name(name)
            }
            Kind::Select { operand, field, test } => self.select(part, operand, field, *test),
            Kind::Call { target, function, arguments } => self.call(target.as_deref(), function, arguments),
            Kind::List(elements) => {
                let mut items = Vec::with_capacity(elements.len());
                for element in elements {
                    items.extend(self.element(element)?);
                }
                self.spend(if is_constant(part) { 0 } else { LIST })?;
                Ok(Value::list(items))
            }
            Kind::Map(entries) => {
                let mut map = BTreeMap::new();
                for (key, value) in entries {
                    let key = self.part(key)?;
                    let Some(value) = self.element(value)? else { continue };
                    let Some(own) = key.key() else {
                        return fail(format!("unsupported key type: {}", key.type_name()));
                    };
                    map.insert(own, value);
                }
                self.spend(if is_constant(part) { 0 } else { MAP })?;
                Ok(Value::Map(Arc::new(map)))
            }
            Kind::Maybe(inner) => self.part(inner),
            Kind::Struct(_, fields) => {
                let mut map = BTreeMap::new();
                for (field, value) in fields {
                    if let Some(value) = self.element(value)? {
                        map.insert(Key::Text(field.as_str().into()), value);
                    }
                }
                self.spend(OBJECT)?;
                Ok(Value::Map(Arc::new(map)))
            }
            Kind::Loop(looped) => self.looped(looped),
        }
    }

    /// An element; `None`: it is optional and absent.
    fn element(&mut self, part: &'t Part) -> Result<Option<Value>, Stop> {
        let Kind::Maybe(inner) = &part.kind else { return self.part(part).map(Some) };
        match self.part(inner)? {
            Value::Optional(value) => Ok(value.map(|value| (*value).clone())),
            other => fail(format!(
                "cannot initialize optional value from non-optional value {}",
                other.type_name()
            )),
        }
    }

    fn name(&mut self, name: &str) -> Given {
        if let Some((_, given)) = self.locals.iter().rev().find(|(known, _)| *known == name) {
            return given.clone();
        }
        if let Some(given) = self.names.variable(name) {
            return given;
        }
        match type_named(name) {
            Some(name) => Ok(Value::Type(name)),
            None => fail(format!("no such attribute(s): {name}")),
        }
    }

    fn select(&mut self, part: &'t Part, operand: &'t Part, field: &str, test: bool) -> Given {
        if let Kind::Name(name) = &operand.kind
            && !self.locals.iter().any(|(known, _)| known == name)
            && let Some(given) = self.names.dotted(name, field)
        {
            if test {
                return Ok(Value::Bool(true));
            }
            self.spend(1)?;
            return given;
        }
        if let Some(name) = part.qualified().as_deref().and_then(type_named) {
            self.spend(1)?;
            return Ok(Value::Type(name));
        }
        let of = self.part(operand)?;
        if test {
            return operators::has(&of, field).map(Value::Bool);
        }
        self.spend(1)?;
        match of {
            Value::Optional(value) => Ok(optionals::field(value.as_deref(), field)),
            of => operators::field(&of, field),
        }
    }

    fn call(&mut self, target: Option<&'t Part>, function: &str, arguments: &'t [Part]) -> Given {
        match (function, arguments) {
            ("_&&_", [left, right]) => return self.both(left, right, false),
            ("_||_", [left, right]) => return self.both(left, right, true),
            ("_?_:_", [test, yes, no]) => {
                return match self.part(test)? {
                    Value::Bool(true) => self.part(yes),
                    Value::Bool(false) => self.part(no),
                    _ => no_overload(),
                };
            }
            ("@not_strictly_false", [argument]) => {
                let given = self.part(argument);
                self.spend(1)?;
                return match given {
                    Err(Stop::Limit) => Err(Stop::Limit),
                    Ok(Value::Bool(false)) => Ok(Value::Bool(false)),
                    _ => Ok(Value::Bool(true)),
                };
            }
            ("_+_", [Part { kind: Kind::Name(name), .. }, Part { kind: Kind::List(elements), .. }])
                if name == GATHERED =>
            {
                return self.gather(elements);
            }
            (INSERT, [Part { kind: Kind::Name(name), .. }, rest @ ..]) if name == GATHERED => {
                return self.gather_entries(rest);
            }
            (OPTIONAL, [of, Part { kind: Kind::Literal(Literal::Text(field)), .. }]) => {
                let of = self.part(of)?;
                self.spend(1)?;
                return optionals::select(&of, field);
            }
            ("orValue" | "or", [other]) => {
                if let Some(target) = target
                    && let Value::Optional(value) = self.part(target)?
                {
                    self.spend(1)?;
                    return match (value, function) {
                        (Some(value), "orValue") => Ok((*value).clone()),
                        (Some(value), _) => Ok(Value::Optional(Some(value))),
                        (None, _) => self.part(other),
                    };
                }
                return fail(format!("no such overload: {function}"));
            }
            _ => {}
        }
        // What stands before a function of a library is no value.
        let prefixed = target.and_then(|target| match &target.kind {
            Kind::Name(prefix) => Some(format!("{prefix}.{function}")),
            _ => None,
        });
        let prefixed = prefixed.filter(|name| crate::crd::rules::is_function(name));
        let target = target.filter(|_| prefixed.is_none());
        let name = prefixed.as_deref().unwrap_or(function);
        let mut given = Vec::with_capacity(arguments.len() + 1);
        for part in target.into_iter().chain(arguments) {
            given.push(self.part(part)?);
        }
        self.affords(prices::before(name, &given))?;
        let method = target.is_some();
        let result = calls::call(name, method, &given, &mut self.work)?;
        self.spend(prices::price(name, &given, &result))?;
        Ok(result)
    }

    /// `&&` and `||`: one side may decide, though the other one failed.
    fn both(&mut self, left: &'t Part, right: &'t Part, decides: bool) -> Given {
        let left = self.part(left);
        match left {
            Err(Stop::Limit) => return Err(Stop::Limit),
            Ok(Value::Bool(found)) if found == decides => return Ok(Value::Bool(decides)),
            _ => {}
        }
        match (left, self.part(right)) {
            (_, Err(Stop::Limit)) => Err(Stop::Limit),
            (_, Ok(Value::Bool(found))) if found == decides => Ok(Value::Bool(decides)),
            (Ok(Value::Bool(_)), Ok(Value::Bool(_))) => Ok(Value::Bool(!decides)),
            (Err(stop), _) | (Ok(Value::Bool(_)), Err(stop)) => Err(stop),
            _ => no_overload(),
        }
    }

    fn looped(&mut self, looped: &'t Loop) -> Given {
        let depth = self.locals.len();
        if looped.gathered != GATHERED {
            // A name for a value.
            let begin = self.part(&looped.begin);
            if let Err(Stop::Limit) = begin {
                return begin;
            }
            self.locals.push((&looped.gathered, begin));
            let given = self.part(&looped.result);
            self.locals.truncate(depth);
            return given;
        }
        let range = self.part(&looped.range)?;
        let begin = self.part(&looped.begin)?;
        let endless = matches!(looped.condition.kind, Kind::Literal(Literal::Bool(true)));
        self.locals.push((&looped.gathered, Ok(begin)));
        let turn = |machine: &mut Self, first: Value, second: Option<Value>| -> Result<bool, Stop> {
            machine.locals.push((&looped.variable, Ok(first)));
            if let (Some(name), Some(value)) = (&looped.second, second) {
                machine.locals.push((name, Ok(value)));
            }
            let goes_on = if endless {
                !matches!(machine.locals.get(depth), Some((_, Err(_))))
            } else {
                matches!(machine.part(&looped.condition)?, Value::Bool(true))
            };
            if goes_on {
                let step = machine.part(&looped.step);
                if let Err(Stop::Limit) = step {
                    return Err(Stop::Limit);
                }
                if let Some((_, gathered)) = machine.locals.get_mut(depth) {
                    *gathered = step;
                }
            }
            machine.locals.truncate(depth + 1);
            Ok(goes_on)
        };
        match &range {
            Value::List(list) => {
                for (index, item) in (0i64..).zip(&list.items) {
                    let (first, second) = match looped.second {
                        Some(_) => (Value::Int(index), Some(item.clone())),
                        None => (item.clone(), None),
                    };
                    if !turn(self, first, second)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, value) in map.iter() {
                    if !turn(self, key.value(), Some(value.clone()))? {
                        break;
                    }
                }
            }
            other => {
                self.locals.truncate(depth);
                let name = operators::go_name(other);
                return match looped.second {
                    Some(_) => fail(format!("unsupported comprehension range type: types.{name}")),
                    None => fail(format!("got 'types.{name}', expected iterable type")),
                };
            }
        }
        self.locals.truncate(depth + 1);
        let given = self.part(&looped.result);
        self.locals.truncate(depth);
        given
    }

    /// Takes what the innermost loop has gathered: its step gives it back, with more.
    fn gathered(&mut self) -> Given {
        self.spend(1)?;
        match self.locals.iter_mut().rev().find(|(known, _)| *known == GATHERED) {
            Some((_, given)) => std::mem::replace(given, Ok(Value::Null)),
            None => fail(format!("no such attribute(s): {GATHERED}")),
        }
    }

    fn gather(&mut self, elements: &'t [Part]) -> Given {
        let mut more = Vec::with_capacity(elements.len());
        for element in elements {
            more.extend(self.element(element)?);
        }
        self.spend(LIST + 1)?;
        let Value::List(mut list) = self.gathered()? else { return no_overload() };
        if let Some(own) = Arc::get_mut(&mut list) {
            own.items.append(&mut more);
            return Ok(Value::List(list));
        }
        self.work.take(list.items.len())?;
        let mut items = list.items.clone();
        items.append(&mut more);
        Ok(Value::List(Arc::new(List { items, like: list.like.clone() })))
    }

    fn gather_entries(&mut self, entry: &'t [Part]) -> Given {
        let mut given = Vec::with_capacity(entry.len());
        for part in entry {
            given.push(self.part(part)?);
        }
        self.spend(1)?;
        let Value::Map(mut map) = self.gathered()? else { return no_overload() };
        if Arc::get_mut(&mut map).is_none() {
            self.work.take(map.len())?;
        }
        let own = Arc::make_mut(&mut map);
        match given.as_slice() {
            [Value::Map(entries)] => {
                for (key, value) in entries.iter() {
                    insert_new(own, &key.value(), value.clone())?;
                }
            }
            [key, value] => insert_new(own, key, value.clone())?,
            _ => {
                let other = given.first().map_or("", Value::type_name);
                return fail(format!("no such overload: {INSERT}(map, {other})"));
            }
        }
        Ok(Value::Map(map))
    }
}

fn insert_new(map: &mut BTreeMap<Key, Value>, key: &Value, value: Value) -> Result<(), Stop> {
    let Some(own) = key.key() else { return fail(format!("unsupported key type: {}", key.type_name())) };
    if super::values::find(map, key).is_some() {
        return fail(format!("insert failed: key {} already exists", operators::shown(key)));
    }
    map.insert(own, value);
    Ok(())
}

pub(super) fn constant(literal: &Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(bool) => Value::Bool(*bool),
        Literal::Int(int) => Value::Int(*int),
        Literal::Uint(uint) => Value::Uint(*uint),
        Literal::Double(double) => Value::Double(*double),
        Literal::Text(text) => text.as_str().into(),
        Literal::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
    }
}

/// True for what stands in the text as it is.
pub(super) fn is_constant(part: &Part) -> bool {
    match &part.kind {
        Kind::Literal(_) => true,
        Kind::List(elements) => elements.iter().all(is_constant),
        Kind::Map(entries) => entries.iter().all(|(key, value)| is_constant(key) && is_constant(value)),
        _ => false,
    }
}

/// The types that can be named.
fn type_named(name: &str) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "bool",
        "bytes",
        "double",
        "google.protobuf.Duration",
        "google.protobuf.Timestamp",
        "int",
        "list",
        "map",
        "net.CIDR",
        "net.IP",
        "null_type",
        "optional_type",
        "string",
        "type",
        "uint",
    ];
    NAMES.iter().find(|known| **known == name).copied()
}
