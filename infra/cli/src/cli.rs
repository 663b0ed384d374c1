//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use clock::Timestamp;
use ids::{DeliveryId, EndpointId, KeyId, OrganizationId};

const EXAMPLES: &str = "\
Which deployment:
  --local              the platform that `cargo run` has started on this machine
  --config FILE        a deployment on AWS, by the outputs of its stack:
                         sam list stack-outputs --stack-name artisan --output json >artisan.json
                       or by a file of NAME=value lines with the variables that functions read
  neither              by the variables of this process, as functions read them

  Region and credentials are those of the AWS environment (AWS_REGION, AWS_PROFILE, …), unless
  the file names them.

Examples:
  artisan --local doctor
  artisan --config artisan.json tenants list --json
  artisan --config artisan.json tenants delete org_01kaq8zr3yfe2r4m8n5p6q7s8t

Exit codes: 0 done and nothing found; 1 failed, or something was found; 2 the command line cannot
be understood.";

/// Operates a deployment of Artisan
///
/// What changes a tenant's data follows the rules of the API and is on record in the tenant's audit log, with the
/// actor `system` `operator`.
#[derive(Debug, Parser)]
#[command(name = "artisan", version, about, after_help = EXAMPLES)]
pub struct Cli {
    /// Which deployment.
    #[command(flatten)]
    pub target: Target,
    /// Say it as JSON: one document on standard output, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// Do not ask before what can't be taken back
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which deployment is meant.
#[derive(Debug, Clone, Default, Args)]
pub struct Target {
    /// The local platform, by the port of its HTTP API [default port: 8000]
    #[arg(
        long,
        global = true,
        value_name = "PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "8000",
        conflicts_with = "config"
    )]
    pub local: Option<u16>,
    /// A file that says where the deployment's tables, queues, buckets and secrets are
    #[arg(long, global = true, value_name = "FILE", env = "ARTISAN_CONFIG")]
    pub config: Option<PathBuf>,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look a deployment over, and say what is wrong and what to do about it
    ///
    /// Changes nothing. Compares variables, tables, indexes, streams, queues, buckets and secrets with the template that
    /// this program was built from, opens what the secrets must be able to open, and looks for signs that something does
    /// not run. What cannot be told from here is named, with the reason.
    Doctor {
        /// Count warnings as faults: exit with 1 if there are any
        #[arg(long)]
        strict: bool,
    },
    /// Organizations: list, export, delete
    #[command(subcommand)]
    Tenants(Tenants),
    /// API keys: revoke
    #[command(subcommand)]
    Keys(Keys),
    /// Webhook deliveries: send dead letters again
    #[command(subcommand)]
    Deliveries(Deliveries),
    /// Audit logs: verify
    #[command(subcommand)]
    Audit(Audit),
    /// Bring items in old formats up to the present one
    ///
    /// Reads the tables that have steps in eight parts, side by side, and changes what is old, item by item. It may be stopped
    /// at any time, and goes on where it stopped; deployed functions read old items meanwhile as if they were new. The sweep
    /// does the same by itself, slowly, from an hour after a deployment on. Audit records are never altered. Stops at an item
    /// that a newer version has written.
    Migrate {
        /// Say how far it is, and change nothing
        #[arg(long)]
        status: bool,
        /// Begin once more, although it is through: after functions of an older version were at work
        #[arg(long, conflicts_with = "status")]
        again: bool,
        /// Parts that are read at the same time
        #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=8))]
        parallel: u8,
    },
}

/// What there is to do with organizations.
#[derive(Debug, Subcommand)]
pub enum Tenants {
    /// List all organizations
    ///
    /// Reads the whole table of tenants' items. Sorted by id, which is by age.
    List {
        /// Stop after so many
        #[arg(long, value_name = "COUNT")]
        limit: Option<usize>,
    },
    /// Write everything an organization owns to a file, one record a line (NDJSON)
    ///
    /// The same as POST /api/admin/organization/export, all pages of it: both modes, without secrets. It holds personal data.
    /// Each page is on record in the organization's audit log.
    Export {
        /// The organization.
        #[command(flatten)]
        organization: Organization,
        /// The file, which must not exist
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Delete an organization: refused at once, erased after 30 days
    ///
    /// The same as DELETE /api/admin/organization: people and API keys are refused from the next request on, the admins are
    /// told by mail. For 30 days an admin can bring it back; then everything it owns is erased, the audit log aside.
    /// Asks for the organization's name or id, unless --yes is given.
    Delete {
        /// The organization.
        #[command(flatten)]
        organization: Organization,
    },
}

/// What there is to do with API keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Revoke an API key, and the one that it took the place of
    ///
    /// It is refused from the next request on, everywhere, and can't be brought back. Asks for the key's id or its last four
    /// characters, unless --yes is given.
    Revoke {
        /// The organization.
        #[command(flatten)]
        organization: Organization,
        /// The key: `key_…`
        #[arg(value_name = "KEY")]
        key: KeyId,
    },
}

/// What there is to do with deliveries.
#[derive(Debug, Subcommand)]
pub enum Deliveries {
    /// Send dead letters again: some by their ids, or all of an endpoint
    ///
    /// Each has all its retries before it, and the receiver gets the same `webhook-id`. Those of an endpoint are sent by a
    /// replay, which the sweep begins within a minute, and which the organization can see, pause and cancel.
    #[command(group(ArgGroup::new("which").required(true).args(["endpoint", "delivery"])))]
    Redrive {
        /// The organization.
        #[command(flatten)]
        organization: Organization,
        /// All dead letters of this endpoint: `ep_…`
        #[arg(long, value_name = "ENDPOINT")]
        endpoint: Option<EndpointId>,
        /// With --endpoint: those of events from then on (RFC 3339)
        #[arg(long, value_name = "TIME", requires = "endpoint", value_parser = time)]
        since: Option<Timestamp>,
        /// With --endpoint: those of events before then
        #[arg(long, value_name = "TIME", requires = "endpoint", value_parser = time)]
        until: Option<Timestamp>,
        /// A dead letter, `dlv_…`; may be given up to 45 times
        #[arg(long, value_name = "DELIVERY")]
        delivery: Vec<DeliveryId>,
    },
}

/// What there is to do with audit logs.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Export an organization's audit log and verify it, whole
    ///
    /// Asks for an export (it is on record), waits for it, and checks every record against the signed log, as `artisan-verify`
    /// does with a file. Without --key the log's keys are taken from the deployment itself, which proves that the log is
    /// whole and in order, and not that nobody has replaced all of it: give the key that you keep.
    Verify {
        /// The organization.
        #[command(flatten)]
        organization: Organization,
        /// A key of the log, or a file with one a line; may be given several times
        #[arg(long, value_name = "KEY_OR_FILE")]
        key: Vec<String>,
        /// A checkpoint of the same log that was kept from another time
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// Keep the export in this file, which must not exist
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// How long to wait for the export, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 900)]
        patience: u64,
    },
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::parse(text).ok_or("must be a time such as 2026-11-22T15:04:05Z")
}

/// An organization, as commands take it.
#[derive(Debug, Clone, Args)]
pub struct Organization {
    /// The organization: `org_…`
    #[arg(value_name = "ORGANIZATION")]
    pub id: OrganizationId,
}
