//! What an expression is turned into before it runs, since the library knows neither objects under construction nor
//! variables that fail when they are read.
//!
//! `Object.spec{replicas: 1}` becomes a map. `variables.x` becomes a variable of that name, so that one whose own
//! expression failed fails where it is read. A field of a variable that may be null is read from a variable which is
//! there only when it is not null.

use kube_cel::cel::common::ast::{
    EntryExpr, Expr, IdedExpr, LiteralValue, MapEntryExpr, MapExpr, SelectExpr, StructExpr,
};

/// The end of the name of a variable that is not null.
pub(super) const PRESENT: &str = ".*";
/// The begin of the names of a policy's own variables.
pub(super) const OWN: &str = "variables.";
/// The authorizer, asked about the resource of the request.
pub(super) const REQUEST_RESOURCE: &str = "authorizer.requestResource";

/// What a rewrite knows, and what it finds.
pub(super) struct Rewrite<'a> {
    /// The variables that may be null.
    pub nullable: &'a [&'a str],
    /// The policy's own variables.
    pub own: &'a [&'a str],
    /// Objects may be constructed.
    pub constructs: bool,
    /// Names that loops have taken.
    pub taken: Vec<String>,
    /// What is wrong.
    pub problems: Vec<String>,
}

impl Rewrite<'_> {
    /// Rewrites an expression in place.
    pub fn expression(&mut self, of: &mut IdedExpr) {
        match &mut of.expr {
            Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => {}
            Expr::Select(select) => {
                if let Some(instead) = self.select(select) {
                    of.expr = instead;
                } else {
                    self.expression(&mut select.operand);
                }
            }
            Expr::Call(call) => {
                call.target.iter_mut().for_each(|target| self.expression(target));
                call.args.iter_mut().for_each(|argument| self.expression(argument));
            }
            Expr::List(list) => list.elements.iter_mut().for_each(|element| self.expression(element)),
            Expr::Map(map) => map.entries.iter_mut().for_each(|entry| self.entry(&mut entry.expr)),
            Expr::Struct(object) => {
                let map = self.structure(object);
                of.expr = Expr::Map(map);
            }
            Expr::Comprehension(loops) => {
                self.expression(&mut loops.iter_range);
                self.expression(&mut loops.accu_init);
                let before = self.taken.len();
                self.taken.push(loops.iter_var.clone());
                self.taken.extend(loops.iter_var2.clone());
                self.taken.push(loops.accu_var.clone());
                self.expression(&mut loops.loop_cond);
                self.expression(&mut loops.loop_step);
                self.expression(&mut loops.result);
                self.taken.truncate(before);
            }
        }
    }

    fn entry(&mut self, entry: &mut EntryExpr) {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.expression(&mut entry.key);
                self.expression(&mut entry.value);
            }
            EntryExpr::StructField(field) => self.expression(&mut field.value),
        }
    }

    /// What a field of a variable becomes; `None`: it stays.
    fn select(&mut self, select: &SelectExpr) -> Option<Expr> {
        let Expr::Ident(name) = &select.operand.expr else { return None };
        if self.taken.contains(name) {
            return None;
        }
        let field = select.field.as_str();
        match name.as_str() {
            "variables" if !self.own.is_empty() => {
                if !self.own.contains(&field) {
                    self.problems.push(format!("undefined field '{field}'"));
                }
                Some(if select.test {
                    Expr::Literal(LiteralValue::Boolean(true.into()))
                } else {
                    Expr::Ident(format!("{OWN}{field}"))
                })
            }
            "authorizer" if field == "requestResource" => Some(Expr::Ident(REQUEST_RESOURCE.to_owned())),
            name if self.nullable.contains(&name) => {
                let mut present = select.clone();
                present.operand.expr = Expr::Ident(format!("{name}{PRESENT}"));
                Some(Expr::Select(present))
            }
            _ => None,
        }
    }

    /// An object under construction as a map. The type of what is nested is named by the path to it.
    fn structure(&mut self, object: &mut StructExpr) -> MapExpr {
        let name = std::mem::take(&mut object.type_name);
        let name = name.trim_start_matches('.');
        let is_object = name == "Object" || name.starts_with("Object.");
        if !self.constructs || !(is_object || name == "JSONPatch") {
            self.problems.push(format!("undeclared reference to '{name}' (in container '')"));
        }
        let mut entries = Vec::with_capacity(object.entries.len());
        for mut entry in std::mem::take(&mut object.entries) {
            if let EntryExpr::StructField(field) = entry.expr {
                if is_object {
                    self.nested(&field.value, &format!("{name}.{}", field.field));
                }
                let key = LiteralValue::String(field.field.as_str().into());
                let key = IdedExpr { id: entry.id, expr: Expr::Literal(key) };
                entry.expr =
                    EntryExpr::MapEntry(MapEntryExpr { key, value: field.value, optional: field.optional });
            }
            self.entry(&mut entry.expr);
            entries.push(entry);
        }
        MapExpr { entries }
    }

    fn nested(&mut self, value: &IdedExpr, expected: &str) {
        match &value.expr {
            Expr::Struct(object) if object.type_name.trim_start_matches('.') != expected => {
                let found = &object.type_name;
                self.problems.push(format!(
                    "type mismatch: unexpected type name {found:?}, expected {expected:?}, which matches field name \
                     path from root Object type"
                ));
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.nested(element, expected)),
            _ => {}
        }
    }
}

/// The names of the variables that an expression reads, each once.
pub(crate) fn names(of: &IdedExpr, out: &mut Vec<String>) {
    match &of.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) => {
            if !out.contains(name) {
                out.push(name.clone());
            }
        }
        Expr::Select(select) => names(&select.operand, out),
        Expr::Call(call) => {
            call.target.as_deref().into_iter().chain(&call.args).for_each(|part| names(part, out))
        }
        Expr::List(list) => list.elements.iter().for_each(|element| names(element, out)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| entry_names(&entry.expr, out)),
        Expr::Struct(object) => object.entries.iter().for_each(|entry| entry_names(&entry.expr, out)),
        Expr::Comprehension(loops) => {
            [&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result]
                .into_iter()
                .for_each(|part| names(part, out));
        }
    }
}

fn entry_names(entry: &EntryExpr, out: &mut Vec<String>) {
    match entry {
        EntryExpr::MapEntry(entry) => {
            names(&entry.key, out);
            names(&entry.value, out);
        }
        EntryExpr::StructField(field) => names(&field.value, out),
    }
}
