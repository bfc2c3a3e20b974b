//! Every page at both widths, in both colours, with script and without: it fits, it has its landmarks, it complains of
//! nothing and asks nobody else; also where the things that it shows have names to break it.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::{
    Report, SHAPES, hostile, patience,
    places::{kind_of, own_page},
    window::Window,
};
use crate::hub::client;

/// Pages that only forms lead to, or that have no link.
const UNLINKED: [&str; 7] = [
    "/start",
    "/setup",
    "/login",
    "/nothing/here",
    "/jobs/x",
    "/jobs?q=no-such-words",
    "/playground?tool=generate_image&seed=x",
];
/// What must be so of a page; answers what is not.
const LOOK: &str = "
    if (document.readyState !== 'complete') return null;
    const wrong = [];
    const wide = document.documentElement.scrollWidth - window.innerWidth;
    if (wide > 0) wrong.push(`is ${wide} px wider than the window`);
    if (document.querySelectorAll('h1').length !== 1) wrong.push('has not one heading');
    if (document.querySelectorAll('main').length !== 1) wrong.push('has not one main part');
    if (!document.title.endsWith('GenImage Hub')) wrong.push(`has the title ${document.title}`);
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
    if ((red + green + blue < 384) !== dark) wrong.push('has the colours of the other theme');
    for (const image of document.images) if (image.complete && image.naturalWidth === 0 && image.loading !== 'lazy') wrong.push(`has a broken picture ${image.src}`);
    for (const hidden of document.querySelectorAll('[hidden]')) {
      if (hidden.getClientRects().length) wrong.push(`shows ${hidden.className || hidden.localName}, which is hidden`);
    }
    // What can be pressed must be wide and high enough for a finger, and inside the window.
    for (const button of document.querySelectorAll('main button, main a.button, main summary')) {
      const box = button.getBoundingClientRect();
      if (!button.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || box.width < 2 || button.classList.contains('visually-hidden')) continue;
      if (box.height < 24) wrong.push(`${button.innerText} is ${box.height} px high`);
      if (button.closest('.table-scroll, .graph-scroll')) continue;
      if (box.left < 0 || box.right > window.innerWidth + 0.5) wrong.push(`${button.innerText} is beyond the edge`);
    }
    return wrong;";

/// What is not as it must be of a page, once it is there with its colours and pictures.
async fn look(window: &Window, path: &str) -> anyhow::Result<Vec<String>> {
    window.go(path).await?;
    let look = || async {
        let wrong = window.ask(LOOK, vec![]).await?;
        serde_json::from_value::<Option<Vec<String>>>(wrong)?.context("it is not whole")
    };
    patience::until(look, |missed: anyhow::Error| format!("{missed:#}")).await
}

/// One page of each kind: by its path with what varies taken out, and the names of its query.
async fn pages(hub: &str) -> BTreeMap<String, String> {
    let http = client();
    let mut found = BTreeMap::new();
    let mut ahead = vec!["/".to_owned()];
    while let Some(path) = ahead.pop() {
        let kind = kind_of(&path);
        if found.contains_key(&kind) {
            continue;
        }
        let answer = http.get(format!("{hub}{path}")).header("accept", "text/html").send().await.unwrap();
        let of_text =
            answer.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if !of_text {
            continue;
        }
        assert!(answer.status().is_success(), "{path} is linked and answers {}", answer.status());
        let text = answer.text().await.unwrap();
        found.insert(kind, path);
        ahead.extend(links(&text));
    }
    found.extend(UNLINKED.iter().map(|path| ((*path).to_owned(), (*path).to_owned())));
    found
}

/// Where a page leads within the hub.
fn links(page: &str) -> Vec<String> {
    let found = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    found.filter_map(|href| own_page(&href.replace("&#x2f;", "/").replace("&amp;", "&"))).collect()
}

pub(crate) async fn look_at_every_page(window: &mut Window, script: bool, report: &mut Report) {
    let named = hostile::fill(window).await.unwrap();
    let mut pages = pages(window.hub()).await;
    pages.extend(named.into_iter().map(|path| (path.clone(), path)));
    for needed in
        ["/", "/start", "/jobs/job", "/servers/srv/settings", "/workflows/wf", "/styles/sty", "/configuration"]
    {
        assert!(pages.contains_key(needed), "no link leads to {needed}: {pages:?}");
    }
    // The colours of a page do not hang on scripts.
    for (width, theme) in SHAPES.into_iter().take(if script { 4 } else { 2 }) {
        window.take_shape(script, width, theme).await;
        for path in pages.values() {
            report.done += 1;
            let mut wrong = look(window, path).await.unwrap_or_else(|error| vec![format!("{error:#}")]);
            wrong.extend(window.complaints().await);
            report.complain(&format!("{path}, {}", window.shape()), wrong);
        }
    }
    let policy = client().get(format!("{}/", window.hub())).send().await.unwrap();
    let policy = policy.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(!policy.contains("unsafe") && policy.contains("default-src 'self'"), "{policy}");
}
