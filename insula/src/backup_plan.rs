//! What `insula up` is told of backups that are made by the clock.

use crate::cli::backups::Backups;
use anyhow::Context;
use api_resources::cron::{self, Schedule};
use backup_storage::{Address, Storage};
use tenant_apiserver_proxy::scheduled_backups::Plan;

/// Backups that are kept unless more is said.
const KEEP: u32 = 7;

/// Reads the flags; `None`: none are asked for.
pub fn read(flags: &Backups) -> anyhow::Result<Option<Plan>> {
    let (Some(text), Some(to)) = (&flags.backup_schedule, &flags.backup_to) else { return Ok(None) };
    let schedule = Schedule::parse(text).map_err(anyhow::Error::msg);
    let schedule = schedule.with_context(|| {
        format!(
            "--backup-schedule {text:?} is not a schedule, such as \"0 3 * * *\" (at three every night) or @hourly"
        )
    })?;
    let named = flags.backup_time_zone.as_deref().unwrap_or("");
    let zone = cron::zone(named).map_err(anyhow::Error::msg);
    let zone =
        zone.with_context(|| format!("--backup-time-zone {named:?} is not a zone, such as Europe/Berlin"))?;
    if schedule.next(jiff::Timestamp::now(), &zone).is_none() {
        anyhow::bail!("--backup-schedule {text:?} never comes");
    }
    let address: Address = to.parse().context("--backup-to leads nowhere")?;
    let storage = Storage::open(&address).context("--backup-to cannot be used")?;
    let keep = flags.backup_keep.unwrap_or(KEEP) as usize;
    Ok(Some(Plan { text: text.clone(), schedule, zone, address: address.to_string(), storage, keep }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told() {
        let flags = |schedule: &str, zone: Option<&str>, to: &str| Backups {
            backup_schedule: Some(schedule.to_owned()),
            backup_to: Some(to.to_owned()),
            backup_keep: None,
            backup_time_zone: zone.map(str::to_owned),
        };
        assert!(read(&Backups::default()).unwrap().is_none());
        let plan = read(&flags("0 3 * * *", Some("Europe/Berlin"), "/backup/")).unwrap().unwrap();
        assert_eq!((plan.keep, plan.zone.iana_name()), (7, Some("Europe/Berlin")));
        for (flags, expected) in [
            (flags("at three", None, "/b"), "is not a schedule"),
            (flags("0 0 31 2 *", None, "/b"), "never comes"),
            (flags("@daily", Some("Mars/Base"), "/b"), "is not a zone"),
            (flags("@daily", None, "ftp://b"), "--backup-to leads nowhere"),
        ] {
            let error = read(&flags).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
