use std::collections::BTreeSet;

use super::*;
use crate::{language::Translations, pages};

fn config() -> WebConfig {
    WebConfig { public_url: None, demo: true, version: "1.2.3", translations: Translations::default() }
}

/// The samples of all pages in another language.
pub(crate) fn in_language(language: &Arc<Language>) -> Vec<(&'static str, String)> {
    let environment = environment(&config(), Some(language));
    let render = |template: &str, context: Value| environment.get_template(template)?.render(context);
    let samples = pages::samples().into_iter();
    samples.map(|(template, context)| (template, render(template, context).expect("it renders"))).collect()
}

fn render(template: &str, context: Value) -> String {
    environment(&config(), None)
        .get_template(template)
        .and_then(|found| found.render(context))
        .unwrap_or_else(|error| panic!("{template}: {error:#}"))
        // Escaped as well, for no need of HTML's.
        .replace("&#x2f;", "/")
}

#[test]
fn every_template_renders_its_sample_and_every_page_file_has_one() {
    let samples = pages::samples();
    let known: BTreeSet<&str> = samples.iter().map(|(template, _)| *template).collect();
    for (template, context) in samples {
        assert!(!render(template, context).is_empty(), "{template}");
    }
    let files: Vec<String> =
        Files::iter().filter(|name| name.starts_with("pages/")).map(std::borrow::Cow::into_owned).collect();
    assert!(files.len() >= 11, "{files:?}");
    for file in files {
        assert!(known.contains(file.as_str()), "{file} has no context");
    }
}

/// What every page shows of the program must not be hidden by a page's own field of that name.
#[test]
fn no_page_has_a_field_named_like_a_global() {
    for (template, context) in pages::samples() {
        for global in ["demo", "version", "language"] {
            let own = context.get_attr(global).unwrap_or(Value::UNDEFINED);
            assert!(own.is_undefined(), "{template} hides `{global}`");
        }
    }
}

#[test]
fn what_callers_wrote_is_shown_as_text() {
    for (template, context) in pages::samples() {
        let html = render(template, context);
        for live in ["<script>alert", "<gpu>", "<i>", "<b>", "<anime>", "<generate>", "\"><script>", "hunter2"] {
            assert!(!html.contains(live), "{template} lets `{live}` through");
        }
        assert!(!html.contains("&quot; 49"), "{template} evaluates caller's text");
    }
    let (template, context) = pages::samples().into_iter().find(|(name, _)| *name == "pages/job.html").expect("there");
    let html = render(template, context);
    assert!(html.contains("&lt;script&gt;alert") && html.contains("{{ 7*7 }}") && html.contains("🦊 שלום"), "{html}");
}

#[test]
fn no_page_holds_inline_script_or_style() {
    for (template, context) in pages::samples() {
        let html = render(template, context).to_lowercase();
        assert!(!html.contains(" style=") && !html.contains("<style") && !html.contains(" onclick="), "{template}");
        for tag in html.split("<script").skip(1) {
            let tag = tag.split('>').next().unwrap_or("");
            assert!(tag.contains(" src=\"/assets/"), "{template} has an inline script");
        }
        assert!(!html.contains("src=\"http") && !html.contains("href=\"http"), "{template} fetches from elsewhere");
    }
}

/// A deferred htmx begins before an extension that arrives later: the page's live parts would stay dead.
#[test]
fn live_parts_wait_for_the_script_that_they_need() {
    let (template, context) =
        pages::samples().into_iter().find(|(name, _)| *name == "pages/dashboard.html").expect("there");
    let html = render(template, context);
    let place = |name: &str| html.find(name).unwrap_or_else(|| panic!("no {name}"));
    assert!(place("</main>") < place("htmx.min.js") && place("htmx.min.js") < place("hx-sse.min.js"));
    for tag in html.split("<script").filter(|tag| tag.contains("vendor/")) {
        let tag = tag.split('>').next().unwrap_or_default();
        assert!(!tag.contains("defer") && !tag.contains("async"), "{tag}");
    }
}

/// Every form goes to a route that takes a POST, and every field has a name that is read aloud.
#[test]
fn forms_lead_somewhere_and_fields_have_labels() {
    let mut fields = 0;
    let more = ["edit_image", "upscale_image", "detail_image", "describe_image", "generate_prompt"]
        .map(|tool| ("pages/playground.html", Value::from(Serde(&pages::playground_sample(tool)))));
    for (template, context) in pages::samples().into_iter().chain(more) {
        let html = render(template, context);
        for tag in
            html.split('<').filter(|tag| ["input ", "textarea ", "select "].iter().any(|start| tag.starts_with(start)))
        {
            if tag.contains("type=\"hidden\"") {
                continue;
            }
            fields += 1;
            let id = tag.split(" id=\"").nth(1).and_then(|rest| rest.split('"').next());
            let labelled = id.is_some_and(|id| html.contains(&format!("for=\"{id}\"")));
            assert!(labelled, "{template}: a field without label: {tag}");
        }
        for action in html.split("action=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(action.starts_with('/'), "{template}: {action}");
        }
        for image in html.split("<img ").skip(1).filter_map(|rest| rest.split('>').next()) {
            assert!(image.contains("alt="), "{template}: {image}");
        }
    }
    assert!(fields > 20, "only {fields} fields were looked at");
}

#[test]
fn a_missing_name_is_an_error_and_not_an_empty_place() {
    let mut environment = environment(&config(), None);
    environment.add_template("x.html", "{{ nothing }}").expect("compiles");
    let template = environment.get_template("x.html").expect("there");
    assert!(template.render(()).is_err());
}
