//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ids::OrganizationId;

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
}

/// An organization, as commands take it.
#[derive(Debug, Clone, Args)]
pub struct Organization {
    /// The organization: `org_…`
    #[arg(value_name = "ORGANIZATION")]
    pub id: OrganizationId,
}
