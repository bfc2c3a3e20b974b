//! Fetches input pictures from elsewhere, by the guarded client. Redirects are followed by hand, each checked anew. What
//! was fetched is judged elsewhere, by content.

use bytes::{Bytes, BytesMut};
use hub_core::{
    error::{ErrorCode, UserError},
    limits,
};
use reqwest::{Response, header::LOCATION};
use url::Url;

use crate::{
    InputPolicy,
    guarded::{Barred, Guarded, NoClient, Reach, is_private_refusal, place},
    refusal::input_image,
};

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 3;

/// Fetches within a policy.
pub(crate) struct Fetcher {
    guarded: Guarded,
    timeout: std::time::Duration,
}

impl Fetcher {
    /// A fetcher; nothing is prepared before the first fetch.
    pub(crate) fn new(policy: InputPolicy) -> Self {
        let InputPolicy { allow_private, allowed_hosts, timeout } = policy;
        Self { guarded: Guarded::new(Reach { allow_private, allowed_hosts }, timeout), timeout }
    }

    /// The bytes at `url`.
    ///
    /// # Errors
    /// `input_image` saying why not; never what lies behind a refused address.
    pub(crate) async fn fetch(&self, url: &Url) -> Result<Bytes, UserError> {
        let client = self.guarded.client().map_err(|error| unusable(&error))?;
        tokio::time::timeout(self.timeout, self.follow(client, url.clone())).await.unwrap_or_else(|_| {
            Err(input_image(format!(
                "The picture at {} did not arrive within {} s.",
                place(url),
                self.timeout.as_secs_f32()
            )))
        })
    }

    async fn follow(&self, client: &reqwest::Client, mut url: Url) -> Result<Bytes, UserError> {
        for _ in 0..=REDIRECTS_MAX {
            self.guarded.check(&url).map_err(|barred| refuse_barred(&url, &barred))?;
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
}

fn unusable(error: &NoClient) -> UserError {
    tracing::error!(%error, "the client for input pictures cannot be built");
    UserError::new(ErrorCode::Internal, "The hub cannot fetch pictures: TLS is not set up.")
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

fn refuse_barred(url: &Url, barred: &Barred) -> UserError {
    match barred {
        Barred::Scheme(scheme) => input_image(format!("Pictures are not read from `{scheme}:` addresses.")),
        Barred::NoHost => input_image("The picture's address names no host."),
        Barred::Private => private(&place(url)),
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;
    use crate::guarded::testing::{PUBLIC, names_lead_to, reach, set_up_tls, was_reached};

    fn fetcher(allowed_hosts: &[&str], answers: &[&[&str]]) -> Fetcher {
        set_up_tls();
        let timeout = Duration::from_millis(500);
        Fetcher { guarded: Guarded::with_lookup(reach(allowed_hosts), timeout, names_lead_to(answers)), timeout }
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
