//! Two presses of one button are one.
//!
//! Owns: the last press of each viewer, and those that are still being answered. A form that comes a second time within
//! a moment is a double click, and gets the redirect of the first: browsers without script show the answer to the second
//! press only, and that must not be that the thing is there already, is gone, or is there twice. Only redirects are
//! kept, so whoever was refused is told again; of what was answered only the last press, so that deleting, taking back
//! and deleting again are three. Where nobody has to log in all tabs are one viewer, so what one of them presses does
//! not end the wait of another.

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
/// Most presses that are remembered; the oldest go first, those that were answered before the others.
const PRESSES_MAX: usize = 1024;
/// Most of them of one viewer.
const PRESSES_PER_VIEWER_MAX: usize = 8;

/// The answer tells that more is left to do, so that the same form is sent again: that is no second press. Among an
/// answer's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MoreIsLeft;

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

impl Press {
    /// Whether somebody answers it, is about to, or waits for that.
    fn is_open(&self) -> bool {
        Arc::strong_count(&self.answer) > 1
    }
}

/// What was sent where, as good as the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    hash: u64,
    /// How many bytes of the body that is made of.
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
        last.retain(|press| press.at.elapsed() < MOMENT || press.is_open());
        if let Some(same) = last.iter().find(|press| press.viewer == viewer && press.form == form) {
            return Arc::clone(&same.answer);
        }
        last.retain(|press| press.viewer != viewer || press.is_open());
        let mut own = last.iter().enumerate().filter(|(_, press)| press.viewer == viewer).map(|(at, _)| at);
        let (oldest, others) = (own.next(), own.count());
        if let Some(at) = oldest.filter(|_| others + 1 >= PRESSES_PER_VIEWER_MAX) {
            last.remove(at);
        } else if last.len() >= PRESSES_MAX {
            let at = last.iter().position(|press| !press.is_open()).unwrap_or_default();
            last.remove(at);
        }
        let answer = Answer::default();
        last.push(Press { viewer, form, at: Instant::now(), answer: Arc::clone(&answer) });
        answer
    }

    /// From now on the same form is a new press; who waits for its answer gets that.
    fn forget(&self, viewer: u64, form: Form) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|press| (press.viewer, press.form) != (viewer, form));
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
        let bytes = match boundary(&request.headers) {
            None => {
                hasher.write(body);
                body.len()
            }
            // Browsers draw a boundary for each press, some of another length each time.
            Some(boundary) => {
                let mut bytes = 0;
                for line in body.split(|byte| *byte == b'\n') {
                    let fence = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary.as_bytes()));
                    let held = fence.unwrap_or(line);
                    hasher.write(held);
                    hasher.write_u8(b'\n');
                    bytes += held.len() + 1;
                }
                bytes
            }
        };
        Form { hash: hasher.finish(), bytes }
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
    let (viewer, form) = (app.presses.hash((caller, session)), app.presses.form(&parts, &body));
    let mut answer = app.presses.answer(viewer, form).lock_owned().await;
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
            if response.extensions().get::<MoreIsLeft>().is_some() {
                app.presses.forget(viewer, form);
            }
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
    use std::sync::Weak;

    use tokio::time::advance;

    use super::*;

    type Pressed = Weak<Mutex<Option<HeaderMap>>>;

    /// A press that was answered: nobody holds it any more.
    fn pressed(presses: &Presses, viewer: u64, hash: u64) -> Pressed {
        Arc::downgrade(&presses.answer(viewer, form(hash)))
    }

    fn is_same(one: &Pressed, other: &Pressed) -> bool {
        Weak::ptr_eq(one, other)
    }

    fn form(hash: u64) -> Form {
        Form { hash, bytes: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_press_is_the_first_one_for_a_moment() {
        let presses = Presses::default();
        let first = pressed(&presses, 1, 1);
        advance(Duration::from_secs(2)).await;
        assert!(is_same(&pressed(&presses, 1, 1), &first));
        assert!(!is_same(&pressed(&presses, 2, 1), &first), "somebody else's");
        assert!(is_same(&pressed(&presses, 1, 1), &first), "whatever others do between");
        advance(Duration::from_secs(2)).await;
        let later = pressed(&presses, 1, 1);
        assert!(!is_same(&later, &first));
        assert!(!is_same(&pressed(&presses, 1, 2), &later));
        assert!(!is_same(&pressed(&presses, 1, 1), &later), "something else was pressed between");
    }

    #[test]
    fn what_asks_to_be_sent_again_is_a_new_press_then() {
        let presses = Presses::default();
        let first = pressed(&presses, 1, 1);
        presses.forget(2, form(1));
        assert!(is_same(&pressed(&presses, 1, 1), &first), "somebody else's");
        presses.forget(1, form(1));
        assert!(!is_same(&pressed(&presses, 1, 1), &first));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_being_answered_is_waited_for_however_long_it_takes() {
        let presses = Presses::default();
        let answering = presses.answer(1, form(1));
        let first = Arc::downgrade(&answering);
        advance(2 * MOMENT).await;
        assert!(is_same(&pressed(&presses, 1, 1), &first));
        pressed(&presses, 1, 2);
        assert!(is_same(&pressed(&presses, 1, 1), &first), "another tab pressed something else");
        drop(answering);
        assert!(!is_same(&pressed(&presses, 1, 1), &first));
    }

    #[test]
    fn it_remembers_so_many_and_no_more() {
        let presses = Presses::default();
        let slow = presses.answer(1 << 32, form(1));
        for number in 0..2 * PRESSES_MAX {
            presses.answer(number as u64, form(1));
        }
        assert_eq!(presses.last.lock().unwrap().len(), PRESSES_MAX);
        assert!(Arc::ptr_eq(&presses.answer(1 << 32, form(1)), &slow), "what was answered goes first");
        let own: Vec<Answer> = (0..20).map(|number| presses.answer(1, form(number))).collect();
        let kept = presses.last.lock().unwrap().iter().filter(|press| press.viewer == 1).count();
        assert_eq!(kept, PRESSES_PER_VIEWER_MAX);
        assert!(Arc::ptr_eq(&presses.answer(1, form(19)), &own[19]), "the newest stay");
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
        assert_eq!(parts("----one1", "x\ny"), parts("----another3", "x\ny"), "some are longer");
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
