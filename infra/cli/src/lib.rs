//! `artisan`: what an operator does to a deployment, on AWS and on the local platform alike.
//!
//! A deployment is known by the variables that its functions read ([`deployment`]), and reached through the same AWS clients.
//! What changes a tenant's data is done by the functions' own libraries: there is no second implementation of a rule, and
//! every change has its audit record. Must never: change or export a tenant's data without a record of it, print a secret, or do
//! what can't be taken back without having been asked twice.

mod audit;
pub mod cli;
mod deliveries;
pub mod deployment;
pub mod doctor;
mod draft;
pub mod error;
mod keys;
mod migrate;
mod operator;
mod tenants;
pub mod terminal;

use std::time::Duration;

use cli::{Audit, Cli, Command, Deliveries, Keys, Tenants};
use error::Error;
use runtime::Services;
use terminal::Terminal;

/// Whether everything is as it should be: whether a command did what it was asked for and found nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Fine,
    /// It is not; what is wrong was said.
    Faulty,
}

/// Carries out a command on a deployment.
///
/// # Errors
/// [`Error`] when it could not be carried out.
pub async fn run(command: &Command, services: &Services, terminal: &mut Terminal) -> Result<Verdict, Error> {
    match command {
        Command::Doctor { strict } => doctor::run(services, *strict, terminal).await,
        Command::Tenants(Tenants::List { limit }) => tenants::list(services, *limit, terminal).await,
        Command::Tenants(Tenants::Export { organization, output }) => {
            tenants::export(services, organization.id, output, terminal).await
        }
        Command::Tenants(Tenants::Delete { organization }) => {
            tenants::delete(services, organization.id, terminal).await
        }
        Command::Keys(Keys::Revoke { organization, key }) => {
            keys::revoke(services, organization.id, *key, terminal).await
        }
        Command::Deliveries(Deliveries::Redrive { organization, endpoint, since, until, delivery }) => {
            let which = match endpoint {
                Some(endpoint) => deliveries::Which::Endpoint(*endpoint, *since, *until),
                None => deliveries::Which::These(delivery),
            };
            deliveries::redrive(services, organization.id, which, terminal).await
        }
        Command::Audit(Audit::Verify { organization, key, checkpoint, output, patience }) => {
            let wanted = audit::Wanted {
                keys: key,
                checkpoint: checkpoint.as_deref(),
                output: output.as_deref(),
                patience: Duration::from_secs(*patience),
            };
            audit::verify(services, organization.id, wanted, terminal).await
        }
        Command::Migrate { status, again, parallel } => {
            let how = migrate::How { only_status: *status, again: *again, parallel: usize::from(*parallel) };
            migrate::run(services, how, terminal).await
        }
    }
}

/// Finds the deployment and carries out the command. Who asked for JSON is told of a failure by JSON, too.
///
/// # Errors
/// [`Error`] when it could not be carried out.
pub async fn execute(cli: &Cli) -> Result<Verdict, Error> {
    let mut terminal = Terminal::of_process(cli.json, cli.yes);
    let outcome = async {
        let services = deployment::services(&cli.target).await?;
        run(&cli.command, &services, &mut terminal).await
    };
    let outcome = outcome.await;
    if let Err(error) = &outcome {
        terminal.fail(error)?;
    }
    outcome
}
