//! Attempts at passwords and codes, counted before they are judged.

use std::net::IpAddr;

use edge::{Edge, Refused, RequestInfo};
use problem::Problem;
use store::{Account, Attempts};

use crate::app::sign_in::{Counters, MOST_ATTEMPTS, familiarity};
use crate::password;

/// An attempt that was counted and may be made.
pub(crate) struct Attempt<'a> {
    edge: &'a Edge,
    request: &'a RequestInfo,
    digests: Vec<String>,
}

impl<'a> Attempt<'a> {
    /// Counts an attempt under each name; those that decide must not have been counted too often.
    ///
    /// # Errors
    /// 429 until the window ends.
    pub(crate) async fn count(
        edge: &'a Edge,
        request: &'a RequestInfo,
        names: &[(&str, bool)],
    ) -> Result<Self, Refused> {
        Self::within(MOST_ATTEMPTS, edge, request, names).await
    }

    /// The same where a window hears another number of them.
    ///
    /// # Errors
    /// 429 until the window ends.
    pub(crate) async fn within(
        most: u64,
        edge: &'a Edge,
        request: &'a RequestInfo,
        names: &[(&str, bool)],
    ) -> Result<Self, Refused> {
        let digests: Vec<String> = names.iter().map(|(name, _)| edge.fingerprint(name)).collect();
        let counting = digests.iter().map(|digest| edge.unscoped_store().count_attempt(digest, request.now));
        let counted: Vec<Attempts> = futures::future::try_join_all(counting).await?;
        let full = counted
            .iter()
            .zip(names)
            .filter(|(attempts, (_, decides))| *decides && attempts.count > most)
            .map(|(attempts, _)| attempts.window_ends_at)
            .max();
        match full {
            None => Ok(Self { edge, request, digests }),
            Some(ends_at) => {
                Err(Refused(Problem::SignInThrottled { retry_after: ends_at.since(request.now) }))
            }
        }
    }

    /// Takes the attempt back: it succeeded. It did so even if this fails, which then only counts against the next ones.
    pub(crate) async fn forgive(self) {
        let store = self.edge.unscoped_store();
        let forgiving = self.digests.iter().map(|digest| store.forgive_attempt(digest, self.request.now));
        if let Err(error) = futures::future::try_join_all(forgiving).await {
            tracing::warn!(error = %error, "an attempt that succeeded stays counted");
        }
    }
}

/// Whether `password` is that of the account with this address, which there need not be. Makes the same calls and takes
/// as long either way.
///
/// # Errors
/// 429 after too many attempts; 503 when too many wait for a hash.
pub(crate) async fn verify_password(
    edge: &Edge,
    request: &RequestInfo,
    email: &str,
    account: Option<&Account>,
    password: String,
) -> Result<bool, Refused> {
    let familiar = account.is_some_and(|account| is_familiar(edge, account, request.ip));
    let epoch = account.map_or(0, |account| account.identity.epoch);
    let counters = Counters::of(email, epoch, request.ip, familiar);
    let names = [(counters.account.as_str(), true), (counters.place.as_str(), !counters.familiar)];
    let attempt = Attempt::count(edge, request, &names).await?;
    let hash = account.and_then(|account| account.identity.password_hash.clone());
    let verified = password::verify(password, hash).await?;
    if verified {
        attempt.forgive().await;
    }
    Ok(verified)
}

fn is_familiar(edge: &Edge, account: &Account, from: IpAddr) -> bool {
    let digest = edge.fingerprint(&familiarity(&account.identity.email, from));
    account.signed_in_from.contains(&digest)
}
