//! Fetches input pictures from elsewhere without being led into private networks.
//!
//! The client's own resolver answers only addresses that the policy allows, and the client connects to
//! nothing else, so a name cannot resolve to one address for the check and to another for the
//! connection. Redirects are followed by hand, each checked anew. Proxies of the environment are not
//! used: they would resolve names themselves. What was fetched is judged elsewhere, by content.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use hub_core::{
    error::{ErrorCode, UserError},
    limits,
};
use reqwest::{
    Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::LOCATION,
    redirect::Policy,
};
use url::{Host, Url};

use super::address::is_public;
use crate::{InputPolicy, refusal::input_image};

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 3;
/// Longest time to make one connection.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Fetches within a policy.
pub(crate) struct Fetcher {
    policy: InputPolicy,
    lookup: Lookup,
    /// Made at first use: reading the system's certificates takes longer than the hub's whole start.
    client: OnceLock<reqwest::Client>,
}

impl Fetcher {
    /// A fetcher; nothing is prepared before the first fetch.
    pub(crate) fn new(policy: InputPolicy) -> Self {
        Self::with_lookup(policy, Arc::new(|host| Box::pin(system_lookup(host))))
    }

    fn with_lookup(policy: InputPolicy, lookup: Lookup) -> Self {
        Self { policy, lookup, client: OnceLock::new() }
    }

    /// The bytes at `url`.
    ///
    /// # Errors
    /// `input_image` saying why not; never what lies behind a refused address.
    pub(crate) async fn fetch(&self, url: &Url) -> Result<Bytes, UserError> {
        let client = self.client()?;
        tokio::time::timeout(self.policy.timeout, self.follow(client, url.clone())).await.unwrap_or_else(|_| {
            Err(input_image(format!(
                "The picture at {} did not arrive within {} s.",
                place(url),
                self.policy.timeout.as_secs_f32()
            )))
        })
    }

    async fn follow(&self, client: &reqwest::Client, mut url: Url) -> Result<Bytes, UserError> {
        for _ in 0..=REDIRECTS_MAX {
            self.check(&url)?;
            let response = client.get(url.clone()).send().await.map_err(|error| refuse_send(&url, &error))?;
            if !response.status().is_redirection() {
                return read(&url, response).await;
            }
            let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            url = target
                .and_then(|target| url.join(target).ok())
                .ok_or_else(|| input_image(format!("{} redirects to nowhere.", place(&url))))?;
        }
        Err(input_image(format!("The picture's address redirects more than {REDIRECTS_MAX} times.")))
    }

    /// Checks what the resolver never sees: schemes, and hosts that are addresses already.
    fn check(&self, url: &Url) -> Result<(), UserError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(input_image(format!("Pictures are not read from `{}:` addresses.", url.scheme())));
        }
        let address = match url.host() {
            Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
            Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(input_image("The picture's address names no host.")),
        };
        let host = address.to_string();
        if allows(&self.policy, &host, address) { Ok(()) } else { Err(private(&place(url))) }
    }

    fn client(&self) -> Result<&reqwest::Client, UserError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let unusable = || UserError::new(ErrorCode::Internal, "The hub cannot fetch pictures: TLS is not set up.");
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(unusable());
        }
        let client = reqwest::Client::builder()
            .dns_resolver(GuardedResolver { policy: self.policy.clone(), lookup: self.lookup.clone() })
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(self.policy.timeout)
            .user_agent(concat!("genimage-hub/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                tracing::error!(error = %error.without_url(), "the client for input pictures cannot be built");
                unusable()
            })?;
        Ok(self.client.get_or_init(|| client))
    }
}

async fn read(url: &Url, mut response: Response) -> Result<Bytes, UserError> {
    if !response.status().is_success() {
        return Err(input_image(format!("{} answered {}.", place(url), response.status())));
    }
    let too_large = || {
        input_image(format!(
            "The picture at {} is larger than {} MiB.",
            place(url),
            limits::INPUT_IMAGE_MAX_BYTES / (1024 * 1024)
        ))
    };
    if response.content_length().is_some_and(|length| length > limits::INPUT_IMAGE_MAX_BYTES as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| refuse_send(url, &error))? {
        if body.len() + chunk.len() > limits::INPUT_IMAGE_MAX_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn allows(policy: &InputPolicy, host: &str, address: IpAddr) -> bool {
    policy.allow_private
        || policy.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
        || is_public(address)
}

fn refuse_send(url: &Url, error: &reqwest::Error) -> UserError {
    if is_private_refusal(error) {
        return private(&place(url));
    }
    let why = match () {
        () if error.is_timeout() => "did not answer in time",
        () if error.is_connect() => "cannot be reached",
        () => "broke off its answer",
    };
    tracing::debug!(error = ?error, "an input picture could not be fetched");
    input_image(format!("{} {why}.", place(url)))
}

fn private(place: &str) -> UserError {
    input_image(format!("{place} lies in a private network, from which pictures are not fetched."))
        .with_hint("Upload the picture, give it as a data URI, or name a stored image or job by its id.")
}

/// Scheme, host and port: a path or query may hold secrets of the caller.
fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Resolves names, answering only what the policy allows.
struct GuardedResolver {
    policy: InputPolicy,
    lookup: Lookup,
}

/// Tells the addresses of a name.
type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

async fn system_lookup(host: String) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

/// All addresses of a name are refused by the policy.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to no allowed address")]
struct PrivateName;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, lookup) = (self.policy.clone(), self.lookup.clone());
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = lookup(host.clone()).await?.into_iter();
            // The port is the URL's.
            let allowed: Vec<SocketAddr> =
                found.filter(|found| allows(&policy, &host, *found)).map(|found| SocketAddr::new(found, 0)).collect();
            if allowed.is_empty() {
                return Err(PrivateName.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn is_private_refusal(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<PrivateName>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Mutex, Once},
        time::Duration,
    };

    use tokio::net::TcpListener;

    use super::*;

    /// A public address that nobody has.
    const PUBLIC: &str = "2000::1";

    /// A fetcher for which names lead elsewhere at each lookup; the last addresses stay.
    fn fetcher(allowed_hosts: &[&str], answers: &[&[&str]]) -> Fetcher {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // A test beside this one may have been first.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let parse =
            |addresses: &&[&str]| addresses.iter().map(|address| address.parse().expect("an address")).collect();
        let mut left: Vec<Vec<IpAddr>> = answers.iter().map(parse).collect();
        left.reverse();
        let left = Mutex::new(left);
        let policy = InputPolicy {
            allowed_hosts: allowed_hosts.iter().map(|host| (*host).to_owned()).collect(),
            timeout: Duration::from_millis(500),
            ..InputPolicy::default()
        };
        let lookup = move |_| {
            let mut left = left.lock().expect("no panic");
            let now = if left.len() > 1 { left.pop() } else { left.last().cloned() };
            Box::pin(std::future::ready(Ok(now.unwrap_or_default()))) as BoxFuture<'static, _>
        };
        Fetcher::with_lookup(policy, Arc::new(lookup))
    }

    /// Whether a connection waits to be taken.
    async fn was_reached(private: &TcpListener) -> bool {
        tokio::time::timeout(Duration::from_millis(100), private.accept()).await.is_ok()
    }

    #[tokio::test]
    async fn a_name_that_turns_private_after_it_was_public_is_never_connected_to() {
        let private = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = private.local_addr().expect("bound").port();
        let url: Url = format!("http://turncoat.example:{port}/x.png").parse().expect("a URL");
        let fetcher = fetcher(&[], &[&[PUBLIC], &["127.0.0.1"]]);
        let first = fetcher.fetch(&url).await.expect_err("nobody is there");
        assert!(!first.message.contains("private"), "{first}");
        assert!(!was_reached(&private).await);
        // The name is looked up anew for each connection, and each answer is judged.
        let second = fetcher.fetch(&url).await.expect_err("private");
        assert!(second.message.contains("private network"), "{second}");
        assert!(!was_reached(&private).await);
    }

    #[tokio::test]
    async fn of_several_addresses_the_private_ones_are_not_tried() {
        let private = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = private.local_addr().expect("bound").port();
        let url: Url = format!("http://both.example:{port}/x.png").parse().expect("a URL");
        fetcher(&[], &[&[PUBLIC, "127.0.0.1", "::ffff:127.0.0.1"]]).fetch(&url).await.expect_err("nobody is there");
        assert!(!was_reached(&private).await);
        // A host that is allowed is: so the check above looks in the right place.
        fetcher(&["both.example"], &[&["127.0.0.1"]]).fetch(&url).await.expect_err("no answer");
        assert!(was_reached(&private).await);
    }
}
