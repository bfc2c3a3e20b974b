//! Credentials of a server, kind by kind: what is typed is kept, or is refused beside its field, and no secret comes back.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use hub_core::server::{SecretSource, ServerAuth};

use super::{
    ODD, again,
    answers::{faults, told_beside},
    send,
};
use crate::{
    hub::Hub,
    markup::{Form, forms},
};

/// The form with the settings of the simulated server.
async fn settings(hub: &Hub) -> Form {
    let path = format!("/servers/{}/settings", hub.engine.servers()[0].id());
    let html = String::from_utf8(hub.page(&path).await.body.to_vec()).expect("text");
    forms(&path, &html).into_iter().find(|form| form.action == path).expect("its form")
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_each_kind_are_kept_or_refused_beside_their_field() {
    let hub = Hub::with_server(5).await;
    let form = settings(&hub).await;
    for (kind, name, is_taken) in [("basic", "user", true), ("api_key", "header", false), ("headers", "headers", false)]
    {
        for odd in ODD.into_iter().filter(|odd| !odd.is_empty()) {
            let about = format!("{kind}: {odd}");
            let current = again(&hub, &form).await.expect("it is there");
            let field = current.fields.iter().find(|field| field.name == name).expect("a field");
            let typed = [("auth", kind), ("secret", "hunter2"), (name, odd)];
            let answer = send(&hub, &current, &current.pairs(&typed), None).await;
            assert_eq!(faults(&current, field, odd, &answer), Vec::<String>::new(), "{about}");
            assert!(!answer.text().contains("hunter2"), "{about}: a secret is shown again");
            if is_taken {
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "{about}: {}", answer.text());
                let after = again(&hub, &form).await.expect("it is there");
                let kept = after.fields.iter().any(|shown| shown.name == name && shown.value == odd);
                assert!(kept, "{about} is not kept");
            } else {
                assert_eq!(told_beside(&answer), BTreeSet::from([name.to_owned()]), "{about}");
                assert!(answer.text().contains("A typed secret is not shown again"), "{about}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_a_server_stands_beside_a_field_that_is_to_be_seen() {
    let hub = Hub::with_server(5).await;
    let form = settings(&hub).await;
    for (typed, place) in [
        (&[("auth", "magic")][..], "auth"),
        (&[("auth", "bearer"), ("secret", "")][..], "auth"),
        (&[("auth", "api_key"), ("header", "no name"), ("secret", "x")][..], "header"),
        (&[("auth", "headers"), ("headers", "X-A: \nX-B")][..], "headers"),
        (&[("run_limit_s", "0")][..], "run_limit_s"),
        (&[("stall_limit_s", "0")][..], "stall_limit_s"),
        (&[("origin", "nowhere")][..], "origin"),
    ] {
        let answer = send(&hub, &form, &form.pairs(typed), None).await;
        let html = answer.text();
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed:?}: {html}");
        assert_eq!(told_beside(&answer), BTreeSet::from([place.to_owned()]), "{typed:?}");
        assert!(html.contains(&format!("<a href=\"#{place}\">")), "{typed:?}: {html}");
        assert!(html.contains(&format!(" id=\"{place}\"")), "{typed:?}: {html}");
        let folded = ["run_limit_s", "stall_limit_s", "origin"].contains(&place);
        assert_eq!(html.contains("<details class=\"card more\" open>"), folded, "{typed:?}: {html}");
    }
}

#[tokio::test]
async fn several_headers_come_back_by_name_and_keep_their_values() {
    let hub = Hub::with_server(5).await;
    let form = settings(&hub).await;
    let typed = [("auth", "headers"), ("headers", "X-A: hunter2\nX-B:hunter3"), ("weight", "heavy")];
    let refused = send(&hub, &form, &form.pairs(&typed), None).await;
    let html = refused.text();
    assert_eq!(told_beside(&refused), BTreeSet::from(["weight".to_owned()]), "{html}");
    assert!(html.contains("X-A: \nX-B: </textarea>") && !html.contains("hunter"), "{html}");
    let saved = send(&hub, &form, &form.pairs(&typed[..2]), None).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text());

    let shown = again(&hub, &form).await.expect("it is there");
    let field = shown.fields.iter().find(|field| field.name == "headers").expect("a field");
    assert_eq!(field.value, "X-A: \nX-B: ");
    let more = format!("{}\nX-C:", field.value);
    let refused = send(&hub, &shown, &shown.pairs(&[("headers", more.as_str())]), None).await;
    let html = refused.text();
    assert!(html.contains("id=\"headers-fault\"") && html.contains("`X-C` needs a value"), "{html}");
    assert!(html.contains("X-A: \nX-B: \nX-C: </textarea>"), "{html}");
    let saved = send(&hub, &shown, &shown.pairs(&[("headers", "x-a\nX-C: hunter4")]), None).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text());
    let header = |name: &str, value: &str| (name.to_owned(), SecretSource::from(value.to_owned()));
    let headers = vec![header("x-a", "hunter2"), header("X-C", "hunter4")];
    assert_eq!(hub.engine.servers().remove(0).server.auth, ServerAuth::Headers { headers });
}
