//! What a rule names that is not there, with the place where it does, as CEL's compiler shows it.
//!
//! Caveat: the tree of a rule does not know its places, so the first place in the text that fits is shown.

/// A name that means nothing, or an argument that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A field that the schema does not have.
    Field(String),
    /// A variable or type that there is not.
    Name(String),
    /// A function that there is not.
    Function(String),
    /// The argument of a function that is checked while compiling: the function, why.
    Argument(String, String),
}

impl Problem {
    fn what(&self) -> String {
        match self {
            Problem::Field(name) => format!("undefined field '{name}'"),
            Problem::Name(name) | Problem::Function(name) => {
                format!("undeclared reference to '{name}' (in container '')")
            }
            Problem::Argument(function, _) => format!("invalid {function} argument"),
        }
    }

    /// The error for a problem of this expression.
    pub fn shown(&self, expression: &str) -> String {
        let what = self.what();
        let offset = self.offset(expression).unwrap_or(0);
        let before = expression.get(..offset).unwrap_or("");
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap_or("").chars().count();
        let text = expression.lines().nth(line).unwrap_or("");
        format!("ERROR: <input>:{}:{}: {what}\n | {text}\n | {}^", line + 1, column + 1, ".".repeat(column))
    }

    /// Where it is: at the dot of a field, at a name, at the bracket of a call, at an argument.
    fn offset(&self, expression: &str) -> Option<usize> {
        match self {
            Problem::Field(name) => words(expression, name).find_map(|at| {
                let before = expression.get(..at)?.trim_end();
                before.ends_with(['.', '?']).then(|| before.rfind('.')).flatten()
            }),
            Problem::Name(name) => words(expression, name)
                .find(|at| expression.get(..*at).is_some_and(|before| !before.trim_end().ends_with('.'))),
            Problem::Function(name) => {
                let name = name.rsplit('.').next().unwrap_or(name);
                words(expression, name).find_map(|at| bracket(expression, at + name.len()))
            }
            Problem::Argument(function, _) => words(expression, function).find_map(|at| {
                let open = bracket(expression, at + function.len())? + 1;
                let rest = expression.get(open..)?;
                Some(open + rest.len() - rest.trim_start().len())
            }),
        }
    }
}

/// The places where a whole word stands outside of strings.
fn words<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut quote = None;
    let mut escaped = false;
    let outside: Vec<bool> = text
        .char_indices()
        .flat_map(|(_, c)| {
            match (quote, c) {
                _ if escaped => escaped = false,
                (Some(_), '\\') => escaped = true,
                (Some(open), c) if c == open => quote = None,
                (None, '\'' | '"') => quote = Some(c),
                _ => {}
            }
            std::iter::repeat_n(quote.is_none(), c.len_utf8())
        })
        .collect();
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = text.get(..*at).and_then(|t| t.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|t| t.chars().next());
        outside.get(*at).copied().unwrap_or(false)
            && !before.is_some_and(is_part)
            && !after.is_some_and(is_part)
    })
}

/// The bracket that opens right after a place, but for blanks.
fn bracket(text: &str, after: usize) -> Option<usize> {
    let rest = text.get(after..)?;
    let trimmed = rest.trim_start();
    trimmed.starts_with('(').then(|| after + rest.len() - trimmed.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_shown_where_they_are() {
        let argument = || Problem::Argument("matches".into(), "no pattern".into());
        for (problem, text, shown) in [
            (Problem::Field("x".into()), "self.x", "1:5: undefined field 'x'\n | self.x\n | ....^"),
            (
                Problem::Field("zz".into()),
                "'zz' in self.zz",
                "1:13: undefined field 'zz'\n | 'zz' in self.zz\n | ............^",
            ),
            (
                Problem::Name("x".into()),
                "self.x == x",
                "1:11: undeclared reference to 'x' (in container '')\n | self.x == x\n | ..........^",
            ),
            (
                Problem::Function("foo".into()),
                "foo(self)",
                "1:4: undeclared reference to 'foo' (in container '')\n | foo(self)\n | ...^",
            ),
            (
                argument(),
                "self.a.matches('(')",
                "1:16: invalid matches argument\n | self.a.matches('(')\n | ...............^",
            ),
            (
                Problem::Field("b".into()),
                "true &&\n  self.b",
                "2:7: undefined field 'b'\n |   self.b\n | ......^",
            ),
        ] {
            assert_eq!(problem.shown(text), format!("ERROR: <input>:{shown}"), "{text}");
        }
    }

    #[test]
    fn what_is_not_found_is_shown_at_the_begin() {
        let shown = Problem::Field("gone".into()).shown("x");
        assert_eq!(shown, "ERROR: <input>:1:1: undefined field 'gone'\n | x\n | ^");
    }
}
