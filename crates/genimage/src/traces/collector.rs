//! The way to the collector: OTLP over HTTP, in batches, off the hub's own tasks.

use std::{fmt, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use axum::{Router, middleware};
use hub_engine::Engine;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tokio::{runtime::Handle, task::JoinHandle};
use url::Url;

use super::{jobs, requests};
use crate::config::TracesSection;

/// Longest time for one delivery.
const DELIVERY_LIMIT: Duration = Duration::from_secs(10);
/// Longest time for what is left at the end.
const END_LIMIT: Duration = Duration::from_secs(2);
/// Where a collector takes traces, below its address (OTLP/HTTP).
const PATH: &str = "v1/traces";

/// The traces of this process.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    jobs: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traces {
    /// Traces as configured; `None` where they are off. Within a runtime.
    ///
    /// # Errors
    /// For an address that is none.
    pub(crate) fn start(section: &TracesSection) -> anyhow::Result<Option<Self>> {
        if section.otlp_url.is_empty() {
            return Ok(None);
        }
        anyhow::ensure!(
            (0.0..=1.0).contains(&section.sample),
            "traces.sample is {}; it must be 0 to 1",
            section.sample
        );
        let endpoint = endpoint(&section.otlp_url).context("traces.otlp_url")?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Deliverer::new()?)
            .with_endpoint(endpoint.as_str())
            .with_protocol(protocol(section)?)
            .with_timeout(DELIVERY_LIMIT)
            .build()
            .context("the exporter of traces")?;
        // The variables OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are read here, and win.
        let resource = Resource::builder();
        let resource = if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource.with_service_name("genimage")
        } else {
            resource
        };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(section.sample))))
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("genimage");
        tracing::info!(host = endpoint.host_str(), path = endpoint.path(), "traces go to the collector");
        Ok(Some(Self { provider, tracer, jobs: std::sync::Mutex::default() }))
    }

    /// Tells every job that ends from now on.
    pub(crate) fn follow_jobs(&self, engine: &Engine) {
        let task = tokio::spawn(jobs::follow(engine.clone(), self.tracer.clone()));
        *self.jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(task);
    }

    /// Tells every request of a machine edge.
    pub(crate) fn around(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.tracer.clone(), requests::follow))
    }

    /// Waits until the last jobs are told. After the engine's end, which ends the following of jobs, and before that of
    /// the store, which they are read from.
    pub(crate) async fn settle(&self) {
        let task = self.jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(task) = task
            && tokio::time::timeout(END_LIMIT, task).await.is_err()
        {
            tracing::warn!("the last traces of jobs take too long");
        }
    }

    /// Delivers what is left.
    pub(crate) async fn deliver(self) {
        // Blocks until the exporter's thread is done.
        let ended = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(END_LIMIT)).await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last traces were not delivered"),
            Err(error) => tracing::warn!(%error, "the exporter of traces panicked"),
        }
    }
}

/// How spans are written. The standard variables win.
fn protocol(section: &TracesSection) -> anyhow::Result<Protocol> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let variables = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    let given = variables.into_iter().find_map(|name| Some((name, set(name)?)));
    let (name, value) = given.unwrap_or_else(|| ("traces.protocol", section.protocol.clone()));
    match value.as_str() {
        "http/protobuf" => Ok(Protocol::HttpBinary),
        "http/json" => Ok(Protocol::HttpJson),
        other => anyhow::bail!("{name} is `{other}`; valid values: http/protobuf, http/json"),
    }
}

/// Where traces are posted to, below a collector's address, which may be given whole.
fn endpoint(text: &str) -> anyhow::Result<Url> {
    // Not said back: an address may hold a password.
    let url = Url::parse(text).context("it is no URL; an example: http://127.0.0.1:4318")?;
    anyhow::ensure!(
        matches!(url.scheme(), "http" | "https") && url.has_host(),
        "it is no http or https URL; an example: http://127.0.0.1:4318"
    );
    if url.path().ends_with(PATH) {
        return Ok(url);
    }
    let mut below = url.clone();
    below.set_path(&format!("{}/{PATH}", url.path().trim_end_matches('/')));
    Ok(below)
}

/// Posts by the hub's own client on the hub's runtime: the exporter's thread has none.
#[derive(Debug)]
struct Deliverer {
    http: reqwest::Client,
    runtime: Handle,
}

impl Deliverer {
    fn new() -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(DELIVERY_LIMIT).build().context("the HTTP client")?;
        Ok(Self { http, runtime: Handle::try_current().context("no runtime")? })
    }
}

#[async_trait]
impl HttpClient for Deliverer {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let posted = self.runtime.spawn(async move {
            let answer = http.execute(request.try_into()?).await?;
            let mut response = Response::builder().status(answer.status());
            for (name, value) in answer.headers() {
                response = response.header(name, value);
            }
            // What a collector says is not kept, and must not fill the memory.
            Ok::<_, HttpError>(response.body(Bytes::new())?)
        });
        posted.await?
    }
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn a_collectors_address_may_be_given_in_part_or_whole() {
        for (given, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://otlp.example/otlp/", "https://otlp.example/otlp/v1/traces"),
            ("http://c.example:4318/v1/traces", "http://c.example:4318/v1/traces"),
        ] {
            assert_eq!(endpoint(given).expect("an address").as_str(), expected);
        }
        for wrong in ["collector:4318", "grpc://collector:4317", "nowhere", "http://"] {
            let said = endpoint(wrong).expect_err("refused").to_string();
            assert!(said.contains("http://127.0.0.1:4318"), "{wrong}: {said}");
        }
    }
}
