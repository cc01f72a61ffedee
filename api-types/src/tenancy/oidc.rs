//! The issuers of a tenant's users, as a `jwt` authenticator of `apiserver.config.k8s.io/v1` says them.

use serde::{Deserialize, Serialize};

/// An issuer whose tokens are taken, and who their bearers are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JwtAuthenticator {
    /// Who issues the tokens.
    pub issuer: JwtIssuer,
    /// What tokens have to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claim_validation_rules: Vec<ClaimValidationRule>,
    /// Who the bearer of a token is.
    pub claim_mappings: ClaimMappings,
    /// What users have to be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user_validation_rules: Vec<UserValidationRule>,
}

/// Who issues tokens, and for whom they have to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JwtIssuer {
    /// The claim `iss`: an `https` address, below which discovery is, unless there is another one for it.
    pub url: String,
    /// Where discovery is, when that is not below `url`.
    #[serde(rename = "discoveryURL", skip_serializing_if = "String::is_empty")]
    pub discovery_url: String,
    /// The certificates to believe, PEM; empty: those that the system trusts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate_authority: String,
    /// One of these has to be in the claim `aud`.
    pub audiences: Vec<String>,
    /// `MatchAny`; may be left out when there is one audience.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub audience_match_policy: String,
}

/// A claim that has to have a value, or an expression that has to be true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClaimValidationRule {
    /// The claim.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub claim: String,
    /// Its value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub required_value: String,
    /// CEL over `claims`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expression: String,
    /// What is said when the expression is false.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Who the bearer of a token is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClaimMappings {
    /// The name.
    pub username: PrefixedClaim,
    /// The groups.
    pub groups: PrefixedClaim,
    /// The UID.
    pub uid: MappedClaim,
    /// More.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<ExtraMapping>,
}

/// A claim with a text before its values, or an expression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PrefixedClaim {
    /// The claim.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub claim: String,
    /// What comes before each value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// CEL over `claims`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expression: String,
}

/// A claim or an expression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MappedClaim {
    /// The claim.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub claim: String,
    /// CEL over `claims`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expression: String,
}

/// A key of the user's `extra` and its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExtraMapping {
    /// The key, a path below a domain.
    pub key: String,
    /// CEL over `claims`, which gives a text or a list of texts.
    pub value_expression: String,
}

/// What a user has to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UserValidationRule {
    /// CEL over `user`.
    pub expression: String,
    /// What is said when it is false.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}
