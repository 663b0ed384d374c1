//! Why the API did not do what it was asked.

use serde::Deserialize;

/// What is wrong with a field of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Fault {
    /// Which field: a JSON pointer (RFC 6901) into what was sent.
    pub(crate) pointer: String,
    /// What it is called.
    pub(crate) code: String,
    /// What is wrong, in words.
    pub(crate) message: String,
}

/// How much of something there is, and may be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Excess {
    /// Of what.
    pub(crate) resource: String,
    /// How many there may be.
    pub(crate) limit: u64,
    /// How many there are.
    pub(crate) used: u64,
}

/// A problem, as the API tells it (RFC 9457).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: u16,
    /// What it is called.
    pub(crate) code: String,
    /// In a few words.
    pub(crate) title: String,
    /// In more.
    pub(crate) detail: String,
    /// The page that explains it.
    pub(crate) r#type: String,
    /// Of which request.
    pub(crate) request_id: String,
    /// The permission that is missing.
    pub(crate) permission: Option<String>,
    /// What is wrong with which field.
    pub(crate) errors: Vec<Fault>,
    /// What there is too much of.
    pub(crate) excess: Vec<Excess>,
    /// Seconds to wait before the next try, as its header says.
    #[serde(skip)]
    pub(crate) retry_after: Option<u64>,
}

/// Why there is nothing to show.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// The API said no, and why.
    #[error("the API answered {} ({})", .0.status, .0.code)]
    Refused(Box<Problem>),
    /// The function behind the API could not be asked, or failed.
    #[error("the function behind {path} gave no answer: {cause}")]
    NoAnswer {
        /// What was asked for, without its query.
        path: String,
        /// What was said instead.
        cause: String,
    },
    /// It answered with something else than what was expected.
    #[error("the answer to {path} cannot be read")]
    Unreadable {
        /// What was asked for, without its query.
        path: String,
        /// What is wrong with it.
        #[source]
        source: std::sync::Arc<serde_json::Error>,
    },
    /// There is no such page, or the form that was sent is none of ours.
    #[error("{0}")]
    Ours(Ours),
}

/// What the console itself refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ours {
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    SignedOut,
    /// There is no such page.
    #[error("there is no such page")]
    NoSuchPage,
    /// A form that no page of ours has sent.
    #[error("the form was not sent from a page of the console")]
    Forged,
    /// A form that cannot be read.
    #[error("the form cannot be read")]
    Malformed,
}

impl Failure {
    /// The problem, if the API told one.
    pub(crate) fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::NoAnswer { .. } | Self::Unreadable { .. } | Self::Ours(_) => None,
        }
    }

    /// The code of the problem, if the API told one.
    pub(crate) fn code(&self) -> &str {
        self.problem().map_or("", |problem| problem.code.as_str())
    }

    /// Whether a policy of the organization asks for more proof than the session has given.
    pub(crate) fn asks_for_proof(&self) -> bool {
        matches!(self.code(), "mfa_required" | "sso_required")
    }

    /// Whether it is the session that is over, or never was.
    pub(crate) fn is_signed_out(&self) -> bool {
        match self {
            Self::Refused(problem) => {
                let is_wrong =
                    ["invalid_credentials", "invalid_code", "sso_failed"].contains(&problem.code.as_str());
                problem.status == 401 && !is_wrong
            }
            Self::Ours(ours) => *ours == Ours::SignedOut,
            Self::NoAnswer { .. } | Self::Unreadable { .. } => false,
        }
    }
}

/// What was asked for; nothing where the API says that it is not there, or not for this visitor to see.
pub(crate) fn found<T>(asked: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(Failure::Refused(problem)) if matches!(problem.status, 403 | 404 | 410) => Ok(None),
        Err(failure) => Err(failure),
    }
}

impl From<Ours> for Failure {
    fn from(ours: Ours) -> Self {
        Self::Ours(ours)
    }
}
