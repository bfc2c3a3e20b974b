//! The pages of the pool: servers, LLM servers, settings, instructions.

use axum::{body::Body, http::StatusCode};
use hub_sim::ollama::{OllamaConfig, OllamaSim, SimModel};
use serde_json::json;

use crate::hub::{Hub, hidden, request};

async fn ollama() -> OllamaSim {
    OllamaSim::start(std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0)), OllamaConfig::default())
        .await
        .expect("a free port")
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// What a page says of the only server below this title, with its tags.
fn marked<'page>(page: &'page str, title: &str) -> &'page str {
    let rest = page.split(&format!("<dt>{title}</dt><dd")).nth(1).and_then(|rest| rest.split_once('>'));
    let value = rest.and_then(|(_, rest)| rest.split("</dd>").next());
    value.unwrap_or_else(|| panic!("no `{title}`: {page}"))
}

/// The same as it is read.
fn fact(page: &str, title: &str) -> String {
    let parts = marked(page, title).split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    parts.collect::<String>().trim().to_owned()
}

/// What a card of a server and its page say alike.
fn tells_how_it_is(page: &str) {
    for (title, value) in [("ComfyUI", "0.33.0"), ("In flight", "0 of 2"), ("Auth", "none")] {
        assert_eq!(fact(page, title), value, "{title}");
    }
    assert!(fact(page, "Its queue").parse::<u32>().is_ok(), "{page}");
    assert!(fact(page, "Latency").strip_suffix(" ms").is_some_and(|ms| ms.parse::<u64>().is_ok()), "{page}");
    assert_eq!(fact(page, "Model loads"), "1 in 1 run");
}

fn tells_when_it_answered(page: &str) {
    let (moment, ago) = (marked(page, "Last seen"), fact(page, "Last seen"));
    assert!(moment.contains("<time datetime=\"2") && moment.contains(" UTC\""), "{moment}");
    assert!(ago == "just now" || ago.ends_with(" s ago"), "{moment}");
}

#[tokio::test]
async fn an_llm_server_is_added_tested_given_a_role_and_removed() {
    let hub = Hub::with_server(5).await;
    assert!(hub.page("/llm-servers").await.text().contains("No LLM server yet"));
    let sim = ollama().await;
    let form = format!("name=llama&base_url={}&dialect=ollama&api_key=hunter2&enabled=on", encoded(&sim.url()));
    let added = hub.form("/llm-servers/new", &form).await;
    assert_eq!(added.header("location"), "/llm-servers?done=llm-server-added", "{}", added.text());
    let list = hub.page("/llm-servers").await.text();
    assert!(list.contains("llama") && list.contains("stored here") && !list.contains("hunter2"), "{list}");

    let id = hub.engine.store().llm_server_list().await.expect("read")[0].id;
    let tested = hub.form(&format!("/llm-servers/{id}/test"), "").await;
    assert_eq!(tested.status, StatusCode::OK);
    let models = hub.engine.llm_models(id).await.expect("lists models");
    assert!(tested.text().contains("It answers") && tested.text().contains(&models[0]), "{}", tested.text());

    let given = hub.form("/llm-servers/roles/enhance", &format!("server={id}&model={}", encoded(&models[0]))).await;
    assert_eq!(given.header("location"), "/llm-servers?done=llm-role-given");
    assert!(hub.engine.catalogue().can_enhance);
    assert!(hub.page("/llm-servers").await.text().contains("<dd>Enhance prompts</dd>"));
    let taken = hub.form("/llm-servers/roles/enhance", "server=").await;
    assert_eq!(taken.header("location"), "/llm-servers?done=llm-role-taken");
    assert!(!hub.engine.catalogue().can_enhance);

    assert_eq!(hub.form(&format!("/llm-servers/{id}/delete"), "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(hub.page(&format!("/llm-servers/{id}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_llm_server_keeps_its_key_and_is_not_overwritten_unseen() {
    let hub = Hub::empty().await;
    let wrong = hub.form("/llm-servers/new", "name=llama&base_url=ftp%3A%2F%2Fx").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("id=\"base_url-fault\"") && wrong.text().contains("value=\"llama\""));
    let added = hub.form("/llm-servers/new", "name=llama&base_url=127.0.0.1%3A9&api_key=hunter2&enabled=on").await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.text());
    let id = hub.engine.store().llm_server_list().await.expect("read")[0].id;
    let path = format!("/llm-servers/{id}");
    let page = hub.page(&path).await.text();
    assert!(page.contains("stored here; empty = it stays") && !page.contains("hunter2"), "{page}");
    let version = hidden(&page, "version");
    let form = |name: &str, at: &str| format!("name={name}&base_url={at}&enabled=on&version={version}");
    assert_eq!(hub.form(&path, &form("first", "127.0.0.1%3A9")).await.status, StatusCode::SEE_OTHER);
    assert!(hub.engine.store().llm_server_list().await.expect("read")[0].api_key.is_some(), "the key stays");
    let told = hub.form(&path, &form("second", "127.0.0.1%3A9")).await;
    assert_eq!(told.status, StatusCode::PRECONDITION_FAILED);
    assert!(told.text().contains("Somebody changed this") && told.text().contains("value=\"second\""));
    let version = hidden(&told.text(), "version");
    let moved = hub.form(&path, &format!("name=second&base_url=evil.test&enabled=on&version={version}")).await;
    assert!(moved.text().contains("id=\"api_key-fault\""), "the key is not sent elsewhere: {}", moved.text());
}

#[tokio::test]
async fn a_server_is_tested_as_typed_and_edited_in_full() {
    let hub = Hub::with_server(5).await;
    let view = hub.engine.servers().remove(0);
    let (id, url) = (view.id(), encoded(&view.server.base_url.to_string()));
    let tested = hub.form("/servers/test", &format!("name=&base_url={url}&auth=none")).await;
    assert_eq!(tested.status, StatusCode::OK);
    assert!(tested.text().contains("The test passed") && tested.text().contains("Lists nodes and models"));
    let failed = hub.form("/servers/test", "name=&base_url=127.0.0.1%3A9&auth=none").await;
    assert!(failed.text().contains("The test failed"), "{}", failed.text());
    let wrong = hub.form("/servers/test", &format!("base_url={url}&auth=bearer")).await;
    assert!(wrong.text().contains("id=\"auth-fault\""), "{}", wrong.text());

    let path = format!("/servers/{id}/settings");
    let page = hub.page(&path).await.text();
    let version = hidden(&page, "version");
    let form = format!(
        "name=sim&base_url={url}&auth=api_key&header=X-Key&secret=hunter2&weight=2,5&group=fast&gpu=card-1\
         &max_in_flight=3&run_limit_s=60&stall_limit_s=30&enabled=on&draining=on&version={version}"
    );
    let saved = hub.form(&path, &form).await;
    assert_eq!(saved.header("location"), format!("/servers/{id}?done=server-saved"), "{}", saved.text());
    let server = hub.engine.servers().remove(0).server;
    assert_eq!((server.weight, server.group.as_deref(), server.gpu.as_deref()), (2.5, Some("fast"), Some("card-1")));
    assert_eq!((server.max_in_flight, server.run_limit_s, server.stall_limit_s, server.draining), (3, 60, 30, true));
    let page = hub.page(&path).await.text();
    assert!(page.contains("one is stored") && page.contains("value=\"X-Key\"") && !page.contains("hunter2"), "{page}");
    hub.press_another().await;
    let again = hub.form(&path, &form).await;
    assert_eq!(again.status, StatusCode::PRECONDITION_FAILED, "its version is old");
    let list = hub.page("/servers").await.text();
    assert!(list.contains("<h2><bdi>fast</bdi></h2>") && list.contains("key in a header"), "{list}");
}

#[tokio::test]
async fn a_servers_page_tells_what_it_has_and_takes_orders() {
    let hub = Hub::with_server(5).await;
    let id = hub.engine.servers()[0].id();
    let path = format!("/servers/{id}");
    let tested = hub.form(&format!("{path}/test"), "").await.text();
    assert!(tested.contains("The test passed") && tested.contains("Render types it can run"), "{tested}");
    // Its list of files is read in the background.
    let files = async {
        while hub.engine.server_files(id).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), files).await.expect("the inventory is read");
    let page = hub.page(&path).await.text();
    assert!(page.contains("Checkpoints") && page.contains(".safetensors"), "{page}");
    assert!(page.contains("txt2img-sd15"), "{page}");

    let drained = hub.form(&format!("{path}/drain"), "draining=true").await;
    assert_eq!(drained.header("location"), format!("{path}?done=server-draining"));
    assert!(hub.engine.servers()[0].server.draining);
    assert!(hub.page(&path).await.text().contains("Give it work again"));
    hub.form(&format!("{path}/drain"), "draining=false").await;
    assert!(!hub.engine.servers()[0].server.draining);

    let said = hub.form(&format!("{path}/workflows"), "workflow=txt2img-sd15&said=no").await;
    assert_eq!(said.header("location"), format!("{path}?done=server-said"), "{}", said.text());
    assert!(hub.page(&path).await.text().contains("said by hand"));
    let wrong = hub.form(&format!("{path}/workflows"), "workflow=nothing&said=no").await;
    assert!(wrong.status.is_client_error());
    assert_eq!(hub.form(&format!("{path}/refresh"), "").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn settings_are_changed_reset_and_refused_beside_their_field() {
    let hub = Hub::empty().await;
    let page = hub.page("/settings").await.text();
    for told in [
        "queue.max_per_caller",
        "Jobs that one caller may have waiting.",
        "Effective as soon as they are saved",
        "default <bdi>3",
    ] {
        assert!(page.contains(told), "`{told}` is missing: {page}");
    }
    // The whole form, as a browser sends it.
    let all = |changed: &[(&str, &str)], version: &str| {
        let listed = page.split("<input id=\"").skip(1).filter_map(|tag| {
            let key = tag.split('"').next()?;
            let value = tag.split("value=\"").nth(1)?.split('"').next()?;
            Some((key.to_owned(), value.to_owned()))
        });
        let mut fields: std::collections::BTreeMap<String, String> = listed.collect();
        fields.insert("servers.live_previews".to_owned(), "on".to_owned());
        fields.insert("version".to_owned(), version.to_owned());
        fields.extend(changed.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let pairs: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        pairs.join("&")
    };
    let version = hidden(&page, "version");
    let wrong = hub.form("/settings", &all(&[("queue.max", "0"), ("retention.days", "30")], &version)).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("id=\"queue.max-fault\"") && wrong.text().contains("value=\"30\""));
    let saved = hub.form("/settings", &all(&[("queue.max", "77"), ("mcp.wait_s", "12")], &version)).await;
    assert_eq!(saved.header("location"), "/settings?done=settings-saved", "{}", saved.text());
    assert_eq!(hub.engine.settings().queue_max, 77);
    let stored = hub.get("/api/v1/settings").await.json();
    let changed: Vec<&str> = stored["settings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|row| row["source"] == "stored")
        .filter_map(|row| row["key"].as_str())
        .collect();
    assert_eq!(changed, ["queue.max", "mcp.wait_s"], "what was not touched is not stored");
    let page = hub.page("/settings").await.text();
    assert!(page.contains("name=\"mcp.wait_s\" type=\"text\" inputmode=\"numeric\" value=\"12\""), "{page}");
    assert_eq!(hub.engine.settings().answers.wait_s, 12);

    let told = hub.form("/settings", &all(&[("queue.max", "78")], &version)).await;
    assert_eq!(told.status, StatusCode::PRECONDITION_FAILED);
    assert!(told.text().contains("Somebody changed this") && told.text().contains("value=\"78\""));
    let version = hidden(&page, "version");
    // What else was typed stays, and is not saved.
    let press = format!("{}&reset=queue.max", all(&[("queue.max", "77"), ("mcp.wait_s", "19")], &version));
    for answer in [hub.form("/settings", &press).await, hub.form("/settings", &press).await] {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let html = answer.text();
        assert!(html.contains("What else you typed is kept"), "{html}");
        let newest = hidden(&hub.page("/settings").await.text(), "version");
        assert_eq!(hidden(&html, "version"), newest, "what is left can be saved");
        assert!(html.contains("name=\"mcp.wait_s\" type=\"text\" inputmode=\"numeric\" value=\"19\""), "{html}");
        assert!(!html.contains("name=\"queue.max\" type=\"text\" inputmode=\"numeric\" value=\"77\""), "{html}");
        assert_ne!(hub.engine.settings().queue_max, 77);
        assert_eq!(hub.engine.settings().answers.wait_s, 12);
    }
    let version = hidden(&hub.page("/settings").await.text(), "version");
    let press = format!("{}&reset=mcp.wait_s", all(&[("mcp.wait_s", "12")], &version));
    let reset = hub.form("/settings", &press).await;
    assert!(reset.header("location").starts_with("/settings?done=setting-reset&undo="), "{}", reset.text());
}

#[tokio::test]
async fn a_setting_that_was_reset_already_does_not_hide_what_was_changed_besides() {
    let hub = Hub::empty().await;
    hub.json("PATCH", "/api/v1/settings", &json!({ "queue.max": 77 })).await;
    let version = hidden(&hub.page("/settings").await.text(), "version");
    // Somebody else was quicker, and changed another one too.
    let other = json!({ "queue.max": null, "mcp.wait_s": 12 });
    assert_eq!(hub.json("PATCH", "/api/v1/settings", &other).await.status, StatusCode::OK);
    let typed = "queue.max=77&mcp.wait_s=45&queue.attempts_max=4&servers.live_previews=on";
    let reset = hub.form("/settings", &format!("{typed}&version={version}&reset=queue.max")).await;
    assert_eq!(reset.status, StatusCode::OK, "{}", reset.text());
    let version = hidden(&reset.text(), "version");
    let saved = hub.form("/settings", &format!("{typed}&version={version}")).await;
    assert_eq!(saved.status, StatusCode::PRECONDITION_FAILED, "{}", saved.text());
    assert_eq!(hub.engine.settings().answers.wait_s, 12);
}

#[tokio::test]
async fn instructions_are_previewed_saved_and_reset() {
    let hub = Hub::with_server(5).await;
    let guide = json!({"prompt_guide": "Short tags only."});
    assert_eq!(hub.json("PATCH", "/api/v1/render-types/sd15", &guide).await.status, StatusCode::OK);
    let page = hub.page("/settings/instructions").await.text();
    assert!(
        page.contains("You write prompts for a text-to-image model") && page.contains("Short tags only."),
        "{page}"
    );
    let preview = hub.form("/settings/instructions/preview", "prompt=Be+brief.&negative=x&render_type=sd15").await;
    assert!(preview.text().contains("Be brief.\n\nHow this image model wants its prompts: Short tags only."));

    assert!(!page.contains("name=\"reset\""), "what is as shipped cannot be lost: {page}");
    let version = hidden(&page, "version");
    let form = format!("prompt=Be+brief.&negative=None.&version={version}");
    let saved = hub.form("/settings/instructions/enhance", &form).await;
    assert_eq!(saved.header("location"), "/settings/instructions?done=instructions-saved", "{}", saved.text());
    assert_eq!(hub.engine.enhance_templates().await.expect("read").prompt, "Be brief.");
    let page = hub.page("/settings/instructions").await.text();
    let asked = page.split("<details class=\"confirm\">").nth(1).and_then(|rest| rest.split("</details>").next());
    assert!(asked.is_some_and(|asked| asked.contains("name=\"reset\"")), "it asks first: {page}");
    hub.press_another().await;
    assert_eq!(hub.form("/settings/instructions/enhance", &form).await.status, StatusCode::PRECONDITION_FAILED);
    let empty = hub.form("/settings/instructions/enhance", "prompt=&negative=x").await;
    assert!(empty.text().contains("id=\"prompt-fault\""), "{}", empty.text());
    let reset = hub.form("/settings/instructions/enhance", "reset=on").await;
    let location = reset.header("location");
    assert!(location.starts_with("/settings/instructions?done=instructions-reset&undo="), "{location}");
    assert_ne!(hub.engine.enhance_templates().await.expect("read").prompt, "Be brief.");

    let wrong = hub.form("/settings/instructions/generator", "elements_to_propose=0&instructions=x").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("id=\"elements_to_propose-fault\""), "{}", wrong.text());
    let form = "subjects_to_propose=7&allowed_styles=anime%0D%0A&instructions=Invent.";
    assert_eq!(hub.form("/settings/instructions/generator", form).await.status, StatusCode::SEE_OTHER);
    let stored = hub.engine.prompt_generator().await.expect("read");
    assert_eq!((stored.subjects_to_propose, stored.allowed_styles), (7, Some(vec!["anime".to_owned()])));
    let form = "natural=a&optimized=b&natural_fr=c&optimized_fr=";
    assert!(hub.form("/settings/instructions/describe", form).await.text().contains("id=\"optimized_fr-fault\""));
}

#[tokio::test]
async fn all_servers_are_tested_at_once() {
    let hub = Hub::with_server(5).await;
    hub.ready().await;
    hub.form("/servers", "name=nobody&base_url=127.0.0.1%3A9&auth=none").await;
    let page = hub.form("/servers/test-all", "").await;
    assert_eq!(page.status, StatusCode::OK);
    let page = page.text();
    let of = |name: &str| {
        let parts = page.split("<details").filter(|part| part.contains(&format!("<strong><bdi>{name}</bdi></strong>")));
        parts.last().unwrap_or_else(|| panic!("no test of {name}: {page}")).to_owned()
    };
    assert!(of("sim").contains("The test passed") && of("sim").contains("Lists nodes and models"), "{}", of("sim"));
    assert!(of("nobody").contains("The test failed") && of("nobody").contains("not tried"), "{}", of("nobody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_follow_their_servers_and_a_lost_one_is_told() {
    let mut hub = Hub::with_server(5).await;
    hub.ready().await;
    let job = json!({"tool": "generate_image", "arguments": {"prompt": "a fox"}});
    let sent = hub.json("POST", "/api/v1/jobs", &job).await.json();
    hub.ended(sent["id"].as_str().expect("an id")).await;
    for path in ["/servers", "/", "/jobs"] {
        assert!(hub.page(path).await.text().contains("id=\"toasts\" class=\"toasts\" role=\"status\""), "{path}");
    }
    let loaded = "v1-5-pruned-emaonly-fp16.safetensors";
    let card = hub.page("/servers").await.text();
    tells_how_it_is(&card);
    assert_eq!([fact(&card, "GPU"), fact(&card, "Loaded")], ["Simulated GPU", loaded]);
    assert!(fact(&card, "VRAM").ends_with(" GB free of 25.8 GB"), "{card}");
    assert!(fact(&card, "Model files").parse::<u32>().is_ok_and(|files| files > 0), "{card}");
    let path = format!("/servers/{}", hub.engine.servers()[0].id());
    let page = hub.page(&path).await.text();
    tells_how_it_is(&page);
    assert!(!card.contains("Last seen"), "it is here: {card}");
    tells_when_it_answered(&page);
    for (title, value) in [("System", "linux"), ("Python", "3.11.7"), ("PyTorch", "2.11.0+cu130"), ("Group", "none")] {
        assert_eq!(fact(&page, title), value, "{title}");
    }
    assert_eq!([fact(&page, "Memory in use"), fact(&page, "Loaded models")], ["34.4 GB of 68.7 GB", loaded]);
    assert!(page.contains("Simulated GPU") && page.contains(" of 25.8 GB in use"), "{page}");
    let follow = |path: &str| request("GET", path).body(Body::empty()).expect("a request");
    let mut streams = [hub.follow(follow("/servers/live")).await, hub.follow(follow("/jobs/live")).await];
    let first = streams[0].fragment().await;
    assert!(first.contains("hx-target=\"#servers-now\"") && first.contains("Ready"), "{first}");
    hub.lose_servers();
    // The card and the toast come in any order; of the jobs nothing changes but the toast.
    for (stream, mut redrawn) in streams.iter_mut().zip([false, true]) {
        let mut told = false;
        while !redrawn || !told {
            let fragment = stream.fragment().await;
            if fragment.contains("hx-target=\"#toasts\"") {
                assert!(fragment.contains("Server lost") && fragment.contains("sim"), "{fragment}");
                told = true;
            }
            redrawn |= fragment.contains("hx-target=\"#servers-now\"") && !fragment.contains("Ready");
        }
    }
    for path in ["/servers", path.as_str()] {
        tells_when_it_answered(&hub.page(path).await.text());
    }
}

#[tokio::test]
async fn a_role_is_offered_the_models_that_can_play_it() {
    let hub = Hub::empty().await;
    for list_capabilities in [true, false] {
        let models = vec![
            SimModel::new("seer:7b", &["completion", "vision"]),
            SimModel::new("writer:8b", &["completion"]),
            SimModel::new("embedder:1b", &["embedding"]),
        ];
        let config = OllamaConfig { models, list_capabilities, ..OllamaConfig::default() };
        let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
        let sim = OllamaSim::start(address, config).await.expect("a free port");
        let body = json!({ "name": format!("llm {list_capabilities}"), "base_url": sim.url() });
        let made = hub.json("POST", "/api/v1/llm-servers", &body).await.json();
        let page = hub.form(&format!("/llm-servers/{}/test", made["id"].as_str().expect("an id")), "").await.text();
        let badges = |model: &str| {
            let item = page.split("<li>").find(|item| item.contains(&format!("<code>{model}</code>")));
            let item = item.and_then(|item| item.split("</li>").next()).expect("the model is listed").to_owned();
            (item.contains("sees pictures"), item.contains("writes text"))
        };
        assert_eq!(badges("seer:7b"), (true, true));
        assert_eq!(badges("writer:8b"), (false, true));
        assert_eq!(badges("embedder:1b"), (false, false));
        for (role, offered) in [
            ("describe", &["seer:7b"][..]),
            ("enhance", &["seer:7b", "writer:8b"]),
            ("prompt_generator", &["seer:7b", "writer:8b"]),
        ] {
            let list = page.split(&format!("<datalist id=\"models-{role}\">")).nth(1).expect("the list");
            let list = list.split("</datalist>").next().expect("its end");
            let found: Vec<&str> = list.split("value=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert_eq!(found, offered, "{role}");
        }
    }
}
