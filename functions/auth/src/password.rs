//! Passwords: which ones may be set, and how they are kept.
//!
//! NIST SP 800-63B asks for length, not for kinds of characters, and for a look at what is commonly used, expected or
//! compromised. That look is `zxcvbn`'s: its lists of common passwords and words, and what it makes of the person's own
//! name, address and organization. What is kept is Argon2id with OWASP's parameters, made on a thread that may be kept busy.

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

/// 1,024 bytes bound the work of hashing.
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

/// How much of a password is judged by how it could be guessed, in characters: that takes longer than in proportion.
const JUDGED: usize = 64;
/// "Safely unguessable: moderate protection from offline slow-hash scenario", at least 10^8 guesses.
const LEAST_SCORE: zxcvbn::Score = zxcvbn::Score::Three;
/// Passphrases that everybody has heard of, which a measure of words can't know, without what separates their words.
const HEARD_OF: [&str; 2] = ["correcthorsebatterystaple", "correcthorsebattery"];

/// Letters and digits alone, in lower case.
fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A password of a length that may be set. Whether it could be guessed takes a processor to tell: [`set`] does.
///
/// # Errors
/// A fault when it is too short or too long.
pub(crate) fn fits(password: &str) -> Result<(), Fault> {
    if password.chars().count() < SHORTEST || password.len() > LONGEST {
        return Err(Fault::new(
            "length",
            format!("must have at least {SHORTEST} characters and at most {LONGEST} bytes"),
        ));
    }
    Ok(())
}

/// A password that may be set by somebody of whom `known` is known.
fn check(password: &str, known: &[String]) -> Result<(), Fault> {
    fits(password)?;
    // A name is guessed by its parts, and with nothing between them, too.
    let joined: Vec<String> = known.iter().map(|text| bare(text)).collect();
    let known: Vec<&str> = known
        .iter()
        .flat_map(|text| std::iter::once(text.as_str()).chain(text.split(|c: char| !c.is_alphanumeric())))
        .chain(joined.iter().map(String::as_str))
        .filter(|text| text.chars().count() > 2)
        .collect();
    let judged: String = password.chars().take(JUDGED).collect();
    let is_weak = zxcvbn::zxcvbn(&judged, &known).score() < LEAST_SCORE;
    if is_weak || HEARD_OF.contains(&bare(&judged).as_str()) {
        return Err(Fault::new(
            "compromised",
            "is among the passwords that are tried first, or too much like one, or like your name, your address or your \
             organization's name: take several words that have nothing to do with each other",
        ));
    }
    Ok(())
}

/// The Argon2id hash, as a PHC string, of a password that somebody sets of whom `known` is known: name, e-mail address,
/// organization, each of a length that was checked. It is judged and hashed in one turn, as both keep a processor busy.
///
/// # Errors
/// 422 at `pointer` when it is too short, too long, or one that could be guessed; 503 when too many wait for the same; 500
/// when hashing fails, which is not expected to happen.
pub(crate) async fn set(pointer: &str, password: String, known: Vec<String>) -> Result<String, Problem> {
    let judged = in_turn(move || check(&password, &known).map(|()| hash_now(&password))).await?;
    let hash = judged.map_err(|fault| Problem::invalid(pointer, fault.code, fault.message))?;
    hash.ok_or(Problem::Internal)
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
        let set = |password: &str| set("/password", password.to_owned(), Vec::new());
        assert!(matches!(set("password1234").await, Err(Problem::Invalid { .. })));
        let hash = set("a kettle of seven herrings").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("a kettle of seven herrings".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!verify("a kettle of seven herringz".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!verify("nobody".to_owned(), None).await.unwrap());
        let costs = |hash: &str| hash.rsplitn(3, '$').last().unwrap().to_owned();
        assert_eq!(costs(NOBODY), costs(&hash), "verifying nobody's password costs as much");
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert!(!verify("x".to_owned(), Some("not a hash".to_owned())).await.unwrap());
    }

    #[test]
    fn what_could_be_guessed_is_refused_and_anything_else_is_not() {
        let known = ["Ada Lovelace", "ada.lovelace@example.com", "Analytical Engines"].map(str::to_owned);
        let refused = |password: &str| check(password, &known).err().map(|fault| fault.code);
        for good in [
            "a difference engine of brass",
            "a password for measuring with",
            "a kettle of seven herrings",
            "vVY8HnDcJs9qZ3rtLmXw5bKe",
            "grüne Äpfel fliegen heimwärts",
        ] {
            assert_eq!(refused(good), None, "{good}");
        }
        for short in ["short", "elevenchars", &"x".repeat(1025)] {
            assert_eq!(refused(short), Some("length"), "{short}");
        }
        for known in [
            "aaaaaaaaaaaa",
            "password1234",
            "123456789012",
            "qwertyuiop123",
            "Ada.Lovelace@example.com",
            "ada lovelace 1",
            "analyticalengines1",
            "correct horse battery staple",
            "Correct-Horse-Battery-Staple",
        ] {
            assert_eq!(refused(known), Some("compromised"), "{known}");
        }
    }

    #[test]
    fn a_long_password_is_judged_quickly() {
        assert!(check(&"abcabcab".repeat(100), &[]).is_err());
    }
}
