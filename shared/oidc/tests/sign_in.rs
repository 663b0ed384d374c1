//! Sign-ins through a provider on loopback that does everything right, and then one thing wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::time::{Duration, Instant};

use clock::{Clock, ManualClock};
use egress::{Failure, Policy, Sender};
use oidc::{
    Authorization, Callback, Claims, Client, Issuer, OidcError, Part, Provider, RelyingParty, Verifier,
};
use serde_json::json;
use standins::{Algorithm, IdentityProvider, Person, Quirk};

const LOCAL: Policy = Policy { allow_loopback: true };
const REDIRECT_URI: &str = "https://app.example.com/api/auth/sso/callback";
const DISCOVERY: &str = "/.well-known/openid-configuration";

struct World {
    idp: IdentityProvider,
    party: RelyingParty,
    clock: ManualClock,
    ada: Person,
}

/// A sign-in that the browser has come back from.
struct Answered {
    provider: Provider,
    callback: Callback,
    verifier: Verifier,
    nonce: String,
}

impl World {
    async fn new() -> Self {
        Self::signing_with(Algorithm::Es256).await
    }

    async fn signing_with(algorithm: Algorithm) -> Self {
        let (clock, hand) = Clock::manual(clock::utc(2026, 11, 22, 12, 0));
        let idp = IdentityProvider::signing_with(algorithm, clock.clone()).await;
        let party = RelyingParty::new(Sender::new(LOCAL).unwrap(), clock);
        Self { idp, party, clock: hand, ada: Person::new("ada@example.com") }
    }

    fn issuer(&self) -> Issuer {
        Issuer::parse(self.idp.issuer(), LOCAL).unwrap()
    }

    fn client() -> Client {
        Client::new(IdentityProvider::CLIENT_ID.to_owned(), IdentityProvider::CLIENT_SECRET.to_owned().into())
    }

    async fn discover(&self) -> Result<Provider, OidcError> {
        self.party.discover(&self.issuer()).await
    }

    /// Goes to the provider and comes back.
    async fn answered(&self) -> Answered {
        let provider = self.discover().await.unwrap();
        let (verifier, nonce) = (Verifier::random().unwrap(), oidc::random_token().unwrap());
        let url = authorization_url(&provider, &verifier, &nonce);
        let callback = callback(&self.idp.authorize(&url, &self.ada));
        Answered { provider, callback, verifier, nonce }
    }

    async fn sign_in(&self) -> Result<Claims, OidcError> {
        self.answered().await.finish(&Self::client()).await
    }

    /// A sign-in in which the provider does one thing otherwise.
    async fn sign_in_with(&self, quirk: Quirk) -> Result<Claims, OidcError> {
        self.idp.behave();
        self.idp.add(quirk);
        let claims = self.sign_in().await;
        self.idp.behave();
        claims
    }
}

impl Answered {
    async fn finish(&self, client: &Client) -> Result<Claims, OidcError> {
        let code = self.provider.code(&self.callback)?;
        self.provider.sign_in(client, &code, &self.verifier, REDIRECT_URI, &self.nonce).await
    }
}

fn authorization_url(provider: &Provider, verifier: &Verifier, nonce: &str) -> String {
    let authorization = Authorization {
        client_id: IdentityProvider::CLIENT_ID,
        redirect_uri: REDIRECT_URI,
        state: &oidc::random_token().unwrap(),
        nonce,
        challenge: &verifier.challenge(),
        login_hint: Some("ada@example.com"),
    };
    provider.authorization_url(&authorization).into()
}

fn callback(redirect: &str) -> Callback {
    Callback::parse(redirect.strip_prefix(&format!("{REDIRECT_URI}?")).unwrap())
}

fn malformed(error: &OidcError, expected: Part) -> bool {
    matches!(error, OidcError::Malformed { part, .. } if *part == expected)
}

#[tokio::test]
async fn a_person_signs_in_whatever_the_provider_signs_with() {
    for algorithm in Algorithm::ALL {
        let mut world = World::signing_with(algorithm).await;
        world.ada.amr = vec!["pwd".to_owned(), "otp".to_owned()];
        world.ada.acr = Some("urn:example:silver".to_owned());
        let expected = Claims {
            subject: "subject-of-ada@example.com".to_owned(),
            email: Some("ada@example.com".to_owned()),
            email_verified: Some(true),
            name: Some("Grace Hopper".to_owned()),
            amr: vec!["pwd".to_owned(), "otp".to_owned()],
            acr: Some("urn:example:silver".to_owned()),
            auth_time: Some(clock::utc(2026, 11, 22, 12, 0)),
        };
        assert_eq!(world.sign_in().await, Ok(expected), "{algorithm:?}");
        assert_eq!(world.idp.requests("/userinfo"), 0);
        for (quirk, error) in [
            (Quirk::TamperedSignature, OidcError::BadSignature),
            (Quirk::TamperedClaims, OidcError::BadSignature),
            (Quirk::AlgNone, OidcError::UnsupportedAlgorithm),
            (Quirk::Hs256WithPublicKey, OidcError::UnsupportedAlgorithm),
        ] {
            assert_eq!(world.sign_in_with(quirk.clone()).await, Err(error), "{algorithm:?} {quirk:?}");
        }
    }
}

#[tokio::test]
async fn each_fault_of_an_id_token_has_its_own_name() {
    let world = World::new().await;
    for (quirk, error) in [
        (Quirk::OtherIssuer, OidcError::WrongIssuer(Part::IdToken)),
        (Quirk::OtherAudience, OidcError::WrongAudience),
        (Quirk::OtherAuthorizedParty, OidcError::WrongAudience),
        (Quirk::Expired, OidcError::Expired),
        (Quirk::NotYetValid, OidcError::NotYetValid),
        (Quirk::OtherNonce, OidcError::WrongNonce),
        (Quirk::NoNonce, OidcError::WrongNonce),
        (Quirk::UnpublishedKey, OidcError::UnknownKey),
    ] {
        assert_eq!(world.sign_in_with(quirk.clone()).await, Err(error), "{quirk:?}");
    }
    for claim in ["iss", "sub", "aud", "exp", "iat"] {
        let error = world.sign_in_with(Quirk::Without(claim)).await.unwrap_err();
        assert!(malformed(&error, Part::IdToken), "{claim}: {error}");
    }
    for (claim, value) in [("sub", json!("")), ("exp", json!("tomorrow")), ("email", json!("e".repeat(1000)))]
    {
        let error = world.sign_in_with(Quirk::Claim(claim, value)).await.unwrap_err();
        assert!(malformed(&error, Part::IdToken), "{claim}: {error}");
    }
    assert!(world.sign_in_with(Quirk::TwoAudiences).await.is_ok());
    assert!(world.sign_in_with(Quirk::NoKeyId).await.is_ok());
}

#[tokio::test]
async fn a_token_does_for_its_own_sign_in_and_client_only_and_not_for_ever() {
    let world = World::new().await;
    let answered = world.answered().await;
    let code = answered.provider.code(&answered.callback).unwrap();
    let client = World::client();
    let tokens = answered.provider.exchange(&client, &code, &answered.verifier, REDIRECT_URI).await.unwrap();
    let verify = async |client: &str, nonce: &str| {
        answered.provider.verify_id_token(&tokens.id_token, client, nonce).await.map(|claims| claims.subject)
    };
    assert!(verify(client.id(), &answered.nonce).await.is_ok());
    assert_eq!(verify(client.id(), &oidc::random_token().unwrap()).await, Err(OidcError::WrongNonce));
    assert_eq!(verify(client.id(), "").await, Err(OidcError::WrongNonce));
    assert_eq!(verify("another-client", &answered.nonce).await, Err(OidcError::WrongAudience));
    world.clock.advance(Duration::from_secs(359));
    assert!(verify(client.id(), &answered.nonce).await.is_ok());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(verify(client.id(), &answered.nonce).await, Err(OidcError::Expired));
    world.clock.set(clock::utc(2026, 11, 22, 11, 58));
    assert_eq!(verify(client.id(), &answered.nonce).await, Err(OidcError::NotYetValid));
    let debug = format!("{tokens:?} {code:?} {:?} {:?}", answered.callback, answered.provider);
    assert!(!debug.contains("eyJ"), "{debug}");
}

#[tokio::test]
async fn a_token_of_one_provider_is_none_of_another() {
    let (mine, other) = (World::new().await, World::new().await);
    let answered = mine.answered().await;
    let code = answered.provider.code(&answered.callback).unwrap();
    let tokens =
        answered.provider.exchange(&World::client(), &code, &answered.verifier, REDIRECT_URI).await.unwrap();
    let provider = other.discover().await.unwrap();
    let claims =
        provider.verify_id_token(&tokens.id_token, IdentityProvider::CLIENT_ID, &answered.nonce).await;
    assert_eq!(claims, Err(OidcError::BadSignature), "the key ids are the same, the keys are not");
}

#[tokio::test]
async fn what_a_provider_does_not_say_is_not_made_up() {
    let mut world = World::new().await;
    world.ada.email_verified = Some(false);
    assert_eq!(world.sign_in().await.unwrap().email_verified, Some(false));
    world.ada.email_verified = None;
    assert_eq!(world.sign_in().await.unwrap().email_verified, None);
    world.ada.email = None;
    world.ada.name = None;
    let claims = world.sign_in().await.unwrap();
    assert_eq!((claims.email, claims.name), (None, None));
    assert_eq!(world.idp.requests("/userinfo"), 1, "it was looked for");
}

#[tokio::test]
async fn an_address_that_the_id_token_lacks_is_taken_from_the_user_info_of_the_same_person() {
    let world = World::new().await;
    let claims = world.sign_in_with(Quirk::ThinIdToken).await.unwrap();
    assert_eq!(claims.email.as_deref(), Some("ada@example.com"));
    assert_eq!((claims.email_verified, claims.name.as_deref()), (Some(true), Some("Grace Hopper")));
    assert_eq!(claims.amr, ["pwd"], "as the signed token said");
    world.idp.add(Quirk::ThinIdToken);
    world.idp.add(Quirk::OtherSubjectInUserInfo);
    assert_eq!(world.sign_in().await, Err(OidcError::WrongSubject));
}

#[tokio::test]
async fn a_provider_must_be_the_issuer_that_was_configured_to_the_letter() {
    let world = World::new().await;
    world.idp.add(Quirk::OtherIssuerDiscovered);
    assert_eq!(world.discover().await.unwrap_err(), OidcError::WrongIssuer(Part::Discovery));
    world.idp.behave();
    let slash = Issuer::parse(&format!("{}/", world.idp.issuer()), LOCAL).unwrap();
    assert_eq!(world.party.discover(&slash).await.unwrap_err(), OidcError::WrongIssuer(Part::Discovery));
    let elsewhere = Issuer::parse(&format!("{}/elsewhere", world.idp.issuer()), LOCAL).unwrap();
    let missing = OidcError::Status { part: Part::Discovery, status: 404 };
    assert_eq!(world.party.discover(&elsewhere).await.unwrap_err(), missing);
}

#[tokio::test]
async fn discovery_leads_nowhere_that_may_not_be_asked() {
    let world = World::new().await;
    for member in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"] {
        for address in
            ["http://169.254.169.254/latest", "https://10.0.0.1/", "http://example.com/", "file:///etc", ""]
        {
            world.idp.behave();
            world.idp.add(Quirk::Metadata(member, Some(address.into())));
            let error = world.discover().await.unwrap_err();
            assert!(malformed(&error, Part::Discovery), "{member} {address}: {error}");
        }
    }
    for member in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"] {
        world.idp.behave();
        world.idp.add(Quirk::Metadata(member, None));
        assert!(malformed(&world.discover().await.unwrap_err(), Part::Discovery), "{member}");
    }
    world.idp.behave();
    world.idp.add(Quirk::Metadata("response_types_supported", Some(json!(["id_token"]))));
    assert!(malformed(&world.discover().await.unwrap_err(), Part::Discovery));
    // Where loopback is not allowed, not even the issuer is asked.
    let strict = Policy { allow_loopback: false };
    let party = RelyingParty::new(Sender::new(strict).unwrap(), Clock::system());
    assert!(malformed(&party.discover(&world.issuer()).await.unwrap_err(), Part::Discovery));
}

#[tokio::test]
async fn the_client_secret_is_shown_as_the_provider_wants_it() {
    for (methods, works) in [
        (None, true),
        (Some(json!(["client_secret_basic"])), true),
        (Some(json!(["private_key_jwt", "client_secret_post"])), true),
        (Some(json!(["private_key_jwt"])), false),
    ] {
        let world = World::new().await;
        world.idp.add(Quirk::Metadata("token_endpoint_auth_methods_supported", methods));
        if works {
            assert!(world.sign_in().await.is_ok());
        } else {
            assert_eq!(world.discover().await.unwrap_err(), OidcError::UnsupportedAuthentication);
        }
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_providers_words_cut_short() {
    let world = World::new().await;
    let wrong = Client::new(IdentityProvider::CLIENT_ID.to_owned(), "wrong".to_owned().into());
    let error = world.answered().await.finish(&wrong).await.unwrap_err();
    assert!(
        matches!(&error, OidcError::Refused { part: Part::TokenEndpoint, error, .. } if error == "invalid_client")
    );

    let quirk = Quirk::TokenError { error: "temporarily_unavailable", description: "so sorry ".repeat(1000) };
    match world.sign_in_with(quirk).await.unwrap_err() {
        OidcError::Refused { error, description: Some(description), .. } => {
            assert_eq!((error.as_str(), description.len()), ("temporarily_unavailable", 256));
        }
        other => panic!("{other}"),
    }

    let provider = world.discover().await.unwrap();
    let url = authorization_url(&provider, &Verifier::random().unwrap(), &oidc::random_token().unwrap());
    let back = callback(&world.idp.refuse(&url, "access_denied", "no, thank you"));
    let expected = OidcError::Refused {
        part: Part::Callback,
        error: "access_denied".to_owned(),
        description: Some("no, thank you".to_owned()),
    };
    assert_eq!(provider.code(&back).unwrap_err(), expected);
    assert!(malformed(
        &provider.code(&Callback::parse(&format!("iss={}", world.idp.issuer()))).unwrap_err(),
        Part::Callback
    ));
}

#[tokio::test]
async fn a_code_is_good_once_and_for_who_asked() {
    let world = World::new().await;
    let answered = world.answered().await;
    assert!(answered.finish(&World::client()).await.is_ok());
    let again = answered.finish(&World::client()).await.unwrap_err();
    assert!(matches!(&again, OidcError::Refused { error, .. } if error == "invalid_grant"), "{again}");

    let stolen = Answered { verifier: Verifier::random().unwrap(), ..world.answered().await };
    let error = stolen.finish(&World::client()).await.unwrap_err();
    assert!(matches!(&error, OidcError::Refused { error, .. } if error == "invalid_grant"), "{error}");
}

/// A hostile provider sends the browser on to an honest one, to have its code delivered to itself.
#[tokio::test]
async fn an_answer_of_another_provider_is_not_taken() {
    let world = World::new().await;
    assert_eq!(
        world.sign_in_with(Quirk::OtherIssuerInRedirect).await,
        Err(OidcError::WrongIssuer(Part::Callback))
    );
    assert_eq!(
        world.sign_in_with(Quirk::NoIssuerInRedirect).await,
        Err(OidcError::WrongIssuer(Part::Callback)),
        "it says that it names itself"
    );
    let silent = World::new().await;
    silent.idp.add(Quirk::Metadata("authorization_response_iss_parameter_supported", None));
    silent.idp.add(Quirk::NoIssuerInRedirect);
    assert!(silent.sign_in().await.is_ok(), "most providers don't know the parameter");
}

#[tokio::test]
async fn keys_are_remembered_and_found_again_after_they_changed() {
    let world = World::new().await;
    for _ in 0..3 {
        world.sign_in().await.unwrap();
    }
    assert_eq!((world.idp.requests(DISCOVERY), world.idp.requests("/jwks")), (1, 1));
    world.idp.rotate_keys();
    for _ in 0..3 {
        world.sign_in().await.unwrap();
    }
    assert_eq!(world.idp.requests("/jwks"), 2);
    // Another key within a minute of the last search has to wait for the minute to be over.
    world.idp.rotate_keys();
    assert_eq!(world.sign_in().await, Err(OidcError::UnknownKey));
    assert_eq!(world.idp.requests("/jwks"), 2);
    world.clock.advance(Duration::from_secs(60));
    world.sign_in().await.unwrap();
    assert_eq!(world.idp.requests("/jwks"), 3);
}

#[tokio::test]
async fn tokens_with_unknown_keys_do_not_make_us_ask_without_end() {
    let world = World::new().await;
    world.sign_in().await.unwrap();
    for _ in 0..10 {
        assert_eq!(world.sign_in_with(Quirk::UnpublishedKey).await, Err(OidcError::UnknownKey));
    }
    assert_eq!(world.idp.requests("/jwks"), 2);
    world.sign_in().await.unwrap();
}

#[tokio::test]
async fn what_was_remembered_is_asked_for_again_in_time() {
    let world = World::new().await;
    world.sign_in().await.unwrap();
    world.clock.advance(Duration::from_secs(15 * 60));
    world.sign_in().await.unwrap();
    assert_eq!((world.idp.requests(DISCOVERY), world.idp.requests("/jwks")), (1, 2));
    world.clock.advance(Duration::from_secs(45 * 60));
    world.sign_in().await.unwrap();
    assert_eq!(world.idp.requests(DISCOVERY), 2);
}

#[tokio::test]
async fn a_withdrawn_key_is_not_believed_for_long() {
    let world = World::new().await;
    let answered = world.answered().await;
    let code = answered.provider.code(&answered.callback).unwrap();
    let client = World::client();
    world.idp.add(Quirk::Claim("exp", (clock::utc(2026, 11, 23, 12, 0).seconds()).into()));
    let tokens = answered.provider.exchange(&client, &code, &answered.verifier, REDIRECT_URI).await.unwrap();
    world.idp.rotate_keys();
    world.sign_in().await.unwrap();
    let verified = answered.provider.verify_id_token(&tokens.id_token, client.id(), &answered.nonce).await;
    assert_eq!(verified, Err(OidcError::UnknownKey));
}

#[tokio::test]
async fn a_provider_that_is_down_or_slow_or_endless_is_not_a_wrong_password() {
    let world = World::new().await;
    let bodies = [
        (Quirk::Status(503), OidcError::Status { part: Part::Discovery, status: 503 }),
        (Quirk::Status(302), OidcError::Status { part: Part::Discovery, status: 302 }),
        (Quirk::Down, OidcError::Unreachable { part: Part::Discovery, cause: Failure::Reset }),
    ];
    for (quirk, error) in bodies {
        world.idp.behave();
        world.idp.add(quirk.clone());
        assert_eq!(world.discover().await.unwrap_err(), error, "{quirk:?}");
    }
    for quirk in [Quirk::HugeBody, Quirk::NotJson] {
        world.idp.behave();
        world.idp.add(quirk.clone());
        assert!(malformed(&world.discover().await.unwrap_err(), Part::Discovery), "{quirk:?}");
    }
    world.idp.behave();
    world.idp.add(Quirk::Slow(Duration::from_secs(60)));
    let started = Instant::now();
    let impatient = world.party.clone().with_deadline(Duration::from_millis(200));
    let error = impatient.discover(&world.issuer()).await.unwrap_err();
    assert_eq!(error, OidcError::Timeout(Part::Discovery));
    assert!(error.is_unavailable());
    assert!(started.elapsed() < Duration::from_secs(5), "that is the deadline without this one");
}

#[tokio::test]
async fn what_fails_after_discovery_is_told_by_its_place() {
    let world = World::new().await;
    let after = async |quirk: Quirk| {
        world.idp.behave();
        let answered = world.answered().await;
        world.idp.add(quirk);
        answered.finish(&World::client()).await.unwrap_err()
    };
    assert_eq!(after(Quirk::Status(500)).await, OidcError::Status { part: Part::TokenEndpoint, status: 500 });
    assert!(matches!(after(Quirk::Down).await, OidcError::Unreachable { part: Part::TokenEndpoint, .. }));
    assert!(malformed(&after(Quirk::HugeBody).await, Part::TokenEndpoint));
    assert!(malformed(&after(Quirk::NotJson).await, Part::TokenEndpoint));

    world.idp.behave();
    let answered = world.answered().await;
    let code = answered.provider.code(&answered.callback).unwrap();
    let client = World::client();
    let tokens = answered.provider.exchange(&client, &code, &answered.verifier, REDIRECT_URI).await.unwrap();
    for (quirk, expected) in [
        (Quirk::Status(404), OidcError::Status { part: Part::Keys, status: 404 }),
        (Quirk::Down, OidcError::Unreachable { part: Part::Keys, cause: Failure::Reset }),
    ] {
        world.idp.behave();
        world.idp.add(quirk);
        let verified =
            answered.provider.verify_id_token(&tokens.id_token, client.id(), &answered.nonce).await;
        assert_eq!(verified, Err(expected));
    }
    world.idp.behave();
    let verified = answered.provider.verify_id_token(&tokens.id_token, client.id(), &answered.nonce).await;
    assert!(verified.is_ok(), "a failure is not remembered");
}

#[tokio::test]
async fn many_sign_ins_at_once_ask_for_the_keys_once() {
    let world = World::new().await;
    world.discover().await.unwrap();
    let (one, two, three) = tokio::join!(world.sign_in(), world.sign_in(), world.sign_in());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(world.idp.requests("/jwks"), 1);
}

#[tokio::test]
async fn the_browser_is_sent_with_all_that_the_answer_is_judged_by() {
    let world = World::new().await;
    let endpoint = format!("{}/authorize?tenant=a%26b", world.idp.issuer());
    world.idp.add(Quirk::Metadata("authorization_endpoint", Some(endpoint.clone().into())));
    let provider = world.discover().await.unwrap();
    let authorization = Authorization {
        client_id: "id&more",
        redirect_uri: REDIRECT_URI,
        state: "s",
        nonce: "n",
        challenge: "c",
        login_hint: None,
    };
    let url = String::from(provider.authorization_url(&authorization));
    let rest = url.strip_prefix(&endpoint).unwrap();
    assert_eq!(
        rest,
        "&response_type=code&client_id=id%26more\
         &redirect_uri=https%3A%2F%2Fapp.example.com%2Fapi%2Fauth%2Fsso%2Fcallback&scope=openid+email+profile\
         &state=s&nonce=n&code_challenge=c&code_challenge_method=S256"
    );
}
