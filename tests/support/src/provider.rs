//! A provider of OpenID Connect that behaves as scripted: discovery, keys, and codes with PKCE, over real sockets.
//!
//! What it does not script it does right: a code is traded once, by the client that it was given to, by whoever has its
//! verifier.

use std::collections::HashMap;
use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::{hmac, signature};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::http::Request;
use crate::server::{Received, receive, serve};

pub const CLIENT: &str = "ade-test";
pub const SECRET: &str = "a-secret-of-the-client";

/// For tests alone.
const KEYS: [&[u8]; 2] = [include_bytes!("../keys/first.der"), include_bytes!("../keys/second.der")];

/// How an ID token is signed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Signed {
    /// By the key of this number, under a name that is its own.
    By(usize),
    /// By the second key, under the first one's name.
    Forged,
    /// `alg: none`, and no signature.
    Not,
    /// By the secret of the client, which its server knows too.
    BySecret,
}

/// What a path answers in place of what is right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trouble {
    /// A body of so many bytes.
    Huge(usize),
    /// This status.
    Status(&'static str),
    /// Nothing: the connection is closed.
    HangUp,
}

/// What it says, and to whom; to be changed while it runs.
#[derive(Debug, Clone)]
pub struct Script {
    /// Over the right ones. Null takes one away.
    pub claims: Value,
    pub signed: Signed,
    /// Numbers of the keys that it shows.
    pub published: Vec<usize>,
    /// In the description.
    pub issuer: Option<String>,
    pub troubles: HashMap<&'static str, Trouble>,
    /// In place of a code.
    pub refuses: Option<&'static str>,
}

pub struct Provider {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    script: Script,
    codes: HashMap<String, Code>,
    asked: HashMap<String, usize>,
}

/// What a code was given for.
struct Code {
    challenge: String,
    nonce: String,
    redirect_uri: String,
}

impl Provider {
    /// Serves until the test program ends.
    pub fn start() -> Self {
        let script = Script {
            claims: json!({"sub": "s-1", "name": "Ada Lovelace", "groups": ["staff"]}),
            signed: Signed::By(0),
            published: vec![0],
            issuer: None,
            troubles: HashMap::new(),
            refuses: None,
        };
        let state = Arc::new(Mutex::new(State { script, codes: HashMap::new(), asked: HashMap::new() }));
        let serving = state.clone();
        let address = serve(move |socket| connection(&serving, socket));
        Self { address, state }
    }

    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.lock().script);
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.lock().asked.get(path).copied().unwrap_or_default()
    }

    /// What a person does there: goes to the address that the service has named, and is sent back to this one.
    #[track_caller]
    pub fn visit(&self, url: &str) -> String {
        let target = url.strip_prefix(&self.issuer()).unwrap_or_else(|| panic!("{url} is not at the provider"));
        let answer = Request::get(target).send(self.address).unwrap().expect(302);
        answer.header("location").unwrap().to_owned()
    }

    /// A code for a challenge and a nonce that the service has not made.
    pub fn code_for(&self, challenge: &str, nonce: &str, redirect_uri: &str) -> String {
        self.lock().give(challenge, nonce, redirect_uri)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// The pairs of a query or a form.
pub fn pairs(text: &str) -> HashMap<String, String> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

pub fn challenge_of(verifier: &str) -> String {
    encode(&Sha256::digest(verifier))
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn key(number: usize) -> KeyPair {
    KeyPair::from_der(KEYS[number]).unwrap()
}

fn connection(state: &Mutex<State>, mut socket: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let issuer = format!("http://{}", socket.local_addr()?);
    while let Some(request) = receive(&mut reader)? {
        let path = request.target.split('?').next().unwrap_or_default().to_owned();
        let trouble = {
            let mut state = state.lock().unwrap();
            *state.asked.entry(path.clone()).or_default() += 1;
            state.script.troubles.get(path.as_str()).copied()
        };
        let answer = match trouble {
            Some(Trouble::HangUp) => return Ok(()),
            Some(Trouble::Status(status)) => answer(status, "", "{}"),
            Some(Trouble::Huge(bytes)) => answer("200 OK", "", &format!("[\"{}\"]", "x".repeat(bytes))),
            None => state.lock().unwrap().answer(&issuer, &path, &request),
        };
        socket.write_all(&answer)?;
    }
    Ok(())
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}

fn refusal(status: &str, error: &str) -> Vec<u8> {
    answer(status, "", &json!({"error": error, "error_description": "as scripted"}).to_string())
}

impl State {
    fn answer(&mut self, issuer: &str, path: &str, request: &Received) -> Vec<u8> {
        let query = pairs(request.target.split_once('?').map_or("", |(_, query)| query));
        match path {
            "/.well-known/openid-configuration" => answer("200 OK", "", &self.description(issuer).to_string()),
            "/keys" => answer("200 OK", "", &self.keys().to_string()),
            "/authorize" => self.authorize(&query),
            "/token" => self.trade(issuer, request),
            _ => refusal("404 Not Found", "not_found"),
        }
    }

    fn description(&self, issuer: &str) -> Value {
        json!({
            "issuer": self.script.issuer.as_deref().unwrap_or(issuer),
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            // More than a service should take.
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        })
    }

    fn keys(&self) -> Value {
        let keys = self.script.published.iter().map(|&number| {
            let parts = PublicKeyComponents::<Vec<u8>>::from(key(number).public());
            json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": format!("key-{number}"),
                "n": encode(&parts.n), "e": encode(&parts.e),
            })
        });
        json!({"keys": keys.collect::<Vec<_>>()})
    }

    fn give(&mut self, challenge: &str, nonce: &str, redirect_uri: &str) -> String {
        let text = |text: &str| text.to_owned();
        let code = Code { challenge: text(challenge), nonce: text(nonce), redirect_uri: text(redirect_uri) };
        let name = format!("code-{}", self.codes.len());
        self.codes.insert(name.clone(), code);
        name
    }

    fn authorize(&mut self, query: &HashMap<String, String>) -> Vec<u8> {
        let of = |name: &str| query.get(name).map_or("", String::as_str);
        let is_right = of("client_id") == CLIENT
            && of("response_type") == "code"
            && of("code_challenge_method") == "S256"
            && of("code_challenge").len() == 43
            && of("scope").split(' ').any(|scope| scope == "openid");
        if !is_right {
            return refusal("400 Bad Request", "invalid_request");
        }
        let state = utf8_percent_encode(of("state"), NON_ALPHANUMERIC);
        let outcome = match self.script.refuses {
            Some(error) => format!("error={error}"),
            None => format!("code={}", self.give(of("code_challenge"), of("nonce"), of("redirect_uri"))),
        };
        answer("302 Found", &format!("Location: {}?{outcome}&state={state}\r\n", of("redirect_uri")), "")
    }

    fn trade(&mut self, issuer: &str, request: &Received) -> Vec<u8> {
        let client = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT}:{SECRET}")));
        if request.header("authorization") != Some(&client) {
            return refusal("401 Unauthorized", "invalid_client");
        }
        let form = pairs(std::str::from_utf8(&request.body).unwrap_or_default());
        let of = |name: &str| form.get(name).map_or("", String::as_str);
        // Once, whatever comes of it.
        let Some(code) = self.codes.get_mut(of("code")).filter(|code| !code.challenge.is_empty()) else {
            return refusal("400 Bad Request", "invalid_grant");
        };
        let challenge = std::mem::take(&mut code.challenge);
        if challenge != challenge_of(of("code_verifier")) || code.redirect_uri != of("redirect_uri") {
            return refusal("400 Bad Request", "invalid_grant");
        }
        let nonce = code.nonce.clone();
        let token = self.token(issuer, &nonce);
        let body = json!({"access_token": "at", "token_type": "Bearer", "expires_in": 60, "id_token": token});
        answer("200 OK", "", &body.to_string())
    }

    fn token(&self, issuer: &str, nonce: &str) -> String {
        let now = chrono::Utc::now().timestamp();
        let mut claims = json!({"iss": issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce});
        if let (Some(claims), Some(scripted)) = (claims.as_object_mut(), self.script.claims.as_object()) {
            claims.extend(scripted.clone());
            claims.retain(|_, value| !value.is_null());
        }
        let (header, signer) = match self.script.signed {
            Signed::By(number) => (json!({"alg": "RS256", "kid": format!("key-{number}")}), number),
            Signed::Forged => (json!({"alg": "RS256", "kid": "key-0"}), 1),
            Signed::Not => (json!({"alg": "none"}), 0),
            Signed::BySecret => (json!({"alg": "HS256"}), 0),
        };
        let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = match self.script.signed {
            Signed::By(_) | Signed::Forged => by_key(signer, text.as_bytes()),
            Signed::Not => Vec::new(),
            Signed::BySecret => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text.as_bytes()).as_ref().to_vec()
            }
        };
        format!("{text}.{}", encode(&signature))
    }
}

fn by_key(number: usize, text: &[u8]) -> Vec<u8> {
    let key = key(number);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).unwrap();
    signature
}
