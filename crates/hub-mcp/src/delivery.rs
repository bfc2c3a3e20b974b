//! How answers are to be delivered on one connection: set by the URL's query, never guessed from who
//! the client says it is.
//!
//! Read once per request, before anything else looks at it; whoever answers finds it among the
//! request's extensions.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderValue,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, Uri, header};
use hub_core::{artifact::Artifact, caller::Caller, error::UserError, request::Inline, trace::TraceParent};
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::{
    config::McpConfig,
    hub::Hub,
    jsonrpc::message::{Code, RpcError},
    result,
};

/// Values of `inline`, in the query as in the tools' arguments.
const INLINE: [(&str, Inline); 3] = [("none", Inline::None), ("preview", Inline::Preview), ("full", Inline::Full)];
/// Values of `links` and `structured`.
const SWITCH: [(&str, bool); 2] = [("0", false), ("1", true)];

/// What one connection wants, and who is at its other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Who asks.
    pub(crate) caller: Caller,
    /// How much of a picture to inline when the call does not say.
    pub(crate) inline: Inline,
    /// Whether resource links are sent.
    pub(crate) links: bool,
    /// Whether the record is sent as `structuredContent` as well. Off: some clients then drop the pictures.
    pub(crate) structured: bool,
    /// Absolute address of the hub without trailing slash, when there is one.
    pub(crate) base: Option<String>,
    /// Where the caller's trace goes on.
    pub(crate) trace: Option<TraceParent>,
}

impl Delivery {
    /// Reads a request's parts: `?inline=none|preview|full&links=0|1&structured=0|1`, `Host`, and the
    /// caller that an outer layer found.
    ///
    /// # Errors
    /// `bad_argument` for a value that is none of those. Other keys are not ours and pass.
    fn of_request(
        config: &McpConfig,
        uri: &Uri,
        headers: &HeaderMap,
        caller: Option<&Caller>,
    ) -> Result<Self, UserError> {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str));
        let base = match (&config.public_url, host) {
            (Some(url), _) => Some(without_slash(url)),
            (None, Some(host)) => Some(format!("http://{host}")),
            (None, None) => config.listen_url.as_ref().map(without_slash),
        };
        let mut delivery = Self::plain(base, caller.cloned().unwrap_or_else(Caller::local));
        delivery.trace = headers.get("traceparent").and_then(|value| TraceParent::parse(value.to_str().ok()?));
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match key.as_ref() {
                "inline" => delivery.inline = choose(&key, &value, &INLINE)?,
                "links" => delivery.links = choose(&key, &value, &SWITCH)?,
                "structured" => delivery.structured = choose(&key, &value, &SWITCH)?,
                // The query may hold what belongs to others, such as a proxy's token.
                other => tracing::trace!(key = other, "a part of the query means nothing here"),
            }
        }
        Ok(delivery)
    }

    /// What [`deliver`] put among a request's extensions.
    pub(crate) fn of_extensions(extensions: &Extensions, config: &McpConfig) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_else(|| Self::of_stdio(config))
    }

    /// Where there is no HTTP request: stdio.
    pub(crate) fn of_stdio(config: &McpConfig) -> Self {
        let base = config.public_url.as_ref().or(config.listen_url.as_ref()).map(without_slash);
        Self::plain(base, Caller::local())
    }

    fn plain(base: Option<String>, caller: Caller) -> Self {
        Self { caller, inline: Inline::Preview, links: true, structured: false, base, trace: None }
    }

    /// Absolute URL of a stored file.
    pub(crate) fn url_of(&self, artifact: &Artifact) -> Option<String> {
        self.base.as_ref().map(|base| format!("{base}/outputs/{}", artifact.file_name()))
    }

    /// Absolute WebSocket URL of `path`, which begins with a slash.
    pub(crate) fn websocket_url(&self, path: &str) -> Option<String> {
        let base = self.base.as_deref()?;
        let rest = base.strip_prefix("https").map(|rest| format!("wss{rest}"));
        let base = rest.or_else(|| base.strip_prefix("http").map(|rest| format!("ws{rest}")))?;
        Some(format!("{base}{path}"))
    }
}

/// Reads the query of every request that comes by HTTP, or refuses it with 400 and a JSON-RPC error.
pub(crate) async fn deliver(State(hub): State<Arc<Hub>>, mut request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    match Delivery::of_request(&hub.config, request.uri(), request.headers(), caller) {
        Ok(delivery) => {
            request.extensions_mut().insert(delivery);
            next.run(request).await
        }
        Err(error) => {
            let refusal = RpcError::new(Code::InvalidParams, error.explain()).with_data(result::error_record(&error));
            let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            (http::StatusCode::BAD_REQUEST, [json], refusal.message(&Value::Null).to_string()).into_response()
        }
    }
}

fn choose<T: Copy>(key: &str, value: &str, choices: &[(&str, T)]) -> Result<T, UserError> {
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let shown: String = value.chars().filter(|c| !c.is_control()).take(60).collect();
        UserError::argument(key, format!("`{key}={shown}` in the URL is none of its values."))
            .with_valid(choices.iter().map(|(name, _)| *name))
    })
}

fn without_slash(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(config: &McpConfig, uri: &str, host: Option<&str>) -> Delivery {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(header::HOST, host.parse().expect("a header value"));
        }
        Delivery::of_request(config, &uri.parse().expect("a URI"), &headers, None).expect("a good query")
    }

    #[test]
    fn the_query_sets_what_is_delivered() {
        let config = McpConfig::default();
        let plain = delivery(&config, "/mcp", Some("hub:8001"));
        assert_eq!((plain.inline, plain.links, plain.structured), (Inline::Preview, true, false));
        let set = delivery(&config, "/mcp?inline=none&links=0&structured=1&token=x", Some("hub:8001"));
        assert_eq!((set.inline, set.links, set.structured), (Inline::None, false, true));
    }

    #[test]
    fn a_value_that_means_nothing_is_refused_by_name_with_what_is_valid() {
        for (query, key, valid) in [
            ("inline=all", "inline", &["none", "preview", "full"][..]),
            ("inline=", "inline", &["none", "preview", "full"]),
            ("token=x&links=no", "links", &["0", "1"]),
            ("structured=true", "structured", &["0", "1"]),
        ] {
            let uri: Uri = format!("/mcp?{query}").parse().expect("a URI");
            let refused = Delivery::of_request(&McpConfig::default(), &uri, &HeaderMap::new(), None);
            let error = refused.expect_err(query);
            assert_eq!(error.argument.as_deref(), Some(key), "{query}");
            assert_eq!(error.valid_values, valid, "{query}");
        }
    }

    #[test]
    fn the_public_url_wins_and_keeps_its_path() {
        let public_url = Some(Url::parse("https://h.example/genimg/").expect("a URL"));
        let config = McpConfig { public_url, ..McpConfig::default() };
        let delivery = delivery(&config, "/mcp", Some("127.0.0.1:8001"));
        assert_eq!(delivery.base.as_deref(), Some("https://h.example/genimg"));
        assert_eq!(delivery.websocket_url("/ws/stream/x").as_deref(), Some("wss://h.example/genimg/ws/stream/x"));
    }

    #[test]
    fn without_public_url_the_host_is_taken_as_it_came() {
        let config = McpConfig::default();
        let base = |uri, host| delivery(&config, uri, host).base;
        assert_eq!(base("/mcp", Some("hub.example.com")).as_deref(), Some("http://hub.example.com"));
        assert_eq!(base("http://h2.example:81/mcp", None).as_deref(), Some("http://h2.example:81"));
        assert_eq!(base("/mcp", None), None);
        let socket = delivery(&config, "/mcp", Some("hub.example.com")).websocket_url("/ws");
        assert_eq!(socket.as_deref(), Some("ws://hub.example.com/ws"));
    }
}
