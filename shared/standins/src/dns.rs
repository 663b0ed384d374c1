//! A DNS server.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// The longest answer that is sent by UDP; a longer one is cut off there, and had by TCP.
const LONGEST_DATAGRAM: usize = 512;
/// The longest character string in a TXT record.
const LONGEST_STRING: usize = 255;

/// A DNS server on loopback, by UDP and TCP. It knows TXT records, addresses and aliases, and no other name exists. It
/// may fail, be slow or be silent, and change its answers between two queries. Stops when dropped.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _serving: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Zone {
    texts: HashMap<Name, Vec<String>>,
    aliases: HashMap<Name, Name>,
    addresses: HashMap<Name, Turns>,
    delay: Duration,
    mood: Mood,
    asked: Vec<String>,
}

/// Answers that are given one after the other, the last of them for good.
#[derive(Debug, Default)]
struct Turns {
    answers: Vec<Vec<IpAddr>>,
    /// How often each type was asked for: A and AAAA take their turns by themselves.
    asked: HashMap<RecordType, usize>,
}

impl Turns {
    fn next(&mut self, of: RecordType) -> Vec<RData> {
        let turn = self.asked.entry(of).or_default();
        let answer = self.answers.get(*turn).or(self.answers.last()).into_iter().flatten();
        *turn += 1;
        let data = answer.map(|address| match address {
            IpAddr::V4(address) => RData::A(A(*address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(*address)),
        });
        data.filter(|data| data.record_type() == of).collect()
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Mood {
    #[default]
    Answers,
    Fails,
    Silent,
}

impl DnsServer {
    /// A server that knows no name.
    pub async fn start() -> Self {
        // UDP and TCP must share a number; a port that is free for the one is taken for the other now and then.
        for _ in 0..100 {
            let udp = UdpSocket::bind("127.0.0.1:0").await.expect("there is a free port");
            let address = udp.local_addr().expect("it has an address");
            let Ok(tcp) = TcpListener::bind(address).await else { continue };
            let zone: Arc<Mutex<Zone>> = Arc::default();
            let mut serving = JoinSet::new();
            serving.spawn(serve_udp(udp, Arc::clone(&zone)));
            serving.spawn(serve_tcp(tcp, Arc::clone(&zone)));
            return Self { address, zone, _serving: serving };
        }
        panic!("no port is free for both UDP and TCP");
    }

    /// Where it listens, `ip:port`: what `DNS_RESOLVER` is set to.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Adds a TXT record.
    pub fn add_txt(&self, name: &str, text: &str) {
        self.zone().texts.entry(fqdn(name)).or_default().push(text.to_owned());
    }

    /// Removes all TXT records of a name; with the last of them the name is gone.
    pub fn remove_txt(&self, name: &str) {
        self.zone().texts.remove(&fqdn(name));
    }

    /// Makes a name that exists and has no TXT record.
    pub fn add_empty(&self, name: &str) {
        self.zone().texts.insert(fqdn(name), Vec::new());
    }

    /// Gives a name these addresses, as A and AAAA records, in place of those it had.
    pub fn set_addresses(&self, name: &str, addresses: &[&str]) {
        self.set_addresses_in_turn(name, &[addresses]);
    }

    /// Gives a name the first of these sets of addresses for the first query of each type, the second for the second,
    /// and the last from then on.
    pub fn set_addresses_in_turn(&self, name: &str, turns: &[&[&str]]) {
        let parsed = |addresses: &&[&str]| addresses.iter().map(|a| a.parse().expect("an address")).collect();
        let answers = turns.iter().map(parsed).collect();
        self.zone().addresses.insert(fqdn(name), Turns { answers, ..Turns::default() });
    }

    /// Makes `name` an alias (CNAME) of `target`.
    pub fn add_alias(&self, name: &str, target: &str) {
        self.zone().aliases.insert(fqdn(name), fqdn(target));
    }

    /// From now on answers `SERVFAIL`.
    pub fn fail(&self) {
        self.zone().mood = Mood::Fails;
    }

    /// From now on answers each query only after this time.
    pub fn be_slow(&self, delay: Duration) {
        self.zone().delay = delay;
    }

    /// From now on answers nothing at all.
    pub fn be_silent(&self) {
        self.zone().mood = Mood::Silent;
    }

    /// Answers again.
    pub fn recover(&self) {
        self.zone().mood = Mood::Answers;
    }

    /// The names it was asked for, first to last, without the trailing dot.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.zone().asked.clone()
    }

    fn zone(&self) -> std::sync::MutexGuard<'_, Zone> {
        self.zone.lock().expect("nobody panicked")
    }
}

fn fqdn(name: &str) -> Name {
    let mut name = Name::from_ascii(name).expect("a name").to_lowercase();
    name.set_fqdn(true);
    name
}

impl Zone {
    fn answer(&mut self, question: &[u8]) -> Option<Message> {
        let question = Message::from_vec(question).ok()?;
        let query = question.queries.first()?.clone();
        self.asked.push(query.name().to_lowercase().to_string().trim_end_matches('.').to_owned());
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.metadata.recursion_desired = question.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.add_query(query.clone());
        match self.mood {
            Mood::Silent => return None,
            Mood::Fails => {
                answer.metadata.response_code = ResponseCode::ServFail;
                return Some(answer);
            }
            Mood::Answers => {}
        }
        let mut name = query.name().to_lowercase();
        // A recursive server answers with the whole chain; one that leads back to itself ends somewhere.
        for _ in 0..8 {
            let Some(target) = self.aliases.get(&name) else { break };
            answer.add_answer(Record::from_rdata(name, 60, RData::CNAME(CNAME(target.clone()))));
            name = target.clone();
        }
        if !self.texts.contains_key(&name) && !self.addresses.contains_key(&name) {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        for data in self.data(&name, query.query_type()) {
            answer.add_answer(Record::from_rdata(name.clone(), 60, data));
        }
        Some(answer)
    }

    fn data(&mut self, name: &Name, of: RecordType) -> Vec<RData> {
        if of != RecordType::TXT {
            return self.addresses.get_mut(name).map(|turns| turns.next(of)).unwrap_or_default();
        }
        let texts = self.texts.get(name).into_iter().flatten();
        texts
            .map(|text| RData::TXT(TXT::from_bytes(text.as_bytes().chunks(LONGEST_STRING).collect())))
            .collect()
    }
}

/// The answer to a question, when it is time to give it.
async fn answer(zone: &Mutex<Zone>, question: &[u8]) -> Option<Message> {
    let (answer, delay) = {
        let mut zone = zone.lock().expect("nobody panicked");
        (zone.answer(question)?, zone.delay)
    };
    tokio::time::sleep(delay).await;
    Some(answer)
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let socket = Arc::new(socket);
    let mut answering = JoinSet::new();
    let mut buffer = [0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let (socket, zone, question) = (Arc::clone(&socket), Arc::clone(&zone), buffer[..length].to_vec());
        answering.spawn(async move {
            let Some(answer) = answer(&zone, &question).await else { return };
            let mut bytes = answer.to_vec().expect("the answer can be written");
            if bytes.len() > LONGEST_DATAGRAM {
                bytes = answer.truncate().to_vec().expect("the answer can be written");
            }
            let _ = socket.send_to(&bytes, peer).await;
        });
    }
}

async fn serve_tcp(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, Arc::clone(&zone)));
    }
}

async fn converse(mut stream: TcpStream, zone: Arc<Mutex<Zone>>) -> Option<()> {
    loop {
        let mut question = vec![0; usize::from(stream.read_u16().await.ok()?)];
        stream.read_exact(&mut question).await.ok()?;
        if let Some(answer) = answer(&zone, &question).await {
            let bytes = answer.to_vec().expect("the answer can be written");
            stream.write_u16(u16::try_from(bytes.len()).expect("the answer fits")).await.ok()?;
            stream.write_all(&bytes).await.ok()?;
        }
    }
}
