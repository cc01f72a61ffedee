//! Pieces of expressions that rewriting puts together.

use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr, ListExpr, LiteralValue};

fn piece(expr: Expr) -> IdedExpr {
    // Nothing looks the place of a piece up in the text.
    IdedExpr { id: 0, expr }
}

/// A variable.
pub(super) fn identifier(name: &str) -> IdedExpr {
    piece(Expr::Ident(name.to_owned()))
}

/// A text.
pub(super) fn text(text: &str) -> IdedExpr {
    piece(Expr::Literal(LiteralValue::String(text.into())))
}

/// A number.
pub(super) fn number(number: i64) -> IdedExpr {
    piece(Expr::Literal(LiteralValue::Int(number.into())))
}

/// True or false.
pub(super) fn boolean(value: bool) -> IdedExpr {
    piece(Expr::Literal(LiteralValue::Boolean(value.into())))
}

/// A list.
pub(super) fn list(elements: Vec<IdedExpr>) -> IdedExpr {
    piece(Expr::List(ListExpr { elements, optional_indices: Vec::new() }))
}

/// A call of a function or an operator.
pub(super) fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    piece(Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }))
}

/// A call of a method.
pub(super) fn method(target: IdedExpr, name: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: name.to_owned(), target: Some(Box::new(target)), args })
}
