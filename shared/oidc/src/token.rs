//! The id token (OpenID Connect Core 1.0, sections 2 and 3.1.3.7).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use crate::error::{OidcError, Part, plain};

/// How far a provider's clock may be off.
const LEEWAY: Duration = Duration::from_secs(60);
/// The longest subject (section 2).
const LONGEST_SUBJECT: usize = 255;
/// The longest address (RFC 5321, section 4.5.3.1).
const LONGEST_EMAIL: usize = 320;
/// The longest name that is kept.
const LONGEST_NAME: usize = 200;
/// The longest value of `acr` and `amr`, and how many of the latter are kept.
const LONGEST_REFERENCE: usize = 200;
const MOST_METHODS: usize = 16;

/// Who signed in, in the words of a provider that was believed to be itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who it is to this issuer, for ever: the two together identify a person, an address does not.
    pub subject: String,
    /// The address, as the provider wrote it.
    pub email: Option<String>,
    /// Whether the provider says that the address is the person's. `None`: it doesn't say.
    pub email_verified: Option<bool>,
    /// What the person is called.
    pub name: Option<String>,
    /// How the person signed in (RFC 8176), such as `pwd`, `otp`, `mfa`.
    pub amr: Vec<String>,
    /// How strong the provider holds that to be, in words of its own.
    pub acr: Option<String>,
    /// When the person last signed in there.
    pub auth_time: Option<Timestamp>,
}

/// What a verified id token has to be.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) now: Timestamp,
}

/// An id token that has been read and not yet believed.
pub(crate) struct Unverified<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

fn malformed(fault: &'static str) -> OidcError {
    OidcError::malformed(Part::IdToken, fault)
}

impl<'a> Unverified<'a> {
    /// Reads the header of a token.
    pub(crate) fn read(token: &'a str) -> Result<Self, OidcError> {
        let shape = || malformed("it is not a signed JSON Web Token");
        let (message, signature) = token.rsplit_once('.').ok_or_else(shape)?;
        let (header, payload) = message.split_once('.').ok_or_else(shape)?;
        if payload.contains('.') {
            return Err(shape());
        }
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| shape())?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| shape())?;
        let algorithm = crate::keys::accepted(&header.alg).ok_or(OidcError::UnsupportedAlgorithm)?;
        // Extensions that must be understood and are not (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(malformed("it has critical extensions"));
        }
        Ok(Self { algorithm, key_id: header.kid, message, payload, signature })
    }

    /// The claims, if one of `keys` signed them and they are what is expected.
    pub(crate) fn verify(&self, keys: &[DecodingKey], expected: &Expected<'_>) -> Result<Claims, OidcError> {
        let signed = |key| {
            jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), key, self.algorithm)
                .unwrap_or(false)
        };
        if !keys.iter().any(signed) {
            return Err(OidcError::BadSignature);
        }
        let payload =
            URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| malformed("its claims cannot be read"))?;
        let raw: Raw =
            serde_json::from_slice(&payload).map_err(|_| malformed("its claims cannot be read"))?;
        raw.check(expected)?;
        raw.person.into_claims(Part::IdToken)
    }
}

#[derive(Deserialize)]
struct Raw {
    iss: String,
    aud: OneOrMany,
    azp: Option<String>,
    exp: Number,
    nbf: Option<Number>,
    iat: Number,
    nonce: Option<String>,
    #[serde(flatten)]
    person: Person,
}

/// The claims about a person, in an id token and in the user info alike.
#[derive(Deserialize)]
pub(crate) struct Person {
    sub: String,
    email: Option<String>,
    #[serde(default, deserialize_with = "lenient_bool")]
    email_verified: Option<bool>,
    name: Option<String>,
    amr: Option<OneOrMany>,
    acr: Option<Value>,
    auth_time: Option<Number>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Some providers write truth as a text.
fn lenient_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(value) => Some(value),
        Value::String(text) if text == "true" => Some(true),
        Value::String(text) if text == "false" => Some(false),
        _ => None,
    })
}

/// Seconds since the epoch, which may have a fraction (RFC 7519, section 2).
fn time(seconds: &Number) -> Option<Timestamp> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast from a float saturates, and so does the time"
    )]
    let seconds = seconds.as_i64().or_else(|| seconds.as_f64().map(|seconds| seconds as i64))?;
    Some(Timestamp::from_seconds(seconds))
}

impl Raw {
    fn check(&self, expected: &Expected<'_>) -> Result<(), OidcError> {
        if self.iss != expected.issuer {
            return Err(OidcError::WrongIssuer(Part::IdToken));
        }
        let audiences = self.aud.as_slice();
        let is_ours = |id: &String| id == expected.client_id;
        // Who asked must be us; where there are several audiences, the token must say so.
        let asked = self.azp.as_ref().map_or(audiences.len() == 1, is_ours);
        if !audiences.iter().any(is_ours) || !asked {
            return Err(OidcError::WrongAudience);
        }
        let instant = |seconds: &Number| time(seconds).ok_or_else(|| malformed("it has a time that is none"));
        if expected.now >= instant(&self.exp)? + LEEWAY {
            return Err(OidcError::Expired);
        }
        for begin in [Some(&self.iat), self.nbf.as_ref()].into_iter().flatten() {
            if instant(begin)? > expected.now + LEEWAY {
                return Err(OidcError::NotYetValid);
            }
        }
        if expected.nonce.is_empty() || self.nonce.as_deref() != Some(expected.nonce) {
            return Err(OidcError::WrongNonce);
        }
        Ok(())
    }
}

impl Person {
    pub(crate) fn into_claims(self, part: Part) -> Result<Claims, OidcError> {
        if self.sub.is_empty() || self.sub.len() > LONGEST_SUBJECT || self.sub.chars().any(char::is_control) {
            return Err(OidcError::malformed(part, "the subject is empty or too long"));
        }
        let email = self.email.filter(|email| !email.is_empty());
        if email
            .as_ref()
            .is_some_and(|email| email.len() > LONGEST_EMAIL || email.chars().any(char::is_control))
        {
            return Err(OidcError::malformed(part, "the e-mail address is too long"));
        }
        let methods = self.amr.iter().flat_map(OneOrMany::as_slice);
        Ok(Claims {
            subject: self.sub,
            email_verified: self.email_verified.filter(|_| email.is_some()),
            email,
            name: self.name.map(|name| plain(&name, LONGEST_NAME)).filter(|name| !name.is_empty()),
            amr: methods.map(|method| plain(method, LONGEST_REFERENCE)).take(MOST_METHODS).collect(),
            acr: self.acr.as_ref().and_then(Value::as_str).map(|acr| plain(acr, LONGEST_REFERENCE)),
            auth_time: self.auth_time.as_ref().and_then(time),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(header: &Value) -> Result<(), OidcError> {
        let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header.to_string()));
        Unverified::read(&token).map(|_| ())
    }

    #[test]
    fn what_is_not_a_signed_token_is_not_one() {
        for token in ["", ".", "..", "a.b", "a.b.c.d", "e30.e30.", "e30.e30.AA.AA.AA", "bnVsbA.e30.AA"] {
            assert!(matches!(Unverified::read(token), Err(OidcError::Malformed { .. })), "{token}");
        }
        assert_eq!(read(&json!({"alg": "ES256", "kid": "a", "typ": "anything"})), Ok(()));
        assert_eq!(read(&json!({"alg": "none"})), Err(OidcError::UnsupportedAlgorithm));
        assert_eq!(read(&json!({"alg": "HS256"})), Err(OidcError::UnsupportedAlgorithm));
        assert_eq!(
            read(&json!({"alg": "ES256", "crit": ["b64"], "b64": false})),
            Err(malformed("it has critical extensions"))
        );
    }

    const NOW: i64 = 1_800_000_000;

    fn check(changes: Value) -> Result<(), OidcError> {
        let mut claims = json!({
            "iss": "https://a.example", "sub": "s", "aud": "us", "exp": NOW + 300, "iat": NOW, "nonce": "n",
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let raw: Raw = serde_json::from_value(claims).unwrap();
        let now = Timestamp::from_seconds(NOW);
        raw.check(&Expected { issuer: "https://a.example", client_id: "us", nonce: "n", now })
    }

    #[test]
    fn a_token_is_for_this_issuer_client_and_sign_in() {
        assert_eq!(check(json!({})), Ok(()));
        for issuer in
            ["https://a.example/", "https://A.example", "http://a.example", "https://a.example.evil.net", ""]
        {
            assert_eq!(check(json!({"iss": issuer})), Err(OidcError::WrongIssuer(Part::IdToken)), "{issuer}");
        }
        for ours in [
            json!({"aud": ["us"]}),
            json!({"aud": ["us"], "azp": "us"}),
            json!({"aud": ["us", "b"], "azp": "us"}),
        ] {
            assert_eq!(check(ours.clone()), Ok(()), "{ours}");
        }
        for others in [
            json!({"aud": "them"}),
            json!({"aud": []}),
            json!({"aud": ["us", "them"]}),
            json!({"aud": ["us", "them"], "azp": "them"}),
            json!({"aud": "us", "azp": "them"}),
            json!({"aud": "them", "azp": "us"}),
            json!({"aud": "US"}),
        ] {
            assert_eq!(check(others.clone()), Err(OidcError::WrongAudience), "{others}");
        }
        for nonce in [json!(null), json!(""), json!("N"), json!("n ")] {
            assert_eq!(check(json!({"nonce": nonce})), Err(OidcError::WrongNonce));
        }
    }

    #[test]
    fn a_token_is_for_now_give_or_take_a_minute() {
        for (claims, expected) in [
            (json!({"exp": NOW - 59}), Ok(())),
            (json!({"exp": NOW - 60}), Err(OidcError::Expired)),
            (json!({"exp": NOW as f64 - 60.5}), Err(OidcError::Expired)),
            (json!({"exp": -1}), Err(OidcError::Expired)),
            (json!({"exp": 1e300}), Ok(())),
            (json!({"iat": NOW + 60}), Ok(())),
            (json!({"iat": NOW + 61}), Err(OidcError::NotYetValid)),
            (json!({"iat": u64::MAX}), Err(OidcError::NotYetValid)),
            (json!({"nbf": NOW + 61}), Err(OidcError::NotYetValid)),
            (json!({"nbf": NOW - 61}), Ok(())),
        ] {
            assert_eq!(check(claims.clone()), expected, "{claims}");
        }
    }

    fn person(claims: Value) -> Result<Claims, OidcError> {
        serde_json::from_value::<Person>(claims).unwrap().into_claims(Part::IdToken)
    }

    #[test]
    fn what_is_said_about_a_person_is_bounded_and_kept_apart_from_silence() {
        let claims = person(json!({
            "sub": "s", "email": "a@b.example", "email_verified": "true", "name": " Ada\u{0} ",
            "amr": "mfa", "acr": 3, "auth_time": NOW as f64 + 0.5,
        }))
        .unwrap();
        assert_eq!(claims.email_verified, Some(true));
        assert_eq!(claims.name.as_deref(), Some("Ada"));
        assert_eq!((claims.amr, claims.acr), (vec!["mfa".to_owned()], None));
        assert_eq!(claims.auth_time, Some(Timestamp::from_seconds(NOW)));

        let silent =
            person(json!({"sub": "s", "email": "", "email_verified": true, "name": "", "amr": []})).unwrap();
        assert_eq!((silent.email, silent.email_verified, silent.name), (None, None, None));
        for doubtful in [json!(null), json!("yes"), json!(1)] {
            let claims =
                person(json!({"sub": "s", "email": "a@b.example", "email_verified": doubtful})).unwrap();
            assert_eq!(claims.email_verified, None);
        }
        let many = person(json!({"sub": "s", "amr": vec!["x"; 1000], "name": "n".repeat(1000)})).unwrap();
        assert_eq!((many.amr.len(), many.name.unwrap().len()), (16, 200));
        for bad in [
            json!({"sub": ""}),
            json!({"sub": "s".repeat(256)}),
            json!({"sub": "s", "email": "e".repeat(321)}),
        ] {
            assert!(person(bad.clone()).is_err(), "{bad}");
        }
    }
}
