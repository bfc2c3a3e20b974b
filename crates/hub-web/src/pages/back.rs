//! Where a form leads back to. That is written in the form, and what a form says anybody may have written: it is
//! never more than a page of ours, so that a form is no way to send people to other sites.

use hub_core::ids::JobId;

/// Longest address that is led back to: a search for 500 signs takes twelve bytes for some of them.
const MAX_BYTES: usize = 16 * 1024;

/// The address of a page of ours, with what the page was asked for: its filters, its place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Back(String);

impl Back {
    /// The page at that path, with nothing asked for.
    pub(crate) fn page(path: &'static str) -> Self {
        Self(path.to_owned())
    }

    /// The page of a job.
    pub(crate) fn job(id: JobId) -> Self {
        Self(format!("/jobs/{id}"))
    }

    /// What a form `sent`, where that is an address of the page at `path`, whatever it asks for.
    pub(crate) fn of(sent: &str, path: &str) -> Option<Self> {
        let query = sent.strip_prefix(path)?;
        let own = query.is_empty() || query.starts_with('?');
        let sound = sent.len() <= MAX_BYTES && !sent.contains(char::is_control);
        (own && sound).then(|| Self(sent.to_owned()))
    }

    /// The same, or else the page with nothing asked for.
    pub(crate) fn to(sent: &str, path: &'static str) -> Self {
        Self::of(sent, path).unwrap_or_else(|| Self::page(path))
    }

    /// Of forms about pictures, which stand in the gallery and on the pages of jobs.
    pub(crate) fn to_pictures(sent: &str) -> Self {
        let job: Option<JobId> = sent.strip_prefix("/jobs/").and_then(|id| id.parse().ok());
        job.map_or_else(|| Self::to(sent, "/gallery"), Self::job)
    }

    /// The address.
    pub(crate) fn path(&self) -> &str {
        &self.0
    }

    /// The address by which the page says what was done.
    pub(crate) fn with(&self, done: &str) -> String {
        let and = if self.0.contains('?') { '&' } else { '?' };
        format!("{}{and}done={done}", self.0)
    }

    /// The same of what can be taken back under a number, if it can.
    pub(crate) fn with_undo(&self, done: &str, number: impl Into<Option<u64>>) -> String {
        match number.into() {
            Some(number) => format!("{}&undo={number}", self.with(done)),
            None => self.with(done),
        }
    }
}

/// Where a login leads: whatever page of ours was asked for, else the first one.
pub(crate) fn own_path(given: &str) -> String {
    let own = given.starts_with('/')
        && !given.starts_with("//")
        && !given.contains('\\')
        && !given.chars().any(char::is_control);
    if own { given.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_leads_back_to_its_own_page_only() {
        let to = |sent: &str| Back::to(sent, "/jobs").with("moved");
        assert_eq!(to("/jobs"), "/jobs?done=moved");
        assert_eq!(to("/jobs?q=a&state=failed"), "/jobs?q=a&state=failed&done=moved");
        assert_eq!(Back::to("/jobs?q=a", "/jobs").with_undo("moved", 7), "/jobs?q=a&done=moved&undo=7");
        assert_eq!(Back::page("/jobs").with_undo("moved", None), "/jobs?done=moved");
        let long = format!("/jobs?q={}", "a".repeat(MAX_BYTES));
        for elsewhere in
            ["", "//evil.test", "https://evil.test/jobs", "/jobs.evil", "/jobs/../x", "/jobs?q=a\nb", &long]
        {
            assert_eq!(Back::of(elsewhere, "/jobs"), None, "{elsewhere}");
            assert_eq!(to(elsewhere), "/jobs?done=moved", "{elsewhere}");
        }
    }

    #[test]
    fn a_form_about_pictures_leads_back_to_the_gallery_or_its_job_only() {
        let to = |sent: &str| Back::to_pictures(sent).with("x");
        let job = JobId::new();
        assert_eq!(to(&format!("/jobs/{job}")), format!("/jobs/{job}?done=x"));
        assert_eq!(to("/gallery?q=a"), "/gallery?q=a&done=x");
        for elsewhere in ["", "/jobs/../x", "https://evil.test/gallery", "//evil.test", "/jobs/x"] {
            assert_eq!(to(elsewhere), "/gallery?done=x", "{elsewhere}");
        }
    }

    #[test]
    fn only_paths_of_the_hub_follow_a_login() {
        assert_eq!(own_path("/jobs?state=failed"), "/jobs?state=failed");
        for foreign in ["", "//evil.test", "https://evil.test", "/\\evil.test", "jobs", "/a\nb"] {
            assert_eq!(own_path(foreign), "/", "{foreign:?}");
        }
    }
}
