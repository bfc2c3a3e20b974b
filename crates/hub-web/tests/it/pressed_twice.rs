//! Every form of every page that changes something, pressed twice at once: it does one thing, and both answers are the
//! same redirect.

use std::collections::BTreeSet;

use axum::http::StatusCode;

use crate::{
    forms::{all_forms, full_hub, send, things},
    hub::Hub,
    markup::{Form, forms},
    places::kind_of,
};

const GRAPH: &str = include_str!("../../../../workflows/smoke.json");
/// Stands for what the page's field holds itself: a box that is ticked.
const TICKED: &str = "\0";

/// A form by the kind of its action: what is typed into it and which button is pressed, and how many things it makes.
pub(crate) type Changes = (&'static str, &'static [(&'static str, &'static str)], usize);

/// Each form that changes something. What takes something away comes last.
pub(crate) const CHANGES: &[Changes] = &[
    ("/start/types", &[], 3),
    ("/start/picture", &[("prompt", "twice")], 1),
    ("/styles/new", &[("name", "twice"), ("prompt_template", "twice")], 1),
    ("/styles/sty", &[("category", "another")], 0),
    ("/styles/sty/flags", &[("is_default", "on")], 0),
    ("/styles/sty/picture", &[], 1),
    ("/styles/scene", &[("prompt", "twice")], 0),
    ("/styles/pictures", &[], 1),
    ("/access/keys/key", &[("rate_per_minute", "7")], 0),
    ("/gallery/favourites", &[("image", TICKED), ("favourite", "on")], 0),
    ("/jobs/cancel", &[("job", TICKED)], 0),
    ("/jobs/job/retry", &[], 1),
    ("/llm-servers/llm", &[("name", "another")], 0),
    ("/llm-servers/new", &[("name", "twice"), ("base_url", "http://192.0.2.1:11434")], 1),
    ("/llm-servers/roles/describe", &[("model", "llava")], 0),
    ("/llm-servers/roles/enhance", &[("model", "qwen")], 0),
    ("/llm-servers/roles/prompt_generator", &[("model", "qwen")], 0),
    ("/maintenance/retention", &[("retention.days", "9000")], 0),
    ("/maintenance/tasks/expire", &[], 0),
    ("/maintenance/tasks/orphans", &[], 0),
    ("/maintenance/tasks/restart", &[], 0),
    ("/maintenance/tasks/retention", &[], 0),
    ("/playground/generate_image", &[("prompt", "twice")], 1),
    ("/render-types/rt", &[("description", "another")], 0),
    ("/render-types/rt/flags", &[("is_default", "on")], 0),
    ("/render-types/rt/picture", &[], 1),
    ("/servers", &[("name", "twice"), ("base_url", "http://192.0.2.1:8188")], 1),
    ("/servers/srv/settings", &[("weight", "3")], 0),
    ("/settings", &[("queue.max", "77")], 0),
    ("/settings/instructions/describe", &[("natural", "twice")], 0),
    ("/settings/instructions/enhance", &[("prompt", "twice")], 0),
    ("/settings/instructions/generator", &[("subjects_to_propose", "7")], 0),
    ("/workflows", &[("name", "smoke"), ("graph", GRAPH)], 2),
    ("/workflows/wf/recheck", &[], 0),
    ("/workflows/wf/slots", &[("target", "")], 1),
    ("/workflows/wf/test-run", &[("prompt", "twice")], 1),
    ("/render-types/new", &[("name", "twice"), ("workflow", "smoke")], 1),
    ("/servers/srv/refresh", &[], 0),
    ("/servers/srv/workflows", &[("said", "no")], 0),
    ("/servers/srv/drain", &[], 0),
    ("/servers/srv/enabled", &[], 0),
    ("/access/keys/key/revoke", &[], 0),
    ("/styles/sty/delete", &[], 0),
    ("/render-types/rt/delete", &[], 0),
    ("/workflows/wf/delete", &[], 0),
    ("/llm-servers/llm/delete", &[], 0),
    ("/servers/srv/delete", &[], 0),
];
/// Forms that only show something or ask first, bring a file, are a way in, or cannot do anything on such a hub.
const OTHERS: &[&str] = &[
    "/configuration/export",
    "/configuration/import",
    "/connect/test",
    "/gallery/delete",
    "/llm-servers/llm/test",
    "/maintenance/check",
    "/playground/describe_image",
    "/playground/detail_image",
    "/playground/edit_image",
    "/playground/generate_prompt",
    "/playground/upscale_image",
    "/render-types/import",
    "/servers/srv/test",
    "/servers/test-all",
    "/setup",
    "/styles/import",
];

/// The form as its page has it now, and what is sent of it; `None` when it is no longer there.
pub(crate) async fn filled(hub: &Hub, form: &Form, values: &[(&str, &str)]) -> Option<(Form, Vec<(String, String)>)> {
    // What an unfinished job runs cannot be deleted, and whether one has ended by now is chance.
    if form.action.starts_with("/workflows/") && form.action.ends_with("/delete") {
        let open = hub.get("/api/v1/jobs?state=active").await.json();
        hub.form("/jobs/cancel", "all=on").await;
        for job in open["jobs"].as_array().expect("a list") {
            hub.ended(job["id"].as_str().expect("an id")).await;
        }
    }
    // Its page has changed with what was done before: lists of boxes are longer.
    let html = String::from_utf8(hub.page(&form.page).await.body.to_vec()).expect("text");
    let mut shown = forms(&form.page, &html);
    // A list that begins with another one by now has a form of the same kind.
    let kind = |other: &Form| kind_of(&other.action) == kind_of(&form.action);
    let same = shown.iter().position(|other| other.action == form.action);
    let at = same.or_else(|| shown.iter().position(kind))?;
    let form = shown.swap_remove(at);
    let own = |name: &str| form.fields.iter().find(|field| field.name == name).map(|field| field.value.as_str());
    // A box that is not there is not ticked.
    let values: Vec<(&str, &str)> = values
        .iter()
        .filter_map(|(name, value)| Some((*name, if *value == TICKED { own(name)? } else { *value })))
        .collect();
    let pairs = form.pairs(&values);
    Some((form, pairs))
}

/// What is wrong with two presses of a form at once.
async fn pressed_twice(hub: &Hub, form: &Form, values: &[(&str, &str)], makes: usize) -> Option<String> {
    let Some((form, pairs)) = filled(hub, form, values).await else {
        return Some(format!("is no longer on {}", form.page));
    };
    let before = things(hub).await;
    let (one, other) = tokio::join!(send(hub, &form, &pairs, None), send(hub, &form, &pairs, None));
    let after = things(hub).await;
    let more: usize = after.iter().zip(&before).map(|(after, before)| after.saturating_sub(*before)).sum();
    if one.status != StatusCode::SEE_OTHER {
        let html = one.text();
        let told = html.split("class=\"fault\"").nth(1).or_else(|| html.split("role=\"alert\"").nth(1));
        return Some(format!("{} {:.300}", one.status, told.unwrap_or_default()));
    }
    if (other.status, &other.headers) != (one.status, &one.headers) {
        return Some(format!("{} and {}, {} and {}", one.status, other.status, one.header("location"), other.text()));
    }
    (more != makes).then(|| format!("makes {more} instead of {makes}: {before:?} → {after:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_twice_at_once_does_one_thing() {
    let hub = full_hub().await;
    let all: Vec<Form> = all_forms(&hub).await.into_iter().filter(|form| form.method == "post").collect();
    let kinds: BTreeSet<String> = all.iter().map(|form| kind_of(&form.action)).collect();
    let known = CHANGES.iter().map(|(kind, ..)| *kind).chain(OTHERS.iter().copied()).map(str::to_owned);
    let mut faults = Vec::new();
    for (kind, values, makes) in CHANGES {
        let form = all.iter().find(|form| kind_of(&form.action) == *kind);
        let fault = match form {
            Some(form) => pressed_twice(&hub, form, values, *makes).await,
            None => Some("is on no page".to_owned()),
        };
        faults.extend(fault.map(|fault| format!("{kind}: {fault}")));
    }
    assert_eq!(kinds, known.collect(), "say above what a new form does");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_that_is_restored_twice_at_once_is_one_new_version() {
    let hub = full_hub().await;
    let id = hub.get("/api/v1/workflows").await.json()["workflows"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/workflows/{id}");
    assert_eq!(hub.form(&format!("{path}/slots"), "kind=seed&target=").await.status, StatusCode::SEE_OTHER);
    let html = hub.page(&path).await.text();
    let form = forms(&path, &html).into_iter().find(|form| form.action.ends_with("/restore")).expect("it is older");
    assert_eq!(pressed_twice(&hub, &form, &[], 1).await, None);
}

/// Without script a browser drops the first press's connection as it makes the second.
#[tokio::test]
async fn a_press_that_is_no_longer_waited_for_is_ended_and_the_next_one_gets_its_answer() {
    let hub = Hub::with_server(5).await;
    let typed = "name=twice&base_url=http%3A%2F%2F192.0.2.1%3A8188";
    {
        let mut first = std::pin::pin!(hub.form("/servers", typed));
        let begun = std::future::poll_fn(|context| std::task::Poll::Ready(first.as_mut().poll(context).is_pending()));
        assert!(begun.await, "it is answered before it can be dropped");
    }
    let second = hub.form("/servers", typed).await;
    assert_eq!(second.status, StatusCode::SEE_OTHER, "{}", second.text());
    assert_eq!(hub.engine.servers().len(), 2);
    let log = hub.page("/access/log").await.text();
    assert_eq!(log.matches("POST /servers").count(), 1, "it is written down once: {log}");
}
