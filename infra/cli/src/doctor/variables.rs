//! Variables: there, readable, and each naming something of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use url::Url;

use super::Examination;

/// Variables with a default of their own: a deployment need not say them.
const WITH_DEFAULT: [&str; 3] = ["LOG_LEVEL", "SSL_CERT_FILE", "WEBHOOK_RETRY_BASE_SECONDS"];
/// What no function may be told outside of a laptop.
const ALLOW_LOOPBACK: &str = "WEBHOOK_ALLOW_LOOPBACK";

impl Examination<'_> {
    pub(super) fn variables(&mut self) {
        let mut wanted: BTreeMap<String, (bool, Vec<String>)> = BTreeMap::new();
        for function in &self.template.functions {
            // What `artisan` calls is the API and the services below it, and no function: which ones the console calls it is
            // not told.
            for (name, value) in function.environment.iter().filter(|(name, _)| !name.ends_with("_FUNCTION"))
            {
                let (optional, readers) = wanted.entry(name.clone()).or_default();
                *optional = value.is_empty() || WITH_DEFAULT.contains(&name.as_str());
                readers.push(function.binary.clone());
            }
        }
        let mut named: BTreeMap<String, String> = BTreeMap::new();
        for (name, (optional, readers)) in wanted {
            let readers = if readers.len() > 6 { "most functions".to_owned() } else { readers.join(", ") };
            let Some(value) = self.value(&name) else {
                if !optional {
                    self.report.error(
                        "variable_missing",
                        &name,
                        format!("it is not set; read by {readers}, which do not start without it"),
                        "set it, or take the outputs of the stack anew (docs/configuration.md lists what each is)",
                    );
                }
                continue;
            };
            match fault(&name, &value) {
                Some(fault) => self.report.error(
                    "variable_malformed",
                    &name,
                    format!("its value {fault}; read by {readers}"),
                    "correct it where the stack's parameters are given, and deploy again",
                ),
                None => self.report.pass(),
            }
            let names_something =
                ["_TABLE", "_BUCKET", "_QUEUE_URL", "_ID"].iter().any(|end| name.ends_with(end));
            if names_something && let Some(other) = named.insert(value, name.clone()) {
                self.report.error(
                    "variables_shared",
                    &name,
                    format!("it names the same as {other}"),
                    "give each the resource that the template gives it",
                );
            }
        }
        if self.value(ALLOW_LOOPBACK).is_some_and(|value| value == "true") && !self.is_local() {
            self.report.error(
                "loopback_allowed",
                ALLOW_LOOPBACK,
                "endpoints on loopback are allowed, where Lambda's runtime API listens",
                "unset it: it is for a laptop only",
            );
        }
    }
}

/// What is wrong with the value of a variable, if anything is.
fn fault(name: &str, value: &str) -> Option<&'static str> {
    let is_web = |value: &str, schemes: &[&str]| {
        Url::parse(value).is_ok_and(|url| schemes.contains(&url.scheme()) && url.host().is_some())
    };
    let (holds, fault) = match name {
        "PUBLIC_URL" => (
            is_web(value, &["http", "https"]) && !value.contains(['?', '#']),
            "is no http or https URL without query and fragment",
        ),
        "MAIL_FROM" => (is_address(value), "is no e-mail address without a name"),
        "DNS_RESOLVER" => (value.parse::<SocketAddr>().is_ok(), "is no ip:port"),
        "SECRET_SCANNING_KEYS_URL" => (is_web(value, &["https", "http"]), "is no URL"),
        "WEBHOOK_RETRY_BASE_SECONDS" => {
            (value.parse().is_ok_and(|it| (1..=3600).contains(&it)), "is no number from 1 to 3600")
        }
        "LOG_LEVEL" => (
            ["error", "warn", "info", "debug", "trace"].contains(&value.to_lowercase().as_str()),
            "is none of error, warn, info, debug and trace",
        ),
        _ if name.ends_with("_QUEUE_URL") => (is_web(value, &["http", "https"]), "is no URL of a queue"),
        _ if name.ends_with("_TABLE") || name.ends_with("_BUCKET") || name.ends_with("_ID") => {
            (!value.contains(char::is_whitespace), "has a space in it")
        }
        _ => return None,
    };
    (!holds).then_some(fault)
}

fn is_address(value: &str) -> bool {
    let parts: Vec<_> = value.split('@').collect();
    parts.len() == 2
        && parts.iter().all(|part| !part.is_empty())
        && !value.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_held_to_their_form() {
        for (name, good, bad) in [
            ("PUBLIC_URL", "https://artisan.example.com", "artisan.example.com"),
            ("MAIL_FROM", "no-reply@example.com", "Artisan <no-reply@example.com>"),
            ("DNS_RESOLVER", "10.0.0.2:53", "10.0.0.2"),
            ("WEBHOOK_RETRY_BASE_SECONDS", "60", "0"),
            ("LOG_LEVEL", "INFO", "loud"),
            ("MAIL_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/1/mail", "mail"),
            ("CORE_TABLE", "artisan-CoreTable-1", "a table"),
        ] {
            assert_eq!(fault(name, good), None, "{name}");
            assert!(fault(name, bad).is_some(), "{name}");
        }
    }
}
