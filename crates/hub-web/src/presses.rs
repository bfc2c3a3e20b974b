//! Two presses of one button are one.
//!
//! Owns: the last press of each viewer. A form that comes a second time within a moment is a double click, and gets the
//! redirect of the first: browsers without script show the answer to the second press only, and that must not be that
//! the thing is there already, is gone, or is there twice. Only redirects are kept, so whoever was refused is told again;
//! and only the last press, so that deleting, taking back and deleting again are three.

use std::{
    hash::{BuildHasher, Hash, Hasher as _, RandomState},
    panic::resume_unwind,
    sync::{Arc, Mutex as SyncMutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hub_access::LoggedIn;
use hub_core::{caller::Caller, ids::JobId};
use tokio::{sync::Mutex, time::Instant};
use tracing::Instrument as _;

use crate::{asker::is_api, csrf::FORM_MAX_BYTES, error::WebError, router::App, viewer};

/// How long a second press counts as the same one. Nobody reads the page that followed, goes back and means it again in
/// that time.
const MOMENT: Duration = Duration::from_secs(3);
/// Most viewers whose last press is remembered; the oldest go first.
const PRESSES_MAX: usize = 1024;

/// The last presses.
#[derive(Default)]
pub(crate) struct Presses {
    last: SyncMutex<Vec<Press>>,
    /// Keyed anew in each process: nobody can look for a form that is taken for another.
    hashing: RandomState,
}

struct Press {
    viewer: u64,
    form: Form,
    /// By the time that passes: the clock may be set.
    at: Instant,
    answer: Answer,
}

/// What was sent where, as good as the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    hash: u64,
    bytes: usize,
}

/// Headers of the redirect that a press was answered with; locked while it is being answered.
type Answer = Arc<Mutex<Option<HeaderMap>>>;

impl Presses {
    /// The answer to this press, which another that is the same may have begun.
    fn answer(&self, viewer: u64, form: Form) -> Answer {
        // A list of presses is whole whoever panicked beside it.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // What is not answered yet is waited for, however long it takes.
        last.retain(|press| press.at.elapsed() < MOMENT || press.answer.try_lock().is_err());
        if let Some(at) = last.iter().position(|press| press.viewer == viewer) {
            if last[at].form == form {
                return Arc::clone(&last[at].answer);
            }
            last.remove(at);
        }
        if last.len() >= PRESSES_MAX {
            last.remove(0);
        }
        let answer = Answer::default();
        last.push(Press { viewer, form, at: Instant::now(), answer: Arc::clone(&answer) });
        answer
    }

    fn hash(&self, what: impl Hash) -> u64 {
        self.hashing.hash_one(what)
    }

    /// Two that are alike are the same press.
    fn form(&self, request: &http::request::Parts, body: &[u8]) -> Form {
        let mut hasher = self.hashing.build_hasher();
        // A page's script is answered with a piece of the page.
        let by_script = request.headers.contains_key("hx-request");
        (request.uri.path_and_query().map(http::uri::PathAndQuery::as_str), by_script).hash(&mut hasher);
        match boundary(&request.headers) {
            None => hasher.write(body),
            // Browsers draw a boundary for each press.
            Some(boundary) => {
                for line in body.split(|byte| *byte == b'\n') {
                    let fence = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary.as_bytes()));
                    hasher.write(fence.unwrap_or(line));
                    hasher.write_u8(b'\n');
                }
            }
        }
        Form { hash: hasher.finish(), bytes: body.len() }
    }
}

/// The idempotency key of a form that begins a job: each press that gets through is a wish of its own, however like the
/// one before.
pub(crate) fn wish() -> String {
    // An id of its own, as good as any other.
    format!("page-{}", JobId::new())
}

/// What parts the fields of a multipart form.
fn boundary(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (_, after) = kind.strip_prefix("multipart/form-data")?.split_once("boundary=")?;
    let boundary = after.split(';').next().unwrap_or_default().trim().trim_matches('"');
    Some(boundary).filter(|boundary| !boundary.is_empty())
}

/// Answers a form of a page, or gives it the answer of the same press a moment ago.
pub(crate) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    // Strangers have nothing in common but the way in.
    let caller = request.extensions().get::<Caller>().cloned().unwrap_or_else(Caller::admin);
    if request.method() != Method::POST || is_api(request.uri().path()) || caller == Caller::stranger() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match read(body, FORM_MAX_BYTES).await {
        Ok(body) => body,
        Err(body) => return next.run(Request::from_parts(parts, body)).await,
    };
    let session = parts.extensions.get::<LoggedIn>().map(LoggedIn::form_token);
    let presses = &app.presses;
    let answer = presses.answer(presses.hash((caller, session)), presses.form(&parts, &body));
    let mut answer = answer.lock_owned().await;
    if let Some(headers) = &*answer {
        return (StatusCode::SEE_OTHER, headers.clone()).into_response();
    }
    let request = Request::from_parts(parts, Body::from(body));
    // A browser drops the connection of the first press when it makes the second: what was begun is ended all the same,
    // or the second would find it half done, and nobody would have written it down.
    let run = async move {
        let response = next.run(request).await;
        // A cookie is for the one who asked for it.
        if response.status() == StatusCode::SEE_OTHER && !response.headers().contains_key(header::SET_COOKIE) {
            *answer = Some(response.headers().clone());
        }
        response
    };
    match tokio::spawn(viewer::later(viewer::current(), run).in_current_span()).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => WebError::internal(&error).into_response(),
        },
    }
}

/// The whole body.
///
/// # Errors
/// The body as it came, when it is larger than `max` or breaks off: who takes it says so.
async fn read(body: Body, max: usize) -> Result<Bytes, Body> {
    let mut coming = body.into_data_stream();
    let (mut chunks, mut bytes) = (Vec::new(), 0);
    while let Some(chunk) = coming.next().await {
        let broken = chunk.is_err();
        bytes += chunk.as_ref().map_or(0, Bytes::len);
        chunks.push(chunk);
        if broken || bytes > max {
            return Err(Body::from_stream(stream::iter(chunks).chain(coming)));
        }
    }
    let mut whole: Vec<Bytes> = chunks.into_iter().filter_map(Result::ok).collect();
    Ok(if whole.len() == 1 { whole.remove(0) } else { Bytes::from(whole.concat()) })
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn is_same(one: &Answer, other: &Answer) -> bool {
        Arc::ptr_eq(one, other)
    }

    fn form(hash: u64) -> Form {
        Form { hash, bytes: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_press_is_the_first_one_for_a_moment() {
        let presses = Presses::default();
        let first = presses.answer(1, form(1));
        advance(Duration::from_secs(2)).await;
        assert!(is_same(&presses.answer(1, form(1)), &first));
        assert!(!is_same(&presses.answer(2, form(1)), &first), "somebody else's");
        assert!(is_same(&presses.answer(1, form(1)), &first), "whatever others do between");
        advance(Duration::from_secs(2)).await;
        let later = presses.answer(1, form(1));
        assert!(!is_same(&later, &first));
        assert!(!is_same(&presses.answer(1, form(2)), &later));
        assert!(!is_same(&presses.answer(1, form(1)), &later), "something else was pressed between");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_being_answered_is_waited_for_however_long_it_takes() {
        let presses = Presses::default();
        let first = presses.answer(1, form(1));
        let answering = first.lock().await;
        advance(2 * MOMENT).await;
        assert!(is_same(&presses.answer(1, form(1)), &first));
        drop(answering);
        assert!(!is_same(&presses.answer(1, form(1)), &first));
    }

    #[test]
    fn it_remembers_so_many_and_no_more() {
        let presses = Presses::default();
        for number in 0..2 * PRESSES_MAX {
            presses.answer(number as u64, form(1));
        }
        assert_eq!(presses.last.lock().unwrap().len(), PRESSES_MAX);
    }

    #[test]
    fn forms_are_the_same_by_where_they_go_and_what_they_hold() {
        let presses = Presses::default();
        let of = |path: &str, kind: &str, body: &str| {
            let request = Request::post(path).header(header::CONTENT_TYPE, kind).body(()).expect("a request");
            presses.form(&request.into_parts().0, body.as_bytes())
        };
        let pairs = "application/x-www-form-urlencoded";
        assert_eq!(of("/a?b=1", pairs, "c=1"), of("/a?b=1", pairs, "c=1"));
        assert_ne!(of("/a?b=1", pairs, "c=1"), of("/a?b=2", pairs, "c=1"));
        assert_ne!(of("/a?b=1", pairs, "c=1"), of("/a?b=1", pairs, "c=2"));
        let parts = |boundary: &str, value: &str| {
            let kind = format!("multipart/form-data; boundary={boundary}");
            let head = "Content-Disposition: form-data; name=\"a\"";
            of("/a", &kind, &format!("--{boundary}\r\n{head}\r\n\r\n{value}\r\n--{boundary}--\r\n"))
        };
        assert_eq!(parts("----one1", "x\ny"), parts("----two2", "x\ny"));
        assert_ne!(parts("----one1", "x\ny"), parts("----two2", "x\nz"));
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_goes_on_as_it_came() {
        let body = || Body::from_stream(stream::iter(["ab", "cd"].map(Ok::<_, std::io::Error>)));
        assert_eq!(read(body(), 4).await.expect("small enough"), "abcd");
        let rest = read(body(), 3).await.expect_err("too large");
        assert_eq!(axum::body::to_bytes(rest, 4).await.expect("whole"), "abcd");
    }
}
