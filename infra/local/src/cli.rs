//! The command line: what can be said to `artisan-local`, and what it says back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Parser;

use crate::first_start::Credentials;
use crate::template::{REGION, Template};

/// Runs all of Artisan on this machine, without any other software.
#[derive(Debug, Parser)]
#[command(name = "artisan-local", version, about)]
pub struct Cli {
    /// Port of the HTTP API; the AWS endpoint for other processes is on the next one. 0 takes two that are free
    #[arg(long, default_value_t = 8000, value_parser = clap::value_parser!(u16).range(..65_535))]
    pub port: u16,
    /// Directory that holds all state; deleting it starts afresh
    #[arg(long, default_value = ".artisan")]
    pub data_dir: PathBuf,
    /// Add a sample tenant with a year of activity
    #[arg(long)]
    pub demo: bool,
    /// The SAM template [default: template.yaml here, in a parent directory, or beside the source]
    #[arg(long)]
    pub template: Option<PathBuf>,
}

impl Cli {
    /// The template to run.
    #[must_use]
    pub fn template(&self) -> PathBuf {
        let beside_the_source = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
        self.template.clone().or_else(template_above).unwrap_or_else(beside_the_source)
    }
}

fn template_above() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|directory| directory.join("template.yaml")).find(|path| path.is_file())
}

/// Those of `variables` that set what the template leaves to choice: a variable that some function has and that
/// does not name a resource.
#[must_use]
pub fn overrides(
    template: &Template,
    variables: impl Iterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let chosen = |name: &str| {
        let mut values =
            template.functions.iter().filter_map(|function| function.environment.get(name)).peekable();
        values.peek().is_some() && values.all(|value| !value.contains("artisan-local-"))
    };
    variables.filter(|(name, _)| chosen(name)).collect()
}

/// The variables with which a function runs outside the platform, `cargo lambda watch --env-file`, against its AWS
/// endpoint: one `NAME=value` a line.
#[must_use]
pub fn environment_file(variables: &BTreeMap<String, String>, port: u16) -> String {
    let endpoint = format!("http://127.0.0.1:{}", port + 1);
    let aws = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ];
    // The certificate bundle is where Lambda has it, not here.
    let own = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = own.filter(|(name, _)| *name != "SSL_CERT_FILE");
    aws.into_iter().chain(own).map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// An error with all its causes, in one line.
#[must_use]
pub fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // An error that is only a wrapper says what its cause says.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is printed once everything is up.
#[must_use]
pub fn banner(
    port: u16,
    data: &Path,
    administrator: Option<&Credentials>,
    demo: Option<&Credentials>,
) -> String {
    let mut text = format!(
        "
  Artisan is running.

    Console        http://localhost:{port}/console
    API            http://localhost:{port}
    OpenAPI        http://localhost:{port}/openapi.json
    Inbox          http://localhost:{port}/_local/inbox    (shows webhooks sent to it)
    Mailbox        http://localhost:{port}/_local/mail    (shows mails instead of sending them)
    Clock          http://localhost:{port}/_local/clock    (moves time, to the next retry or the end of a key)
    AWS endpoint   http://127.0.0.1:{}    (AWS_ENDPOINT_URL for other processes)
    State          {}
",
        port + 1,
        data.display(),
    );
    for (title, credentials) in [("First administrator", administrator), ("Sample tenant", demo)] {
        if let Some(Credentials { email, password }) = credentials {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "
  {title}, shown this once:

    E-mail         {email}
    Password       {password}
"
            );
        }
    }
    text.push_str("\n  Ctrl-C stops it; nothing is lost.\n\n");
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["artisan-local", "--port", "9000", "--demo"]);
        assert_eq!((cli.port, cli.demo, cli.data_dir), (9000, true, PathBuf::from(".artisan")));
    }

    #[test]
    fn only_what_the_template_leaves_to_choice_can_be_set() {
        let template = Template::parse(
            "
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties: { KeySchema: [{ AttributeName: pk, KeyType: HASH }] }
  Function:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: one } }
    Properties:
      Environment: { Variables: { TABLE: !Ref Table, RETRY_SECONDS: 60 } }
",
        )
        .unwrap();
        let given = ["TABLE", "RETRY_SECONDS", "HOME"].map(|name| (name.to_owned(), "1".to_owned()));
        let chosen = overrides(&template, given.into_iter());
        assert_eq!(chosen.keys().collect::<Vec<_>>(), ["RETRY_SECONDS"]);
    }

    #[test]
    fn an_error_is_one_line_without_repetition() {
        #[derive(Debug, thiserror::Error)]
        #[error("the outer\nerror")]
        struct Outer(#[source] std::fmt::Error);
        let line = one_line(&Outer(std::fmt::Error));
        assert!(line.starts_with("the outer error: ") && !line.contains('\n'), "{line}");
    }
}
