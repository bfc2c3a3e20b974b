//! What a collector gets of requests and jobs; and what is said where traces cannot be had.

#[cfg(not(feature = "otel"))]
#[test]
fn a_hub_without_opentelemetry_says_so_when_traces_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = crate::hub::serve(folder.path());
    command.env("GENIMAGE__TRACES__OTLP_URL", "http://127.0.0.1:4318");
    let Err(said) = crate::hub::Hub::try_run(command) else { panic!("it must not start") };
    assert!(said.iter().any(|line| line.contains("--features otel")), "{said:?}");
}

#[cfg(feature = "otel")]
mod with_a_collector {
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
        time::Instant,
    };

    use axum::{Json, Router, extract::State, routing::post};
    use hub_sim::{ComfyConfig, ComfySim, Fault};
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use crate::hub::{Hub, PATIENCE, serve};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    /// A span as it arrived.
    #[derive(Debug, Clone)]
    struct Span {
        name: String,
        trace: String,
        id: String,
        parent: String,
        nanos: (u64, u64),
        attributes: BTreeMap<String, String>,
        error: String,
    }

    impl Span {
        fn read(span: &Value) -> Self {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let nanos = |value: &Value| value.as_str().unwrap().parse().unwrap();
            let attributes = span["attributes"].as_array().into_iter().flatten();
            Self {
                name: text(&span["name"]),
                trace: text(&span["traceId"]),
                id: text(&span["spanId"]),
                parent: text(&span["parentSpanId"]),
                nanos: (nanos(&span["startTimeUnixNano"]), nanos(&span["endTimeUnixNano"])),
                attributes: attributes
                    .map(|attribute| {
                        let value = attribute["value"].as_object().unwrap().values().next().unwrap();
                        (text(&attribute["key"]), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                    })
                    .collect(),
                error: text(&span["status"]["message"]),
            }
        }
    }

    #[derive(Clone, Default)]
    struct Collector(Arc<Mutex<Vec<Span>>>, Arc<Mutex<String>>);

    impl Collector {
        async fn start(&self) -> String {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let router = Router::new().route("/v1/traces", post(take)).with_state(self.clone());
            tokio::spawn(async move { axum::serve(listener, router).await });
            url
        }

        fn named(&self, name: &str) -> Vec<Span> {
            self.0.lock().unwrap().iter().filter(|span| span.name == name).cloned().collect()
        }

        /// The only span of that name, once it is there.
        async fn the(&self, name: &str) -> Span {
            let begun = Instant::now();
            loop {
                let found = self.named(name);
                if let [span] = &found[..] {
                    return span.clone();
                }
                assert!(begun.elapsed() < PATIENCE, "{name}: {:?}", self.0.lock().unwrap());
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }

    async fn take(State(collector): State<Collector>, Json(body): Json<Value>) -> Json<Value> {
        for resource in body["resourceSpans"].as_array().unwrap() {
            *collector.1.lock().unwrap() = resource["resource"].to_string();
            for scope in resource["scopeSpans"].as_array().unwrap() {
                let spans = scope["spans"].as_array().unwrap().iter().map(Span::read);
                collector.0.lock().unwrap().extend(spans);
            }
        }
        Json(json!({}))
    }

    async fn hub(collector: &Collector) -> (Hub, ComfySim, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = serve(folder.path());
        command
            .env("GENIMAGE__TRACES__OTLP_URL", collector.start().await)
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
            .env("OTEL_BSP_SCHEDULE_DELAY", "50");
        let hub = Hub::run(command);
        let sim = ComfySim::start(([127, 0, 0, 1], 0).into(), ComfyConfig { run_ms: 120, ..ComfyConfig::default() });
        let sim = sim.await.unwrap();
        hub.add_server(&sim.url()).await;
        (hub, sim, folder)
    }

    fn job() -> Value {
        json!({ "tool": "generate_image", "arguments": { "prompt": "a secret garden", "render_type": "smoke", "enhance": false } })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_jobs_life_is_part_of_its_callers_trace() {
        let collector = Collector::default();
        let (hub, sim, _folder) = hub(&collector).await;
        sim.inject(Fault::out_of_memory().next(1));
        let answer = hub.http.post(format!("{}/api/v1/jobs", hub.url)).json(&job());
        let answer = answer.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01")).send().await.unwrap();
        let id = answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
        let ended = hub.wait_for_state(&id, &["succeeded"]).await;

        let request = collector.the("POST /api/v1/jobs").await;
        assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, "00f067aa0ba902b7"));
        assert_eq!(request.attributes["http.response.status_code"], "202");
        let life = collector.the("generate_image").await;
        assert_eq!((&life.trace, &life.parent), (&request.trace, &request.id), "the job is what the request began");
        assert_eq!(life.attributes["genimage.job.id"], id);
        assert_eq!(life.attributes["genimage.job.state"], "succeeded");
        assert_eq!((&ended["attempts"], life.attributes["genimage.job.attempts"].as_str()), (&json!(2), "2"));
        assert_eq!(life.attributes["genimage.render_type"], "smoke");
        let first = collector.the("attempt 1").await;
        assert_eq!((&first.parent, first.attributes["genimage.server"].as_str()), (&life.id, sim.url().as_str()));
        assert!(first.error.contains("memory") && life.error.is_empty(), "{first:?} {life:?}");
        let second = collector.the("attempt 2").await;
        assert!(second.error.is_empty() && second.nanos.0 >= first.nanos.1, "{second:?}");
        let run = collector.the("run").await;
        assert_eq!(run.parent, second.id, "the newest attempt tells what it ran");
        assert!(life.nanos.0 <= first.nanos.0 && run.nanos.1 <= life.nanos.1, "{life:?} {first:?} {run:?}");
        assert!(collector.1.lock().unwrap().contains("\"genimage\""), "the service has a name");
        let everything = format!("{:?}", collector.0.lock().unwrap());
        assert!(!everything.contains("secret garden"), "prompts are nobody's business: {everything}");
        hub.terminate();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_mcp_says_of_a_call_goes_before_the_header_and_unsampled_callers_are_left_alone() {
        let collector = Collector::default();
        let (hub, _sim, _folder) = hub(&collector).await;
        let call = |flags: &str| {
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "generate_image",
                "arguments": { "prompt": format!("fox {flags}"), "render_type": "smoke", "enhance": false, "inline": "none" },
                "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
                    "io.modelcontextprotocol/clientCapabilities": {},
                    "traceparent": format!("00-{TRACE}-00f067aa0ba902b7-{flags}") } } })
        };
        for flags in ["00", "01"] {
            let answer = hub
                .http
                .post(format!("{}/mcp", hub.url))
                .header("accept", "application/json, text/event-stream")
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", "tools/call")
                .header("mcp-name", "generate_image")
                .json(&call(flags))
                .send();
            let answer = answer.await.unwrap().text().await.unwrap();
            assert!(answer.contains("succeeded"), "{answer}");
        }
        // The end delivers what is left: then nothing more can come.
        hub.terminate();
        let life = collector.the("generate_image").await;
        assert_eq!((life.trace.as_str(), life.parent.as_str()), (TRACE, "00f067aa0ba902b7"));
        assert!(life.error.is_empty(), "{life:?}");
        assert_eq!(collector.named("POST /mcp").len(), 2, "requests without a header are traces of their own");
    }
}
