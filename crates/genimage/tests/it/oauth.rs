//! Access tokens of an authorization server: a small double of one, with keys that change and tokens that are wrong in
//! every way.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Json, Router, extract::State, routing::get};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use genimage::{
    app::{Hub, HubOptions},
    config::{Config, ConfigArgs},
};
use hub_core::clock::{Clock as _, SystemClock};
use reqwest::{Method, Response};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{bed::any_port, hub::client};

const AUDIENCE: &str = "https://hub.example.org/mcp";

fn part(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Keys as they are told, and how often they were asked for.
type Told = (Arc<Mutex<Vec<Value>>>, Arc<AtomicUsize>);

/// An issuer with keys.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Issuer {
    async fn start() -> Self {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ed = Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap();
        let point = ec.public_key().as_ref();
        let keys = vec![
            json!({"kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "alg": "ES256",
                "x": part(&point[1..33]), "y": part(&point[33..])}),
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": part(ed.public_key())}),
            json!({"kty": "oct", "kid": "shared", "k": part("everybody knows this secret, do they not")}),
        ];
        let (keys, asked) = (Arc::new(Mutex::new(keys)), Arc::new(AtomicUsize::new(0)));
        let state = (Arc::clone(&keys), Arc::clone(&asked));
        let show = async |State((keys, asked)): State<Told>| {
            asked.fetch_add(1, Ordering::Relaxed);
            Json(json!({ "keys": *keys.lock().unwrap() }))
        };
        let listener = tokio::net::TcpListener::bind(any_port()).await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let router = Router::new().route("/jwks", get(show)).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url: format!("http://{address}"), keys, asked, ec, ed }
    }

    fn claims(&self) -> Value {
        let now = u64::try_from(SystemClock.now().timestamp()).unwrap();
        json!({"iss": self.url, "aud": AUDIENCE, "sub": "alice", "exp": now + 300, "iat": now,
            "scope": "openid genimage:generate genimage:read"})
    }

    /// Signed with the first key.
    fn token(&self, claims: &Value) -> String {
        self.signed(&json!({"alg": "ES256", "typ": "at+jwt", "kid": "one"}), claims)
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", part(header.to_string()), part(claims.to_string()));
        let signature = match header["alg"].as_str().unwrap() {
            "EdDSA" => self.ed.sign(message.as_bytes()).as_ref().to_vec(),
            _ => self.ec.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", part(signature))
    }
}

struct Bed {
    hub: Hub,
    http: reqwest::Client,
    issuer: Issuer,
    _folder: TempDir,
}

impl Bed {
    async fn start() -> Self {
        Self::configured(|_| ()).await
    }

    async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        let issuer = Issuer::start().await;
        let http = client();
        let folder = tempfile::tempdir().unwrap();
        let args = ConfigArgs { config: None, data_dir: Some(folder.path().to_owned()) };
        let mut config = Config::load(&args).unwrap();
        config.server.listen = any_port();
        "https://hub.example.org".clone_into(&mut config.server.public_url);
        config.oauth.issuer.clone_from(&issuer.url);
        config.oauth.jwks_url = format!("{}/jwks", issuer.url);
        change(&mut config);
        let hub = Hub::start(&config, &HubOptions { demo: true, ..HubOptions::default() }).await.unwrap();
        Self { hub, http, issuer, _folder: folder }
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: Option<&Value>) -> Response {
        let mut request = self.http.request(method, self.hub.url.join(path).unwrap()).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    async fn status(&self, token: &str) -> u16 {
        self.ask(Method::GET, "/api/v1/jobs", token, None).await.status().as_u16()
    }
}

fn challenge(response: &Response) -> String {
    response.headers()["www-authenticate"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_in_for_its_scopes_and_strangers_are_told_where_to_get_one() {
    let bed = Bed::start().await;
    let stranger = bed.http.get(bed.hub.url.join("/mcp").unwrap()).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    let told = challenge(&stranger);
    let place = "https://hub.example.org/.well-known/oauth-protected-resource/mcp";
    assert!(told.contains(&format!("resource_metadata=\"{place}\"")), "{told}");
    assert!(told.contains("scope=\"genimage:generate genimage:describe\""), "{told}");
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"] {
        let metadata: Value = bed.http.get(bed.hub.url.join(path).unwrap()).send().await.unwrap().json().await.unwrap();
        assert_eq!(metadata["resource"], AUDIENCE, "{metadata}");
        assert_eq!(metadata["authorization_servers"], json!([bed.issuer.url]));
        assert!(metadata["scopes_supported"].to_string().contains("genimage:admin"));
    }

    let token = bed.issuer.token(&bed.issuer.claims());
    assert_eq!(bed.status(&token).await, 200);
    let ed = bed.issuer.signed(&json!({"alg": "EdDSA", "kid": "ed"}), &bed.issuer.claims());
    assert_eq!(bed.status(&ed).await, 200);
    let job = json!({"tool": "generate_image", "arguments": {"prompt": "a fox"}});
    let made = bed.ask(Method::POST, "/api/v1/jobs", &token, Some(&job)).await;
    assert_eq!(made.status(), 202);
    let made: Value = made.json().await.unwrap();
    let shown: Value = bed
        .ask(Method::GET, &format!("/api/v1/jobs/{}", made["id"].as_str().unwrap()), &token, None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(shown["caller"], "oauth:alice", "{shown}");
    // Another subject does not see it.
    let mut other = bed.issuer.claims();
    other["sub"] = json!("bob");
    let other = bed.issuer.token(&other);
    let hidden = bed.ask(Method::GET, &format!("/api/v1/jobs/{}", made["id"].as_str().unwrap()), &other, None).await;
    assert_eq!(hidden.status(), 404);

    // Scopes: admin is not among them, and of describing there was no word.
    let refused = bed.ask(Method::GET, "/api/v1/settings", &token, None).await;
    assert_eq!(refused.status(), 403);
    let told = challenge(&refused);
    assert!(told.contains("error=\"insufficient_scope\", scope=\"genimage:admin\""), "{told}");
    assert!(told.contains("resource_metadata="), "{told}");
    let describe = json!({"tool": "describe_image", "arguments": {"image": "https://example.org/x.png"}});
    assert_eq!(bed.ask(Method::POST, "/api/v1/jobs", &token, Some(&describe)).await.status(), 403);
    // The newest token counts.
    let mut fewer = bed.issuer.claims();
    fewer["scope"] = json!("genimage:read");
    let fewer = bed.issuer.token(&fewer);
    assert_eq!(bed.ask(Method::POST, "/api/v1/jobs", &fewer, Some(&job)).await.status(), 403);

    // How the hub is reached says that it is TLS only.
    let page = bed.http.get(bed.hub.url.join("/login").unwrap()).send().await.unwrap();
    assert_eq!(page.headers()["strict-transport-security"], "max-age=31536000");
    bed.hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_wrong_in_any_way_are_refused() {
    let bed = Bed::start().await;
    let issuer = &bed.issuer;
    let now = issuer.claims()["iat"].as_u64().unwrap();
    let with = |key: &str, value: Value| {
        let mut claims = issuer.claims();
        claims[key] = value;
        issuer.token(&claims)
    };
    let without = |key: &str| {
        let mut claims = issuer.claims();
        claims.as_object_mut().unwrap().remove(key);
        issuer.token(&claims)
    };
    let headed = |header: &Value| issuer.signed(header, &issuer.claims());
    let good = issuer.token(&issuer.claims());
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let none = format!("{}.{body}.", part(json!({"alg": "none"}).to_string()));
    let hmac = format!("{}.{body}.{signature}", part(json!({"alg": "HS256", "kid": "shared"}).to_string()));
    let forged = format!(
        "{head}.{}.{signature}",
        part(
            json!({"iss": issuer.url, "aud": AUDIENCE, "sub": "root",
        "exp": now + 9999, "scope": "genimage:admin"})
            .to_string()
        )
    );
    for (what, token) in [
        ("alg none", none),
        ("a shared secret", hmac),
        ("an altered body", forged),
        ("no signature", format!("{head}.{body}.")),
        ("no JWT", "a.b.c".to_owned()),
        ("expired", with("exp", json!(now - 61))),
        ("no end", without("exp")),
        ("an end that is no number", with("exp", json!("never"))),
        ("not yet", with("nbf", json!(now + 120))),
        ("another issuer", with("iss", json!("https://evil.test"))),
        ("another audience", with("aud", json!("https://other.example.org"))),
        ("no audience", without("aud")),
        ("nobody", without("sub")),
        ("an unknown key", headed(&json!({"alg": "ES256", "kid": "two"}))),
        ("another key's name", headed(&json!({"alg": "ES256", "kid": "ed"}))),
        ("another kind", headed(&json!({"alg": "ES256", "kid": "one", "typ": "logout+jwt"}))),
        ("unknown extensions", headed(&json!({"alg": "ES256", "kid": "one", "crit": ["x"], "x": 1}))),
    ] {
        let refused = bed.ask(Method::GET, "/api/v1/jobs", &token, None).await;
        assert_eq!(refused.status(), 401, "{what}");
        assert!(challenge(&refused).contains("error=\"invalid_token\""), "{what}");
        let text = refused.text().await.unwrap();
        assert!(!text.contains(body), "{what}: {text}");
    }
    // Within the skew, and one audience among several.
    assert_eq!(bed.status(&with("exp", json!(now - 30))).await, 200);
    assert_eq!(bed.status(&with("aud", json!(["https://other.example.org", AUDIENCE]))).await, 200);
    // A flood of tokens with unknown keys has the keys fetched once a minute at most.
    assert_eq!(issuer.asked.load(Ordering::Relaxed), 1);
    bed.hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_subject_has_its_bounds_whatever_tokens_it_brings() {
    let bed = Bed::configured(|config| {
        config.oauth.images_per_day = 1;
        config.oauth.rate_per_minute = 4;
    })
    .await;
    let of = |subject: &str, number: u64| {
        let mut claims = bed.issuer.claims();
        (claims["sub"], claims["jti"]) = (json!(subject), json!(number));
        bed.issuer.token(&claims)
    };
    let job = |prompt: &str| json!({"tool": "generate_image", "arguments": {"prompt": prompt}});
    let submit =
        async |token: &str, prompt: &str| bed.ask(Method::POST, "/api/v1/jobs", token, Some(&job(prompt))).await;
    assert_eq!(submit(&of("alice", 1), "a fox").await.status(), 202);
    let refused = submit(&of("alice", 2), "a cow").await;
    assert_eq!(refused.status(), 429);
    let told: Value = refused.json().await.unwrap();
    assert_eq!(told["code"], "quota_exceeded", "{told}");
    assert_eq!(submit(&of("bob", 1), "a dog").await.status(), 202, "another has his own");
    for number in 3..5 {
        assert_eq!(bed.status(&of("alice", number)).await, 200);
    }
    let refused = bed.ask(Method::GET, "/api/v1/jobs", &of("alice", 5), None).await;
    assert_eq!(refused.status(), 429);
    let wait: u32 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=15).contains(&wait), "{wait}");
    assert!(refused.text().await.unwrap().contains("4 requests per minute"));
    assert_eq!(bed.status(&of("bob", 2)).await, 200);
    bed.hub.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_keys_nobody_is_let_in_and_that_is_said() {
    let bed = Bed::start().await;
    bed.issuer.keys.lock().unwrap().clear();
    let token = bed.issuer.token(&bed.issuer.claims());
    assert_eq!(bed.status(&token).await, 401, "no key of that name");
    bed.hub.stop().await.unwrap();
}

#[test]
fn half_a_configuration_is_refused_by_its_key() {
    for (environment, told) in [
        (vec![("GENIMAGE__OAUTH__ISSUER", "https://login.example.org")], "oauth.audience"),
        (
            vec![
                ("GENIMAGE__OAUTH__ISSUER", "https://login.example.org"),
                ("GENIMAGE_PUBLIC_URL", "https://hub.example.org"),
            ],
            "oauth.jwks_url",
        ),
        (
            vec![
                ("GENIMAGE__OAUTH__ISSUER", "http://login.example.org"),
                ("GENIMAGE_PUBLIC_URL", "https://h.example.org"),
            ],
            "https://",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = crate::hub::serve(folder.path()).envs(environment).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(told), "{told}: {error}");
    }
}
