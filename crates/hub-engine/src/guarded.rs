//! HTTP to addresses that others chose, without being led into private networks: pictures that callers name, and the
//! webhook that an admin sets.
//!
//! The client's own resolver answers only addresses that the policy allows, and the client connects to
//! nothing else, so a name cannot resolve to one address for the check and to another for the
//! connection. Redirects are not followed here: whoever follows one checks anew. Proxies of the environment are not
//! used: they would resolve names themselves.

mod address;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::BoxFuture;
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::{Host, Url};

use self::address::is_public;

/// Longest time to make one connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which addresses may be connected to: public ones, and these.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach {
    /// All others too.
    pub(crate) allow_private: bool,
    /// Hosts that are always allowed, by name.
    pub(crate) allowed_hosts: Vec<String>,
}

impl Reach {
    fn allows(&self, host: &str, address: IpAddr) -> bool {
        self.allow_private
            || self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
            || is_public(address)
    }
}

/// Why an address is not asked at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Barred {
    /// It is of another scheme.
    Scheme(String),
    /// It names no host.
    NoHost,
    /// It lies in a private network.
    Private,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoClient {
    #[error("TLS is not set up")]
    NoTls,
    #[error(transparent)]
    Build(reqwest::Error),
}

/// A client that connects to nothing but what its policy allows.
pub(crate) struct Guarded {
    reach: Reach,
    timeout: Duration,
    lookup: Lookup,
    /// Made at first use: reading the system's certificates takes longer than the hub's whole start.
    client: OnceLock<reqwest::Client>,
}

impl Guarded {
    /// Nothing is prepared before the first use. `timeout`: for one request in all.
    pub(crate) fn new(reach: Reach, timeout: Duration) -> Self {
        Self::with_lookup(reach, timeout, Arc::new(|host| Box::pin(system_lookup(host))))
    }

    /// The same, with addresses of names from elsewhere.
    pub(crate) fn with_lookup(reach: Reach, timeout: Duration, lookup: Lookup) -> Self {
        Self { reach, timeout, lookup, client: OnceLock::new() }
    }

    /// Checks what the resolver never sees: schemes, and hosts that are addresses already. Each address must pass here
    /// before the client is given it.
    ///
    /// # Errors
    /// Why it must not be asked.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Barred> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Barred::Scheme(url.scheme().to_owned()));
        }
        let address = match url.host() {
            Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
            Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(Barred::NoHost),
        };
        if self.reach.allows(&address.to_string(), address) { Ok(()) } else { Err(Barred::Private) }
    }

    /// The client.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn client(&self) -> Result<&reqwest::Client, NoClient> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(NoClient::NoTls);
        }
        let client = reqwest::Client::builder()
            .dns_resolver(GuardedResolver { reach: self.reach.clone(), lookup: self.lookup.clone() })
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(self.timeout)
            .user_agent(concat!("genimage-hub/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NoClient::Build(error.without_url()))?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Scheme, host and port: a path or query may hold secrets.
pub(crate) fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whether a request failed because all addresses of the name are refused.
pub(crate) fn is_private_refusal(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<PrivateName>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Resolves names, answering only what the policy allows.
struct GuardedResolver {
    reach: Reach,
    lookup: Lookup,
}

/// Tells the addresses of a name.
pub(crate) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

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
        let (reach, lookup) = (self.reach.clone(), self.lookup.clone());
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = lookup(host.clone()).await?.into_iter();
            // The port is the URL's.
            let allowed: Vec<SocketAddr> =
                found.filter(|found| reach.allows(&host, *found)).map(|found| SocketAddr::new(found, 0)).collect();
            if allowed.is_empty() {
                return Err(PrivateName.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// What tests of guarded clients share.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::{Mutex, Once};

    use tokio::net::TcpListener;

    use super::*;

    /// A public address that nobody has.
    pub(crate) const PUBLIC: &str = "2000::1";

    /// Sets up TLS for this process.
    pub(crate) fn set_up_tls() {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // A test beside this one may have been first.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
    }

    /// Only these hosts, beside what is public.
    pub(crate) fn reach(allowed_hosts: &[&str]) -> Reach {
        Reach { allowed_hosts: allowed_hosts.iter().map(|host| (*host).to_owned()).collect(), ..Reach::default() }
    }

    /// Names lead elsewhere at each lookup; the last addresses stay.
    pub(crate) fn names_lead_to(answers: &[&[&str]]) -> Lookup {
        let parse =
            |addresses: &&[&str]| addresses.iter().map(|address| address.parse().expect("an address")).collect();
        let mut left: Vec<Vec<IpAddr>> = answers.iter().map(parse).collect();
        left.reverse();
        let left = Mutex::new(left);
        Arc::new(move |_| {
            let mut left = left.lock().expect("no panic");
            let now = if left.len() > 1 { left.pop() } else { left.last().cloned() };
            Box::pin(std::future::ready(Ok(now.unwrap_or_default())))
        })
    }

    /// Whether a connection waits to be taken.
    pub(crate) async fn was_reached(private: &TcpListener) -> bool {
        tokio::time::timeout(Duration::from_millis(100), private.accept()).await.is_ok()
    }
}
