//! The first administrator, and what has been done on a data directory already.

use axum::Router;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Platform;
use crate::client::{CallError, Caller};
use crate::data_directory::{DataError, Survives};
use crate::random;

const STATE_FILE: &str = "state.json";
const PASSWORD_LENGTH: usize = 24;
/// How many addresses are tried. One is taken when a process was killed after signing up and before saying so.
const ADDRESSES: usize = 20;

/// Why the first administrator could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FirstStartError {
    /// Signing up failed.
    #[error("the {who} cannot be signed up")]
    SignUp {
        /// Who.
        who: &'static str,
        /// What the API said.
        #[source]
        source: CallError,
    },
    /// There is no randomness to make a password from.
    #[error("the operating system gives no randomness")]
    Randomness,
    /// It cannot be recorded.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// What somebody signs in with. Shown once and stored nowhere.
pub struct Credentials {
    /// The e-mail address.
    pub email: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// What has been done on this data directory.
#[derive(Serialize, Deserialize, Default, Clone, Copy)]
#[serde(default)]
pub(crate) struct Done {
    pub(crate) administrator: bool,
    pub(crate) demo: bool,
}

impl Done {
    pub(crate) fn load(platform: &Platform) -> Result<Self, DataError> {
        match platform.keep().read(STATE_FILE)? {
            None => Ok(Self::default()),
            Some(content) => {
                serde_json::from_slice(&content).map_err(|_| DataError::Damaged { name: STATE_FILE })
            }
        }
    }

    pub(crate) fn save(self, platform: &Platform) -> Result<(), DataError> {
        // Two booleans are always JSON.
        let content = serde_json::to_vec_pretty(&self).unwrap_or_default();
        platform.keep().write(STATE_FILE, &content, Survives::PowerFailure)
    }
}

/// Signs the first administrator up; `None` when that was done before.
///
/// # Errors
/// [`FirstStartError`].
pub async fn administrator(platform: &Platform) -> Result<Option<Credentials>, FirstStartError> {
    let done = Done::load(platform)?;
    if done.administrator {
        return Ok(None);
    }
    let (credentials, _) =
        sign_up(platform.router(), "admin", "Local Organization", "first administrator").await?;
    Done { administrator: true, ..done }.save(platform)?;
    Ok(Some(credentials))
}

/// Signs somebody up with a new password; the credentials and the access token.
pub(crate) async fn sign_up(
    router: Router,
    address: &str,
    organization: &str,
    who: &'static str,
) -> Result<(Credentials, String), FirstStartError> {
    let password = random::alphanumeric(PASSWORD_LENGTH).ok_or(FirstStartError::Randomness)?;
    let caller = Caller::unknown(router);
    let mut number = 1;
    loop {
        let email = match number {
            1 => format!("{address}@example.com"),
            number => format!("{address}-{number}@example.com"),
        };
        let body = json!({
            "organization_name": organization,
            "name": "Administrator",
            "email": email,
            "password": password,
        });
        match caller.post_for("/api/auth/signup", &body, "access_token").await {
            Ok(token) => return Ok((Credentials { email, password }, token)),
            Err(error) if error.is_conflict() && number < ADDRESSES => number += 1,
            Err(source) => return Err(FirstStartError::SignUp { who, source }),
        }
    }
}
