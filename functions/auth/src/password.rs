//! Passwords: Argon2id with OWASP's parameters, on a thread that may be kept busy.

use std::num::NonZero;
use std::sync::LazyLock;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use input::Fault;
use problem::Problem;
use tokio::sync::Semaphore;

/// 19 MiB, two passes, one lane: the floor of OWASP's password storage cheat sheet.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Each hash takes a processor and 19 MiB, so no more run at once than there are processors; who would wait longer than
/// this for a turn is told to come back.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
static TURNS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)));

/// Does the work on a thread that may be kept busy, when it is its turn.
async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let turn = tokio::time::timeout(LONGEST_WAIT, TURNS.acquire()).await;
    let Ok(Ok(_turn)) = turn else { return Err(Problem::Unavailable) };
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::Internal)
}

/// NIST SP 800-63B asks for length, not for kinds of characters. 1,024 bytes bound the work of hashing.
const SHORTEST: usize = 12;
const LONGEST: usize = 1024;

/// A hash that no password is known for, to verify against when there is no account: as costly as any other.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Eyr6WRR18KVtAcXwqH3m8w$OIGMiWMxYtPh6/BfpZwgqxdwKmAWJ4wqEKq5ChFn+hA";

fn hash_now(password: &str) -> Option<String> {
    hasher()?.hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
}

fn hasher() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// A password that may be set.
///
/// # Errors
/// A fault when it is too short, too long, or is the e-mail address.
pub(crate) fn check(password: &str, email: &str) -> Result<(), Fault> {
    if password.chars().count() < SHORTEST || password.len() > LONGEST {
        return Err(Fault::new(
            "length",
            format!("must have at least {SHORTEST} characters and at most {LONGEST} bytes"),
        ));
    }
    if password.trim().eq_ignore_ascii_case(email.trim()) {
        return Err(Fault::new("value", "must not be the e-mail address"));
    }
    Ok(())
}

/// The Argon2id hash of a password, as a PHC string.
///
/// # Errors
/// 503 when too many wait for the same; 500 when hashing fails, which is not expected to happen.
pub(crate) async fn hash(password: String) -> Result<String, Problem> {
    in_turn(move || hash_now(&password)).await?.ok_or(Problem::Internal)
}

/// Whether a password is the one a hash was made of. Takes as long when there is no hash.
///
/// # Errors
/// 503 when too many wait for the same.
pub(crate) async fn verify(password: String, hash: Option<String>) -> Result<bool, Problem> {
    in_turn(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
        let matches = PasswordHash::new(&hash)
            .ok()
            .zip(hasher())
            .is_some_and(|(hash, argon2)| argon2.verify_password(password.as_bytes(), &hash).is_ok());
        known && matches
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let hash = hash("correct horse battery".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("correct horse battery".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!verify("correct horse batterz".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!verify("nobody".to_owned(), None).await.unwrap());
        let costs = |hash: &str| hash.rsplitn(3, '$').last().unwrap().to_owned();
        assert_eq!(costs(NOBODY), costs(&hash), "verifying nobody's password costs as much");
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert!(!verify("x".to_owned(), Some("not a hash".to_owned())).await.unwrap());
    }

    #[test]
    fn length_is_what_counts() {
        assert!(check("aaaaaaaaaaaa", "a@b.co").is_ok());
        assert!(check("short", "a@b.co").is_err());
        assert!(check(&"x".repeat(1025), "a@b.co").is_err());
        assert!(check("Somebody@example.com", "somebody@example.com").is_err());
    }
}
