//! Starts the template's functions, each with services of its own.

use std::collections::BTreeMap;

use clock::Clock;
use runtime::{AwsClients, Environment, Services, StartError};

use crate::engines::Engines;
use crate::engines::iam::Role;
use crate::moving_clock;
use crate::registry::{Hosted, Registry};
use crate::template::{Function, Template};

/// Why a function cannot be hosted.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The template declares a function that this build does not contain.
    #[error(
        "the template's function {logical_id} runs the binary {binary}, which the local platform does not know"
    )]
    Unknown {
        /// The function.
        logical_id: String,
        /// Its binary.
        binary: String,
    },
    /// A function refused to start.
    #[error("the function {binary} cannot start")]
    Start {
        /// Its binary.
        binary: String,
        /// What it said.
        #[source]
        source: StartError,
    },
    /// A function is called in a way it does not answer.
    #[error("the template calls the function {binary} by {trigger}, which it does not answer")]
    Trigger {
        /// Its binary.
        binary: String,
        /// How it is called.
        trigger: &'static str,
    },
}

/// What every function is given besides its own environment.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) aws: AwsClients,
    pub(crate) overrides: BTreeMap<String, String>,
    /// Where functions may do only what their roles allow: who judges that.
    pub(crate) judge: Option<Engines>,
    /// Whether people may move the clock.
    pub(crate) has_moving_clock: bool,
}

impl Surroundings {
    /// The variables of one function.
    pub(crate) fn variables(&self, function: &Function) -> BTreeMap<String, String> {
        let mut variables = function.environment.clone();
        // Receivers on this machine are allowed on this machine only.
        variables.insert("WEBHOOK_ALLOW_LOOPBACK".to_owned(), "true".to_owned());
        // Where the console says that they can be looked at.
        variables.insert("WEBHOOK_INBOX_PATH".to_owned(), "/_local/inbox".to_owned());
        if self.has_moving_clock {
            variables.insert("CLOCK_PATH".to_owned(), moving_clock::PATH.to_owned());
        }
        variables.extend(self.overrides.clone());
        variables
    }

    /// The services of one function, with "now" from `clock`.
    pub(crate) fn services(&self, function: &Function, clock: Clock) -> Services {
        let variables = Environment::from_iter(self.variables(function));
        Services::new(variables, self.aws.clone(), clock)
    }
}

impl Surroundings {
    /// The services of one function as it is hosted: with its role, where roles are enforced.
    fn hosted(&self, function: &Function, template: &Template, clock: Clock) -> Services {
        let mut services = self.services(function, clock);
        let role = self.judge.as_ref().and_then(|engines| Some((engines, Role::of(function, template)?)));
        if let Some((engines, role)) = role {
            services.aws = AwsClients::from_config(&engines.sdk_config_of(role, &self.aws.config));
        }
        services
    }
}

/// Starts every function of the template; the answers are in the template's order.
pub(crate) async fn start(
    template: &Template,
    registry: &Registry,
    surroundings: &Surroundings,
    clock: &Clock,
) -> Result<Vec<Hosted>, HostError> {
    let mut hosted = Vec::with_capacity(template.functions.len());
    for function in &template.functions {
        let binary = function.binary.clone();
        let services = surroundings.hosted(function, template, clock.clone());
        let started = registry.start(&binary, services).await.ok_or_else(|| HostError::Unknown {
            logical_id: function.logical_id.clone(),
            binary: binary.clone(),
        })?;
        let started = started.map_err(|source| HostError::Start { binary: binary.clone(), source })?;
        let triggers = [
            ("HTTP", function.routes.is_empty() || matches!(started, Hosted::Http(_))),
            ("a queue", function.queues.is_empty() || matches!(started, Hosted::Queue(_))),
            ("a stream", function.streams.is_empty() || matches!(started, Hosted::Stream(_))),
            ("a schedule", function.schedules.is_empty() || matches!(started, Hosted::Schedule(_))),
        ];
        if let Some((trigger, _)) = triggers.into_iter().find(|(_, answered)| !answered) {
            return Err(HostError::Trigger { binary, trigger });
        }
        hosted.push(started);
    }
    Ok(hosted)
}
