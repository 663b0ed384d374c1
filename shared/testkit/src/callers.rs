//! Who calls: everybody whom a test needs, made through the API alone.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::actor::Door;
use crate::{Actor, Receiver};

/// The password of everybody who signs up.
pub const PASSWORD: &str = "a kettle of seven herrings";

/// Makes callers of one Artisan.
#[derive(Debug)]
pub struct Callers {
    door: Door,
    /// Where everybody's address is.
    domain: String,
    people: AtomicUsize,
}

impl Callers {
    pub(crate) fn new(door: Door, domain: impl Into<String>) -> Self {
        Self { door, domain: domain.into(), people: AtomicUsize::new(0) }
    }

    fn actor(&self, token: String) -> Actor {
        Actor::new(self.door.clone(), Some(token))
    }

    /// An address that nobody has yet.
    fn address(&self, of: &str) -> String {
        format!("{of}{}@{}", self.people.fetch_add(1, Ordering::Relaxed), self.domain)
    }

    /// Somebody nobody knows.
    #[must_use]
    pub fn stranger(&self) -> Actor {
        Actor::new(self.door.clone(), None)
    }

    /// Signs up an organization and gives its admin, in a session.
    pub async fn sign_up(&self, organization: &str) -> Actor {
        let body = json!({
            "organization_name": organization,
            "name": "Ada",
            "email": self.address("admin"),
            "password": PASSWORD,
        });
        let answer = self.stranger().post("/api/auth/signup", body).await.expect(201);
        self.actor(answer.text("/access_token")).about(answer.json)
    }

    pub(crate) async fn confirm(&self, person: &Actor, token: String) {
        let _ = person.post("/api/auth/email/confirm", json!({"token": token})).await.expect(204);
    }

    /// Invites somebody new to what `request` names: their address.
    pub(crate) async fn invite(&self, admin: &Actor, request: Value) -> String {
        let body = extended(json!({"email": self.address("person")}), request);
        admin.post("/api/admin/invitations", body).await.expect(201).text("/email")
    }

    /// Accepts an invitation for somebody new, in a session.
    pub(crate) async fn join(&self, token: String) -> Actor {
        let body = json!({"token": token, "name": "Grace", "password": PASSWORD});
        let answer = self.stranger().post("/api/auth/invitations/accept", body).await;
        assert!(answer.status.is_success(), "{}: {}", answer.request, answer.body);
        self.actor(answer.text("/access_token")).about(answer.json)
    }

    /// Moves the organization of `admin` to another plan.
    pub async fn upgrade(&self, admin: &Actor, plan: &str) {
        let _ = admin.patch("/api/admin/organization", json!({"plan": plan})).await.expect(200);
    }

    /// Signs somebody in again, with the address they signed in with before and the password of everybody.
    pub async fn sign_in_again(&self, person: &Actor) -> Actor {
        let body = json!({"email": person.text("/user/email"), "password": PASSWORD});
        let answer = self.stranger().post("/api/auth/login", body).await.expect(200);
        self.actor(answer.text("/access_token")).about(answer.json)
    }

    /// An API key made by `admin` with what `request` adds to its name, as an actor of its own.
    pub async fn key(&self, admin: &Actor, request: Value) -> Actor {
        let body = extended(json!({"name": "test"}), request);
        let answer = admin.post("/api/admin/api-keys", body).await.expect(201);
        self.actor(answer.text("/key")).about(answer.json)
    }

    /// An endpoint of `admin` that sends `events` to `receiver`: its id and secret.
    pub async fn endpoint(&self, admin: &Actor, receiver: &Receiver, request: Value) -> (String, String) {
        let body = extended(json!({"url": receiver.url(), "events": ["*"]}), request);
        let answer = admin.post("/api/admin/webhooks", body).await.expect(201);
        (answer.text("/id"), answer.text("/secret"))
    }
}

fn extended(mut body: Value, by: Value) -> Value {
    let Value::Object(more) = by else { panic!("{by} is not an object") };
    body.as_object_mut().expect("is an object").extend(more);
    body
}
