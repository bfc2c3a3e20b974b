mod classes;
mod turning;

use std::collections::BTreeSet;

use hub_store::SearchBounds;

use super::*;
use crate::{language::Translations, pages};

fn config() -> WebConfig {
    let (translations, search) = (Translations::default(), SearchBounds::default());
    WebConfig { public_url: None, demo: true, version: "1.2.3", translations, search }
}

/// The samples of all pages in another language.
pub(crate) fn in_language(language: &Arc<Language>) -> Vec<(&'static str, String)> {
    let environment = environment(&config(), Some(language));
    let render = |template: &str, context: Value| environment.get_template(template)?.render(context);
    let samples = pages::samples().into_iter();
    samples.map(|(template, context)| (template, render(template, context).expect("it renders"))).collect()
}

/// The samples of all pages, of the playground with each tool.
fn all_samples() -> impl Iterator<Item = (&'static str, Value)> {
    let more = ["edit_image", "upscale_image", "detail_image", "describe_image", "generate_prompt"]
        .map(|tool| ("pages/playground.html", Value::from(Serde(&pages::playground_sample(tool)))));
    pages::samples().into_iter().chain(more)
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

/// Nothing that a page asks for holds up its first paint but its one stylesheet.
#[test]
fn pages_are_painted_before_scripts_are_there() {
    for (template, context) in pages::samples() {
        let html = render(template, context);
        assert!(html.matches("rel=\"stylesheet\"").count() <= 1, "{template} has several stylesheets");
        for tag in html.split("<script").skip(1) {
            let tag = tag.split('>').next().unwrap_or("");
            assert!(tag.ends_with(" defer"), "{template} waits for {tag}");
        }
    }
}

/// Every form goes to a route that takes a POST, and every field has a name that is read aloud.
#[test]
fn forms_lead_somewhere_and_fields_have_labels() {
    let mut fields = 0;
    for (template, context) in all_samples() {
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
fn masks_that_were_used_before_can_be_left_out_and_pictures_cannot() {
    let html = render("pages/playground.html", Value::from(Serde(&pages::playground_sample("detail_image"))));
    let none: Vec<&str> = html.split("<input ").filter(|tag| tag.contains("-none\"")).collect();
    assert_eq!(none.len(), 1, "{none:?}");
    // The sample names a mask: it is not taken for none.
    let start = "type=\"radio\" id=\"masks-none\" name=\"picked_mask\" value=\"\"><label for=\"masks-none\">";
    assert!(none[0].starts_with(start), "{}", none[0]);
}

/// Whoever types a secret can have a look at it: behind each field of one stands its mark.
#[test]
fn every_veiled_field_can_be_looked_at() {
    let is_veiled = |tag: &str| tag.contains("type=\"password\"");
    let mut veiled = 0;
    for (template, context) in pages::samples() {
        let html = render(template, context);
        let tags = html.split("<input ").skip(1).filter_map(|rest| rest.split('>').next());
        for tag in tags.filter(|tag| is_veiled(tag)) {
            let id = tag.split("id=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            assert!(html.contains(&format!("data-reveal=\"{id}\"")), "{template}: {tag}");
            veiled += 1;
        }
    }
    assert!(veiled > 5, "only {veiled} fields were looked at");
    // Those that no sample shows as well.
    for name in Files::iter().filter(|name| name.ends_with(".html")) {
        let source = String::from_utf8(Files::get(&name).expect("it is there").data.into_owned()).expect("text");
        for (tag, after) in source.split("<input ").skip(1).filter_map(|rest| rest.split_once('>')) {
            let mark = after.split("}}").next().unwrap_or_default();
            let is_marked = mark.starts_with("{{ secrets") && mark.contains(".show(");
            assert!(!is_veiled(tag) || is_marked, "{name}: {tag}");
        }
    }
}

#[test]
fn a_missing_name_is_an_error_and_not_an_empty_place() {
    let mut environment = environment(&config(), None);
    environment.add_template("x.html", "{{ nothing }}").expect("compiles");
    let template = environment.get_template("x.html").expect("there");
    assert!(template.render(()).is_err());
}
