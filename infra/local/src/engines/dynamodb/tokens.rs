//! Client request tokens: a transaction that is sent twice is carried out once.
//!
//! Promises what DynamoDB does: within ten minutes the same token with the same items gives the first answer again,
//! and with other items an error. A transaction that failed may be sent again. The engine keeps such a list too, but
//! looks through the whole of it at every call, which is most of the cost of a call after ten busy minutes; so it is
//! not shown the tokens.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dynoxide::DynoxideError;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// How long a token is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The tokens of the last ten minutes.
#[derive(Default)]
pub(super) struct Tokens(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    answers: HashMap<String, (Fingerprint, String)>,
    /// When each was given, oldest first.
    given: VecDeque<(Instant, String)>,
}

impl Tokens {
    /// The answer to a transaction with this token and these items: of the first call, or of `carry_out`.
    pub(super) fn once(
        &self,
        token: String,
        items: Fingerprint,
        carry_out: impl FnOnce() -> Result<String, DynoxideError>,
    ) -> Result<String, DynoxideError> {
        self.once_within(REMEMBERED, token, items, carry_out)
    }

    fn once_within(
        &self,
        window: Duration,
        token: String,
        items: Fingerprint,
        carry_out: impl FnOnce() -> Result<String, DynoxideError>,
    ) -> Result<String, DynoxideError> {
        // Held while the transaction is carried out, so that a second call waits for the answer. The engine carries out
        // one at a time anyway. Nothing is half done here, whoever panicked.
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while let Some((_, old)) = remembered.given.pop_front_if(|(at, _)| now.duration_since(*at) >= window)
        {
            remembered.answers.remove(&old);
        }
        match remembered.answers.get(&token) {
            Some((first, answer)) if *first == items => return Ok(answer.clone()),
            Some(_) => {
                return Err(DynoxideError::IdempotentParameterMismatchException(
                    "An error occurred (IdempotentParameterMismatchException)".to_owned(),
                ));
            }
            None => {}
        }
        let answer = carry_out()?;
        remembered.given.push_back((now, token.clone()));
        remembered.answers.insert(token, (items, answer.clone()));
        Ok(answer)
    }
}

/// What stands for a JSON value, whatever the order of its objects' members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    fn of(kind: u8, value: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (kind, value).hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Taker)
    }
}

struct Taker;

impl<'de> Visitor<'de> for Taker {
    type Value = Fingerprint;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Fingerprint, E> {
        Ok(Fingerprint::of(0, ()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Fingerprint, E> {
        Ok(Fingerprint::of(1, value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Fingerprint, E> {
        Ok(Fingerprint::of(2, value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Fingerprint, E> {
        Ok(Fingerprint::of(3, value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Fingerprint, E> {
        Ok(Fingerprint::of(4, value.to_bits()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Fingerprint, E> {
        Ok(Fingerprint::of(5, value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Fingerprint, A::Error> {
        let mut hasher = DefaultHasher::new();
        6_u8.hash(&mut hasher);
        while let Some(Fingerprint(item)) = items.next_element()? {
            item.hash(&mut hasher);
        }
        Ok(Fingerprint(hasher.finish()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Fingerprint, A::Error> {
        let mut sum = 0_u64;
        while let Some((Fingerprint(name), Fingerprint(value))) = members.next_entry()? {
            sum = sum.wrapping_add(Fingerprint::of(7, (name, value)).0);
        }
        Ok(Fingerprint::of(8, sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(json: &str) -> Fingerprint {
        serde_json::from_str(json).unwrap()
    }

    fn carried_out(answer: &str) -> impl FnOnce() -> Result<String, DynoxideError> {
        let answer = answer.to_owned();
        || Ok(answer)
    }

    #[test]
    fn values_are_told_apart_and_the_order_of_members_does_not_matter() {
        assert_eq!(
            fingerprint(r#"{"a":1,"b":[{"c":"x","d":null}]}"#),
            fingerprint(r#"{"b":[{"d":null,"c":"x"}],"a":1}"#)
        );
        let all = [
            "null",
            "true",
            "false",
            "1",
            "-1",
            "1.5",
            "\"1\"",
            "[]",
            "{}",
            "[1]",
            "[1,2]",
            "[2,1]",
            "[[1],2]",
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"b":1}"#,
            r#"{"a":1,"b":1}"#,
            r#"{"a":"b"}"#,
            r#"{"b":"a"}"#,
            r#"[{"a":1}]"#,
        ];
        for (at, one) in all.iter().enumerate() {
            for (there, other) in all.iter().enumerate() {
                assert_eq!(fingerprint(one) == fingerprint(other), at == there, "{one} {other}");
            }
        }
    }

    #[test]
    fn the_same_transaction_is_carried_out_once_and_another_one_is_refused() {
        let tokens = Tokens::default();
        let once = |token: &str, items: u64, answer: &str| {
            tokens.once(token.to_owned(), Fingerprint(items), carried_out(answer))
        };
        assert_eq!(once("t", 1, "first").unwrap(), "first");
        assert_eq!(once("t", 1, "second").unwrap(), "first");
        let refused = once("t", 2, "third").unwrap_err();
        assert!(matches!(refused, DynoxideError::IdempotentParameterMismatchException(_)));
        assert_eq!(once("u", 2, "other").unwrap(), "other");
    }

    #[test]
    fn a_failure_is_not_remembered() {
        let tokens = Tokens::default();
        let failing = || Err(DynoxideError::InternalServerError("no".to_owned()));
        assert!(tokens.once("t".to_owned(), Fingerprint(1), failing).is_err());
        assert_eq!(tokens.once("t".to_owned(), Fingerprint(2), carried_out("done")).unwrap(), "done");
    }

    #[test]
    fn old_tokens_are_forgotten() {
        let tokens = Tokens::default();
        for number in 0..10 {
            let token = number.to_string();
            tokens.once_within(Duration::ZERO, token, Fingerprint(1), carried_out("done")).unwrap();
        }
        assert_eq!(tokens.0.lock().unwrap().answers.len(), 1);
        assert_eq!(tokens.0.lock().unwrap().given.len(), 1);
    }
}
