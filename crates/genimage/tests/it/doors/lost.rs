//! Forms that come when their login has ended: what was typed is not lost, and nothing is done.

use super::*;

const TYPED: [(&str, &str); 5] = [
    ("name", "typed <b>name"),
    ("base_url", "http://192.0.2.1:8188"),
    ("csrf", "of-an-earlier-login"),
    ("secret", "hunter2"),
    ("headers", "X-Key: hunter3"),
];

impl Bed {
    /// A form of a page as a browser sends it.
    fn sends(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        self.ask(Method::POST, path)
            .header(header::ACCEPT, "text/html,*/*;q=0.8")
            .header("sec-fetch-site", "same-origin")
            .form(form)
    }

    async fn servers(&self) -> usize {
        let (_, listed) = self.with_key(KEY, Method::GET, "/api/v1/servers", None).await;
        listed["servers"].as_array().unwrap().len()
    }
}

async fn page_of(request: RequestBuilder, status: StatusCode) -> String {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), status);
    assert!(answer.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let page = answer.text().await.unwrap().replace("&#x2f;", "/");
    assert!(page.contains("Nothing was saved"), "{page}");
    assert!(!page.contains("hunter") && !page.contains("of-an-earlier-login"), "a secret is in the page: {page}");
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_whose_login_ended_is_given_back_and_saved_once_somebody_is_logged_in() {
    let bed = Bed::closed().await;
    let before = bed.servers().await;
    // The login ended.
    let page = page_of(bed.sends("/servers", &TYPED), StatusCode::UNAUTHORIZED).await;
    assert!(page.contains("action=\"/servers\"") && page.contains("value=\"http://192.0.2.1:8188\""), "{page}");
    assert!(page.contains("value=\"typed &lt;b&gt;name\"") && !page.contains("<b>name"), "{page}");
    assert!(page.contains("href=\"/login\" target=\"_blank\""), "{page}");
    // Secrets are asked for once only: that page has no token, so its form comes back after the login.
    for secret in ["secret", "headers"] {
        assert!(!page.contains(&format!("name=\"{secret}\"")), "{secret} is asked for in vain: {page}");
        assert!(page.contains(&format!("name=\"lost-secret\" value=\"{secret}\"")), "{page}");
    }
    // Logged in in another tab, the form is sent again, with the token of no login.
    let cookie = bed.cookie().await;
    let [name, url, ..] = TYPED;
    let form = [name, url, ("lost-secret", "secret"), ("lost-secret", "headers")];
    let page = page_of(bed.sends("/servers", &form).header(header::COOKIE, &cookie), StatusCode::FORBIDDEN).await;
    assert!(page.contains("value=\"http://192.0.2.1:8188\"") && !page.contains("lost-secret"), "{page}");
    for secret in ["secret", "headers"] {
        assert!(page.contains(&format!("name=\"{secret}\"")), "{secret} is typed again: {page}");
    }
    assert_eq!(bed.servers().await, before, "nothing is done before it is asked for");
    // Now with the token of the page.
    let token = token_in(&page);
    let sent = [("csrf", token.as_str()), ("name", "typed"), ("base_url", "http://192.0.2.1:8188")];
    let saved = bed.sends("/servers", &sent).header(header::COOKIE, &cookie).send().await.unwrap();
    assert_eq!(saved.status(), StatusCode::SEE_OTHER, "{}", saved.text().await.unwrap());
    assert_eq!(bed.servers().await, before + 1);
    // A second click on “Log out” is no fault.
    let out = bed.sends("/logout", &[]).send().await.unwrap();
    assert_eq!((out.status(), out.headers()[header::LOCATION].to_str().unwrap()), (StatusCode::SEE_OTHER, "/login"));
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_given_back_is_told_and_what_another_site_made_up_is_not_given_back() {
    let bed = Bed::closed().await;
    let cookie = bed.cookie().await;
    let large = "x".repeat(300 * 1024);
    for (cookie, status) in [("", StatusCode::UNAUTHORIZED), (cookie.as_str(), StatusCode::FORBIDDEN)] {
        let page = page_of(bed.sends("/servers", &[("name", &large)]).header(header::COOKIE, cookie), status).await;
        assert!(page.contains("cannot be kept") && !page.contains("<form"), "{page}");
        let file = bed
            .ask(Method::POST, "/workflows")
            .header(header::ACCEPT, "text/html")
            .header("sec-fetch-site", "same-origin")
            .header(header::COOKIE, cookie)
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
            .body("--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nx\r\n--b--\r\n");
        let page = page_of(file, status).await;
        assert!(page.contains("cannot be kept") && !page.contains("<form"), "{page}");
        // Not of a browser's page, of another site's, of another port's, for a program.
        let form = [("name", "made-up")];
        let plain = || bed.ask(Method::POST, "/servers").header(header::COOKIE, cookie).form(&form);
        let html = || plain().header(header::ACCEPT, "text/html");
        for (request, what) in [
            (html(), "no page"),
            (html().header("sec-fetch-site", "cross-site"), "another site"),
            (html().header(header::ORIGIN, "http://localhost:1"), "another port"),
            (html().header(header::ORIGIN, "http://evil.test"), "another host"),
            (plain().header("sec-fetch-site", "same-origin"), "a program"),
            (html().header("sec-fetch-site", "same-origin").header("hx-request", "true"), "a piece of a page"),
        ] {
            let answer = request.send().await.unwrap();
            assert!([StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status()), "{what}");
            let text = answer.text().await.unwrap();
            assert!(!text.contains("made-up"), "given back to {what}: {text}");
        }
    }
    bed.end().await;
}
