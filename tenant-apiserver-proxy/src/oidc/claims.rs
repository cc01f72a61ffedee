//! Who the bearer of a token is, and whether the token and the user are as they have to be.

use crate::authentication::User;
use api_schema::cel::{self, Activation, Declared, Expression, Gives, POLICY_BUDGET};
use api_types::tenancy::{JwtAuthenticator, PrefixedClaim};
use serde_json::{Map, Value, json};

/// The claims of a token.
pub type Claims = Map<String, Value>;

/// What is said of users, compiled.
#[derive(Debug)]
pub struct Mapper {
    username: Source,
    groups: Source,
    uid: Source,
    extra: Vec<(String, Expression)>,
    required: Vec<(String, String)>,
    claim_rules: Vec<(Expression, String)>,
    user_rules: Vec<(Expression, String)>,
}

/// Where a value comes from.
#[derive(Debug)]
enum Source {
    Nowhere,
    Claim { claim: String, prefix: String },
    Expression(Expression),
}

impl Source {
    fn of(said: &PrefixedClaim, gives: Gives) -> Result<Self, String> {
        Ok(match (said.claim.as_str(), said.expression.as_str()) {
            ("", "") => Source::Nowhere,
            ("", text) => Source::Expression(compile(text, "claims", gives)?),
            (claim, _) => {
                Source::Claim { claim: claim.to_owned(), prefix: said.prefix.clone().unwrap_or_default() }
            }
        })
    }
}

fn compile(text: &str, name: &str, gives: Gives) -> Result<Expression, String> {
    Expression::compile(text, Declared { names: &[name], ..Declared::default() }, gives)
}

impl Mapper {
    /// Compiles what validation has let pass.
    ///
    /// # Errors
    /// What cannot be compiled.
    pub fn new(said: &JwtAuthenticator) -> Result<Self, String> {
        let mappings = &said.claim_mappings;
        let uid = PrefixedClaim {
            claim: mappings.uid.claim.clone(),
            prefix: None,
            expression: mappings.uid.expression.clone(),
        };
        let mut mapper = Mapper {
            username: Source::of(&mappings.username, Gives::Text)?,
            groups: Source::of(&mappings.groups, Gives::Any)?,
            uid: Source::of(&uid, Gives::Text)?,
            extra: Vec::new(),
            required: Vec::new(),
            claim_rules: Vec::new(),
            user_rules: Vec::new(),
        };
        for mapping in &mappings.extra {
            let expression = compile(&mapping.value_expression, "claims", Gives::Any)?;
            mapper.extra.push((mapping.key.clone(), expression));
        }
        for rule in &said.claim_validation_rules {
            if rule.claim.is_empty() {
                let expression = compile(&rule.expression, "claims", Gives::Bool)?;
                mapper.claim_rules.push((expression, rule.message.clone()));
            } else {
                mapper.required.push((rule.claim.clone(), rule.required_value.clone()));
            }
        }
        for rule in &said.user_validation_rules {
            let expression = compile(&rule.expression, "user", Gives::Bool)?;
            mapper.user_rules.push((expression, rule.message.clone()));
        }
        Ok(mapper)
    }

    /// The user that claims are of.
    ///
    /// # Errors
    /// Why there is none, for the server's log.
    pub fn user(&self, claims: &Claims) -> Result<User, String> {
        let value = Value::Object(claims.clone());
        let name = match &self.username {
            Source::Claim { claim, prefix } => {
                let name = text(claims, claim)?;
                if claim == "email" && claims.get("email_verified").is_some_and(|it| *it != Value::Bool(true))
                {
                    return Err("email not verified".to_owned());
                }
                format!("{prefix}{name}")
            }
            other => self.text_of(other, &value)?,
        };
        if name.is_empty() {
            return Err("the user has no name".to_owned());
        }
        let groups = self.groups(claims, &value)?;
        // Nobody outside is a part of the platform.
        let groups = groups.into_iter().filter(|group| group != crate::stages::PLATFORM);
        let mut user = User::authenticated(name, groups);
        user.uid = match &self.uid {
            Source::Claim { claim, .. } => text(claims, claim)?,
            other => self.text_of(other, &value)?,
        };
        if let Some(id) = claims.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty()) {
            user.extra.insert("authentication.kubernetes.io/credential-id".into(), vec![format!("JTI={id}")]);
        }
        for (key, expression) in &self.extra {
            let values = said_by(expression, &value)?;
            if !values.is_empty() {
                user.extra.insert(key.clone(), values);
            }
        }
        for (claim, wanted) in &self.required {
            if text(claims, claim)? != *wanted {
                return Err(format!("required claim {claim} value does not match"));
            }
        }
        hold(&self.claim_rules, "claims", &value)?;
        let shown = json!({"username": user.name, "uid": user.uid, "extra": user.extra,
            "groups": user.groups.iter().filter(|group| *group != "system:authenticated").collect::<Vec<_>>()});
        hold(&self.user_rules, "user", &shown)?;
        Ok(user)
    }

    fn text_of(&self, source: &Source, claims: &Value) -> Result<String, String> {
        let Source::Expression(expression) = source else { return Ok(String::new()) };
        match evaluate(expression, "claims", claims)? {
            Value::String(text) => Ok(text),
            _ => Err(format!("'{}' gives no text", expression.text)),
        }
    }

    fn groups(&self, claims: &Claims, value: &Value) -> Result<Vec<String>, String> {
        match &self.groups {
            Source::Nowhere => Ok(Vec::new()),
            Source::Claim { claim, prefix } => {
                let Some(said) = claims.get(claim) else {
                    // Distributed claims are not fetched; without them the user would be another one.
                    return match claims.get("_claim_names").map(|names| &names[claim.as_str()]) {
                        None | Some(Value::Null) => Ok(Vec::new()),
                        Some(_) => {
                            Err(format!("the claim {claim} is a distributed one, which is not fetched"))
                        }
                    };
                };
                let said = texts(said).ok_or_else(|| format!("the claim {claim} is no list of texts"))?;
                Ok(said.into_iter().map(|group| format!("{prefix}{group}")).collect())
            }
            Source::Expression(expression) => said_by(expression, value),
        }
    }
}

fn text(claims: &Claims, claim: &str) -> Result<String, String> {
    match claims.get(claim) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("the claim {claim} is no text")),
        None => Err(format!("the claim {claim} is not there")),
    }
}

/// A text, or a list of texts; null and an empty text are none.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::String(text) if text.is_empty() => Some(Vec::new()),
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(all) => all.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// The texts that an expression gives, but for empty ones.
fn said_by(expression: &Expression, claims: &Value) -> Result<Vec<String>, String> {
    let said = texts(&evaluate(expression, "claims", claims)?)
        .ok_or_else(|| format!("'{}' gives neither a text nor texts", expression.text))?;
    Ok(said.into_iter().filter(|text| !text.is_empty()).collect())
}

fn evaluate(expression: &Expression, name: &str, value: &Value) -> Result<Value, String> {
    let activation = Activation { values: &[(name, value)], own: &[], authorizer: None };
    let given =
        cel::run(&activation, POLICY_BUDGET, expression.depth(), |session| session.evaluate(expression))?;
    given.map_err(|failure| format!("{failure:?}"))
}

fn hold(rules: &[(Expression, String)], name: &str, value: &Value) -> Result<(), String> {
    for (rule, message) in rules {
        if evaluate(rule, name, value)? != Value::Bool(true) {
            let said = if message.is_empty() { "the rule does not hold" } else { message };
            return Err(format!("validation expression '{}' failed: {said}", rule.text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(mappings: Value, more: Value, claims: &Value) -> Result<User, String> {
        let mut said = json!({"claimMappings": mappings});
        for (field, value) in more.as_object().unwrap() {
            said[field] = value.clone();
        }
        let said: JwtAuthenticator = serde_json::from_value(said).unwrap();
        Mapper::new(&said).unwrap().user(claims.as_object().unwrap())
    }

    #[test]
    fn users_are_what_claims_say() {
        let claims = json!({"sub": "ann", "groups": ["a", "insula:platform"], "role": "ops", "jti": "7", "n": 1,
            "email": "ann@example.com", "email_verified": true});
        let of = |mappings| user(mappings, json!({}), &claims);
        let ann = of(json!({"username": {"claim": "sub", "prefix": "x:"}, "groups": {"claim": "groups",
            "prefix": "g:"}, "uid": {"claim": "sub"}, "extra": [{"key": "example.com/role",
            "valueExpression": "claims.role"}]}))
        .unwrap();
        assert_eq!((ann.name.as_str(), ann.uid.as_str()), ("x:ann", "ann"));
        assert_eq!(ann.groups, ["g:a", "g:insula:platform", "system:authenticated"]);
        assert_eq!(ann.extra["example.com/role"], ["ops"]);
        assert_eq!(ann.extra["authentication.kubernetes.io/credential-id"], ["JTI=7"]);
        let expressed = of(json!({"username": {"expression": "claims.email + '!'"},
            "groups": {"expression": "claims.groups.map(g, 'h:' + g)"}}))
        .unwrap();
        assert_eq!(expressed.name, "ann@example.com!");
        assert_eq!(expressed.groups, ["h:a", "h:insula:platform", "system:authenticated"]);
        // Empty texts are none, but in claims.
        let empty = json!({"username": {"expression": "claims.sub"}, "groups": {"expression": "['', 'g']"},
            "extra": [{"key": "example.com/a", "valueExpression": "['', 'x']"}]});
        let empty = of(empty).unwrap();
        assert_eq!(empty.groups, ["g", "system:authenticated"]);
        assert_eq!(empty.extra["example.com/a"], ["x"]);
        let nameless =
            user(json!({"username": {"claim": "sub", "prefix": "x:"}}), json!({}), &json!({"sub": ""}));
        assert_eq!(nameless.unwrap().name, "x:");
        let role =
            json!({"username": {"claim": "sub", "prefix": ""}, "groups": {"claim": "role", "prefix": ""}});
        assert_eq!(of(role).unwrap().groups, ["ops", "system:authenticated"]);
        for mappings in [
            json!({"username": {"claim": "n", "prefix": ""}}),
            json!({"username": {"claim": "missing", "prefix": ""}}),
            json!({"username": {"expression": "claims.missing"}}),
            json!({"username": {"expression": "claims.sub.substring(3)"}}),
            json!({"username": {"claim": "sub", "prefix": ""}, "uid": {"claim": "missing"}}),
            json!({"username": {"claim": "sub", "prefix": ""}, "groups": {"claim": "n", "prefix": ""}}),
        ] {
            assert!(of(mappings.clone()).is_err(), "{mappings}");
        }
    }

    #[test]
    fn nobody_outside_is_a_part_of_the_platform() {
        let mappings =
            json!({"username": {"claim": "sub", "prefix": ""}, "groups": {"claim": "groups", "prefix": ""}});
        let claims = json!({"sub": "ann", "groups": [crate::stages::PLATFORM, "a"]});
        assert_eq!(user(mappings, json!({}), &claims).unwrap().groups, ["a", "system:authenticated"]);
    }

    #[test]
    fn rules_hold_or_nobody_comes_in() {
        let mappings = || json!({"username": {"claim": "email", "prefix": ""}});
        let claims = json!({"email": "ann@example.com", "email_verified": true, "hd": "example.com"});
        let with = |rules: Value| user(mappings(), rules, &claims);
        let claim = |value: &str| json!({"claimValidationRules": [{"claim": "hd", "requiredValue": value}]});
        assert!(with(claim("example.com")).is_ok());
        assert!(with(claim("other.com")).is_err());
        let rule = |text: &str| json!({"claimValidationRules": [{"expression": text}]});
        assert!(with(rule("claims.hd.startsWith('example')")).is_ok());
        assert!(with(rule("claims.hd == 'x'")).is_err());
        assert!(with(rule("claims.missing == 'x'")).is_err());
        let rule = |text: &str| json!({"userValidationRules": [{"expression": text, "message": "no"}]});
        assert!(with(rule("!user.username.startsWith('system:')")).is_ok());
        assert!(with(rule("user.username == 'x'")).is_err_and(|why| why.ends_with("failed: no")));
        let unverified = json!({"email": "ann@example.com", "email_verified": false});
        assert!(user(mappings(), json!({}), &unverified).is_err());
        let distributed = json!({"email": "ann@example.com", "_claim_names": {"groups": "src"}});
        let groups = json!({"username": {"claim": "email", "prefix": ""}, "groups": {"claim": "groups", "prefix": ""}});
        assert!(user(groups, json!({}), &distributed).is_err());
    }
}
