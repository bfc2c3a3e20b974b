//! Real handshakes with a server whose certificate only a private authority vouches for.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::{any, get};
use comfyui::{Client, ClientConfig, Error, ErrorKind, Event};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Hands out connections after their handshake; failed ones are dropped, as a server does.
struct Secure {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Serves on 127.0.0.1 with a certificate for that address.
async fn serve(authority: &CertifiedIssuer<'static, KeyPair>, router: Router) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let listener = Secure { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) };
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn comfy() -> Router {
    let queue = get(|| async { axum::Json(json!({"exec_info": {"queue_remaining": 4}})) });
    let socket = any(|upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|mut socket| async move {
            let status = r#"{"type":"status","data":{"status":{"exec_info":{"queue_remaining":4}},"sid":"c"}}"#;
            socket.send(Message::text(status)).await.unwrap();
            // Until the client leaves.
            while let Some(Ok(_)) = socket.recv().await {}
        })
    });
    Router::new().route("/prompt", queue).route("/ws", socket)
}

fn config(address: SocketAddr, authority: Option<&CertifiedIssuer<'static, KeyPair>>) -> ClientConfig {
    let mut config = ClientConfig::new(format!("https://{address}").parse().unwrap());
    config.ca_pem = authority.map(|authority| authority.pem().into_bytes());
    config
}

#[tokio::test]
async fn a_private_authority_is_trusted_for_calls_and_events_alike() {
    let authority = authority();
    let address = serve(&authority, comfy()).await;
    let client = Client::new(config(address, Some(&authority))).unwrap();
    assert_eq!(client.queue_remaining().await.unwrap(), 4);
    let mut events = client.connect_events("c").await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    assert_eq!(first, Event::Status { queue_remaining: 4, sid: Some("c".to_owned()) });
    events.close().await;
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let (ours, theirs) = (authority(), authority());
    let address = serve(&theirs, comfy()).await;
    let client = Client::new(config(address, Some(&ours))).unwrap();
    let error = client.queue_remaining().await.unwrap_err();
    assert!(matches!(error, Error::Certificate(_)), "nothing was sent, and it is told what to do: {error:?}");
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.chain().to_lowercase().contains("certificate"), "{}", error.chain());
    assert!(matches!(client.connect_events("c").await, Err(Error::Certificate(_))));
    // Without any authority of our own, only those of the system count; a bare system has none.
    match Client::new(config(address, None)) {
        Ok(client) => assert!(matches!(client.queue_remaining().await, Err(Error::Certificate(_)))),
        Err(error) => assert!(matches!(error, Error::Config(_))),
    }
}

#[tokio::test]
async fn plain_http_to_a_secure_port_fails_without_an_answer() {
    let authority = authority();
    let address = serve(&authority, comfy()).await;
    let client = Client::new(ClientConfig::new(format!("http://{address}").parse().unwrap())).unwrap();
    assert_eq!(client.queue_remaining().await.unwrap_err().kind(), ErrorKind::Transient);
    assert_eq!(client.connect_events("c").await.unwrap_err().kind(), ErrorKind::Transient);
}
