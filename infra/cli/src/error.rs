//! Why a command did not do what it was asked for.

use std::path::PathBuf;

use runtime::StartError;
use store::{CommitError, MigrateError, Refusal, StoreError};

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a command failed. With its causes it is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file that says where the deployment is can't be read.
    #[error("the file {} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is neither of the forms it may have.
    #[error(
        "{} is neither the outputs of a stack as JSON nor lines of NAME=value (line {line})",
        path.display()
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// The first line that can't be read.
        line: usize,
    },
    /// Which stack is meant cannot be told.
    #[error(
        "{} describes {} stacks ({}); give it the outputs of the one that is meant (--stack-name)",
        path.display(), names.len(), names.join(", ")
    )]
    Stacks {
        /// The file.
        path: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// The local platform does not answer.
    #[error(
        "nothing answers at {url}; start the local platform with `cargo run`, or name its port: --local=PORT"
    )]
    NoPlatform {
        /// Where it was looked for.
        url: String,
        /// What came instead.
        #[source]
        source: BoxError,
    },
    /// The deployment lacks something that the command needs.
    #[error("the deployment is not as this command needs it; `artisan doctor` says more")]
    Start(#[from] StartError),
    /// The tables failed.
    #[error("the tables failed")]
    Store(#[from] StoreError),
    /// The change was refused, by a rule of the product.
    #[error("refused: {}", words(.0))]
    Refused(Refusal),
    /// The change could not be made.
    #[error("the change could not be made")]
    Commit(#[source] CommitError),
    /// A file that is to be written is there already.
    #[error("the file {} cannot be made; nothing is ever written over", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It was not confirmed.
    #[error("not confirmed; nothing was done (--yes goes ahead without asking)")]
    NotConfirmed,
    /// An export did not come to its end.
    #[error("the export {id} {how}")]
    Export {
        /// The export.
        id: String,
        /// What became of it.
        how: String,
    },
    /// The object store failed.
    #[error("the file of the export cannot be fetched")]
    Objects(#[from] objects::ObjectError),
    /// Nothing could be verified.
    #[error("nothing was verified")]
    Verify(#[from] artisan_verify::VerifyError),
    /// A key is none.
    #[error("nothing was verified")]
    Key(#[from] artisan_verify::KeyError),
    /// The log has no keys: nothing of it was ever sealed.
    #[error(
        "nothing of this organization's log was ever sealed, so there is nothing to verify; is the id that of an organization here?"
    )]
    NotSealed,
    /// Items can't be brought up.
    #[error("the items are not all brought up; what was done stays done")]
    Migrate(#[from] MigrateError),
    /// What was to be said could not be written.
    #[error("the output cannot be written")]
    Output(#[from] std::io::Error),
    /// The template that this program was built from can't be read; a fault of this program.
    #[error("the template in this program cannot be read")]
    Template(#[from] artisan_local::template::TemplateError),
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Refused(refusal) => Self::Refused(refusal),
            CommitError::Store(error) => Self::Store(error),
            other => Self::Commit(other),
        }
    }
}

/// Why a change was refused.
fn words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Missing(what) => format!("there is no such {what}"),
        Refusal::Rule(rule) => (*rule).to_owned(),
        Refusal::Raced | Refusal::Stale => {
            "somebody else changed it at the same moment; try again".to_owned()
        }
        Refusal::Replaying(replay) => format!("the replay {replay} to the endpoint runs or is paused"),
        other => format!("{other:?}"),
    }
}
