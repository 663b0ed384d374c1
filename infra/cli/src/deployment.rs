//! Which deployment is operated: the variables that its functions read, and AWS clients for where they point.
//!
//! A deployment is nothing but its variables, whether it is on AWS or on this machine. So there is one way to name one: the
//! variables, from a file, from the local platform, or from this process.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aws_config::Region;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use clock::Clock;
use runtime::{AwsClients, Environment, Services};
use serde::Deserialize;

use crate::cli::Target;
use crate::error::Error;

/// The local platform answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// What commands work with, for the deployment that is meant.
///
/// # Errors
/// [`Error`] when it can't be found out which one that is.
pub async fn services(target: &Target) -> Result<Services, Error> {
    let variables = match (target.local, &target.config) {
        (Some(port), _) => of_platform(port).await?,
        (None, Some(path)) => of_file(path)?,
        (None, None) => std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    };
    let aws = clients(&variables).await;
    Ok(Services::new(variables.into_iter().collect::<Environment>(), aws, Clock::system()))
}

async fn of_platform(port: u16) -> Result<BTreeMap<String, String>, Error> {
    let url = format!("http://localhost:{port}/_local/environment");
    let fetch = async {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        client.get(&url).send().await?.error_for_status()?.text().await
    };
    match fetch.await {
        Ok(text) => lines(&text).map_err(|line| Error::Form { path: url.into(), line }),
        Err(source) => Err(Error::NoPlatform { url, source: source.into() }),
    }
}

fn of_file(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let malformed = |line| Error::Form { path: path.to_owned(), line };
    if !text.trim_start().starts_with(['[', '{']) {
        return lines(&text).map_err(malformed);
    }
    let mut stacks = stacks(&text).map_err(malformed)?;
    match (stacks.pop(), stacks.as_slice()) {
        (Some(stack), []) => {
            Ok(stack.outputs.into_iter().map(|it| (variable(&it.output_key), it.output_value)).collect())
        }
        (last, others) => {
            let names = others.iter().chain(&last).map(|stack| stack.stack_name.clone()).collect();
            Err(Error::Stacks { path: path.to_owned(), names })
        }
    }
}

/// `NAME=value` lines; or the first line that is none.
fn lines(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let said = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    said.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let (name, value) = line.split_once('=').ok_or(number)?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// One output of a stack, as `sam` and `aws` write it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    output_key: String,
    output_value: String,
}

/// A stack as `aws cloudformation describe-stacks` writes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stacks {
    stacks: Vec<Stack>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stack {
    #[serde(default)]
    stack_name: String,
    #[serde(default)]
    outputs: Vec<Output>,
}

/// The stacks whose outputs a text holds, or the first line that can't be read: one, unless all of an account were asked for.
fn stacks(text: &str) -> Result<Vec<Stack>, usize> {
    match serde_json::from_str::<Vec<Output>>(text) {
        Ok(outputs) => Ok(vec![Stack { stack_name: String::new(), outputs }]),
        Err(error) => serde_json::from_str::<Stacks>(text).map(|it| it.stacks).map_err(|_| error.line()),
    }
}

/// The variable that an output of the stack is the value of: `CoreTableName` is that of `CORE_TABLE`.
#[must_use]
pub fn variable(output: &str) -> String {
    let mut name = String::with_capacity(output.len() + 4);
    for (index, letter) in output.char_indices() {
        if index > 0 && letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name.strip_suffix("_NAME").map_or(name.clone(), str::to_owned)
}

/// Clients for where the variables lead; what they leave open is as the AWS environment of this process has it.
async fn clients(variables: &BTreeMap<String, String>) -> AwsClients {
    let given = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
    // More patient than a function, behind which somebody waits for an answer.
    let patience = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(20))
        .operation_timeout(Duration::from_secs(60))
        .build();
    let mut loader =
        runtime::shared_settings(aws_config::defaults(runtime::behavior())).timeout_config(patience);
    if let Some(region) = given("AWS_REGION") {
        loader = loader.region(Region::new(region));
    }
    if let Some(url) = given("AWS_ENDPOINT_URL") {
        loader = loader.endpoint_url(url);
    }
    if let (Some(id), Some(secret)) = (given("AWS_ACCESS_KEY_ID"), given("AWS_SECRET_ACCESS_KEY")) {
        let token = given("AWS_SESSION_TOKEN");
        loader = loader.credentials_provider(Credentials::new(id, secret, token, None, "configuration file"));
    }
    AwsClients::from_config(&loader.load().await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_after_the_variables_they_are_the_values_of() {
        for (output, name) in [
            ("CoreTableName", "CORE_TABLE"),
            ("WebhookJobsQueueUrl", "WEBHOOK_JOBS_QUEUE_URL"),
            ("ApiKeyPepperId", "API_KEY_PEPPER_ID"),
            ("MailFrom", "MAIL_FROM"),
        ] {
            assert_eq!(variable(output), name);
        }
    }

    #[test]
    fn both_forms_of_a_file_are_read() {
        let of_sam =
            r#"[{"OutputKey": "CoreTableName", "OutputValue": "artisan-CoreTable-1", "Description": ""}]"#;
        let of_aws = r#"{"Stacks": [{"StackName": "artisan", "Outputs": [{"OutputKey": "CoreTableName", "OutputValue": "artisan-CoreTable-1"}]}]}"#;
        let of_env = "# where\n\nCORE_TABLE=artisan-CoreTable-1\n";
        let expected = BTreeMap::from([("CORE_TABLE".to_owned(), "artisan-CoreTable-1".to_owned())]);
        for text in [of_sam, of_aws, of_env] {
            assert_eq!(written(text).unwrap(), expected);
        }
        assert!(matches!(written("A=1\nnonsense"), Err(Error::Form { line: 2, .. })));
        assert!(matches!(written("[\n{}]"), Err(Error::Form { line: 2, .. })));
    }

    /// The outputs of two deployments are not those of one.
    #[test]
    fn a_file_of_several_stacks_is_refused_by_their_names() {
        let two =
            r#"{"Stacks": [{"StackName": "artisan-prod", "Outputs": []}, {"StackName": "artisan-dev"}]}"#;
        let error = written(two).unwrap_err().to_string();
        assert!(error.contains("2 stacks (artisan-prod, artisan-dev)"), "{error}");
        assert!(matches!(written(r#"{"Stacks": []}"#), Err(Error::Stacks { names, .. }) if names.is_empty()));
    }

    fn written(text: &str) -> Result<BTreeMap<String, String>, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        of_file(file.path())
    }
}
