//! The hub's own pages as links name them; for tests that walk all of them, here and in a browser.

/// What leads to a file or an answer for programs.
const NOT_PAGES: [&str; 4] = ["/assets/", "/api/", "/outputs/", "/thumbs/"];

/// The page that a link leads to, when it is one of the hub's own.
pub(crate) fn own_page(href: &str) -> Option<String> {
    let page = href.split('#').next().filter(|page| page.starts_with('/'))?;
    let is_page = !NOT_PAGES.iter().any(|other| page.starts_with(other));
    is_page.then(|| page.to_owned())
}

/// A path with what varies taken out: `/jobs/job_0198…?q=x` → `/jobs/job`. Tools of the playground are pages of
/// their own.
pub(crate) fn kind_of(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let part = |part: &str| match part.split_once('_') {
        Some((noun, id)) if id.len() == 32 => noun.to_owned(),
        _ => part.to_owned(),
    };
    let parts = path.split('/').map(part).collect::<Vec<_>>().join("/");
    let tool = query.split('&').find(|pair| pair.starts_with("tool=") && path == "/playground");
    tool.map_or(parts.clone(), |tool| format!("{parts}?{tool}"))
}
