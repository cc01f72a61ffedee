//! The flags of backups that are made by the clock.

use clap::Args;

/// When `insula up` makes backups by itself, and where it keeps them.
#[derive(Args, Clone, Debug, Default)]
pub struct Backups {
    /// Make a backup of everything at these times, as a CronJob says it: "0 3 * * *", @daily, "@every 6h"
    #[arg(long, value_name = "CRON", requires = "backup_to")]
    pub backup_schedule: Option<String>,
    /// Where backups are kept: a folder, or s3://BUCKET/PREFIX, with the credentials of the environment (AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL_S3)
    #[arg(long, value_name = "PLACE", requires = "backup_schedule")]
    pub backup_to: Option<String>,
    /// How many backups stay, from the newest on [default: 7]
    #[arg(long, value_name = "N", requires = "backup_schedule", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub backup_keep: Option<u32>,
    /// In which time zone the times are, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "backup_schedule")]
    pub backup_time_zone: Option<String>,
}
