//! Why a command did not do what it was asked for.

use std::path::PathBuf;

use runtime::StartError;
use store::StoreError;

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
    /// What was to be said could not be written.
    #[error("the output cannot be written")]
    Output(#[from] std::io::Error),
    /// The template that this program was built from can't be read; a fault of this program.
    #[error("the template in this program cannot be read")]
    Template(#[from] artisan_local::template::TemplateError),
}
