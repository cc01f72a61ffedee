//! What an expression gives, and how deep it is.

use super::analyze::Node;
use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};

/// How deep expressions are nested in it.
pub(crate) fn depth(expression: &IdedExpr) -> usize {
    let all = |parts: &[IdedExpr]| parts.iter().map(depth).max().unwrap_or(0);
    let entry = |entry: &EntryExpr| match entry {
        EntryExpr::StructField(field) => depth(&field.value),
        EntryExpr::MapEntry(entry) => depth(&entry.key).max(depth(&entry.value)),
    };
    1 + match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => 0,
        Expr::Select(select) => depth(&select.operand),
        Expr::Call(call) => call.target.as_deref().map_or(0, depth).max(all(&call.args)),
        Expr::List(list) => all(&list.elements),
        Expr::Map(map) => map.entries.iter().map(|e| entry(&e.expr)).max().unwrap_or(0),
        Expr::Struct(object) => object.entries.iter().map(|e| entry(&e.expr)).max().unwrap_or(0),
        Expr::Comprehension(loops) => {
            let parts =
                [&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result];
            parts.into_iter().map(depth).max().unwrap_or(0)
        }
    }
}

/// The kind of what an expression gives, when that can be told by reading it.
pub(crate) fn kind_of(expression: &IdedExpr, this: &Node<'_>) -> Option<&'static str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Boolean(_)) => Some("bool"),
        Expr::Literal(LiteralValue::String(_)) => Some("string"),
        Expr::Literal(_) => Some("other"),
        Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => Some("other"),
        Expr::Select(select) if select.test => Some("bool"),
        Expr::Select(_) | Expr::Ident(_) => {
            let node = path_of(expression, this)?;
            Some(match node.kind()? {
                "boolean" => "bool",
                "string" => "string",
                _ => "other",
            })
        }
        Expr::Call(call) => match call.func_name.as_str() {
            "_&&_" | "_||_" | "!_" | "_<_" | "_<=_" | "_>_" | "_>=_" | "_==_" | "_!=_" | "@in"
            | "startsWith" | "endsWith" | "contains" | "matches" => Some("bool"),
            "string" => Some("string"),
            "_-_" | "_*_" | "_/_" | "_%_" | "-_" | "size" | "int" | "uint" | "double" => Some("other"),
            "_?_:_" => {
                let (a, b) = (kind_of(call.args.get(1)?, this)?, kind_of(call.args.get(2)?, this)?);
                (a == b).then_some(a)
            }
            _ => None,
        },
        Expr::Comprehension(_) | Expr::Unspecified => None,
    }
}

/// The node that a path of fields from `self` leads to.
fn path_of<'a>(expression: &IdedExpr, this: &Node<'a>) -> Option<Node<'a>> {
    match &expression.expr {
        Expr::Ident(name) if name == "self" || name == "oldSelf" => Some(this.clone()),
        Expr::Select(select) => path_of(&select.operand, this)?.field(&select.field),
        _ => None,
    }
}
