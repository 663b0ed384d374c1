//! Why an attempt failed, most likely, and what mends it: in words, and of the party that it is up to.

/// What is known of a kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pages) struct Cause {
    /// What happened.
    pub(in crate::pages) what: &'static str,
    /// Where it is to be looked for: who can mend it.
    pub(in crate::pages) where_: &'static str,
    /// What it most likely comes from.
    pub(in crate::pages) likely: &'static str,
    /// What mends it.
    pub(in crate::pages) fix: &'static str,
}

const PROGRAM: &str = "The receiver's program";
const PROXY: &str = "What stands before the receiver";
const NETWORK: &str = "The receiver's network";
const CERTIFICATE: &str = "The receiver's certificate";
const SETTING: &str = "The endpoint's URL";

/// The most likely cause of a failure, by its error class and the status of the answer.
pub(in crate::pages) fn cause(error: &str, status: Option<u16>) -> Cause {
    let (what, where_, likely, fix) = match error {
        "status" => return of_status(status.unwrap_or_default()),
        "redirect" => (
            "The answer was a redirect, which is not followed.",
            SETTING,
            "The URL is not the final one: http instead of https, with or without www, or with or without the slash at the end.",
            "Set the URL to where it leads; the answer's Location header names it.",
        ),
        "timeout" => (
            "There was no whole answer in time.",
            PROGRAM,
            "It does its work before it answers. A firewall that drops packets silently looks the same.",
            "Store the event, answer 2xx at once, and work afterwards. More time can be given in the settings, up to 30 seconds.",
        ),
        "dns" => (
            "The name of the host has no address.",
            SETTING,
            "The name is misspelled, is known inside its own network only, or its zone has lost the record.",
            "Look the name up from outside the network, with a public resolver, and mend the record or the URL.",
        ),
        "forbidden_address" => (
            "The name leads to an address that nothing is sent to.",
            SETTING,
            "One of its addresses is private, loopback or link-local.",
            "Let all addresses of the name be public ones, A and AAAA records alike.",
        ),
        "connect" => (
            "Nobody accepts connections there.",
            NETWORK,
            "The service is not running, listens at another port, or a firewall refuses the connection.",
            "Start the service, and let connections from anywhere reach that port: senders' addresses change, the signature decides.",
        ),
        "tls" => (
            "TLS failed: certificate, name or protocol.",
            CERTIFICATE,
            "The certificate is expired, for another name, self-signed, or sent without its intermediate one: browsers mend that by themselves, programs do not.",
            "Serve the full chain. openssl s_client -connect HOST:443 -servername HOST shows what is sent. TLS 1.2 or 1.3.",
        ),
        "reset" => (
            "The connection broke before the answer was whole.",
            PROGRAM,
            "It crashes or restarts while it answers, announces a wrong Content-Length, or a proxy closes connections.",
            "Look at the program's log at the time of the attempt, and at the proxy's limits.",
        ),
        "response_too_large" => (
            "The answer is longer than is read of one: 64 KiB.",
            PROGRAM,
            "It answers with a whole page, often an error page of a framework.",
            "Answer with a few words, or none.",
        ),
        "protocol" => (
            "What came was not HTTP.",
            SETTING,
            "HTTP where HTTPS is expected, or the other way round, or a port of another service.",
            "Mend the scheme or the port in the URL.",
        ),
        _ => (
            "The attempt failed in a way that has no name here.",
            PROGRAM,
            "The answer and the receiver's log at that time say more.",
            "Send a test, and watch the receiver's log meanwhile.",
        ),
    };
    Cause { what, where_, likely, fix }
}

fn of_status(status: u16) -> Cause {
    let (what, where_, likely, fix) = match status {
        400 => (
            "The receiver refused the request.",
            PROGRAM,
            "Its check of the signature failed: the body was parsed and written again before, the secret is another endpoint's or was not decoded, or its clock is more than five minutes off.",
            "Verify the bytes as they came, before anything parses them, with this endpoint's own secret decoded from base64; and set the clock by NTP.",
        ),
        401 => (
            "Somebody asked for a login.",
            PROXY,
            "A proxy or gateway wants credentials that a webhook does not carry. If it is the program itself, its check of the signature failed.",
            "Let this path through without a login and verify the signature, or add an Authorization header in the settings.",
        ),
        403 => (
            "Somebody did not let the request in.",
            PROXY,
            "A web application firewall, a list of addresses, or a framework's protection against forged forms.",
            "Exempt this path from it: the signature shows who sends. Senders' addresses change.",
        ),
        404 => (
            "There is nothing at that path.",
            SETTING,
            "The path is misspelled, or the program that is deployed does not have the route yet.",
            "Compare the URL with the program's routes, and what is deployed with what you think is.",
        ),
        405 => (
            "The path does not take POST.",
            SETTING,
            "The URL is that of a page, or the route is for GET alone. A redirect on the way can have the same effect.",
            "Add a route for POST at exactly this path.",
        ),
        408 => (
            "The receiver waited for the request in vain.",
            PROXY,
            "A proxy before it is short of connections, or passes bodies on late.",
            "Look at the proxy's time limits and its number of connections.",
        ),
        410 => (
            "The receiver says that it is gone for good.",
            PROGRAM,
            "410 disables an endpoint: that is how a receiver unsubscribes.",
            "If it was not meant, answer something else, enable the endpoint, and replay what it has missed.",
        ),
        413 => (
            "The body is larger than somebody there allows.",
            PROXY,
            "A proxy's or framework's limit is below the size of the event.",
            "Allow bodies of 256 KiB.",
        ),
        415 => (
            "The receiver does not take JSON there.",
            PROGRAM,
            "The route expects a form, or compares the media type too narrowly.",
            "Accept application/json.",
        ),
        422 => (
            "The receiver does not like what the event says.",
            PROGRAM,
            "Its own validation is stricter than the schema: new fields may appear at any time.",
            "Ignore fields you do not know. The schema of each type is in the API reference.",
        ),
        429 => (
            "The receiver asks for fewer requests.",
            PROXY,
            "A limit before it or in it is lower than the rate of events.",
            "Set a limit of attempts a second in the settings. With Retry-After in the answer, the endpoint is left alone for that long.",
        ),
        502 | 504 => (
            "A proxy had no program behind it that answers.",
            PROXY,
            "The program is restarting, has crashed, or takes longer than the proxy waits.",
            "Look whether the program runs, and let it answer at once and work afterwards.",
        ),
        503 => (
            "The receiver is overloaded or under maintenance.",
            PROGRAM,
            "It says so itself. With Retry-After in the answer, the endpoint is left alone for that long.",
            "Retries come by themselves. If it lasts: more capacity, or a limit of attempts a second in the settings.",
        ),
        500..600 => (
            "The receiver's program failed.",
            PROGRAM,
            "An error in it that this event brings out, or something that it depends on is down.",
            "Its log at the time of the attempt says where. The event can be sent again from here once it is mended.",
        ),
        status if (400..500).contains(&status) => (
            "The receiver refused the request.",
            PROGRAM,
            "The answer says why, if it says anything.",
            "Only 2xx counts as taken. Answer 2xx to what is handled already, too.",
        ),
        _ => (
            "The answer was not one that counts as taken.",
            PROGRAM,
            "Only a status of 2xx does.",
            "Answer 200 or 204.",
        ),
    };
    Cause { what, where_, likely, fix }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const CLASSES: [&str; 9] = [
        "redirect",
        "timeout",
        "dns",
        "forbidden_address",
        "connect",
        "tls",
        "reset",
        "response_too_large",
        "protocol",
    ];

    #[test]
    fn every_class_and_every_common_status_has_words_of_its_own() {
        let unknown = cause("something_new", None);
        let classes = CLASSES.iter().map(|class| cause(class, None));
        let statuses = [400, 401, 403, 404, 405, 408, 410, 413, 415, 422, 429, 500, 502, 503, 302];
        let all: Vec<Cause> = classes.chain(statuses.iter().map(|it| cause("status", Some(*it)))).collect();
        assert!(!all.contains(&unknown));
        let fixes: BTreeSet<_> = all.iter().map(|cause| cause.fix).collect();
        assert_eq!(fixes.len(), all.len());
    }

    #[test]
    fn a_login_that_is_asked_for_is_the_proxys_and_a_crash_the_programs() {
        assert_eq!(cause("status", Some(401)).where_, PROXY);
        assert_eq!(cause("status", Some(500)).where_, PROGRAM);
        assert_eq!(cause("status", Some(404)).where_, SETTING);
        assert_eq!(cause("tls", None).where_, CERTIFICATE);
        assert_eq!(cause("status", None).where_, PROGRAM, "an answer that is not told");
    }
}
