//! Secrets: there, and long enough. What they hold is shown to nobody.

use std::collections::BTreeMap;

use access::api_key::Peppers;
use sealing::MasterSecret;

use super::{Examination, Trouble, trouble};

/// The shortest secret that functions start with.
const SHORTEST: usize = 32;

/// Those that could be read, by their variable.
pub(super) type Secrets = BTreeMap<String, MasterSecret>;

impl Examination<'_> {
    pub(super) async fn secrets(&mut self) -> Secrets {
        let mut secrets = Secrets::new();
        for secret in self.template.secrets.clone() {
            let Some(variable) = self.variable_of(&secret.name).map(str::to_owned) else { continue };
            let Some(id) = self.value(&variable) else { continue };
            let subject = format!("{} ({variable})", secret.logical_id);
            let answer = self.services.aws.secrets.get_secret_value().secret_id(&id).send().await;
            let text = match answer.map_err(trouble) {
                Ok(answer) => answer.secret_string.unwrap_or_default(),
                Err(Trouble::Missing) => {
                    self.report.error(
                        "secret_missing",
                        subject,
                        "there is no such secret, or it has no value",
                        "bring it back as it was (a deleted one can be restored for days): another value is no help",
                    );
                    continue;
                }
                Err(Trouble::Denied) => {
                    self.report.warning(
                        "permission_missing",
                        subject,
                        "these credentials may not read it, so nothing is known of it",
                        "allow secretsmanager:GetSecretValue for the time of the look, if you want it checked",
                    );
                    continue;
                }
                Err(other) => {
                    self.note(other, &subject, "secretsmanager:GetSecretValue");
                    continue;
                }
            };
            let fault = match variable.as_str() {
                "API_KEY_PEPPER_ID" => Peppers::parse(&text).err().map(|error| format!("it {error}")),
                // One a line while it is replaced.
                "AUDIT_SIGNING_SECRET_ID" => too_short(text.lines()),
                _ => too_short([text.as_str()]),
            };
            match fault {
                Some(fault) => self.report.error(
                    "secret_malformed",
                    subject,
                    fault,
                    "bring back the value that it had: what was made with it can be opened with no other",
                ),
                None => {
                    self.report.pass();
                    secrets.insert(variable, MasterSecret::new(text));
                }
            }
        }
        secrets
    }
}

fn too_short<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut values = values.into_iter().peekable();
    let is_short = values.peek().is_none() || values.any(|value| value.len() < SHORTEST);
    is_short.then(|| format!("it holds fewer than {SHORTEST} characters, and no function starts with it"))
}
