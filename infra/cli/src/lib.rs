//! `artisan`: what an operator does to a deployment, on AWS and on the local platform alike.
//!
//! A deployment is known by the variables that its functions read ([`deployment`]), and reached through the same AWS clients.
//! What changes a tenant's data is done by the functions' own libraries: there is no second implementation of a rule, and
//! every change has its audit record. Must never: look into a tenant's data without a record that it did, or print a secret.

pub mod cli;
pub mod deployment;
pub mod doctor;
pub mod error;
mod tenants;
pub mod terminal;

use cli::{Cli, Command, Tenants};
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
    }
}

/// Finds the deployment and carries out the command.
///
/// # Errors
/// [`Error`] when it could not be carried out.
pub async fn execute(cli: &Cli) -> Result<Verdict, Error> {
    let services = deployment::services(&cli.target).await?;
    let mut terminal = Terminal::of_process(cli.json, cli.yes);
    run(&cli.command, &services, &mut terminal).await
}
