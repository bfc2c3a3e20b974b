//! Tests that this machine cannot do; here and in hub-web.

/// Says that a test is left out, and why.
///
/// # Panics
/// With `CI` set: what is missing there can be installed, and a test that is left out in silence proves nothing.
pub(crate) fn left_out(why: &str) {
    let checks = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
    assert!(!checks, "left out, though CI is set: {why}");
    note(why);
}

/// Says that a test is left out for a reason that nobody can mend there.
pub(crate) fn note(why: &str) {
    #[expect(clippy::print_stderr, reason = "a test that was left out must say so")]
    {
        eprintln!("left out: {why}");
    }
}
