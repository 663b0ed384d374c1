//! `doctor`: looks a deployment over and changes nothing.
//!
//! What should be there is what the template says that this program was built from; there is no second list. What the engine
//! at hand does not tell is said to be not checked. No secret, and nothing of a tenant but ids, is ever in a finding.

mod buckets;
mod data;
mod lambda;
mod outside;
mod queues;
mod report;
mod secrets;
mod tables;
mod variables;

use std::collections::BTreeMap;

use artisan_local::template::Template;
use runtime::Services;
use url::Url;

pub use report::{Finding, NotChecked, Report, Severity};
use report::{Trouble, trouble};

use crate::Verdict;
use crate::error::Error;
use crate::terminal::Terminal;

/// The template that this program was built from.
const TEMPLATE: &str = include_str!("../../../../template.yaml");

/// What is looked at, and what was found so far.
struct Examination<'a> {
    services: &'a Services,
    template: Template,
    report: Report,
    /// The ARNs of queues and streams that are there, by the names that queues and tables have in the template.
    sources: BTreeMap<String, String>,
}

/// Looks a deployment over.
///
/// # Errors
/// [`Error::Template`]: everything else is a finding.
pub async fn examine(services: &Services) -> Result<Report, Error> {
    let template = Template::parse(TEMPLATE)?;
    let mut examination =
        Examination { services, template, report: Report::default(), sources: BTreeMap::new() };
    examination.variables();
    examination.tables().await;
    examination.queues().await;
    let secrets = examination.secrets().await;
    examination.buckets().await;
    examination.lambda().await;
    examination.data(&secrets).await;
    examination.outside().await;
    Ok(examination.report)
}

pub(crate) async fn run(
    services: &Services,
    strict: bool,
    terminal: &mut Terminal,
) -> Result<Verdict, Error> {
    let bar = terminal.progress(None, "looking");
    let report = examine(services).await?;
    bar.finish_and_clear();
    terminal.say(&report, &report.to_string())?;
    let is_fine = report.count(Severity::Error) == 0 && !(strict && report.count(Severity::Warning) > 0);
    Ok(if is_fine { Verdict::Fine } else { Verdict::Faulty })
}

impl Examination<'_> {
    /// The value of a variable, if it is there.
    fn value(&self, variable: &str) -> Option<String> {
        self.services.environment.optional(variable).map(str::to_owned)
    }

    /// The variable by which functions know the resource that has this name on the local platform.
    fn variable_of(&self, physical_name: &str) -> Option<&str> {
        self.template
            .functions
            .iter()
            .flat_map(|function| &function.environment)
            .find(|(_, value)| value.rsplit('/').next() == Some(physical_name))
            .map(|(variable, _)| variable.as_str())
    }

    /// Whether what answers is the local platform, or something else on this machine.
    fn is_local(&self) -> bool {
        let address = self.services.aws.config.endpoint_url();
        let host = address.and_then(|url| Some(Url::parse(url).ok()?.host_str()?.to_owned()));
        host.is_some_and(|host| {
            host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1" || host == "[::1]"
        })
    }

    /// Notes that a call that looks at `subject` was not answered. `call` is the permission that it takes.
    fn note(&mut self, trouble: Trouble, subject: &str, call: &str) {
        match trouble {
            Trouble::Missing => self.report.skip(subject, format!("{call}: there is none")),
            Trouble::Denied => self.report.error(
                "permission_missing",
                subject,
                format!("these credentials may not {call}"),
                format!("allow {call} to whoever operates the deployment, or use other credentials"),
            ),
            Trouble::Unsupported => {
                self.report.skip(subject, format!("the engine at hand does not know {call}"));
            }
            Trouble::Other(why) => self.report.error(
                "no_answer",
                subject,
                format!("{call} failed: {why}"),
                "check region, endpoint and network, then look again",
            ),
        }
    }
}
