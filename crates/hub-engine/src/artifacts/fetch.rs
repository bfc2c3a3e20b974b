//! Fetches input pictures from elsewhere without being led into private networks.
//!
//! The client's own resolver answers only addresses that the policy allows, and the client connects to
//! nothing else, so a name cannot resolve to one address for the check and to another for the
//! connection. Redirects are followed by hand, each checked anew. Proxies of the environment are not
//! used: they would resolve names themselves. What was fetched is judged elsewhere, by content.

use std::{
    net::{IpAddr, SocketAddr},
    sync::OnceLock,
};

use bytes::{Bytes, BytesMut};
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
    /// Made at first use: reading the system's certificates takes longer than the hub's whole start.
    client: OnceLock<reqwest::Client>,
}

impl Fetcher {
    /// A fetcher; nothing is prepared before the first fetch.
    pub(crate) fn new(policy: InputPolicy) -> Self {
        Self { policy, client: OnceLock::new() }
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
            .dns_resolver(GuardedResolver { policy: self.policy.clone() })
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
}

/// All addresses of a name are refused by the policy.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to no allowed address")]
struct PrivateName;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|found| allows(&policy, &host, found.ip())).collect();
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
