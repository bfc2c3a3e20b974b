//! What an answer to a form has to be: the fault beside its field with what was typed still in it, or a redirect after
//! which the field holds it.

use std::collections::BTreeSet;

use axum::http::StatusCode;

use super::taken_for_markup;
use crate::{
    hub::Answer,
    markup::{Field, Form, forms},
    places::kind_of,
};

/// Fields whose fault stands beside the group that they belong to.
const GROUPED: [(&str, &str); 5] = [
    ("size", "sizes"),
    ("min_side_px", "limits"),
    ("max_side_px", "limits"),
    ("side_multiple_px", "limits"),
    // The first of many rows.
    ("target", "target-1"),
];
/// What forms are given beside the value, where they are empty: form, field, value.
const NEEDED: [(&str, &str, &str); 4] = [
    ("/playground/detail_image", "prompt", "a fox"),
    ("/playground/edit_image", "prompt", "a fox"),
    ("/playground/generate_image", "prompt", "a fox"),
    ("/workflows", "name", "a workflow"),
];
/// Forms that lack something else which is told instead, though not without the value: form, field, where it is told.
const TOLD_INSTEAD: [(&str, &str, &str); 2] =
    [("/playground/edit_image", "prompt", "image"), ("/render-types/new", "name", "aspect")];
/// Fields that do not hold afterwards what was accepted: form and field.
const NOT_KEPT: [(&str, &str); 4] = [
    // Credentials of a kind that is not chosen; `credentials.rs` tries them with their kinds.
    ("/servers/srv/settings", "header"),
    ("/servers/srv/settings", "headers"),
    ("/servers/srv/settings", "user"),
    // It is for the preview alone.
    ("/styles/sty", "sample"),
];

/// What a form is given beside the value of one of its fields, so that nothing else is wrong with it.
pub(super) fn needed(form: &Form, field: &Field) -> Vec<(&'static str, &'static str)> {
    if !field.is_typed() {
        return Vec::new();
    }
    let kind = kind_of(&form.action);
    let is_empty = |name: &str| form.fields.iter().any(|other| other.name == name && other.value.is_empty());
    let lacking = NEEDED.into_iter().filter(|(of, name, _)| *of == kind && *name != field.name && is_empty(name));
    lacking.map(|(_, name, value)| (name, value)).collect()
}

/// What is wrong with the answer to a form with such a value in one of its fields.
pub(super) fn faults(form: &Form, field: &Field, value: &str, answer: &Answer) -> Vec<String> {
    let mut faults = Vec::new();
    // That no server takes work now is told by a page, and is no fault of the hub's.
    let no_server = answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.text().contains("role=\"alert\"");
    if answer.status.is_server_error() && !no_server {
        faults.push(format!("{}", answer.status));
    }
    let html = String::from_utf8_lossy(&answer.body);
    if answer.header("content-type").starts_with("text/html") {
        faults.extend(taken_for_markup(&html));
    }
    if is_refused(form, field, answer) {
        if !html.contains("role=\"alert\"") {
            faults.push(format!("{} without a word about what is wrong", answer.status));
        }
        let shown = forms(&form.page, &html);
        let kept =
            shown.iter().flat_map(|form| &form.fields).any(|shown| shown.name == field.name && shown.value == value);
        if !kept {
            faults.push(format!("{}, and what was typed is gone", answer.status));
        }
        // The word about a field points at one that is there.
        for id in html.split("<a href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            if !html.contains(&format!("id=\"{id}\"")) {
                faults.push(format!("points at #{id}, which is not there"));
            }
        }
    }
    faults
}

/// Whether what was typed was not taken. Secrets are left out: they would lie in the page if they were shown again.
fn is_refused(form: &Form, field: &Field, answer: &Answer) -> bool {
    let secret = (field.name == "token" && form.action == "/setup") || field.name == "headers";
    answer.status.is_client_error() && field.is_typed() && !secret
}

/// Whether a fault is told, but not beside the field that has the value.
pub(super) fn is_told_elsewhere(form: &Form, field: &Field, answer: &Answer) -> bool {
    let beside = told_beside(answer);
    let grouped = GROUPED.iter().find(|(name, _)| *name == field.name);
    let place = grouped.map_or(field.name.as_str(), |(_, place)| *place);
    let kind = kind_of(&form.action);
    let instead =
        TOLD_INSTEAD.iter().any(|(of, name, place)| *of == kind && *name == field.name && beside.contains(*place));
    is_refused(form, field, answer) && !beside.contains(place) && !instead
}

/// The fields beside which a page tells a fault.
pub(super) fn told_beside(answer: &Answer) -> BTreeSet<String> {
    let html = answer.text();
    let ids = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next());
    ids.filter_map(|id| id.strip_suffix("-fault")).map(str::to_owned).collect()
}

/// Whether a form changes what is there, and tells which version of it was read.
pub(super) fn is_versioned(form: &Form) -> bool {
    form.fields.iter().any(|field| field.name == "version" && !field.value.is_empty())
}

/// What is wrong with a form that changed something, as its page has it afterwards.
pub(super) fn not_kept(after: &Form, field: &Field, value: &str) -> Option<String> {
    let kind = kind_of(&after.action);
    if !is_versioned(after) || !field.is_typed() || NOT_KEPT.contains(&(kind.as_str(), field.name.as_str())) {
        return None;
    }
    // Spaces around what is typed are nobody's wish.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let kept = after.fields.iter().any(|shown| shown.name == field.name && words(&shown.value) == words(value));
    (!kept).then(|| "it was taken, and its field does not hold it afterwards".to_owned())
}
