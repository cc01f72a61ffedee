//! Expressions of guards.

use super::*;
use serde_json::{Value, json};
use std::sync::Arc;

const NAMES: &[&str] = &["object", "oldObject", "request", "params", "authorizer"];

struct Judge;

impl Authorizer for Judge {
    fn decide(&self, question: &Question) -> (bool, String) {
        let Question { verb, group, resource, namespace, name, path, account, .. } = question;
        let asked = format!("{verb} {group}/{resource} {namespace}/{name} {path:?} {account:?}");
        (verb == "get", asked)
    }
}

fn evaluate(text: &str, own: &[(&str, &str)]) -> Result<Value, String> {
    let names: Vec<&str> = own.iter().map(|(name, _)| *name).collect();
    let declared = |own| Declared { names: NAMES, own, constructs: true, ..Declared::default() };
    let expression = Expression::compile(text, declared(&names), Gives::Any)?;
    let own: Vec<Variable> = own
        .iter()
        .map(|(name, text)| Variable {
            name: (*name).to_owned(),
            expression: Expression::compile(text, declared(&names), Gives::Any),
        })
        .collect();
    let object = json!({"metadata": {"name": "web", "namespace": "shop", "labels": {"a-b": "c"}},
        "spec": {"replicas": 3, "images": ["a", "b"]}});
    let request = json!({"namespace": "shop", "operation": "CREATE"});
    let values = [("object", &object), ("request", &request)];
    let about = Question { resource: "deployments".into(), name: "web".into(), ..Question::default() };
    let activation = Activation { values: &values, own: &own, authorizer: Some((Arc::new(Judge), about)) };
    let result =
        run(&activation, POLICY_BUDGET, expression.depth(), |session| session.evaluate(&expression))?;
    result.map_err(|failure| match failure {
        Failure::Error(why) => why,
        Failure::OutOfBudget => "out of budget".to_owned(),
    })
}

#[test]
fn expressions_see_the_request() {
    for (text, given) in [
        ("object.spec.replicas <= 5", json!(true)),
        ("object.metadata.namespace == request.namespace", json!(true)),
        ("object.metadata.labels['a-b']", json!("c")),
        ("oldObject == null", json!(true)),
        ("params == null ? 'none' : params.x", json!("none")),
        ("has(object.spec.paused) || has(oldObject.spec)", json!(false)),
        ("object.spec.images.all(i, i.size() == 1)", json!(true)),
        ("object.spec.images.map(object, object + '!')", json!(["a!", "b!"])),
        ("Object{spec: Object.spec{replicas: object.spec.replicas + 1}}", json!({"spec": {"replicas": 4}})),
        (
            "[JSONPatch{op: 'add', path: '/a', value: Object.spec{b: 1}}]",
            json!([{"op": "add", "path": "/a", "value": {"b": 1}}]),
        ),
        (
            "authorizer.group('apps').resource('deployments').namespace('x').check('get').allowed()",
            json!(true),
        ),
        ("authorizer.requestResource.check('list').reason()", json!("list /deployments /web None None")),
        (
            "authorizer.serviceAccount('ns', 'sa').path('/x').check('get').reason()",
            json!("get / / Some(\"/x\") Some((\"ns\", \"sa\"))"),
        ),
    ] {
        assert_eq!(evaluate(text, &[]), Ok(given), "{text}");
    }
}

#[test]
fn what_is_not_there_fails_and_never_counts_as_false() {
    for (text, why) in [
        ("!object.spec.paused", "no such key: paused"),
        ("!oldObject.spec", "no such key: spec"),
        ("params.x == 1", "no such key: x"),
        ("nothing.x", "undeclared reference to 'nothing'"),
        ("object.x()", "undeclared reference to 'x'"),
        ("Foo{a: 1}", "undeclared reference to 'Foo'"),
        ("Object{spec: Object.wrong{a: 1}}", "type mismatch"),
        ("variables.x", "undeclared reference to 'variables'"),
    ] {
        let failed = evaluate(text, &[]).unwrap_err();
        assert!(failed.contains(why), "{text}: {failed}");
    }
}

#[test]
fn own_variables_fail_where_they_are_read() {
    let own = [
        ("many", "object.spec.replicas > 2"),
        ("bad", "object.spec.nothing"),
        ("both", "variables.many && true"),
    ];
    assert_eq!(evaluate("variables.both", &own), Ok(json!(true)));
    assert_eq!(evaluate("variables.many || variables.bad", &own), Ok(json!(true)));
    let failed = evaluate("variables.bad == 1", &own).unwrap_err();
    assert!(failed.contains("composited variable \"bad\" fails to evaluate: "), "{failed}");
    assert!(failed.contains("no such key: nothing"), "{failed}");
    assert!(evaluate("variables.missing", &own).unwrap_err().contains("undefined field 'missing'"));
}

#[test]
fn results_that_do_not_fit_are_told_by_reading() {
    let compile = |text, gives| {
        Expression::compile(text, Declared { names: NAMES, ..Declared::default() }, gives).map(|_| ())
    };
    assert!(compile("Object{}", Gives::Any).is_err());
    let all = [Gives::Bool, Gives::Text, Gives::TextOrNull];
    for (text, kind) in [
        ("'a'", "string"),
        ("1 + 1 == 2", "bool"),
        ("null", "null_type"),
        ("object.spec", "dyn"),
        ("object.spec[0].x", "dyn"),
        ("object.x + 1", "int"),
        ("object.x ? object.y : object.z", "dyn"),
        ("object.x ? 'a' : 'b'", "string"),
        ("'a' + object.x", "string"),
        ("'%d'.format([1])", "string"),
        ("request.name", "string"),
        ("request.dryRun", "bool"),
        ("request.options.x", "dyn"),
        ("request.userInfo.groups", "list(string)"),
        ("request.userInfo.extra['a']", "list(string)"),
        ("has(object.x)", "bool"),
        ("object.x.all(y, y.z > 1)", "bool"),
        ("object.x.existsOne(k, v, v.z)", "bool"),
        ("authorizer.requestResource.check('get').allowed()", "bool"),
        ("request.userInfo.groups.exists(g, g == 'a')", "bool"),
        ("[null]", "list(null_type)"),
        ("object.?x.orValue(true)", "dyn"),
        ("object.x.map(y, y)[0]", "dyn"),
        ("[true][0] || object.x", "bool"),
        ("{'a': true}.a", "bool"),
        ("{'a': duration('1s')}", "map(string, google.protobuf.Duration)"),
    ] {
        let told = all.map(|gives| compile(text, gives));
        let fits = [kind == "bool", kind == "string", matches!(kind, "string" | "null_type")];
        for (told, fits) in told.iter().zip(fits) {
            assert_eq!(told.is_ok(), fits, "{text}: {told:?}");
            let ending = format!(" but got {kind}");
            assert!(told.as_ref().err().is_none_or(|why| why.ends_with(&ending)), "{text}: {told:?}");
        }
    }
    for (text, why) in [
        ("request.uid == ''", "undefined field 'uid'"),
        ("request.kind.name == ''", "undefined field 'name'"),
        ("1 == 'a'", "found no matching overload for '_==_' applied to '(int, string)'"),
        ("request.name + 1 == ''", "found no matching overload for '_+_' applied to '(string, int)'"),
        ("object.x == 'a' || 1", "expected type 'bool' but found 'int'"),
        ("!request.name", "found no matching overload for '!_' applied to '(string)'"),
        ("object.x.exists(y, 1)", "expected type 'bool' but found 'int'"),
        (
            "(object.x ? 1 : 'a') == 1",
            "found no matching overload for '_?_:_' applied to '(dyn, int, string)'",
        ),
    ] {
        let told = compile(text, Gives::Bool).unwrap_err();
        let (place, _) = told.split_once("\n | ").unwrap();
        assert!(
            place.starts_with("compilation failed: ERROR: <input>:1:") && place.ends_with(why),
            "{text}: {told}"
        );
    }
}

#[test]
fn what_takes_too_long_does_not_run() {
    let range = "[1,2,3,4,5,6,7,8,9,10]";
    let deep = (0..8).fold("true".to_owned(), |inner, at| format!("{range}.all(x{at}, {inner})"));
    let failed = evaluate(&deep, &[]).unwrap_err();
    assert!(failed.contains("cost limit exceeded"), "{failed}");
    // Each fits, all together do not.
    let declared = Declared { names: NAMES, ..Declared::default() };
    let one = Expression::compile(&format!("{range}.all(x, x > 0)"), declared, Gives::Bool).unwrap();
    let activation = Activation { values: &[], own: &[], authorizer: None };
    let ended = run(&activation, 100, one.depth(), |session| {
        (0..10).map(|_| session.evaluate(&one)).find(Result::is_err)
    });
    assert_eq!(ended, Ok(Some(Err(Failure::OutOfBudget))));
}

#[test]
fn optional_values_are_there_or_not() {
    for (text, given) in [
        ("object.spec.?paused.orValue('no')", json!("no")),
        ("object.spec.?replicas.orValue(7)", json!(3)),
        ("object.?status.conditions[0].type.orValue('none')", json!("none")),
        ("object.?spec.images[?1].orValue('none')", json!("b")),
        ("object.spec.images[?2].hasValue()", json!(false)),
        ("object.spec.images[1].?x.hasValue()", json!(false)),
        ("oldObject.?spec.hasValue()", json!(false)),
        ("has(object.?spec.replicas)", json!(true)),
        ("has(object.?status.replicas)", json!(false)),
        ("object.?status.or(object.?spec).replicas.value()", json!(3)),
        ("object.?spec.?replicas.optMap(n, n + 1).value()", json!(4)),
        ("object.?status.?replicas.optMap(n, n + 1).orValue(0)", json!(0)),
        ("object.?spec.optFlatMap(s, s.?images).value()[0]", json!("a")),
        ("{?'a': object.?status, ?'b': object.spec.?replicas}", json!({"b": 3})),
        ("[?object.?status, ?object.spec.?replicas]", json!([3])),
        ("optional.of(1).hasValue() && !optional.none().hasValue()", json!(true)),
    ] {
        assert_eq!(evaluate(text, &[]), Ok(given), "{text}");
    }
    let failed = evaluate("object.?status.value()", &[]).unwrap_err();
    assert!(failed.contains("optional.none() dereference"), "{failed}");
    let own = [("maybe", "object.?status.replicas")];
    assert_eq!(evaluate("variables.maybe.orValue(5)", &own), Ok(json!(5)));
}

#[test]
fn loops_may_have_two_variables() {
    for (text, given) in [
        ("object.metadata.labels.all(k, v, k == 'a-b' && v == 'c')", json!(true)),
        ("object.metadata.labels.exists(k, v, v == 'd')", json!(false)),
        ("object.spec.images.existsOne(i, v, i == 1 && v == 'b')", json!(true)),
        ("object.spec.images.transformList(i, v, string(i) + v)", json!(["0a", "1b"])),
        ("object.spec.images.transformList(i, v, i > 0, v)", json!(["b"])),
        ("object.spec.images.all(i, v, object.spec.images.exists(j, w, i == j && v == w))", json!(true)),
        ("object.spec.images.all(i, v, ['x'].all(v, v == 'x'))", json!(true)),
    ] {
        assert_eq!(evaluate(text, &[]), Ok(given), "{text}");
    }
    for (text, why) in [
        ("1.all(k, v, true)", "expression of type 'int' cannot be range of a comprehension"),
        ("object.spec.images.all(1, v, true)", "argument must be a simple name"),
        ("object.spec.images.all(i, v, zzz)", "undeclared reference to 'zzz'"),
    ] {
        let failed = evaluate(text, &[]).unwrap_err();
        assert!(failed.contains(why), "{text}: {failed}");
    }
}

#[test]
fn what_is_wrong_is_told_at_once_and_with_its_place() {
    let own = ["size", "name"];
    let types = ["int".to_owned(), "string".to_owned()];
    let declared = Declared { names: NAMES, own: &own, types: &types, ..Declared::default() };
    let compile = |text: &str| Expression::compile(text, declared, Gives::Bool).map(|compiled| compiled.of);
    let bool = || Ok("bool".to_owned());
    for text in [
        "variables.size > 1 && variables.name == 'a'",
        "'%s %d'.format(['a', 1]) == object.name",
        "'%s'.format([['a', 1]]) == object.name",
        "authorizer.group('apps').resource('deployments').namespace('a').check('get').allowed()",
        "[[], [1]].size() == 2",
    ] {
        assert_eq!(compile(text), bool(), "{text}");
    }
    for (text, places) in [
        (
            "variables.name > 1 && gone",
            "1:16: found no matching overload for '_>_' applied to '(string, int)'|1:23: undeclared reference to 'gone' (in container '')",
        ),
        ("variables.other", "1:10: undefined field 'other'"),
        ("['a', 1].size() == 2", "1:7: expected type 'string' but found 'int'"),
        ("{'a': 1, 'b': 'c'}.size() == 2", "1:15: expected type 'int' but found 'string'"),
        // Other mistakes come first.
        ("['a', 1] && true", "1:1: expected type 'bool' but found 'list(dyn)'"),
        (
            "authorizer.group('a').check('get')",
            "1:28: found no matching overload for 'check' applied to 'kubernetes.authorization.GroupCheck.(string)'",
        ),
        ("authorizer.allowed", "1:11: unexpected failed resolution of 'kubernetes.authorization.Authorizer'"),
        ("object.", "1:8: Syntax error: no viable alternative at input '.'"),
    ] {
        let told = compile(text).unwrap_err();
        let said: Vec<&str> =
            told.split("ERROR: <input>:").skip(1).map(|one| one.lines().next().unwrap()).collect();
        assert_eq!(said.join("|"), places, "{text}: {told}");
        assert!(told.contains(&format!("\n | {text}\n | ")), "{told}");
    }
    // Without variables there is no such name.
    let none = Declared { names: NAMES, ..Declared::default() };
    let told = Expression::compile("variables.size", none, Gives::Any).unwrap_err();
    assert!(told.contains("undeclared reference to 'variables'"), "{told}");
}
