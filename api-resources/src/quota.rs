//! Resource quotas: what an object uses, which quotas it counts for, and whether they have room for it.
//!
//! Pure: the API server asks [`charge`] before it stores an object, the controller counts with [`Evaluator::usage`]
//! what is there. Read in this order: [`evaluator`] (which resources an object uses, by kind: [`pods`], [`services`],
//! [`claims`], [`devices`]), [`scopes`] (which objects a quota is about), this file.

mod claims;
mod devices;
mod evaluator;
mod pods;
mod scopes;
mod services;

pub use devices::DeviceClasses;
pub use evaluator::{Evaluator, World, evaluator_of, resources_of};
pub use pods::ends_at;

use crate::amounts::{self, Amounts};
use api_schema::quantity::Quantity;
use scopes::Selector;
use serde_json::Value;

/// A quota, as far as it is in force: what its status says.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    /// Its name.
    pub name: String,
    selectors: Vec<Selector>,
    hard: Amounts,
    used: Amounts,
}

/// A write that may count.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// What it is of.
    pub evaluator: &'a Evaluator,
    /// Empty for the object itself.
    pub subresource: &'a str,
    /// The object as it shall be.
    pub new: &'a Value,
    /// The object as it is; `None`: it is created.
    pub old: Option<&'a Value>,
}

/// What a quota's status has to say when the write is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Which of the quotas.
    pub quota: usize,
    /// All that is used then.
    pub used: Amounts,
}

impl Quota {
    /// Reads a ResourceQuota.
    pub fn read(object: &Value) -> Self {
        Quota {
            name: object["metadata"]["name"].as_str().unwrap_or("").to_owned(),
            selectors: scopes::selectors(&object["spec"]),
            hard: amounts::read(&object["status"]["hard"]),
            used: amounts::read(&object["status"]["used"]),
        }
    }

    /// A quota of which nothing is in force yet: what its spec says.
    pub fn desired(object: &Value) -> Self {
        Quota { hard: amounts::read(&object["spec"]["hard"]), used: Amounts::new(), ..Quota::read(object) }
    }

    /// What it allows.
    pub fn hard(&self) -> &Amounts {
        &self.hard
    }

    /// True for an object that is in its scopes.
    pub fn covers(&self, evaluator: &Evaluator, object: &Value) -> bool {
        self.selectors.iter().all(|selector| evaluator.is_in_scope(selector, object))
    }

    /// The resources of an evaluator that it limits.
    pub fn limited_by(&self, evaluator: &Evaluator, world: &World) -> Amounts {
        let limited = self.hard.iter().filter(|(name, _)| evaluator.counts(name, world));
        limited.map(|(name, amount)| (name.clone(), *amount)).collect()
    }

    fn matches(&self, evaluator: &Evaluator, object: &Value, world: &World) -> bool {
        !self.limited_by(evaluator, world).is_empty() && self.covers(evaluator, object)
    }
}

fn names(of: &Amounts) -> String {
    of.keys().map(String::as_str).collect::<Vec<_>>().join(",")
}

/// What quotas have to say once this write is done; the error is why they do not allow it, in Kubernetes' words.
/// Those that are not in the answer stay as they are.
pub fn charge(quotas: &[Quota], write: &Write<'_>, world: &World) -> Result<Vec<Charge>, String> {
    let Write { evaluator, new, old, .. } = *write;
    let mut interested = Vec::new();
    for (index, quota) in quotas.iter().enumerate() {
        if !quota.matches(evaluator, new, world) {
            continue;
        }
        let limited = quota.limited_by(evaluator, world);
        evaluator
            .constraints(&limited, new)
            .map_err(|missing| format!("failed quota: {}: {missing}", quota.name))?;
        if limited.keys().any(|name| !quota.used.contains_key(name)) {
            let (quota, names) = (&quota.name, names(&limited));
            return Err(format!("status unknown for quota: {quota}, resources: {names}"));
        }
        interested.push(index);
    }
    if interested.is_empty() {
        return Ok(Vec::new());
    }
    let usage = evaluator.usage(new, world);
    let negative: Amounts = usage.clone().into_iter().filter(|(_, amount)| amount.is_negative()).collect();
    if !negative.is_empty() {
        return Err(format!("quota usage is negative for resource(s): {}", names(&negative)));
    }
    let more = old.map(|old| amounts::surplus(&usage, &evaluator.usage(old, world)));
    let mut charges = Vec::new();
    for index in interested {
        let quota = &quotas[index];
        // What another quota counted until now is new to this one as a whole.
        let known = old.is_some_and(|old| quota.matches(evaluator, old, world));
        let asked = more.as_ref().filter(|_| known).unwrap_or(&usage);
        if let Some(used) = quota.with(asked, write.subresource != "status")? {
            charges.push(Charge { quota: index, used });
        }
    }
    Ok(charges)
}

impl Quota {
    /// What is used with these amounts; `None`: nothing changes. `bounded`: it has to be no more than is allowed.
    fn with(&self, asked: &Amounts, bounded: bool) -> Result<Option<Amounts>, String> {
        let mut asked = amounts::mask(asked, &self.hard);
        asked.retain(|_, amount| !amount.is_zero());
        if asked.is_empty() {
            return Ok(None);
        }
        let mut used = self.used.clone();
        amounts::add(&mut used, &asked);
        let of = |amounts: &Amounts, name: &String| amounts.get(name).copied().unwrap_or(Quantity::ZERO);
        let exceeded: Amounts = self
            .hard
            .iter()
            .filter(|(name, hard)| bounded && asked.contains_key(*name) && of(&used, name) > **hard)
            .map(|(name, hard)| (name.clone(), *hard))
            .collect();
        if exceeded.is_empty() {
            return Ok(Some(used));
        }
        Err(format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            self.name,
            amounts::told(&amounts::mask(&asked, &exceeded)),
            amounts::told(&amounts::mask(&self.used, &exceeded)),
            amounts::told(&exceeded),
        ))
    }
}

#[cfg(test)]
mod tests;
